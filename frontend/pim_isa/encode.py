"""Program -> bytes."""

from __future__ import annotations

from operator import index

import numpy as np

from pim_isa.binary import CONTAINER_VERSION, HEADER, MAGIC, STREAM, UNIT_BYTES
from pim_isa.errors import IsaError
from pim_isa.program import Instruction, Program
from pim_isa.table import InstructionTable, check_value, load


def encode(program: Program) -> bytes:
    """The binary form of a program.

    Raises IsaError for an unknown instruction, a missing or unknown operand, or a value out of
    range: it names stream, instruction, operand, range and value.
    """
    table = load(program.family)
    known: dict[Instruction, int] = {}
    header, words = [], []
    for number, stream in enumerate(program.streams):
        unit = tuple(stream.unit)
        if len(unit) != len(table.unit) or any(not 0 <= value <= 255 for value in unit):
            raise IsaError(
                f"unit must be {len(table.unit)} numbers between 0 and 255 "
                f"({', '.join(table.unit)}), not {unit}",
                stream=number,
            )
        unused = (0,) * (UNIT_BYTES - len(unit))
        header.append(STREAM.pack(*unit, *unused, len(stream.instructions)))
        for place, instruction in enumerate(stream.instructions):
            word = known.get(instruction)
            if word is None:
                try:
                    word = known[instruction] = encode_word(table, instruction)
                except IsaError as error:
                    raise IsaError(
                        error.message, stream=number, index=place, hint=error.hint
                    ) from None
            words.append(word)
    family = program.family.encode("ascii")
    return b"".join(
        [
            HEADER.pack(MAGIC, CONTAINER_VERSION, table.version, family, len(program.streams), 0),
            *header,
            np.array(words, dtype="<u8").tobytes(),
        ]
    )


def encode_word(table: InstructionTable, instruction: Instruction) -> int:
    """The word of one instruction. Raises IsaError."""
    spec = table.spec(instruction.mnemonic)
    operands = dict(instruction.operands)
    for name in operands:
        if name not in spec.names:
            spec.field(name)
    if len(operands) != len(instruction.operands):
        raise IsaError(f"{instruction.mnemonic} must name each operand once")
    word = spec.opcode
    for f in spec.fields:
        value = operands.get(f.name)
        if value is None:
            raise IsaError(f"{instruction.mnemonic} must be given {f.name!r}")
        try:
            value = index(value)
        except TypeError:
            raise IsaError(
                f"{instruction.mnemonic} {f.name} must be an integer, not {value!r}"
            ) from None
        if not f.minimum <= value <= f.maximum:
            check_value(instruction.mnemonic, f, value)
        word |= value << f.low
    return word
