"""The functional and layout proofs of GDDR6-AiM.

The program of a channel runs up to its SYNC, for the scores; the controller turns them into
probabilities; then it goes on with these in their registers. The numbers are those of
docs/functional-proof.md rounded to BF16, in which AiM holds them; the reference is float64
attention on the rounded numbers. docs/aim-commands.md derives the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from pamsim.compiler.aim_program import ZERO, registers
from pamsim.compiler.compiled import CompiledStep
from pamsim.layout.aim import LANES, AimShape
from pamsim.layout.whole_heads import HeadSegment, HeadTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.aim_layout import key_places, prove_layout, value_places
from pamsim.validate.functional import FunctionalVerdict, Mode
from pamsim.validate.functional_data import draw
from pamsim.validate.whole_heads import Head, HeadResult, prove_heads
from pamsim.workload.step import DecodeStep
from pim_isa import IsaError, Machine, MachineResult, Program, Unit, decode
from pim_isa.semantics.aim.memory import Banks
from pim_isa.semantics.aim.numbers import to_bf16, words_of

__all__ = ["prove_function", "prove_layout"]

U_BF16, U_FP32 = 2.0**-8, 2.0**-24  # half the distance from 1 to the next number
SLACK = 1.01  # second order terms
TINY = 2.0**-126  # below it FP32 and BF16 lose bits
SCORE_LIMIT = 16.0  # |score| up to which dense attention is the reference


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
    return prove_heads(compiled, mode, lambda head: _prove(compiled, model, head, seed, scores))


@dataclass(frozen=True)
class _Judgement:
    error: float
    bound: float
    reference: str
    score_max: float
    faults: list[str]


@dataclass(frozen=True)
class _Numbers:
    """BF16 numbers of one head, float32. query: scale folded in."""

    query: np.ndarray  # [members, elements]
    key: np.ndarray  # [tokens, elements]
    value: np.ndarray


def _prove(
    compiled: CompiledStep, model: ModelSpec, head: Head, seed: int, pattern: str
) -> HeadResult:
    segment, table = head.segment, compiled.table
    assert isinstance(table, HeadTable)
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
    run = _Run(head, table, model.group_size, numbers)
    stored = run.scores()
    weights = to_bf16(_softmax(stored, model.softcap))
    parts = run.parts(weights)
    faults = _part_faults(weights, parts, numbers.value, table.shape)
    output = to_bf16(parts.astype(np.float32).sum(axis=1, dtype=np.float32)).astype(np.float64)
    judged = _judge(numbers, stored, output, model.softcap, table.shape)
    faults += judged.faults
    return HeadResult(
        judged.error,
        judged.bound,
        judged.reference,
        float(np.abs(value).max()),
        judged.score_max,
        0,
        data.clipped,
        faults[0] if faults else "",
    )


def _softmax(scores: np.ndarray, softcap: float | None) -> np.ndarray:
    """What the controller computes, float64 [members, tokens]."""
    capped = scores if softcap is None else softcap * np.tanh(scores / softcap)
    weight = np.exp(capped - capped.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


class _Run:
    """A channel's program with one head's numbers; the other heads read memory never written."""

    def __init__(
        self,
        head: Head,
        table: HeadTable[AimShape],
        members: int,
        numbers: _Numbers,
    ) -> None:
        heads = [s for s in head.binding.segments if isinstance(s, HeadSegment)]
        self.segment, self.shape, self.members = head.segment, table.shape, members
        self.numbers = numbers
        self.places = registers(heads, table.shape, members)
        self.mine = self.places[head.number]
        own = (self.segment.request, self.segment.kv_head)
        self.new = any((a.request, a.kv_head) == own for a in head.binding.appends)
        whole = decode(head.program.binary)
        self.first, self.second = (Machine(part, rows=table.rows) for part in _halves(whole))

    def scores(self) -> np.ndarray:
        """Stored scores, float64 [members, tokens]."""
        self._fill(_memory(self.first))
        query = _columns(self.numbers.query, self.shape)
        given = {
            self.mine.queries + member * self.shape.vector_columns + c: query[member, c]
            for member in range(self.members)
            for c in range(self.shape.vector_columns)
        }
        if self.new:
            for first, vectors in (
                (self.mine.key, self.numbers.key),
                (self.mine.value, self.numbers.value),
            ):
                columns = _columns(vectors[-1:], self.shape)[0]
                given |= {first + c: column for c, column in enumerate(columns)}
        result = self._execute(self.first, given)
        slots = range(self.shape.slots(self.segment.tokens))
        return self._read(result, self.mine.scores, slots)[:, : self.segment.tokens]

    def parts(self, weights: np.ndarray) -> np.ndarray:
        """Outputs of each block of tokens, float64 [members, blocks, elements]."""
        stride = self.mine.stride
        padded = np.zeros((self.members, stride * LANES), np.float32)
        padded[:, : self.segment.tokens] = weights
        given = {
            self.mine.scores + member * stride + i: padded[member, i * LANES : (i + 1) * LANES]
            for member in range(self.members)
            for i in range(stride)
        }
        _memory(self.second).share(_memory(self.first))
        result = self._execute(self.second, given)
        found = []
        for block in range(self.shape.blocks(self.segment.tokens)):
            start = block * self.shape.columns
            places = range(start, start + self.shape.block_rows)
            found.append(self._read(result, self.mine.outputs, places))
        return np.stack(found, axis=1)[:, :, : self.numbers.value.shape[1]]

    def _read(self, result: MachineResult, first: int, places: range) -> np.ndarray:
        """float64 [members, places x 16]. Raises IsaError where the program left none."""
        rows = []
        for member in range(self.members):
            at = first + member * self.mine.stride
            missing = [p for p in places if at + p not in result.results]
            if missing:
                raise IsaError(f"register {at + missing[0]} must be written by the program")
            rows.append([result.results[at + p] for p in places])
        return np.array(rows, np.float64).reshape(self.members, -1)

    def _execute(self, machine: Machine, given: dict[int, np.ndarray]) -> MachineResult:
        """The registers of other heads hold zeros."""
        zero = words_of(np.zeros(LANES, np.float32))
        words = dict.fromkeys(range(ZERO, self.places[-1].end), zero)
        words |= {number: words_of(values) for number, values in given.items()}
        return machine.run({}, words)

    def _fill(self, memory: Banks) -> None:
        """K and V of the tokens before the new one; V's rows are zero where no token lies."""
        shape, segment = self.shape, self.segment
        old = np.arange(segment.tokens - self.new)
        key = _columns(self.numbers.key, shape)
        bank, row, column = key_places(segment, shape, old)
        for number in np.unique(row):
            here = row == number
            columns = column[here, None] + np.arange(shape.vector_columns)
            memory.row(int(number))[bank[here, None], columns] = key[old[here]]
        last = segment.value_row + shape.block_rows * shape.blocks(segment.tokens)
        for number in range(segment.value_row, last):
            memory.row(number)[:] = 0
        for element in range(self.numbers.value.shape[1]):
            bank, row, column, lane = value_places(segment, shape, old, element)
            for number in np.unique(row):
                here = row == number
                held = memory.row(int(number))
                held[bank[here], column[here], lane[here]] = self.numbers.value[old[here], element]


def _memory(machine: Machine) -> Banks:
    return cast(Banks, machine.memory(Unit()))


def _halves(program: Program) -> tuple[Program, Program]:
    """Up to the SYNC, and what follows it. Raises IsaError for a program without the one."""
    names = [i.mnemonic for s in program.streams for i in s.instructions]
    if len(program.streams) != 1 or names.count("SYNC") != 1:
        raise IsaError(f"program must have a stream with a SYNC, not {names.count('SYNC')}")
    (stream,), cut = program.streams, names.index("SYNC")
    parts = stream.instructions[:cut], stream.instructions[cut + 1 :]
    first, second = (replace(program, streams=(replace(stream, instructions=p),)) for p in parts)
    return first, second


def _columns(vectors: np.ndarray, shape: AimShape) -> np.ndarray:
    """Vectors [n, elements] as whole columns [n, vector columns, 16], padded with zeros."""
    missing = shape.vector_columns * LANES - vectors.shape[1]
    return np.pad(vectors, ((0, 0), (0, missing))).reshape(len(vectors), -1, LANES)


def _part_faults(
    weights: np.ndarray, parts: np.ndarray, value: np.ndarray, shape: AimShape
) -> list[str]:
    """Each block's part of the output is the sum over its tokens, each once, rounded once."""
    for block in range(parts.shape[1]):
        tokens = slice(block * shape.block_tokens, (block + 1) * shape.block_tokens)
        weight, held = weights[:, tokens].astype(np.float64), value[tokens].astype(np.float64)
        exact, magnitude = weight @ held, weight @ np.abs(held)
        tolerance = SLACK * (np.abs(exact) * U_BF16 + magnitude * (shape.columns + 4) * U_FP32)
        wrong = ~(np.abs(parts[:, block] - exact) <= tolerance + TINY)
        if wrong.any():
            member, element = np.argwhere(wrong)[0]
            return [
                f"element {element} of block {block}, head {member} of the group, must be "
                f"{exact[member, element]:.6g} +- {tolerance[member, element]:.2g}, "
                f"not {parts[member, block, element]:.6g}"
            ]
    return []


def _judge(
    numbers: _Numbers, stored: np.ndarray, output: np.ndarray, softcap: float | None,
    shape: AimShape,
) -> _Judgement:  # fmt: skip
    """Holds scores and outputs against float64 (docs/aim-commands.md, Arithmetic)."""
    query, key, value = (x.astype(np.float64) for x in (numbers.query, numbers.key, numbers.value))
    exact = np.einsum("md,td->mt", query, key)
    magnitude = np.einsum("md,td->mt", np.abs(query), np.abs(key))
    tolerance = SLACK * (np.abs(exact) * U_BF16 + magnitude * (shape.vector_columns + 4) * U_FP32)
    faults = []
    if (wrong := ~(np.abs(stored - exact) <= tolerance)).any():
        member, token = np.argwhere(wrong)[0]
        faults.append(
            f"score of token {token} with head {member} of the group must be "
            f"{exact[member, token]:.6g} +- {tolerance[member, token]:.2g}, "
            f"not {stored[member, token]:.6g}"
        )
    largest = np.abs(value).max()
    own = np.abs(output - _softmax(stored, softcap) @ value).max(axis=1)
    value_bound = (
        SLACK * largest * (3 * U_BF16 + (shape.columns + 4 + shape.blocks(len(key))) * U_FP32)
    )
    if not (own <= value_bound).all():
        faults.append(
            "error against the softmax of the stored scores must be at most "
            f"{value_bound:.3g}, not {own.max():.3g}"
        )
    score_max = float(np.abs(exact).max())
    if score_max > SCORE_LIMIT:
        name = "float64 softmax of the stored scores"
        return _Judgement(float(own.max()), value_bound, name, score_max, faults)
    errors = np.abs(output - _softmax(exact, softcap) @ value).max(axis=1)
    limits = value_bound + SLACK * largest * np.expm1(2 * tolerance.max(axis=1))
    if not (errors <= limits).all():
        faults.append(
            f"error against dense attention must be at most {limits.min():.3g}, "
            f"not {errors.max():.3g}"
        )
    member = int(np.argmax(errors / limits))
    name = "dense attention in float64"
    return _Judgement(float(errors[member]), float(limits[member]), name, score_max, faults)
