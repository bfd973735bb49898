"""The functional machine: executes the program of a channel on numbers.

It knows streams, loops and barriers; what an instruction does to a unit is `pim_isa.semantics`.
Streams run from barrier to barrier ("rounds"), in the order of their numbers: nothing that a stream
does between two barriers depends on another stream, except the order in which accumulators of the
logic die are merged into, which is therefore by round and then by stream number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from pim_isa.arithmetic import Arithmetic, Saturations
from pim_isa.check import check, match_loops
from pim_isa.errors import IsaError
from pim_isa.memory import GroupMemory
from pim_isa.program import Instruction, Program, Unit
from pim_isa.table import load

NO_ADDITIONS: dict[str, int] = {}


@dataclass(frozen=True)
class MachineResult:
    """What a run left on the logic die.

    results: query number -> float16 [elements] (normalised) or a Partial (O, m, l) in FP32.
    events: what the units did (the family's Event), if it was asked for.
    """

    results: dict[int, Any]
    saturations: Saturations
    events: tuple[Any, ...]


@dataclass(frozen=True)
class _Step:
    """An instruction ready to run; `stepped`: (position, name) of operands that loops move on."""

    index: int
    mnemonic: str
    operation: Callable[..., None] | None  # None: control that the machine itself does
    operands: tuple[int, ...]
    stepped: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class _Loop:
    index: int
    count: int
    steps: dict[str, int]
    body: tuple[_Step | _Loop, ...]
    fused: Callable[..., None] | None


class Machine:
    """A channel that runs one program. Memory outlives a run; everything else begins anew."""

    def __init__(
        self, program: Program, arithmetic: Arithmetic | None = None, *, rows: int | None = None
    ) -> None:
        """rows: of a bank, as many as the encoding can name if not given.

        Raises IsaError for the first fault that `check` finds, or a family without semantics.
        """
        faults = check(program, rows=rows)
        if faults:
            raise faults[0]
        self.program = program
        self.rows = rows
        self.arithmetic = arithmetic or Arithmetic()
        self.table = load(program.family)
        self._semantics = _semantics(program.family)
        self._memory: dict[Unit, GroupMemory] = {}
        self._code: dict[int, tuple[_Step | _Loop, ...]] = {}
        self._stepped: dict[str, tuple[tuple[int, str], ...]] = {}

    def memory(self, unit: Unit) -> GroupMemory:
        """The rows of a bank group: write tokens here before a run, read them back after it."""
        held = self._memory.get(unit)
        if held is None:
            constants = self.table.constants
            rows = self.rows or 1 + max(
                f.maximum for s in self.table.instructions for f in s.fields if f.name == "row"
            )
            make = getattr(self._semantics, "Memory", GroupMemory)
            held = self._memory[unit] = make(
                constants["banks"], constants["row_columns"], constants["lanes"], rows
            )
        return held

    def clear(self) -> None:
        """Forgets all memory."""
        self._memory.clear()

    def run(
        self,
        queries: Mapping[int, np.ndarray],
        appends: Mapping[int, np.ndarray] | None = None,
        *,
        streams: Collection[int] | None = None,
        wanted: Collection[int] | None = None,
        record: bool = False,
    ) -> MachineResult:
        """Runs the program, or the streams given, to the end.

        queries: query number -> float16 [elements], softmax scale folded in. appends: source number
        -> float16 [elements], or uint16 words of a packed format. wanted: query numbers to compute;
        the work on others is left out (and their queries and appends need not be given). Raises
        IsaError, with stream and instruction, for what the hardware could not do.
        """
        die = self._semantics.LogicDie(
            self.arithmetic,
            {k: np.asarray(v, np.float16).astype(np.float32) for k, v in queries.items()},
            {k: _stored(v) for k, v in (appends or {}).items()},
            None if wanted is None else frozenset(wanted),
            record,
            epochs=np.zeros([len(self.program.streams)] * 2, dtype=np.int64),
        )
        numbers = sorted(range(len(self.program.streams)) if streams is None else streams)
        waiting: dict[int, int | None] = {}  # stream -> barrier, None when it has ended
        running = {number: self._stream(number, die) for number in numbers}
        participants = self._participants(numbers)
        ready = numbers
        while ready:
            for number in ready:
                waiting[number] = next(running[number], None)
            ready = [
                n
                for n in numbers
                if (barrier := waiting[n]) is not None
                and all(waiting[p] == barrier for p in participants[barrier])
            ]
            for opened in {waiting[n] for n in ready}:
                met = sorted(participants[opened or 0])
                known = die.epochs[met].max(axis=0)
                known[met] += 1  # the stretches that end here
                die.epochs[met] = known
        stuck = [n for n in numbers if waiting[n] is not None]
        if stuck:
            raise IsaError(
                f"barrier {waiting[stuck[0]]} must be reached by streams "
                f"{sorted(participants[waiting[stuck[0]] or 0])}",
                stream=stuck[0],
            )
        return MachineResult(die.results, die.saturations, tuple(die.events))

    def _participants(self, numbers: list[int]) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for number in numbers:
            for instruction in set(self.program.streams[number].instructions):
                if instruction.mnemonic == self.table.barrier:
                    found.setdefault(instruction[self.table.barrier_id], set()).add(number)
        return found

    def _stream(self, number: int, die: Any) -> Iterator[int]:
        """Executes a stream; gives the id of each barrier it comes to."""
        unit = self.program.streams[number].unit
        group = self._semantics.Group(self.table, number, self.memory(unit), die)
        if number not in self._code:
            self._code[number] = self._compile(number)
        yield from self._sequence(self._code[number], group, NO_ADDITIONS, number)

    def _sequence(
        self, body: tuple[_Step | _Loop, ...], group: Any, added: Mapping[str, int], number: int
    ) -> Iterator[int]:
        for node in body:
            if isinstance(node, _Loop):
                if node.fused:
                    full = {name: added.get(name, 0) for name in node.steps}
                    self._call(node.fused, (group, full), number, node.index)
                    continue
                for turn in range(node.count):
                    inner = {
                        name: added.get(name, 0) + turn * step for name, step in node.steps.items()
                    }
                    yield from self._sequence(node.body, group, inner, number)
            elif node.operation is None:
                if node.mnemonic == self.table.barrier:
                    yield node.operands[0]
            else:
                operands = node.operands
                if added and node.stepped:
                    moved = list(operands)
                    for position, name in node.stepped:
                        moved[position] += added[name]
                    operands = tuple(moved)
                self._call(node.operation, (group, *operands), number, node.index)

    @staticmethod
    def _call(
        operation: Callable[..., None], arguments: tuple[Any, ...], number: int, index: int
    ) -> None:
        try:
            operation(*arguments)
        except IsaError as error:
            raise IsaError(error.message, stream=number, index=index) from None

    def _compile(self, number: int) -> tuple[_Step | _Loop, ...]:
        instructions = self.program.streams[number].instructions
        pairs = match_loops(self.table, instructions)
        return self._body(instructions, pairs, 0, len(instructions))

    def _body(
        self, instructions: tuple[Instruction, ...], pairs: dict[int, int], start: int, end: int
    ) -> tuple[_Step | _Loop, ...]:
        loop, index = self.table.loop, start
        nodes: list[_Step | _Loop] = []
        while index < end:
            instruction = instructions[index]
            if instruction.mnemonic == loop.open:
                close = pairs[index]
                body = instructions[index + 1 : close]
                count = instruction[loop.count]
                steps = {name: instruction[step] for name, step in loop.steps.items()}
                fused = self._semantics.fuse(count, steps, body)
                inner = () if fused else self._body(instructions, pairs, index + 1, close)
                nodes.append(_Loop(index, count, steps, inner, fused))
                index = close
            else:
                nodes.append(self._step(index, instruction))
            index += 1
        return tuple(nodes)

    def _step(self, index: int, instruction: Instruction) -> _Step:
        mnemonic = instruction.mnemonic
        names = self.table.spec(mnemonic).names
        if mnemonic not in self._stepped:
            self._stepped[mnemonic] = tuple(
                (k, name) for k, name in enumerate(names) if name in self.table.loop.steps
            )
        given = dict(instruction.operands)
        return _Step(
            index,
            mnemonic,
            self._semantics.OPERATIONS.get(mnemonic),
            tuple([given[name] for name in names]),
            self._stepped[mnemonic],
        )


def _stored(vector: np.ndarray) -> np.ndarray:
    vector = np.asarray(vector)
    return vector if vector.dtype == np.uint16 else vector.astype(np.float16)


def _semantics(family: str) -> Any:
    try:
        return import_module(f"pim_isa.semantics.{family}")
    except ModuleNotFoundError:
        raise IsaError(f"family {family!r} must have semantics to be executed") from None
