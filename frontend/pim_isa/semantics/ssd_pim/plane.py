"""A plane of a flash die: its pages, its page register and its cache register."""

from __future__ import annotations

import numpy as np

from pim_isa.errors import IsaError
from pim_isa.semantics.ssd_pim.controller import Controller
from pim_isa.semantics.ssd_pim.memory import Pages

Register = tuple[int, np.ndarray] | None  # row, page


class Plane:
    """The stream of a plane; each method is the pseudo-code of an instruction."""

    def __init__(self, stream: int, memory: Pages, die: Controller) -> None:
        self.stream, self.memory, self.die = stream, memory, die
        self.page: Register = None
        self.cache: Register = None

    def sense(self, row: int) -> None:
        """RDP."""
        if self.page is not None:
            raise IsaError(f"RDP must find the page register empty, not page {self.page[0]} in it")
        self.page = row, self.memory.page(row)

    def hand_over(self, row: int) -> None:
        """CPY."""
        if self.page is None or self.page[0] != row:
            raise IsaError(f"CPY must find page {row} in the page register")
        if self.cache is not None:
            raise IsaError(
                f"CPY must find the cache register empty, not page {self.cache[0]} in it"
            )
        self.cache, self.page = self.page, None

    def send(self, row: int) -> None:
        """OUT."""
        if self.cache is None or self.cache[0] != row:
            raise IsaError(f"OUT must find page {row} in the cache register")
        self.die.bring(self.stream, row, self.cache[1])
        self.cache = None

    def program(self, row: int, page: int) -> None:
        """PRG."""
        self._idle("PRG")
        if self.die.wanted is None or (
            self.die.write_buffer and not self.die.write_buffer.is_erased(page)
        ):
            self.memory.program(row, self.die.collected(self.stream, page))

    def erase(self, row: int, pages: int) -> None:
        """ERS."""
        self._idle("ERS")
        self.memory.erase(row, pages)

    def _idle(self, name: str) -> None:
        for register in (self.page, self.cache):
            if register is not None:
                raise IsaError(f"{name} must find the registers empty, not page {register[0]}")
