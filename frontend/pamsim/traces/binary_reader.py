"""Reads a binary trace: as a stream, a chunk at a time, or from any command on through its index.

Everything read is checked before it is used: lengths against their limits, contents against their
CRC-32, the index against the chunks. A fault is an InputError with the file and the byte.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from pamsim.errors import InputError, Position
from pamsim.traces.binary import (
    CHUNK,
    CHUNK_TAG,
    END,
    END_MAGIC,
    END_TAG,
    FOOTER,
    INDEX,
    MAGIC,
    MAX_HEADER,
    MAX_PAYLOAD,
    PREFIX,
    VERSION,
)
from pamsim.traces.columns import columns_of, decode
from pamsim.traces.header import TraceHeader, adapter
from pamsim.traces.trace import PIECE, Cut, Trace, TraceEnd

MAX_TICK = 1 << 62
_OWN = ("chunk_commands", "columns")  # of the JSON, beside the header's


class BinaryTrace(Trace):
    """A binary trace in a file or a pipe; holds no more than a chunk and the index.

    taken: what was read from a pipe to know the format. Raises InputError.
    """

    def __init__(self, file: BinaryIO, name: str, taken: bytes = b"") -> None:
        self._file, self._name, self._taken = file, name, taken
        self._place = 0
        super().__init__(self._read_header())
        self._columns = columns_of(self.header.levels)
        self._chunks = self._place

    def _pieces(self, cut: Cut) -> Iterator[tuple[int, np.ndarray]]:
        commands = 0
        seen: list[tuple[int, int, int]] = []
        if (cut.first or cut.skip) and self._file.seekable():
            index = self._read_index()
            at = self._wanted(index, cut)
            seen = index[:at].tolist()
            if at < len(index):
                commands = int(index["command"][at])
                self._seek(int(index["place"][at]))
        tick = 0
        while (start := self._read(4, "a chunk")) == CHUNK_TAG:
            place = self._place - 4
            piece, last = self._read_chunk(place, tick)
            seen.append((place, commands, int(piece["tick"][0])))
            yield commands, piece
            commands, tick = commands + len(piece), last
        if start != END_TAG:
            raise self._fault(self._place - 4, "a chunk must begin with its mark", start)
        self.end = self._read_end(self._place - 4, commands, tick, np.array(seen, INDEX))

    def _wanted(self, index: np.ndarray, cut: Cut) -> int:
        """The chunk that holds the first command wanted."""
        by_tick = int(np.searchsorted(index["tick"], cut.first)) - 1
        by_command = int(np.searchsorted(index["command"], cut.skip, side="right")) - 1
        return max(0, by_tick, by_command)

    def _read_header(self) -> TraceHeader:
        prefix = self._read(PREFIX.size, "its prefix")
        magic, version, zero, size, crc = PREFIX.unpack(prefix)
        if magic != MAGIC:
            raise self._fault(0, "a binary trace must begin with its mark", magic)
        if version != VERSION or zero:
            raise self._fault(8, f"the version must be {VERSION}", version)
        if size > MAX_HEADER:
            raise self._fault(12, f"the header must be at most {MAX_HEADER} bytes", size)
        text = self._read(size, "its header")
        if zlib.crc32(text) != crc:
            raise self._fault(PREFIX.size, "the header must have its checksum", "another")
        return self._parse_header(text)

    def _parse_header(self, text: bytes) -> TraceHeader:
        try:
            document = json.loads(text)
            own = {key: document.pop(key) for key in _OWN}
            header = adapter().validate_json(json.dumps(document), strict=True)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error).splitlines()[0][:70]
            raise self._fault(PREFIX.size, "the header must be a trace's", reason) from None
        for fault in header.faults():
            raise self._fault(PREFIX.size, fault)
        if not header.commands:
            raise self._fault(PREFIX.size, "the header must name commands", "none")
        expected = [vars(column) for column in columns_of(header.levels)]
        if own != {"chunk_commands": PIECE, "columns": expected}:
            raise self._fault(PREFIX.size, "columns must be those of version 1", "others")
        return header

    def _read_chunk(self, place: int, tick: int) -> tuple[np.ndarray, int]:
        fixed = CHUNK_TAG + self._read(CHUNK.size - 4, "a chunk")
        _, size, commands, first, last, crc = CHUNK.unpack(fixed)
        if not 1 <= commands <= PIECE:
            raise self._fault(place, f"a chunk must have 1 to {PIECE} commands", commands)
        if not tick <= first <= last <= MAX_TICK:
            raise self._fault(place, f"a chunk's ticks must begin at {tick} or later", first)
        payload = self._read_sealed(place, fixed, size, MAX_PAYLOAD, crc)
        try:
            piece = decode(payload, self._columns, commands, first)
        except ValueError as error:
            raise self._fault(place, "a chunk's content must be columns", str(error)) from None
        ticks, numbers = piece["tick"], piece["command"]
        if (np.diff(ticks) < 0).any() or (ticks[0], ticks[-1]) != (first, last):
            raise self._fault(place, "a chunk's ticks must grow as it says", "otherwise")
        if numbers.min() < 0 or numbers.max() >= len(self.header.commands):
            raise self._fault(place, "a command must be one of the header's", int(numbers.max()))
        if min(piece["source"].min(), piece["address"].min()) < -1:
            raise self._fault(place, "sources and addresses must be -1 or more", "less")
        return piece, last

    def _read_end(self, place: int, commands: int, tick: int, index: np.ndarray) -> TraceEnd:
        end, found = self._read_index_at(place, END_TAG)
        if found.tolist() != index.tolist():
            raise self._fault(place + END.size, "the index must be that of the chunks", "another")
        if end.commands != commands:
            raise self._fault(place, f"the end must count {commands} commands", end.commands)
        if end.ticks < tick:
            raise self._fault(place, f"the end must be at tick {tick} or later", end.ticks)
        self._read_footer(place)
        if self._file.read(1):
            raise self._fault(self._place, "a trace must end with its footer", "more bytes")
        return end

    def _read_index_at(self, place: int, tag: bytes) -> tuple[TraceEnd, np.ndarray]:
        fixed = tag + self._read(END.size - 4, "its end")
        found, size, commands, ticks, whole, crc = END.unpack(fixed)
        if found != END_TAG or whole > 1 or size % INDEX.itemsize:
            raise self._fault(place, "the end must be as it is written", found)
        limit = (commands + 1) * INDEX.itemsize if commands >= 0 else 0
        limit = min(limit, max(self._rest(), PIECE))
        payload = self._read_sealed(place, fixed, size, limit, crc)
        return TraceEnd(commands, ticks, bool(whole)), np.frombuffer(payload, INDEX)

    def _read_footer(self, place: int) -> None:
        start, magic = FOOTER.unpack(self._read(FOOTER.size, "its footer"))
        if (start, magic) != (place, END_MAGIC):
            raise self._fault(
                self._place - FOOTER.size, f"the footer must name byte {place}", start
            )

    def _read_index(self) -> np.ndarray:
        """The index by way of the footer; the file is left at the first chunk."""
        length = self._file.seek(0, os.SEEK_END)
        self._seek(max(self._chunks, length - FOOTER.size))
        start, magic = FOOTER.unpack(self._read(FOOTER.size, "its footer"))
        if magic != END_MAGIC or not self._chunks <= start <= length - FOOTER.size - END.size:
            raise self._fault(length - FOOTER.size, "a trace must end with its footer", magic)
        self._seek(start)
        _, index = self._read_index_at(start, self._read(4, "its end"))
        places, numbers = index["place"].astype(np.int64), index["command"]
        grows = all((np.diff(values) > 0).all() for values in (places, numbers))
        inside = not len(index) or (
            int(places[0]) == self._chunks and int(places[-1]) < start and int(numbers[0]) == 0
        )
        if not grows or not inside or (np.diff(index["tick"]) < 0).any():
            raise self._fault(start + END.size, "the index must be that of the chunks", "another")
        self._seek(self._chunks)
        return index

    def _read_sealed(self, place: int, fixed: bytes, size: int, limit: int, crc: int) -> bytes:
        if size > limit:
            raise self._fault(place + 4, f"a length must be at most {limit} bytes", size)
        payload = self._read(size, "its content")
        if zlib.crc32(payload, zlib.crc32(fixed[: -struct.calcsize("<I")])) != crc:
            raise self._fault(place, "a chunk must have its checksum", "another")
        return payload

    def _seek(self, place: int) -> None:
        self._file.seek(place)
        self._place, self._taken = place, b""

    def _rest(self) -> int:
        """Bytes to the end of a file; of a pipe, no limit of its own."""
        if not self._file.seekable():
            return MAX_PAYLOAD
        here = self._file.tell()
        length = self._file.seek(0, os.SEEK_END)
        self._file.seek(here)
        return length - here

    def _read(self, size: int, what: str) -> bytes:
        """Exactly so many bytes."""
        parts, missing = [self._taken[:size]], size - len(self._taken[:size])
        self._taken = self._taken[size:]
        while missing and (part := self._file.read(missing)):
            parts.append(part)
            missing -= len(part)
        content = b"".join(parts)
        self._place += len(content)
        if missing:
            raise self._fault(self._place, f"a trace must go on with {what}", "end here")
        return content

    def _fault(self, place: int, rule: str, value: object = None) -> InputError:
        found = "" if value is None else f", not {value if isinstance(value, str) else repr(value)}"
        return InputError(f"{rule}{found}, at byte {place}", Position(self._name))
