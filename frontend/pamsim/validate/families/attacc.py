"""The functional and layout proofs of AttAcc.

What is shown is that of docs/functional-proof.md: every token of a head counts once in its scores
and once in its outputs, scores are q.k up to their rounding, outputs lie within a bound of float64
attention. docs/attacc-commands.md has the arithmetic and derives the bound.
"""

from __future__ import annotations

import numpy as np

from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep
from pamsim.layout.attacc import AttAccShape
from pamsim.layout.whole_heads import HeadSegment, HeadTable
from pamsim.model.spec import ModelSpec
from pamsim.validate import functional_bound as bounds
from pamsim.validate.attacc_layout import prove_layout, stored_places
from pamsim.validate.attacc_tokens import token_faults
from pamsim.validate.functional import FunctionalVerdict, Mode
from pamsim.validate.functional_data import PairData, draw
from pamsim.validate.whole_heads import Head, HeadResult, prove_heads
from pamsim.workload.step import DecodeStep
from pim_isa import Arithmetic, Machine, MachineResult, Unit, decode
from pim_isa.semantics.attacc import Event

ARITHMETIC = Arithmetic()
LANES, PARTITIONS, SOFTMAX_BLOCK = 16, 16, 256
U16, U32, TINY16 = bounds.U16, bounds.U32, bounds.TINY16

__all__ = ["prove_function", "prove_layout"]


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


def _prove(
    compiled: CompiledStep, model: ModelSpec, head: Head, seed: int, scores: str
) -> HeadResult:
    """Draws, runs and judges one (request, KV head)."""
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
        scores=scores,
        scale=model.softmax_scale,
    )
    queries = range(head.number * model.group_size, (head.number + 1) * model.group_size)
    reference = bounds.reference(data)
    result = _run(head.program, head.binding, segment, table, data, queries)
    faults = [f"query {q} gives no result" for q in queries if q not in result.results]
    events = {e.query: e for e in result.events}
    for q in queries:
        if q in events:
            faults += token_faults(events[q], segment, table.shape)
    judged = None if faults else _judge(result, events, data, reference, table)
    error, bound, name, more = judged or (float("inf"), 1.0, "", [])
    faults += more
    return HeadResult(
        error, bound, name, reference.largest, reference.score_max, result.saturations.total,
        data.clipped, faults[0] if faults else "",
    )  # fmt: skip


def _run(
    program: ChannelProgram,
    binding: ChannelBinding,
    segment: HeadSegment,
    table: HeadTable[AttAccShape],
    data: PairData,
    queries: range,
) -> MachineResult:
    """The program with the head's numbers in memory; the other heads' work is left out."""
    machine = Machine(decode(program.binary), ARITHMETIC, rows=table.rows)
    memory = machine.memory(Unit(0))
    width = table.shape.vector_columns * LANES
    key, value = (_padded(x.numbers(), width) for x in (data.key, data.value))
    own = {
        a.value: source
        for source, a in enumerate(binding.appends)
        if (a.request, a.kv_head) == (segment.request, segment.kv_head)
    }
    appends = {own[False]: key[-1], own[True]: value[-1]} if own else {}
    tokens = np.arange(segment.tokens - bool(own))  # the new one comes through the append buffer
    for place in stored_places(segment, table.shape, tokens):
        vectors = (value if place.value else key)[tokens, place.elements]
        memory.write(place.bank, place.row, place.column, vectors)
    folded = {q: _padded(data.folded, width)[i] for i, q in enumerate(queries)}
    return machine.run(folded, appends, wanted=queries, record=True)


def _padded(vectors: np.ndarray, width: int) -> np.ndarray:
    """Float16 vectors with zeros up to whole columns in every bank."""
    return np.pad(vectors.astype(np.float16), ((0, 0), (0, width - vectors.shape[1])))


def _judge(
    result: MachineResult,
    events: dict[int, Event],
    data: PairData,
    ref: bounds.Reference,
    table: HeadTable[AttAccShape],
) -> tuple[float, float, str, list[str]]:
    """(error, bound, what was compared with, faults)."""
    queries, dim = sorted(events), ref.output.shape[1]
    output = np.stack([result.results[q][:dim] for q in queries]).astype(np.float64)
    stored = np.stack([events[q].scores for q in queries]).astype(np.float64)
    faults = []
    if not np.isfinite(output).all():
        return float("inf"), 1.0, "", ["output is not finite"]
    columns = table.shape.part + 4  # added in order: columns of a bank, then the four banks
    tolerance = bounds.score_tolerance(ref, columns, ARITHMETIC)
    expected = bounds.expected_scores(ref, ARITHMETIC)
    if (wrong := ~(np.abs(stored - expected) <= tolerance)).any():
        head, token = np.argwhere(wrong)[0]
        faults.append(
            f"score of token {token} with head {head} of the group must be "
            f"{expected[head, token]:.6g} +- {tolerance[head, token]:.2g}, "
            f"not {stored[head, token]:.6g}"
        )
    value = value_bound(data.tokens, ref.largest)
    if not bounds.within_hull(output, ref, value):
        faults.append("output leaves the hull of V")
    own = np.abs(output - bounds.softmax_mean(stored, data.value)).max(axis=1)
    if (own > value).any():
        faults.append(
            "error against the softmax of the stored scores must be at most "
            f"{value:.3g}, not {own.max():.3g}"
        )
    limits = np.full(len(queries), value)
    if ref.score_max > bounds.SCORE_LIMIT:
        head = int(np.argmax(own))
        return float(own[head]), value, "float64 softmax of the stored scores", faults
    errors = np.abs(output - ref.output).max(axis=1)
    limits = bounds.attention_bound(ref, columns, limits, ARITHMETIC)
    head = int(np.argmax(errors / limits))
    if (errors > limits).any():
        faults.append(
            f"error against dense attention must be at most {limits[head]:.3g}, "
            f"not {errors[head]:.3g}"
        )
    return float(errors[head]), float(limits[head]), "dense attention in float64", faults


def value_bound(tokens: int, largest: float) -> float:
    """P.V bound: the output against the softmax of its stored scores, max |V| = `largest`.

    docs/attacc-commands.md, Arithmetic.
    """
    local, blocks = -(-tokens // PARTITIONS), -(-tokens // SOFTMAX_BLOCK)
    fp16 = 3 * U16 + tokens * TINY16  # exponentials, partial outputs, result; small exponentials
    fp32 = (10 + blocks + local + 8) * U32
    return 1.01 * (largest * (fp16 + fp32) + 5 * TINY16)
