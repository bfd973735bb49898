"""The functional and layout proofs of GDDR6-AiM.

The program of a channel runs twice: first for the scores, which the controller turns into
probabilities between the two halves, then with these in their registers. The numbers are those of
docs/functional-proof.md rounded to BF16, in which AiM holds them; the reference is float64
attention on the rounded numbers. docs/aim-commands.md derives the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pamsim.compiler.aim_program import ZERO, HeadRegisters, registers
from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep
from pamsim.layout.aim import BANKS, LANES, AimSegment, AimShape, AimTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.aim_layout import key_places, prove_layout, value_places
from pamsim.validate.functional import FunctionalVerdict, Mode
from pamsim.validate.functional_data import draw
from pamsim.workload.step import DecodeStep
from pim_isa import Machine, MachineResult, Unit, decode
from pim_isa.semantics.aim.numbers import to_bf16, words_of

__all__ = ["prove_function", "prove_layout"]

U_BF16, U_FP32 = 2.0**-9, 2.0**-24  # half the distance from 1 to the next number
SLACK = 1.01  # second order terms
SCORE_LIMIT = 16.0  # |score| up to which dense attention is the reference

Registers = dict[int, np.ndarray]


def prove_function(
    compiled: CompiledStep,
    model: ModelSpec,
    _step: DecodeStep,
    *,
    seed: int = 0,
    mode: Mode = "default",
    scores: str = "random",
) -> FunctionalVerdict:
    """As pamsim.validate.prove_function."""
    heads = [
        (program, binding, number)
        for program in compiled.programs
        for binding in program.bindings
        for number in range(len(binding.segments))
    ]
    if mode == "off" or not heads:
        return FunctionalVerdict(
            "not checked", None, None, None, "", "NOT CHECKED", 0, len(heads), 0,
            len(compiled.programs), 0, 0, 0, None,
        )  # fmt: skip
    chosen = heads if mode == "full" else _chosen(heads)
    results = [_prove(compiled, model, head, seed, scores) for head in chosen]
    worst = max(results, key=lambda r: float("inf") if r.fault else r.error / r.bound)
    faults = [r.fault for r in results if r.fault]
    checked = len({program.sha256 for program, _, _ in chosen})
    return FunctionalVerdict(
        verdict="violated" if faults else "passed",
        max_abs_error=worst.error,
        bound=worst.bound,
        max_abs_value=worst.largest,
        reference=worst.reference,
        coverage=(
            f"{len(chosen)} of {len(heads)} (request, KV head) of one layer, all their tokens; "
            f"{checked} of {len(compiled.programs)} distinct channel programs"
        ),
        pairs_checked=len(chosen),
        pairs=len(heads),
        programs_checked=checked,
        programs=len(compiled.programs),
        tokens_checked=sum(b.segments[n].tokens for _, b, n in chosen),
        saturated=0,
        clipped=sum(r.clipped for r in results),
        score_max=max(r.score_max for r in results),
        first_fault=faults[0] if faults else "",
    )


_Head = tuple[ChannelProgram, ChannelBinding, int]  # number of the segment


def _chosen(heads: list[_Head]) -> list[_Head]:
    """The first and the last head of every program, the shortest and the longest of all."""
    by_length = sorted(heads, key=lambda h: h[1].segments[h[2]].tokens)
    found = [by_length[0], by_length[-1]]
    for program, binding, number in heads:
        if binding is program.bindings[0] and number in (0, len(binding.segments) - 1):
            found.append((program, binding, number))
    once = {(h[1].channel, h[2]): h for h in found}
    return [once[key] for key in sorted(once)]


@dataclass(frozen=True)
class _Result:
    error: float
    bound: float
    reference: str
    largest: float
    score_max: float
    clipped: int
    fault: str


@dataclass(frozen=True)
class _Numbers:
    """BF16 numbers of one head, float32. query: scale folded in."""

    query: np.ndarray  # [members, elements]
    key: np.ndarray  # [tokens, elements]
    value: np.ndarray


def _prove(
    compiled: CompiledStep, model: ModelSpec, head: _Head, seed: int, pattern: str
) -> _Result:
    program, binding, number = head
    segment, table = binding.segments[number], compiled.table
    assert isinstance(segment, AimSegment) and isinstance(table, AimTable)
    data = draw(
        seed=seed,
        request=segment.request,
        kv_head=segment.kv_head,
        heads=model.group_size,
        head_dim=model.head_dim,
        tokens=segment.tokens,
        dtype=model.dtype,
        scores=pattern,
        scale=model.softmax_scale,
        softcap=model.softcap,
    )
    key, value = (to_bf16(x.numbers().astype(np.float32)) for x in (data.key, data.value))
    query = to_bf16(data.query.astype(np.float32) * np.float32(data.scale))
    numbers = _Numbers(query, key, value)
    run = _Run(program, binding, number, segment, table, model.group_size)
    stored = run.scores(numbers)
    weights = _softmax(stored, model.softcap)
    output = run.outputs(numbers, to_bf16(weights))
    error, bound, reference, score_max, faults = _judge(numbers, stored, output, model, table.shape)
    place = f"request {segment.request}, KV head {segment.kv_head}: "
    largest = float(np.abs(value).max())
    fault = place + faults[0] if faults else ""
    return _Result(error, bound, reference, largest, score_max, data.clipped, fault)


def _softmax(scores: np.ndarray, softcap: float | None) -> np.ndarray:
    """What the controller computes, float64 [members, tokens]."""
    capped = scores if softcap is None else softcap * np.tanh(scores / softcap)
    weight = np.exp(capped - capped.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


class _Run:
    """A channel's program with one head's numbers; the other heads read memory never written."""

    def __init__(
        self,
        program: ChannelProgram,
        binding: ChannelBinding,
        number: int,
        segment: AimSegment,
        table: AimTable,
        members: int,
    ) -> None:
        self.program, self.segment, self.table = program, segment, table
        self.members, self.shape = members, table.shape
        heads = [s for s in binding.segments if isinstance(s, AimSegment)]
        self.all = registers(heads, table.shape, members)
        self.mine = self.all[number]
        self.appended = any(
            (a.request, a.kv_head) == (segment.request, segment.kv_head) for a in binding.appends
        )

    def scores(self, numbers: _Numbers) -> np.ndarray:
        """Stored scores, float64 [members, tokens]."""
        result = self._execute(numbers, {})
        slots = np.arange(self.shape.slots(self.segment.tokens))
        return self._member_numbers(result, self.mine.scores, slots)[:, : self.segment.tokens]

    def outputs(self, numbers: _Numbers, weights: np.ndarray) -> np.ndarray:
        """float64 [members, elements]: parts over the blocks added in FP32, then BF16."""
        size, stride = self.shape.columns * LANES, self.mine.stride
        padded = np.zeros((self.members, stride * LANES), np.float32)
        padded[:, : self.segment.tokens] = weights
        given = {
            self.mine.scores + member * stride + i: padded[member, i * LANES : (i + 1) * LANES]
            for member in range(self.members)
            for i in range(stride)
        }
        result = self._execute(numbers, given)
        total = np.zeros((self.members, self.shape.vector_columns * BANKS), np.float32)
        for block in range(-(-self.segment.tokens // size)):
            parts = block * self.shape.columns + np.arange(self.shape.block_rows)
            total += self._member_numbers(result, self.mine.outputs, parts).astype(np.float32)
        return to_bf16(total)[:, : numbers.value.shape[1]].astype(np.float64)

    def _member_numbers(
        self, result: MachineResult, first: int, places: np.ndarray
    ) -> np.ndarray:
        """float64 [members, places x 16]."""
        rows = [
            [result.results[first + member * self.mine.stride + int(p)] for p in places]
            for member in range(self.members)
        ]
        return np.array(rows, np.float64).reshape(self.members, -1)

    def _execute(self, numbers: _Numbers, probabilities: Registers) -> MachineResult:
        """Where no probabilities are given the registers hold zeros, and so do other heads'."""
        given: Registers = {ZERO: np.zeros(LANES, np.float32)}
        for place in self.all:
            given |= {n: given[ZERO] for n in range(place.queries, place.end)}
        query = _columns(numbers.query, self.shape)
        for member in range(self.members):
            first = self.mine.queries + member * self.shape.vector_columns
            given |= {first + c: query[member, c] for c in range(self.shape.vector_columns)}
        if self.appended:
            given |= _new_token(self.mine, self.shape, numbers)
        given |= probabilities
        program = decode(self.program.binary)
        if probabilities:  # what the controller has put in place of the scores stays there
            program = _second_half(program)
        machine = Machine(program, rows=self.table.rows)
        self._fill(machine, numbers)
        return machine.run({}, {n: words_of(v) for n, v in given.items()})

    def _fill(self, machine: Machine, numbers: _Numbers) -> None:
        """K and V of the tokens before the new one; V's rows are zero where no token lies."""
        memory = machine.memory(Unit())
        old = np.arange(self.segment.tokens - self.appended)
        key = _columns(numbers.key, self.shape)
        for t, bank, row, column in zip(
            old, *key_places(self.segment, self.shape, old), strict=True
        ):
            memory.row(int(row))[bank, column : column + self.shape.vector_columns] = key[t]
        first = self.segment.value_row
        for row in range(first, first + self.shape.block_rows * self.shape.blocks(len(numbers.key))):
            memory.row(row)[:] = 0
        for element in range(numbers.value.shape[1]):
            places = value_places(self.segment, self.shape, old, element)
            for t, bank, row, column, lane in zip(old, *places, strict=True):
                memory.row(int(row))[bank, column, lane] = numbers.value[t, element]
