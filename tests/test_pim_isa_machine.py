"""The functional machine against the pseudo-code of the instruction table, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attention_kernel import BANKS, LANES, Attention

from pim_isa import Arithmetic, IsaError, Machine, Program, Stream, Unit, assemble
from pim_isa.semantics.hbm_pim import Partial

F32, F16 = np.float32, np.float16
UNIT = Unit(0, 0, 0)


def attention(
    kernel: Attention,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    arithmetic: Arithmetic | None = None,
    **options: object,
) -> tuple[np.ndarray, object]:
    """Runs a kernel on q [heads, dim], k and v [tokens, dim], float16 -> output [heads, dim]."""
    machine = Machine(kernel.program(), arithmetic)
    memory = machine.memory(UNIT)
    memory.write(*kernel.place(False), k)
    memory.write(*kernel.place(True), v)
    queries = {h * kernel.parts: q[h] for h in range(kernel.heads)}
    result = machine.run(queries, **options)  # type: ignore[arg-type]
    parts = [result.results[i] for i in range(kernel.heads * kernel.parts)]
    return np.concatenate(parts).reshape(kernel.heads, kernel.dim), result


# --- the pseudo-code, read literally: scalars, one at a time


def tree(values: list[np.float32]) -> np.float32:
    while len(values) > 1:
        values = [F32(values[i] + values[i + 1]) for i in range(0, len(values), 2)]
    return values[0]


def half(x: np.float32) -> np.float32:
    return F32(F16(min(max(x, F32(-65504)), F32(65504))))


def literal(kernel: Attention, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The kernel by scalar arithmetic, in the order of the instruction table (parts = 1)."""
    out = []
    slots = -(-kernel.tokens // BANKS)
    for h in range(kernel.heads):
        acc = (np.zeros(kernel.dim, F32), -math.inf, F32(0))
        for first in range(0, slots, kernel.tile):
            partial = []
            for b in range(BANKS):
                tokens = [
                    s * BANKS + b
                    for s in range(first, min(slots, first + kernel.tile))
                    if s * BANKS + b < kernel.tokens
                ]
                scores = []
                for t in tokens:
                    s = F32(0)
                    for c in range(kernel.columns):
                        lanes = range(c * LANES, (c + 1) * LANES)
                        s = F32(s + tree([F32(F32(q[h, x]) * F32(k[t, x])) for x in lanes]))
                    scores.append(half(s))
                m = max(scores, default=-math.inf)
                p = [F32(F16(math.exp(float(s) - float(m)))) for s in scores]
                # SUM: whole slots and the masked tail are two instructions
                whole = [
                    x
                    for x, t in zip(p, tokens, strict=True)
                    if t // BANKS * BANKS + 4 <= kernel.tokens
                ]
                total = F32(0)
                for group in (whole, p[len(whole) :]):
                    s = F32(0)
                    for x in group:
                        s = F32(s + x)
                    total = F32(total + s)
                o = np.zeros(kernel.dim, F32)
                for x, t in zip(p, tokens, strict=True):
                    o = o + x * v[t].astype(F32)
                partial.append((o, m, total))
            top = max(m for _, m, _ in partial)
            r_o, r_l = np.zeros(kernel.dim, F32), F32(0)
            for o, m, total in partial:
                w = F32(0) if m == -math.inf else F32(F16(math.exp(float(m) - float(top))))
                r_o = r_o + w * np.array([half(x) for x in o])
                r_l = F32(r_l + w * total)
            r_o = np.array([half(x) for x in r_o])
            new = max(acc[1], top)
            u = F32(0) if acc[1] == -math.inf else F32(math.exp(float(acc[1]) - float(new)))
            w = F32(math.exp(float(top) - float(new)))
            acc = (u * acc[0] + w * r_o, new, F32(u * acc[2] + w * r_l))
        out.append((acc[0] / acc[2]).astype(F16))
    return np.array(out)


def draw(kernel: Attention, seed: int, scale: float = 1.0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    shapes = [(kernel.heads, kernel.dim), (kernel.tokens, kernel.dim), (kernel.tokens, kernel.dim)]
    q, k, v = (rng.standard_normal(shape) for shape in shapes)
    return (scale * q / math.sqrt(kernel.dim)).astype(F16), k.astype(F16), v.astype(F16)


def dense(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    s = q.astype(np.float64) @ k.T.astype(np.float64)
    p = np.exp(s - s.max(axis=1, keepdims=True))
    return p @ v.astype(np.float64) / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("tokens", "heads", "dim", "held"),
    [
        (1, 1, 64, 1),
        (3, 2, 64, 2),
        (37, 2, 80, 1),
        (70, 3, 96, 2),
        (65, 2, 128, 2),
        (30, 1, 256, 1),
    ],
)
def test_equals_the_pseudo_code_bit_for_bit(tokens: int, heads: int, dim: int, held: int) -> None:
    kernel = Attention(tokens, heads, dim, held=held)
    q, k, v = draw(kernel, seed=tokens)
    out, _ = attention(kernel, q, k, v)
    np.testing.assert_array_equal(out, literal(kernel, q, k, v))


@pytest.mark.parametrize("parts", [2, 4])
def test_split_head_dimension_gives_attention(parts: int) -> None:
    kernel = Attention(50, 2, 128, parts=parts)
    q, k, v = draw(kernel, seed=5)
    out, _ = attention(kernel, q, k, v)
    # FP16 storage of scores, exponentials and outputs: a few units of 2^-11 of max|V| ~ 4
    np.testing.assert_allclose(out, dense(q, k, v), atol=0.01)


def test_masked_tail_reads_no_other_bank() -> None:
    """Unwritten memory is NaN: it must not reach a result through banks outside the mask."""
    kernel = Attention(5, 1, 64)
    q, k, v = draw(kernel, seed=1)
    out, _ = attention(kernel, q, k, v)
    assert np.isfinite(out).all()


def test_use_of_unwritten_memory_is_an_error() -> None:
    kernel = Attention(8, 1, 64)
    q, k, v = draw(kernel, seed=1)
    machine = Machine(kernel.program())
    machine.memory(UNIT).write(*(x[:7] for x in kernel.place(False)), k[:7])
    machine.memory(UNIT).write(*kernel.place(True), v)
    with pytest.raises(IsaError, match="memory never written") as caught:
        machine.run({0: q[0]})
    assert caught.value.stream == 0


def test_fused_loops_equal_stepping_through_them() -> None:
    kernel = Attention(300, 2, 128, tile_rows=8)
    q, k, v = draw(kernel, seed=9)
    out, _ = attention(kernel, q, k, v)
    text = kernel.text().replace("\nPRE\n", "\nNOP\nPRE\n")  # the NOP hides the pattern
    slow = Machine(assemble(text))
    slow.memory(UNIT).write(*kernel.place(False), k)
    slow.memory(UNIT).write(*kernel.place(True), v)
    result = slow.run({h: q[h] for h in range(2)})
    np.testing.assert_array_equal(out, np.array([result.results[h] for h in range(2)]))


def test_scores_saturate_and_are_counted() -> None:
    kernel = Attention(4, 1, 64)
    q = np.full((1, 64), 1000, F16)
    k = np.full((4, 64), 1000, F16)
    v = np.arange(256, dtype=F16).reshape(4, 64)
    out, result = attention(kernel, q, k, v)
    assert result.saturations.scores == 4  # type: ignore[attr-defined]
    np.testing.assert_array_equal(out[0], v.astype(F32).mean(axis=0))  # equal scores: the mean


def test_scores_and_exponentials_can_be_kept_in_fp32() -> None:
    kernel = Attention(200, 1, 128)
    q, k, v = draw(kernel, seed=2, scale=4)
    fine, _ = attention(kernel, q, k, v, Arithmetic("fp32", "fp32"))
    coarse, _ = attention(kernel, q, k, v)
    exact = dense(q, k, v)
    assert np.abs(fine - exact).max() < np.abs(coarse - exact).max()


def test_recorded_scores_are_the_stored_ones() -> None:
    kernel = Attention(37, 1, 128)
    q, k, v = draw(kernel, seed=3)
    _, result = attention(kernel, q, k, v, record=True)
    exact = q.astype(np.float64) @ k.T.astype(np.float64)
    seen = 0
    for record in result.events:  # type: ignore[attr-defined]
        if record.kind != "dot":
            continue
        for visit, row in enumerate(record.rows):
            for b in range(BANKS):
                for i in range(record.scores.shape[3]):
                    if record.mask >> b & 1:
                        slot = (row - kernel.k_row) * 4 + record.column // 8 + i
                        score = record.scores[visit, b, 0, i]
                        assert abs(score - exact[0, slot * BANKS + b]) < 0.004  # 2^-9 at |s| < 4
                        seen += 1
    assert seen == 37


def test_unwanted_queries_are_left_out() -> None:
    kernel = Attention(40, 3, 64)
    q, k, v = draw(kernel, seed=4)
    machine = Machine(kernel.program())
    machine.memory(UNIT).write(*kernel.place(False), k)
    machine.memory(UNIT).write(*kernel.place(True), v)
    every = machine.run({h: q[h] for h in range(3)}).results
    one = machine.run({1: q[1]}, wanted={1}).results
    assert set(one) == {1}
    np.testing.assert_array_equal(one[1], every[1])


def program(*lines: str) -> Program:
    return assemble("\n".join([".family hbm_pim", ".stream pc=0 sid=0 bg=0", *lines]))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["ACT row=1", "ACT row=1"], "closed before ACT"),
        (["MACK row=1 column=0 slots=1 base=0 mask=15 last=1"], "row 1 open in every bank"),
        (["ACT row=2", "MACK row=1 column=0 slots=1 base=0 mask=15 last=1"], "row 1 open"),
        (["ACT row=2", "PREB bank=3", "MACV row=2 column=0 slots=1 base=0 mask=15"], "row 2 open"),
        (["MAX slots=1 base=0 mask=15 first=1"], "must work on scores"),
        (["SUM slots=1 base=0 mask=15 first=1"], "must work on exponentials"),
        (["REDG"], "must come after MAX"),
        (["REDL slot=0 query=0"], "must come after the REDG"),
        (["RDR query=0 normalise=1"], "must be merged before"),
        (["WRQ slot=0 query=7 offset=0"], "must hold query 7"),
        (["APP bank=0 row=0 column=0 columns=4 source=1"], "must hold source 1"),
    ],
)
def test_what_hardware_could_not_do_is_an_error(lines: list[str], message: str) -> None:
    machine = Machine(program("CFG queries=1 part=4 vector=4", *lines))
    with pytest.raises(IsaError, match=message) as caught:
        machine.run({0: np.zeros(64, F16)})
    assert (caught.value.stream, caught.value.index) == (0, len(lines))


def test_append_writes_the_row() -> None:
    machine = Machine(program("APP bank=2 row=9 column=8 columns=4 source=3", "PREB bank=2"))
    vector = np.arange(64, dtype=F16)
    machine.run({}, {3: vector})
    held = machine.memory(UNIT).read(np.array([2]), np.array([9]), np.array([8]), 4)
    np.testing.assert_array_equal(held[0], vector)


def test_streams_merge_by_stream_number_and_results_need_a_barrier() -> None:
    kernel = Attention(16, 1, 64)
    body = [line for line in kernel.text().splitlines()[2:] if not line.startswith("RDR")]
    read = "RDR query=0 normalise=0"
    first = [".family hbm_pim", ".stream pc=0 sid=0 bg=0", *body, "BAR id=1", read]
    two = "\n".join([*first, ".stream pc=1 sid=0 bg=2", *body, "BAR id=1"])
    q, k, v = draw(kernel, seed=6)
    single, _ = attention(kernel, q, k, v)

    def run(text: str) -> dict[int, Partial]:
        machine = Machine(assemble(text))
        for unit in (UNIT, Unit(1, 0, 2)):
            machine.memory(unit).write(*kernel.place(False), k)
            machine.memory(unit).write(*kernel.place(True), v)
        return machine.run({0: q[0]}).results

    partial = run(two)[0]
    # The same tokens twice: the same mean, twice the weight.
    np.testing.assert_array_equal((partial.output / partial.total).astype(F16), single[0])
    with pytest.raises(IsaError, match="behind a barrier after stream 1"):
        run(two.replace("\nBAR id=1", ""))
    # A barrier of others does not order the two; stream 1 merges after it.
    third = ".stream pc=1 sid=0 bg=3\nBAR id=1"
    late = two[: two.rindex("BAR id=1")] + third
    with pytest.raises(IsaError, match="behind a barrier after stream 1"):
        run(late)


def test_barrier_that_never_opens_is_an_error() -> None:
    text = ".family hbm_pim\n.stream pc=0 sid=0 bg=0\nBAR id=1\nBAR id=1\n"
    with pytest.raises(IsaError, match="barrier 1 must be reached"):
        Machine(assemble(text + ".stream pc=0 sid=0 bg=1\nBAR id=1"))


def test_a_stream_can_run_without_the_others_it_meets() -> None:
    text = ".family hbm_pim\n.stream pc=0 sid=0 bg=0\nBAR id=1\nACT row=1\n"
    machine = Machine(
        assemble(text + ".stream pc=0 sid=0 bg=1\nBAR id=1\nCFG queries=1 part=1 vector=1\nREDG")
    )
    with pytest.raises(IsaError, match="must come after MAX"):
        machine.run({})
    assert machine.run({}, streams=[0]).results == {}


def test_program_with_a_fault_is_refused() -> None:
    with pytest.raises(IsaError, match="APP must keep column"):
        Machine(program("APP bank=0 row=0 column=31 columns=2 source=0"))


def test_empty_program_runs() -> None:
    assert Machine(Program("hbm_pim", (Stream(UNIT, ()),))).run({}).results == {}
