"""Faults of a program that the encoding alone does not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pim_isa.encode import encode_word
from pim_isa.errors import IsaError
from pim_isa.program import Instruction, Program
from pim_isa.table import InstructionSpec, InstructionTable, load

MAX_BARRIERS = 1 << 20  # passings per stream that are followed


def check(program: Program, *, rows: int | None = None) -> tuple[IsaError, ...]:
    """All faults of a program, each with stream and instruction number; empty when it is sound.

    Unknown instructions, values out of range, loops that do not close, an instruction before the
    configuration it needs, limits and operand ranges broken in some loop iteration, two streams on
    one unit, barriers that never open. `rows`: rows of a bank, if fewer than the encoding can name.
    Raises IsaError for an unknown family.
    """
    table = load(program.family)
    faults: list[IsaError] = []
    units: dict[object, int] = {}
    barriers = []
    for number, stream in enumerate(program.streams):
        if stream.unit in units:
            faults.append(
                IsaError(
                    f"unit must have one stream, not {units[stream.unit]} and {number}",
                    stream=number,
                )
            )
        units.setdefault(stream.unit, number)
        walk = _Walk(table, number, rows, faults)
        try:
            walk.sequence(stream.instructions)
        except IsaError as error:
            faults.append(error)
        barriers.append(walk.barriers)
    if not faults:
        faults += _meet(barriers)
    return tuple(faults)


def match_loops(table: InstructionTable, instructions: Sequence[Instruction]) -> dict[int, int]:
    """Index of every LOOP -> index of its END. Raises IsaError if they do not pair up."""
    pairs: dict[int, int] = {}
    open_loops: list[int] = []
    for index, instruction in enumerate(instructions):
        if instruction.mnemonic == table.loop.open:
            open_loops.append(index)
        elif instruction.mnemonic == table.loop.close:
            if not open_loops:
                raise IsaError(f"{table.loop.close} must close a {table.loop.open}", index=index)
            pairs[open_loops.pop()] = index
    if open_loops:
        raise IsaError(
            f"{table.loop.open} must be closed by {table.loop.close}", index=open_loops[-1]
        )
    return pairs


@dataclass
class _Walk:
    """Goes through one stream with the greatest additions that its loops can make."""

    table: InstructionTable
    number: int
    rows: int | None
    faults: list[IsaError]
    state: Mapping[str, int] = field(default_factory=dict)  # of the last CFG
    barriers: list[int] = field(default_factory=list)  # ids, in passing order
    reported: set[int] = field(default_factory=set)
    checked: set[tuple[Instruction, tuple[int, ...], tuple[tuple[str, int], ...]]] = field(
        default_factory=set
    )

    def sequence(self, instructions: Sequence[Instruction]) -> None:
        for index, instruction in enumerate(instructions):
            try:
                encode_word(self.table, instruction)
            except IsaError as error:
                self.fault(index, error.message, error.hint)
        if self.reported:
            return
        try:
            pairs = match_loops(self.table, instructions)
        except IsaError as error:
            self.fault(error.index or 0, error.message)
            return
        self.body(instructions, pairs, 0, len(instructions), {})

    def body(
        self,
        instructions: Sequence[Instruction],
        pairs: dict[int, int],
        start: int,
        end: int,
        added: dict[str, int],
    ) -> None:
        loop, index = self.table.loop, start
        while index < end:
            instruction = instructions[index]
            if instruction.mnemonic == loop.open:
                count = instruction[loop.count]
                inner = {
                    name: added.get(name, 0) + (count - 1) * instruction[step]
                    for name, step in loop.steps.items()
                }
                entry, passed = self.state, len(self.barriers)
                self.body(instructions, pairs, index + 1, pairs[index], inner)
                once = self.barriers[passed:]
                if len(once) * count > MAX_BARRIERS:
                    self.fault(index, f"loop must pass at most {MAX_BARRIERS} barriers")
                else:
                    self.barriers += once * (count - 1)
                if count > 1 and self.state != entry:  # a later iteration starts differently
                    passed = len(self.barriers)
                    self.body(instructions, pairs, index + 1, pairs[index], inner)
                    del self.barriers[passed:]
                index = pairs[index]
            else:
                self.one(index, instruction, added)
            index += 1

    def one(self, index: int, instruction: Instruction, added: dict[str, int]) -> None:
        table = self.table
        spec = table.by_mnemonic[instruction.mnemonic]
        if instruction.mnemonic == table.configured_by:
            self.state = dict(instruction.operands)
        elif instruction.mnemonic == table.barrier:
            self.barriers.append(instruction[table.barrier_id])
        additions = tuple(added.get(name, 0) for name in spec.names)
        key = (instruction, additions, tuple(self.state.items()))
        if key in self.checked:
            return
        missing = _configured_names(spec, table) - set(self.state)
        if missing:
            self.fault(index, f"{spec.mnemonic} must come after {table.configured_by}")
            return
        last = {}
        for f, addition in zip(spec.fields, additions, strict=True):
            last[f.name] = value = instruction[f.name] + addition
            maximum = f.maximum
            if f.name == "row" and self.rows is not None:
                maximum = min(maximum, self.rows - 1)
            if value > maximum:
                self.fault(
                    index,
                    f"{spec.mnemonic} {f.name} must stay below {maximum + 1}, not reach {value}",
                )
        values = {**table.constants, **self.state, **last}
        for limit in spec.limits:
            if not limit(values):
                numbers = ", ".join(f"{n} = {values[n]}" for n in sorted(limit.names))
                self.fault(index, f"{spec.mnemonic} must keep {limit}, not {numbers}")
        if index not in self.reported:
            self.checked.add(key)

    def fault(self, index: int, message: str, hint: str = "") -> None:
        if index not in self.reported:
            self.reported.add(index)
            self.faults.append(IsaError(message, stream=self.number, index=index, hint=hint))


def _configured_names(spec: InstructionSpec, table: InstructionTable) -> set[str]:
    if not table.configured_by:
        return set()
    configured = set(table.spec(table.configured_by).names)
    needed: set[str] = set()
    for limit in spec.limits:
        needed |= limit.names
    for e in spec.expands:
        for x in (e.count, e.repeat, e.repeat_step):
            needed |= x.names if x else set()
        for name, expression in table.variables.items():
            if f"{{{name}}}" in e.command:
                needed |= expression.names
    return (needed & configured) - set(spec.names)


def _meet(sequences: list[list[int]]) -> list[IsaError]:
    """Follows the streams from barrier to barrier; a fault if they come to a stop."""
    participants: dict[int, set[int]] = {}
    for number, ids in enumerate(sequences):
        for barrier in ids:
            participants.setdefault(barrier, set()).add(number)
    at = [0] * len(sequences)
    waiting: Counter[int] = Counter(ids[0] for ids in sequences if ids)
    ready = [b for b, n in waiting.items() if n == len(participants[b])]
    while ready:
        barrier = ready.pop()
        waiting[barrier] = 0
        for number in participants[barrier]:
            at[number] += 1
            if at[number] < len(sequences[number]):
                following = sequences[number][at[number]]
                waiting[following] += 1
                if waiting[following] == len(participants[following]):
                    ready.append(following)
    for number, ids in enumerate(sequences):
        if at[number] < len(ids):
            barrier = ids[at[number]]
            late = sorted(
                p
                for p in participants[barrier]
                if at[p] >= len(sequences[p]) or sequences[p][at[p]] != barrier
            )
            return [
                IsaError(
                    f"barrier {barrier} must be reached by every stream that names it, "
                    f"not missed by stream {late[0]}",
                    stream=number,
                )
            ]
    return []
