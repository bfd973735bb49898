"""A chunk's columns as compressed bytes, and back.

A stream's commands are alike from one to the next; between two of them stand those of the other
streams. So all columns but the tick and the source are stored in the order of the sources (stable,
by source number), where a row or column number mostly grows by the same step: HBM-PIM programs
take a fifth of the bytes that they take in order of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import zstandard

from pyramulator.stream import LOG

LEVEL = 9  # of zstd: a tenth of a second a million commands, 20 % fewer bytes than level 3
_TYPES = tuple(np.dtype(f"<u{width}") for width in (1, 2, 4, 8))


@dataclass(frozen=True)
class Column:
    """How a column is stored: `order` time or source; `encoding` delta, zigzag or zigzag delta."""

    name: str
    dtype: str  # of the values that come out
    order: str
    encoding: str


def columns_of(levels: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a trace over these levels; the channel is the same for all."""
    first = (
        Column("tick", "<i8", "time", "delta"),
        Column("source", "<i4", "time", "zigzag"),
        Column("command", "<i4", "source", "zigzag"),
    )
    return first + tuple(Column(level, "<i4", "source", "zigzag delta") for level in levels[1:])


def encode(piece: np.ndarray, columns: Sequence[Column], first_tick: int) -> bytes:
    """LOG [n] -> a byte a column, how wide its numbers are, then one zstd frame of all columns."""
    order = np.argsort(piece["source"], kind="stable")
    widths, parts = bytearray(), []
    for place, column in enumerate(columns):
        values = _values(piece, place).astype(np.int64)
        if column.order == "source":
            values = values[order]
        if "delta" in column.encoding:
            values = np.diff(values, prepend=first_tick if column.order == "time" else 0)
        unsigned = values.view(np.uint64)
        if "zigzag" in column.encoding:
            unsigned = ((values << 1) ^ (values >> 63)).view(np.uint64)
        narrow = np.min_scalar_type(int(unsigned.max(initial=0)))
        widths.append(narrow.itemsize)
        parts.append(unsigned.astype(narrow.newbyteorder("<")).tobytes())
    # The length of the content is in the frame; a checksum of all is in the chunk.
    return bytes(widths) + zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(parts))


def decode(payload: bytes, columns: Sequence[Column], commands: int, first_tick: int) -> np.ndarray:
    """The piece, LOG [commands]. Raises ValueError, which says what is wrong with the payload."""
    widths = payload[: len(columns)]
    if len(widths) < len(columns) or not set(widths) <= {1, 2, 4, 8}:
        raise ValueError("widths of the columns")
    content = _decompress(payload[len(columns) :], sum(widths) * commands)
    piece = np.zeros(commands, LOG)
    order, at = np.zeros(0, np.int64), 0
    for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
        stored = np.frombuffer(content, f"<u{width}", commands, at).astype(np.uint64)
        at += width * commands
        values = stored.view(np.int64)
        if "zigzag" in column.encoding:
            values = (stored >> np.uint64(1)).view(np.int64) ^ -(values & 1)
        if "delta" in column.encoding:
            values = np.cumsum(values)
        if column.order == "time":
            values = values + (first_tick if "delta" in column.encoding else 0)
        else:
            values, in_order = np.empty_like(values), values
            values[order] = in_order
        bounds = np.iinfo(np.dtype(column.dtype))
        if commands and (values.min() < bounds.min or values.max() > bounds.max):
            raise ValueError(f"range of column {column.name}")
        _values(piece, place)[:] = values
        if column.name == "source":
            order = np.argsort(values, kind="stable")
    return piece


def _values(piece: np.ndarray, place: int) -> np.ndarray:
    """The column at that place of `columns_of`, as a view."""
    if place < 3:
        return piece[("tick", "source", "command")[place]]
    values: np.ndarray = piece["address"][:, place - 2]
    return values


def _decompress(frame: bytes, size: int) -> bytes:
    """A frame of exactly that content size: what it says of itself is not trusted."""
    try:
        found = zstandard.get_frame_parameters(frame)
        if found.content_size != size:
            raise ValueError("size of the columns")
        content = zstandard.ZstdDecompressor().decompress(
            frame, max_output_size=size, allow_extra_data=False
        )
    except zstandard.ZstdError:
        raise ValueError("compressed columns") from None
    if len(content) != size:
        raise ValueError("size of the columns")
    return content
