"""The functional proof: holds for sound programs of every shape, fails for every damaged one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from handmade import compile_table, model, place, system
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import damaged, mutants

from pamsim.compiler import compile_step
from pamsim.compiler.compiled import CompiledStep
from pamsim.config import load_system
from pamsim.model import load_model
from pamsim.validate import functional_bound as bounds
from pamsim.validate import prove_function
from pamsim.validate.functional_data import SCORES, convert, draw, to_bf16
from pamsim.validate.functional_quantise import Stored
from pamsim.validate.functional_run import PairRunner
from pamsim.workload.step import DecodeStep
from pim_isa import Arithmetic, Instruction

HOMES = [(0, 0), (0, 5), (3, 2)]  # two groups of channel 0, one of channel 3
SYSTEM = system()


def handmade(
    contexts: tuple[int, ...], heads: int = 2, kv_heads: int = 1, dim: int = 64, tile: int = 8
) -> tuple[CompiledStep, object, DecodeStep]:
    shape, step = model(heads, kv_heads, dim), DecodeStep(contexts)
    return compile_table(place(shape, step, SYSTEM, HOMES), shape, step, SYSTEM, tile), shape, step


# --- sound programs


@given(
    dim=st.sampled_from([64, 80, 96, 128, 256]),
    group=st.sampled_from([1, 2, 4, 7]),
    kv_heads=st.integers(1, 3),
    contexts=st.lists(st.integers(1, 700), min_size=1, max_size=4),
    dtype=st.sampled_from(["fp16", "bf16"]),
    per_query=st.booleans(),
    seed=st.integers(0, 1000),
    scores=st.sampled_from(SCORES),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_compiled_step_computes_attention(
    dim: int, group: int, kv_heads: int, contexts: list[int], dtype: str, per_query: bool,
    seed: int, scores: str,
) -> None:  # fmt: skip
    machine = system(buffer_per_query=per_query)
    shape, step = model(group * kv_heads, kv_heads, dim, dtype), DecodeStep(tuple(contexts))
    compiled = compile_step(shape, step, machine)
    verdict = prove_function(compiled, shape, step, seed=seed, mode="full", scores=scores)
    assert verdict.verdict == "passed", verdict.first_fault
    assert verdict.pairs_checked == len(contexts) * kv_heads
    if verdict.score_max <= 16 and scores == "random":
        assert verdict.bound < 0.02 * verdict.max_abs_value


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("formats", [("fp16", "fp16"), ("fp32", "fp32"), ("fp32", "fp16")])
def test_hard_scores_in_every_format(scores: str, formats: tuple[str, str]) -> None:
    machine = system(score_dtype=formats[0], probability_dtype=formats[1])
    shape, step = model(4, 2, 128), DecodeStep((333, 1))
    compiled = compile_table(place(shape, step, machine, HOMES), shape, step, machine)
    verdict = prove_function(compiled, shape, step, mode="full", scores=scores)
    assert verdict.verdict == "passed", verdict.first_fault
    if scores == "overflow" and formats[0] == "fp16":
        # two of three tokens of both requests are beyond 65504, with 4 query heads each; token 0
        # is one of them: 333 x 2/3 = 222, and 1
        assert verdict.saturated == (222 + 1) * 4
    else:
        assert verdict.saturated == 0
    assert ("dense" in verdict.reference) == (verdict.score_max <= 16)


def test_fp32_scores_are_nearer_and_their_bound_is_tighter() -> None:
    verdicts = []
    for dtype in ("fp16", "fp32"):
        machine = system(score_dtype=dtype, probability_dtype=dtype)
        shape, step = model(2, 1, 256), DecodeStep((900,))  # scale 1/16 folds without rounding
        compiled = compile_table(place(shape, step, machine, HOMES), shape, step, machine)
        verdicts.append(prove_function(compiled, shape, step))
    assert verdicts[1].bound < verdicts[0].bound / 2
    assert verdicts[1].max_abs_error < verdicts[0].max_abs_error


def test_default_covers_every_program_and_the_ends() -> None:
    shape, machine = load_model("llama-3-8b"), load_system("pam-hbm")
    step = DecodeStep((2000, 40, 3000, 1))
    compiled = compile_step(shape, step, machine)
    verdict = prove_function(compiled, shape, step)
    assert verdict.verdict == "passed", verdict.first_fault
    assert verdict.programs_checked == verdict.programs == len(compiled.programs)
    assert 2 <= verdict.pairs_checked < verdict.pairs == 4 * 8  # requests x KV heads
    assert "all their tokens" in verdict.coverage
    again = prove_function(compiled, shape, step)
    assert again == verdict
    assert prove_function(compiled, shape, step, seed=1).max_abs_error != verdict.max_abs_error


def test_off_is_not_checked() -> None:
    compiled, shape, step = handmade((20,))
    verdict = prove_function(compiled, shape, step, mode="off")  # type: ignore[arg-type]
    assert (verdict.verdict, verdict.coverage) == ("not checked", "NOT CHECKED")
    assert verdict.max_abs_error is None and verdict.pairs_checked == 0


# --- damaged programs


def harmless(what: str, old: Instruction) -> bool:
    """Changes that leave the function as it is, each for the reason given."""
    if old.mnemonic == "BAR":
        return True  # the test below
    if old.mnemonic == "LOOP" and old["count"] == 1:
        return True  # steps of a loop that runs once; count + 1 fills slots that nothing reads
    return (old.mnemonic, what) in {
        ("MACV", "first +1"),  # comes right after CLRO
        ("MACK", "slots +1"),  # one more score that nothing reads
        ("CFG", "left out"),  # the second head's is like the first's
        ("PRE", "left out"),  # the last of a stream: checked below
    }


def test_every_change_of_a_program_is_noticed() -> None:
    compiled, shape, step = handmade((70,))
    unnoticed, count = [], 0
    for which, held in enumerate(compiled.programs):
        for what, old, program in mutants(held):
            count += 1
            verdict = prove_function(damaged(compiled, which, program), shape, step, mode="full")  # type: ignore[arg-type]
            if verdict.verdict == "passed" and not harmless(what, old):
                unnoticed.append((what, old))
    assert count > 400  # about 100 instructions with about 2 operands
    assert unnoticed == []


def test_result_read_without_a_barrier_is_noticed() -> None:
    compiled, shape, step = handmade((70,))
    program = compiled.programs[0].program
    second = program.streams[1]
    body = tuple(i for i in second.instructions if i.operands != (("id", 1),))
    changed = replace(program, streams=(program.streams[0], replace(second, instructions=body)))
    verdict = prove_function(damaged(compiled, 0, changed), shape, step)  # type: ignore[arg-type]
    assert verdict.verdict == "violated"
    assert "must be read behind a barrier after stream 1" in verdict.first_fault


def test_binary_is_what_is_proved() -> None:
    compiled, shape, step = handmade((20,))
    broken = replace(compiled.programs[0], binary=compiled.programs[0].binary[:-8])
    verdict = prove_function(
        replace(compiled, programs=(broken, *compiled.programs[1:])), shape, step
    )  # type: ignore[arg-type]
    assert verdict.verdict == "violated" and "binary must have" in verdict.first_fault


def test_wrong_bindings_are_noticed() -> None:
    compiled, shape, step = handmade((70,))
    for number, held in enumerate(compiled.programs):
        binding = held.bindings[0]
        first, second = binding.queries
        variants = {"queries": (first, first)}
        variants["queries "] = (replace(first, whole=not first.whole), second)
        variants["queries  "] = (replace(first, request=1), second)
        if binding.appends:
            variants["appends"] = binding.appends[::-1]  # type: ignore[assignment]
        for name, value in variants.items():
            changed = replace(held, bindings=(replace(binding, **{name.strip(): value}),))  # type: ignore[arg-type]
            programs = (*compiled.programs[:number], changed, *compiled.programs[number + 1 :])
            verdict = prove_function(replace(compiled, programs=programs), shape, step)  # type: ignore[arg-type]
            assert verdict.verdict == "violated", name


def test_channel_without_a_program_is_noticed() -> None:
    compiled, shape, step = handmade((70,))
    verdict = prove_function(replace(compiled, programs=compiled.programs[:1]), shape, step)  # type: ignore[arg-type]
    assert verdict.first_fault.endswith("channel 3 holds tokens and has no program")


def test_saturated_outputs_are_counted_and_fail() -> None:
    """sum P x V of 2 x 64 equal tokens of 2000: 128000 > 65504 at the group's hand-over."""
    compiled = handmade((400,), tile=32)[0]
    data = draw(
        seed=0, request=0, kv_head=0, heads=2, head_dim=64, tokens=400, dtype="fp16", scores="equal"
    )
    data = replace(data, value=Stored(data.value.form, np.full_like(data.value[:], 2000), None))
    outcome = PairRunner(compiled, 64, 2).run(0, 0, data)
    assert outcome.faults == () and outcome.saturations.total > 0
    assert np.isfinite(outcome.output).all() and (np.abs(outcome.output) <= 2000).all()


# --- data and bound


def test_bf16_rounds_to_nearest_even_and_clips() -> None:
    # bf16 has 8 significant bits: 257 and 259 are ties (to even), 258 is representable
    assert to_bf16(np.array([257, 258, 259, 1.0], np.float32)).tolist() == [256, 258, 260, 1.0]
    half, clipped = convert(np.array([1e6, -1e6, 3.0], np.float32), "bf16")
    assert half.tolist() == [65504, -65504, 3.0] and clipped == 2


@pytest.mark.parametrize("dim", [64, 96, 128])
def test_patterns_have_the_scores_they_say(dim: int) -> None:
    for name, low, high in (
        ("huge", 29000, 30100),
        ("lowest", 59000, 60100),
        ("alternating", 11.9, 12.1),
        ("ascending", 14.9, 15.1),
        ("overflow", 290000, 301000),
    ):
        data = draw(
            seed=3, request=0, kv_head=0, heads=1, head_dim=dim, tokens=200, dtype="fp16",
            scores=name,
        )  # fmt: skip
        assert low < bounds.reference(data).score_max < high, name
    with pytest.raises(ValueError, match="scores must be one of"):
        draw(seed=0, request=0, kv_head=0, heads=1, head_dim=64, tokens=1, dtype="fp16", scores="x")


def test_reference_is_softmax_attention() -> None:
    data = draw(seed=1, request=0, kv_head=0, heads=2, head_dim=64, tokens=9, dtype="fp16")
    q, k, v = (x.astype(np.float64) for x in (data.query, data.key[:], data.value[:]))
    for head in range(2):
        weight = [math.exp(sum(q[head, c] * k[i, c] for c in range(64)) / 8) for i in range(9)]
        expected = sum(w * v[i] for i, w in enumerate(weight)) / sum(weight)
        np.testing.assert_allclose(bounds.reference(data).output[head], expected, rtol=1e-12)


def test_half_ulp_of_scores() -> None:
    # FP16: 11 significant bits; in [8, 16) the spacing is 2^-7, at 65504 it is 32
    got = bounds.half_ulp(np.array([8, 15.99, 16, 1.0, 0.0, 65504]), Arithmetic())
    assert got.tolist() == [2**-8, 2**-8, 2**-7, 2**-11, 2**-25, 16]


def test_bound_for_scores_up_to_16_is_below_two_percent_of_v() -> None:
    """The worst case: scores just below 16, all weight on one token (L = 1), 32768 tokens."""
    tokens = 32768
    scores = np.full((1, tokens), -15.9)
    scores[0, 0] = 15.9
    arithmetic = Arithmetic()
    values = bounds.value_bound(scores, 1.0, 128, 64 * 2 + 80, arithmetic)
    storing = bounds.half_ulp(15.9, arithmetic)
    assert float(values[0] + storing) + 0.003 < 0.02  # 0.003: the folding of the scale, measured
