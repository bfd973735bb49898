"""What the streams of a flash channel share: page buffers, write buffer, accumulators, results."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pim_isa.errors import IsaError
from pim_isa.semantics.hbm_pim.die import LogicDie
from pim_isa.semantics.ssd_pim.memory import Pages
from pim_isa.table import load

CONTROLLER = 0  # number of the controller's stream
WRITE_BUFFER = 0  # `input` of what it works on
ROW_BITS = load("ssd_pim").spec("OUT").field("row").high - load("ssd_pim").opcode_bits + 1
PAGE_BUFFERS = load("ssd_pim").constants["page_buffers"]


@dataclass
class _Buffered:
    page: np.ndarray  # uint16 [columns, lanes]
    since: int  # the stretch of the plane's stream in which it came
    freed: int | None = None  # the stretch of the controller's stream


@dataclass
class Controller(LogicDie):
    """A LogicDie with page buffers, by (stream, row), and a write buffer."""

    buffers: dict[tuple[int, int], _Buffered] = field(default_factory=dict)
    write_buffer: Pages | None = None
    appended: dict[int, int] = field(default_factory=dict)  # page -> stretch of the last append

    def bring(self, stream: int, row: int, page: np.ndarray) -> None:
        """OUT. Raises IsaError where the stream has no buffer left."""
        known = self.epochs[stream, CONTROLLER]
        for key, held in list(self.buffers.items()):
            if key[0] == stream and held.freed is not None and held.freed < known:
                del self.buffers[key]
        own = [r for s, r in self.buffers if s == stream]
        if row in own or len(own) >= PAGE_BUFFERS:
            raise IsaError(
                f"OUT must find one of {PAGE_BUFFERS} page buffers free for page {row}: those of "
                f"pages {', '.join(map(str, own))} are not, or not behind a barrier"
            )
        self.buffers[stream, row] = _Buffered(page, int(self.epochs[stream, stream]))

    def page(self, name: str, source: int, row: int) -> np.ndarray:
        """A page for the PUs, uint16 [columns, lanes]."""
        if source == WRITE_BUFFER:
            assert self.write_buffer is not None
            return self.write_buffer.page(row)
        return self._held(name, source, row).page

    def free(self, source: int, row: int, pages: int) -> None:
        """FREE."""
        for number in range(row, row + pages):
            held = self._held("FREE", source, number)
            held.freed = int(self.epochs[CONTROLLER, CONTROLLER])

    def _held(self, name: str, source: int, row: int) -> _Buffered:
        held = self.buffers.get((source, row))
        if held is None or held.freed is not None:
            raise IsaError(f"{name} must find page {row} of stream {source} in a page buffer")
        if self.epochs[CONTROLLER, source] <= held.since:
            raise IsaError(
                f"{name} must come behind a barrier after stream {source} brought page {row}"
            )
        return held

    def collected(self, stream: int, page: int) -> np.ndarray:
        """PRG: a full page of the write buffer, uint16 [columns, lanes]."""
        if self.write_buffer is None or self.write_buffer.is_erased(page):
            raise IsaError(f"PRG must find page {page} in the write buffer")
        stretch = self.appended.get(page, -1)
        if self.epochs[stream, CONTROLLER] <= stretch:
            raise IsaError(f"PRG must come behind a barrier after the append to page {page}")
        return self.write_buffer.page(page)
