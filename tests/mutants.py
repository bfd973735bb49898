"""Programs with one instruction or operand changed, for the tests of the functional proof."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from pamsim.compiler.compiled import ChannelProgram, CompiledStep
from pim_isa import Instruction, Program, encode, load


def damaged(compiled: CompiledStep, which: int, program: Program) -> CompiledStep:
    binary = encode(program)
    changed = replace(
        compiled.programs[which],
        program=program,
        binary=binary,
        sha256=hashlib.sha256(binary).hexdigest(),
    )
    programs = [*compiled.programs]
    programs[which] = changed
    return replace(compiled, programs=tuple(programs))


def mutants(held: ChannelProgram) -> Iterator[tuple[str, Instruction, Program]]:
    """Every instruction left out, every operand one more and one less."""
    table, program = load("hbm_pim"), held.program
    for number, stream in enumerate(program.streams):
        for place_, old in enumerate(stream.instructions):
            variants: list[tuple[str, tuple[Instruction, ...]]] = [("left out", ())]
            for position, (name, value) in enumerate(old.operands):
                f = table.spec(old.mnemonic).field(name)
                for by in (1, -1):
                    if f.minimum <= value + by <= f.maximum:
                        operands = list(old.operands)
                        operands[position] = (name, value + by)
                        new = Instruction(old.mnemonic, tuple(operands))
                        variants.append((f"{name} {by:+d}", (new,)))
            for what, new_ones in variants:
                body = stream.instructions[:place_] + new_ones + stream.instructions[place_ + 1 :]
                streams = list(program.streams)
                streams[number] = replace(stream, instructions=body)
                yield what, old, replace(program, streams=tuple(streams))
