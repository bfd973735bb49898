"""Reads Ramulator 2.1's `.ram2bin`, of Ramulator's recorder or of pamsim."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from pamsim.errors import InputError, Position
from pamsim.traces.header import TraceCommand, TraceHeader
from pamsim.traces.ram2bin import (
    COLUMN_BIT,
    MAGIC,
    MAX_COMMANDS,
    PREFIX,
    REFRESH_BIT,
    ROW_BIT,
    USE_BITS,
    VERSION,
    fields_of,
    file_bytes,
)
from pamsim.traces.trace import NOT_NAMED, PIECE, Cut, Trace
from pyramulator.stream import LOG, MAX_LEVELS

MAX_NAME, MAX_TIMINGS = 60, 1 << 10
MAX_TICK = 1 << 62


class Ram2binTrace(Trace):
    """A `.ram2bin` in a file that can be sought in; holds no more than a piece.

    Raises InputError with the byte of the first fault. The format has no checksum: an altered
    number that is a possible one goes unseen.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._place = 0
        super().__init__(self._read_header())

    def _read_header(self) -> TraceHeader:
        magic, major, minor, flags, levels, commands, timings, _, prefetch, dq, channel, _, \
            entries, arrays, device = PREFIX.unpack(self._read(PREFIX.size))  # fmt: skip
        if magic != MAGIC:
            raise self._fault(0, "a .ram2bin must begin with its mark", magic)
        if major != VERSION[0] or flags:
            raise self._fault(8, "the version must be 1.0 or 1.1, without flags", (major, minor))
        if not 3 <= levels <= MAX_LEVELS:
            raise self._fault(12, f"levels must be 3 to {MAX_LEVELS}", levels)
        if not 1 <= commands <= MAX_COMMANDS or timings > MAX_TIMINGS:
            raise self._fault(14, "commands must be 1 to 256 and timings under 1025", commands)
        names = self._strings(levels)
        sizes = np.frombuffer(self._read(4 * levels), "<u4")
        command_names = self._strings(commands)
        meta = self._read(commands)
        cycles = self._read(commands) if minor >= VERSION[1] else bytes([1] * commands)
        values = dict(
            zip(
                self._strings(timings),
                np.frombuffer(self._read(4 * timings), "<i4").tolist(),
                strict=False,
            )
        )
        length = file_bytes(self._file)
        expected = arrays + entries * (20 + 4 * levels)
        if arrays < self._place or length != expected:
            raise self._fault(length, f"the file must have {expected} bytes", length)
        self._entries, self._arrays = entries, arrays
        tick_ps = values.pop("tCK_ps", 0)
        header = TraceHeader(
            device=device.rstrip(b"\0").decode("ascii", "replace") or "-",
            levels=tuple(names),
            commands=tuple(map(_command, command_names, meta, cycles)),
            ticks_per_second=round(10**12 / tick_ps) if tick_ps > 0 else 10**12,
            sizes=tuple(sizes.tolist()),
            channel=channel,
            ticks_per_ck=1,  # timings are in ticks
            column_bytes=prefetch * dq // 8,
            dq_bits=dq,
            timing_ck=values,
        )
        for fault in header.faults():
            raise self._fault(PREFIX.size, fault)
        return header

    def _pieces(self, cut: Cut) -> Iterator[tuple[int, np.ndarray]]:
        tick = 0
        levels = len(self.header.levels)
        uses = [command.row_use for command in self.header.commands]
        rowed = np.array([use in ("open", "access") for use in uses])
        columned = np.array([use == "access" for use in uses])
        for start in range(cut.skip // PIECE * PIECE, self._entries, PIECE):
            count = min(PIECE, self._entries - start)
            arrays, places = self._arrays_from(start, count)
            clk, command = arrays["clk"], arrays["cmd"]
            self._check(np.diff(clk, prepend=tick) >= 0, places["clk"], 8, "a clk must not fall")
            self._check(clk <= MAX_TICK, places["clk"], 8, "a clk must be under 2^62")
            self._check(command < len(uses), places["cmd"], 1, "a command must be a known one")
            tick = int(clk[-1])
            piece = np.zeros(count, LOG)
            piece["tick"], piece["command"], piece["source"] = clk, command, arrays["source"]
            for level in range(levels):
                name = f"address {level}"
                self._check(arrays[name] >= -1, places[name], 4, "an address must be -1 or more")
                piece["address"][:, level] = arrays[name]
            piece["address"][~rowed[command], levels - 2] = NOT_NAMED
            piece["address"][~columned[command], levels - 1] = NOT_NAMED
            yield start, piece

    def _arrays_from(self, start: int, count: int) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Entries start .. start + count of each array, and the byte where each begins."""
        arrays, places, base = {}, {}, self._arrays
        for name, dtype in fields_of(len(self.header.levels)):
            self._place = places[name] = base + start * dtype.itemsize
            self._file.seek(self._place)
            arrays[name] = np.frombuffer(self._read(count * dtype.itemsize), dtype)
            base += self._entries * dtype.itemsize
        return arrays, places

    def _check(self, good: np.ndarray, place: int, size: int, rule: str) -> None:
        if not good.all():
            raise self._fault(place + size * int(np.argmin(good)), rule)

    def _strings(self, count: int) -> list[str]:
        names = []
        for _ in range(count):
            start, name = self._place, b""
            while (letter := self._read(1)) != b"\0":
                name += letter
                if len(name) > MAX_NAME or not 33 <= letter[0] <= 126:
                    raise self._fault(start, "a name must be a short word", name[:20])
            names.append(name.decode("ascii"))
        return names

    def _read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._place += len(content)
        if len(content) < size:
            raise self._fault(self._place, "a .ram2bin must go on", "end here")
        return content

    def _fault(self, place: int, rule: str, value: object = None) -> InputError:
        found = "" if value is None else f", not {value if isinstance(value, str) else repr(value)}"
        return InputError(f"{rule}{found}, at byte {place}", Position(self._name))


def _command(name: str, meta: int, cycles: int) -> TraceCommand:
    uses = [use for use, bit in USE_BITS.items() if meta & bit]
    slot = "row" if meta & ROW_BIT else "column" if meta & COLUMN_BIT else None
    return TraceCommand(
        name,
        slot,
        cycles,
        row_use=uses[0] if uses else "none",
        refresh=bool(meta & REFRESH_BIT),
        auto_precharge=uses[:2] == ["access", "close"],
    )
