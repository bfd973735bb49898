"""Bytes -> program."""

from __future__ import annotations

import numpy as np

from pim_isa.binary import CONTAINER_VERSION, HEADER, MAGIC, STREAM, WORD_BYTES
from pim_isa.errors import IsaError
from pim_isa.program import Instruction, Program, Stream, Unit
from pim_isa.table import InstructionTable, check_value, families, load


def decode(data: bytes) -> Program:
    """The program in a binary form. Every malformed byte string raises IsaError with its offset."""
    table, streams = _header(data)
    units, counts = [], []
    at = HEADER.size
    if len(data) < at + streams * STREAM.size:
        raise IsaError(
            f"stream table must hold {streams} streams, not end at byte {len(data)}",
            offset=len(data),
        )
    for _ in range(streams):
        *numbers, count = STREAM.unpack_from(data, at)
        unit, unused = numbers[: len(table.unit)], numbers[len(table.unit) :]
        if any(unused):
            raise IsaError(f"reserved bytes must be 0, not {unused}", offset=at + len(table.unit))
        units.append(Unit(*unit))
        counts.append(count)
        at += STREAM.size
    end = at + sum(counts) * WORD_BYTES
    if len(data) != end:
        raise IsaError(
            f"binary must have {end} bytes for {sum(counts)} instructions, not {len(data)}",
            offset=min(end, len(data)),
        )
    words = np.frombuffer(data, dtype="<u8", offset=at)
    unique, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    # In the order of the file, so that the first fault of the file is the one reported.
    decoded: dict[int, Instruction] = {}
    for k in np.argsort(first).tolist():
        decoded[k] = decode_word(table, int(unique[k]), at + int(first[k]) * WORD_BYTES)
    instructions = [decoded[k] for k in inverse.tolist()]
    result, start = [], 0
    for place, count in zip(units, counts, strict=True):
        result.append(Stream(place, tuple(instructions[start : start + count])))
        start += count
    return Program(table.family, tuple(result))


def _header(data: bytes) -> tuple[InstructionTable, int]:
    if len(data) < HEADER.size:
        raise IsaError(
            f"binary must begin with a header of {HEADER.size} bytes, not {len(data)} bytes",
            offset=len(data),
        )
    magic, container, version, name, streams, zero = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise IsaError(f"binary must begin with {MAGIC.decode()!r}, not {magic.hex(' ')}", offset=0)
    if container != CONTAINER_VERSION:
        raise IsaError(f"container version must be {CONTAINER_VERSION}, not {container}", offset=4)
    family = name.rstrip(b"\0").decode("latin-1")
    if family not in families():
        raise IsaError(
            f"instruction set must be one of {', '.join(families())}, not {family!r}", offset=8
        )
    table = load(family)
    if version != table.version:
        raise IsaError(f"version of {family} must be {table.version}, not {version}", offset=6)
    if zero:
        raise IsaError(f"reserved bytes must be 0, not {zero}", offset=HEADER.size - 4)
    return table, streams


def decode_word(table: InstructionTable, word: int, offset: int | None = None) -> Instruction:
    """The instruction of one word. Raises IsaError with the offset given."""
    opcode = word & (1 << table.opcode_bits) - 1
    spec = table.by_opcode.get(opcode)
    if spec is None:
        raise IsaError(f"opcode must be one of {table.family}, not {opcode}", offset=offset)
    rest = word ^ opcode
    operands = []
    for f in spec.fields:
        value = word >> f.low & f.mask
        if not f.minimum <= value <= f.maximum:
            try:
                check_value(spec.mnemonic, f, value)
            except IsaError as error:
                raise IsaError(error.message, offset=offset) from None
        rest ^= value << f.low
        operands.append((f.name, value))
    if rest:
        raise IsaError(f"unused bits of {spec.mnemonic} must be 0, not {rest:#x}", offset=offset)
    return Instruction(spec.mnemonic, tuple(operands))
