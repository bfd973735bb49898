"""The layout of a binary trace, and its writer. docs/traces.md describes the format.

    prefix      MAGIC, version u16, zero u16, length u32 and CRC-32 u32 of the JSON
    JSON        the header, the columns and their encodings
    chunks      CHUNK: "CHNK", bytes u32, commands u32, first and last tick i64, CRC-32 u32; payload
    end         END: "TEND", bytes u32, commands i64, ticks i64, whole u8, CRC-32 u32; index
    footer      FOOTER: place of the end u64, END_MAGIC

All little-endian. A CRC-32 is of the structure before it, itself left out, and what follows it.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import BinaryIO

import numpy as np

from pamsim.errors import InputError
from pamsim.traces.columns import columns_of, encode
from pamsim.traces.header import TraceHeader
from pamsim.traces.trace import PIECE, WHOLE, Cut, Trace, TraceEnd
from pyramulator.stream import LOG

MAGIC = b"\x89PAMTRC\n"
END_MAGIC = b"\x89PAMEND\n"
VERSION = 1
PREFIX = struct.Struct("<8sHHII")
CHUNK = struct.Struct("<4sIIqqI")
END = struct.Struct("<4sIqqBI")
FOOTER = struct.Struct("<Q8s")
CHUNK_TAG, END_TAG = b"CHNK", b"TEND"
INDEX = np.dtype([("place", "<u8"), ("command", "<i8"), ("tick", "<i8")])  # of each chunk's first
MAX_HEADER = 1 << 20
MAX_PAYLOAD = (8 * 11 + 1) * PIECE  # uncompressible: 11 columns of 8 bytes, and zstd's own


def sealed(structure: struct.Struct, *values: object, payload: bytes) -> bytes:
    """The structure with its CRC-32, its last field, and the payload."""
    unsealed = structure.pack(*values, 0)[:-4]
    return unsealed + struct.pack("<I", zlib.crc32(payload, zlib.crc32(unsealed))) + payload


class BinaryWriter:
    """Writes a binary trace as its commands come; holds no more than a chunk."""

    def __init__(self, out: BinaryIO, header: TraceHeader) -> None:
        self._out, self._place = out, 0
        self._columns = columns_of(header.levels)
        self._held: list[np.ndarray] = []
        self._held_commands = 0
        self._index: list[tuple[int, int, int]] = []
        self._tick, self.commands = 0, 0
        columns = [vars(column) for column in self._columns]
        document = {**header.to_dict(), "chunk_commands": PIECE, "columns": columns}
        text = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
        if len(text) > MAX_HEADER:
            raise InputError(f"the header must be at most {MAX_HEADER} bytes, not {len(text)}")
        self._write(PREFIX.pack(MAGIC, VERSION, 0, len(text), zlib.crc32(text)) + text)

    def add(self, piece: np.ndarray) -> None:
        """The next commands, LOG [n]; ValueError where one is earlier than those before."""
        self._held.append(piece)
        self._held_commands += len(piece)
        while self._held_commands >= PIECE:
            self._flush()

    def finish(self, ticks: int, whole: bool) -> None:
        """The last chunk, the index and the footer."""
        while self._held_commands:
            self._flush()
        index = np.array(self._index, INDEX).tobytes()
        place = self._place
        self._write(
            sealed(END, END_TAG, len(index), self.commands, ticks, int(whole), payload=index)
        )
        self._write(FOOTER.pack(place, END_MAGIC))

    def _flush(self) -> None:
        held = np.concatenate([np.empty(0, LOG), *self._held])
        piece, rest = held[:PIECE], held[PIECE:]
        self._held, self._held_commands = [rest], len(rest)
        ticks = np.append(self._tick, piece["tick"])
        if (np.diff(ticks) < 0).any():
            raise ValueError("commands must be in order of time")
        first, last = int(ticks[1]), int(ticks[-1])
        self._tick = last
        self._index.append((self._place, self.commands, first))
        payload = encode(piece, self._columns, first)
        self._write(
            sealed(CHUNK, CHUNK_TAG, len(payload), len(piece), first, last, payload=payload)
        )
        self.commands += len(piece)

    def _write(self, content: bytes) -> None:
        self._out.write(content)
        self._place += len(content)


def write_binary(out: BinaryIO, trace: Trace, cut: Cut = WHOLE) -> int:
    """Writes a trace in the binary format, as it comes; returns how many commands."""
    writer = BinaryWriter(out, trace.header)
    for piece in trace.pieces(cut):
        writer.add(piece)
    end: TraceEnd = trace.end
    writer.finish(end.ticks, end.whole)
    return writer.commands
