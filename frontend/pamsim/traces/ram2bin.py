"""Ramulator 2.1's `.ram2bin`: a 64-byte header, the standard's tables, then one array a field.

Written after the description of RAM2BIN v1.1 in CMU-SAFARI/ramulator2 @c5b1c3a,
src/ramulator/controller/plugin/impl/bin_trace_recorder.cpp.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from contextlib import ExitStack
from typing import IO, Any, BinaryIO

import numpy as np

from pamsim.errors import InputError
from pamsim.traces.header import TraceCommand, TraceHeader
from pamsim.traces.trace import WHOLE, Cut, Trace

MAGIC = b"RAM2BIN\0"
VERSION = (1, 1)
# magic, version, flags, levels, commands, timings, channel width, prefetch, dq, channel,
# read latency, entries, place of the arrays, standard
PREFIX = struct.Struct("<8s2BHHHHHHHIiQQ16s")
MAX_COMMANDS = 1 << 8
USE_BITS = {"access": 4, "open": 1, "close": 2, "all_closed": 8}  # access and close: RDA
REFRESH_BIT, ROW_BIT, COLUMN_BIT = 8, 16, 32
NOT_KNOWN = -1  # of `arrive` and `type`
_READS, _WRITES = ("RD", "RDA"), ("WR", "WRA")
_SPOOL_BYTES = 1 << 20  # of an array in memory before it goes to a temporary file


def fields_of(levels: int) -> list[tuple[str, np.dtype[Any]]]:
    """The arrays in the file's order."""
    first = [("clk", "<i8"), ("arrive", "<i8"), ("cmd", "u1"), ("type", "i1"), ("source", "<i2")]
    return [(name, np.dtype(kind)) for name, kind in first] + [
        (f"address {level}", np.dtype("<i4")) for level in range(levels)
    ]


def write_ram2bin(out: BinaryIO, trace: Trace, cut: Cut = WHOLE) -> int:
    """Writes a trace as RAM2BIN v1.1; returns how many commands. Arrays wait in temporary files.

    Raises InputError where the format has no room for the trace or it does not say enough.
    """
    header = trace.header
    _check(header)
    types = np.array([_type_of(command.name) for command in header.commands], np.int8)
    fields = fields_of(len(header.levels))
    written = 0
    with ExitStack() as stack:
        arrays: list[IO[bytes]] = [
            stack.enter_context(tempfile.SpooledTemporaryFile(_SPOOL_BYTES)) for _ in fields
        ]
        for piece in trace.pieces(cut):
            if len(piece) and piece["source"].max() > np.iinfo(np.int16).max:
                raise InputError("sources of a .ram2bin must be under 32768")
            values = [piece["tick"], np.full(len(piece), NOT_KNOWN), piece["command"]]
            values += [types[piece["command"]], piece["source"]]
            values += list(piece["address"].T[: len(header.levels)])
            for array, value, (_, dtype) in zip(arrays, values, fields, strict=True):
                array.write(np.ascontiguousarray(value, dtype).tobytes())
            written += len(piece)
        out.write(_head(header, written))
        for array in arrays:
            array.seek(0)
            shutil.copyfileobj(array, out)
    return written


def _check(header: TraceHeader) -> None:
    what = "a .ram2bin"
    header.require(what, sizes=header.sizes, column_bytes=header.column_bytes)
    header.require(what, dq_bits=header.dq_bits)
    header.require_commands(what, "slot", "cycles", "row_use")
    if len(header.commands) > MAX_COMMANDS:
        raise InputError(f"commands of {what} must be at most 256, not {len(header.commands)}")
    for command in header.commands:
        if (command.cycles or 0) > 255:
            raise InputError(f"cycles of {what} must be at most 255, not {command.cycles}")


def _type_of(name: str) -> int:
    return 0 if name in _READS else 1 if name in _WRITES else NOT_KNOWN


def _head(header: TraceHeader, entries: int) -> bytes:
    """Everything before the arrays."""
    ticks = max(1, header.ticks_per_ck)
    timings = {name: value * ticks for name, value in sorted(header.timing_ck.items())}
    timings["tCK_ps"] = round(10**12 / header.ticks_per_second)  # of a tick, as Ramulator has it
    commands = header.commands
    parts = [
        _strings(header.levels),
        np.array(header.sizes, "<u4").tobytes(),
        _strings(command.name for command in commands),
        bytes(map(_meta, commands)),
        bytes(c.cycles or 0 for c in commands),
        _strings(timings),
        np.array(list(timings.values()), "<i4").tobytes(),
    ]
    spec = b"".join(parts)
    spec += bytes(-len(spec) % 8)
    latency = timings.get("nCL", 0) + timings.get("nBL", 0)
    prefix = PREFIX.pack(
        MAGIC, *VERSION, 0, len(header.levels), len(commands), len(timings), header.dq_bits,
        header.column_bytes * 8 // header.dq_bits, header.dq_bits, header.channel, latency,
        entries, PREFIX.size + len(spec), header.device.encode("ascii", "replace")[:15],
    )  # fmt: skip
    return prefix + spec


def _strings(names: Any) -> bytes:
    return b"".join(name.encode("ascii") + b"\0" for name in names)


def _meta(command: TraceCommand) -> int:
    bits = USE_BITS.get(command.row_use or "", 0)
    bits |= ROW_BIT if command.slot == "row" else COLUMN_BIT
    return bits | REFRESH_BIT * command.refresh | USE_BITS["close"] * command.auto_precharge


def file_bytes(file: BinaryIO) -> int:
    """Length of a file; it is left where it was."""
    here = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(here)
    return length
