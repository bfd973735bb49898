"""Program -> DRAM command records: addresses, bursts and loops, never held expanded."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

import numpy as np

from pim_isa import (
    ExpandedCommand,
    Instruction,
    InstructionTable,
    Program,
    Unit,
    expand_counts,
    load,
)
from pyramulator.description import Description
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

Record = tuple[int, int, int, int, int, int]  # fields of RECORD
ALL = -1  # every child of a level


def expand(program: Program, description: Description) -> CommandStream:
    """The command streams of a channel's program, in stream order.

    Raises KeyError with the name where the description lacks a command.
    """
    targets = _Targets(load(program.family), description.target_levels)
    commands = {command.name: i for i, command in enumerate(description.commands)}
    streams = []
    for stream in program.streams:
        records = _trim(
            _records(program.family, stream.unit, stream.instructions, commands, targets)
        )
        streams.append(np.array(records, dtype=RECORD))
    return CommandStream(targets.table(), tuple(streams))


class _Targets:
    """Target addresses, each once, numbered as they come."""

    def __init__(self, table: InstructionTable, levels: int) -> None:
        below_channel = len(table.address)
        if levels != 1 + below_channel:
            raise ValueError(
                f"description must name {1 + below_channel} levels above the row, as "
                f"{table.family} does, not {levels}"
            )
        self.family, self.levels = table, levels
        self.numbers: dict[tuple[int, ...], int] = {}

    def number(self, unit: Unit, operands: Mapping[str, int], scope: str) -> int:
        inner = (operands.get(name, ALL) for name in self.family.inner)
        named = 1 + self.family.scopes[scope]
        address = (0, *(unit if self.family.addressed else ()), *inner)[:named]
        return self.numbers.setdefault(address + (ALL,) * (self.levels - named), len(self.numbers))

    def table(self) -> np.ndarray:
        return np.array(list(self.numbers), dtype=np.int32).reshape(len(self.numbers), -1)


def _records(
    family: str,
    unit: Unit,
    instructions: Sequence[Instruction],
    commands: Mapping[str, int],
    targets: _Targets,
) -> list[Record]:
    table = load(family)
    loop = table.loop
    records: list[Record] = []
    state: Mapping[str, int] = {}
    for instruction in instructions:
        name = instruction.mnemonic
        if name == table.configured_by:
            state = dict(instruction.operands)
        elif name == loop.open:
            step = instruction[loop.steps["row"]]
            records.append((LOOP, 0, step, 0, 0, instruction[loop.count]))
        elif name == loop.close:
            records.append((END, 0, 0, 0, 0, 0))
        elif name == table.barrier:
            records.append((BARRIER, 0, instruction[table.barrier_id], 0, 0, 0))
        else:
            operands = dict(instruction.operands)
            for expanded in expand_counts(instruction, state, family):
                e = expanded.on(commands)
                target = targets.number(unit, operands, e.scope)
                records += _burst(commands[e.command], target, e, operands)
    return records


def _burst(
    command: int, target: int, e: ExpandedCommand, operands: Mapping[str, int]
) -> Iterator[Record]:
    """Runs of consecutive columns; runs that follow on one another are one record."""
    if not e.row:
        yield (command, target, 0, 0, 0, e.commands)
        return
    row, column = operands["row"], operands.get("column", 0)
    step = 1 if "column" in operands else 0
    if e.repeat_step == e.count or e.repeat == 1:
        yield (command, target, row, column, step, e.commands)
        return
    for i in range(e.repeat):
        yield (command, target, row, column + i * e.repeat_step, step, e.count)


def _trim(records: list[Record]) -> list[Record]:
    """Without loops that hold nothing."""
    kept: list[Record] = []
    for record in records:
        if record[0] == END and kept and kept[-1][0] == LOOP:
            kept.pop()
        else:
            kept.append(record)
    return kept


def count_commands(program: Program, commands: Container[str] = ()) -> dict[str, int]:
    """Commands that a program asks for, by name, loops multiplied out; in order of the names.

    commands: of the device, where macro commands are to be counted as such.
    """
    table = load(program.family)
    counts: dict[str, int] = {}
    for stream in program.streams:
        state: Mapping[str, int] = {}
        times = [1]
        for instruction in stream.instructions:
            if instruction.mnemonic == table.configured_by:
                state = dict(instruction.operands)
            elif instruction.mnemonic == table.loop.open:
                times.append(times[-1] * instruction[table.loop.count])
            elif instruction.mnemonic == table.loop.close:
                times.pop()
            else:
                for expanded in expand_counts(instruction, state, program.family):
                    e = expanded.on(commands)
                    counts[e.command] = counts.get(e.command, 0) + e.commands * times[-1]
    return dict(sorted(counts.items()))
