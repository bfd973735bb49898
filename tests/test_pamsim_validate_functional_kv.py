"""The functional proof with packed KV dtypes, soft-capping and latent attention."""

from __future__ import annotations

from dataclasses import replace
from math import exp, tanh

import numpy as np
import pytest
from handmade import model, system
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import damaged, mutants

from pamsim.compiler import compile_step
from pamsim.compiler.compiled import CompiledStep
from pamsim.errors import InputError
from pamsim.layout import list_layouts
from pamsim.model.parts import MlaSpec
from pamsim.model.spec import ModelSpec
from pamsim.validate import functional_bound as bounds
from pamsim.validate import prove_function
from pamsim.validate.functional_data import SCORES, draw
from pamsim.validate.functional_latent import draw_latent
from pamsim.validate.functional_quantise import quantise
from pamsim.workload.step import DecodeStep
from pim_isa import Arithmetic, Instruction
from pim_isa.formats import FORMATS

PACKED = ("fp8", "int8", "int4")
SYSTEM = system()
FP16_MARGIN = 0.02  # of max |V|: docs/functional-proof.md


def shaped(
    dtype: str, dim: int = 64, heads: int = 2, kv_heads: int = 1, softcap: float | None = None
) -> ModelSpec:
    return replace(model(heads, kv_heads, dim), kv_dtype=dtype, softcap=softcap)


def latent(rank: int, rope: int, heads: int = 2, dtype: str = "fp16") -> ModelSpec:
    mla = MlaSpec(query_rank=None, kv_rank=rank, nope_dim=24, rope_dim=rope, value_dim=20)
    return replace(model(heads, 1, mla.key_dim), mla=mla, kv_dtype=dtype, softmax_scale=0.15)


def prove(shape: ModelSpec, contexts: tuple[int, ...], **options: object) -> tuple:
    step = DecodeStep(contexts)
    machine = options.pop("machine", SYSTEM)
    compiled = compile_step(shape, step, machine)  # type: ignore[arg-type]
    return compiled, prove_function(compiled, shape, step, mode="full", **options)  # type: ignore[arg-type]


# --- sound programs


@given(
    dtype=st.sampled_from(PACKED),
    layout=st.sampled_from(["head-split", "head-fused", "token-major", "naive"]),
    dim=st.sampled_from([40, 64, 80, 128, 256]),
    group=st.sampled_from([1, 2, 5]),
    kv_heads=st.integers(1, 3),
    contexts=st.lists(st.integers(1, 500), min_size=1, max_size=3),
    softcap=st.sampled_from([None, 50.0, 3.3]),
    per_query=st.booleans(),
    seed=st.integers(0, 1000),
    scores=st.sampled_from(SCORES),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_packed_kv_computes_attention(
    dtype: str, layout: str, dim: int, group: int, kv_heads: int, contexts: list[int],
    softcap: float | None, per_query: bool, seed: int, scores: str,
) -> None:  # fmt: skip
    machine = replace(system(buffer_per_query=per_query), layout=layout)
    shape = shaped(dtype, dim, group * kv_heads, kv_heads, softcap)
    _, verdict = prove(shape, tuple(contexts), machine=machine, seed=seed, scores=scores)
    assert verdict.verdict == "passed", verdict.first_fault
    if verdict.score_max <= 16 and scores == "random":
        assert verdict.bound < FP16_MARGIN * verdict.max_abs_value


@given(
    rank=st.sampled_from([16, 40, 64, 200, 512]),
    rope=st.sampled_from([8, 16, 64]),
    heads=st.sampled_from([1, 3, 16]),
    contexts=st.lists(st.integers(1, 300), min_size=1, max_size=3),
    dtype=st.sampled_from(["fp16", "fp8", "bf16"]),
    per_query=st.booleans(),
    seed=st.integers(0, 1000),
    scores=st.sampled_from(SCORES),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_latent_attention_equals_the_unabsorbed_one(
    rank: int, rope: int, heads: int, contexts: list[int], dtype: str, per_query: bool,
    seed: int, scores: str,
) -> None:  # fmt: skip
    machine = system(buffer_per_query=per_query)
    shape = latent(rank, rope, heads, dtype)
    _, verdict = prove(shape, tuple(contexts), machine=machine, seed=seed, scores=scores)
    assert verdict.verdict == "passed", verdict.first_fault
    assert verdict.pairs_checked == len(contexts)  # one KV head


@pytest.mark.parametrize("formats", [("fp32", "fp32"), ("fp32", "fp16"), ("fp16", "fp32")])
@pytest.mark.parametrize("dtype", PACKED)
def test_every_storage_of_scores(dtype: str, formats: tuple[str, str]) -> None:
    machine = system(score_dtype=formats[0], probability_dtype=formats[1])
    _, verdict = prove(shaped(dtype, softcap=20.0), (150,), machine=machine)
    assert verdict.verdict == "passed", verdict.first_fault


def test_a_cap_that_fp16_does_not_hold_is_in_the_bound() -> None:
    shape = shaped("fp16", softcap=0.3001)  # FP16 next to it: 0.30005
    _, verdict = prove(shape, (90,))
    assert verdict.verdict == "passed", verdict.first_fault
    assert verdict.score_max <= 0.3001


def test_programs_say_how_long_a_column_takes() -> None:
    for lanes, cycles in (("fixed", {"fp8": 2, "int8": 2, "int4": 4}), ("widened", {})):
        machine = system(extra={**SYSTEM.tier("hbm").device.pim.extra, "packed_lanes": lanes})
        for dtype in PACKED:
            compiled, verdict = prove(shaped(dtype, heads=1), (40,), machine=machine)
            assert verdict.verdict == "passed", verdict.first_fault
            assert compiled.tiling.column_cycles == cycles.get(dtype, 1)
            # one query: a MACbg lasts as many cycles as its column
            assert compiled.variants.of("queries") == (cycles.get(dtype, 1),)


# --- damaged programs


# What changes no number, each for the reason given.
HARMLESS = {
    ("MACV", "first +1"): "comes right after CLRO",
    ("MACK", "slots +1"): "one more dot product that nothing reads",
    ("SCLK", "columns +1"): "reads a column more",
    ("SCLV", "columns +1"): "reads a column more",
    ("CFG", "queries +1"): "dot products of a query that nobody reads",
    ("PRE", "left out"): "the last of a stream",
}


def harmless(what: str, old: Instruction) -> bool:
    if old.mnemonic == "LOOP":
        # steps that nothing in the body has; of a loop over queries one more, which is nobody's
        unused = ("count +1", "row_step +1", "base_step +1") if old["query_step"] else ()
        return what in (unused or ("query_step +1",))
    return old.mnemonic == "BAR" or (old.mnemonic, what) in HARMLESS


@pytest.mark.parametrize(
    ("shape", "contexts"),
    [
        (shaped("int8", 128, heads=1, softcap=9.0), (70,)),
        (shaped("int4", 64), (37,)),
        (latent(64, 16, heads=1), (40,)),
    ],
    ids=["int8 capped", "int4", "latent"],
)
def test_every_change_of_a_program_is_noticed(shape: ModelSpec, contexts: tuple[int, ...]) -> None:
    compiled, whole = prove(shape, contexts)
    assert whole.verdict == "passed"
    unnoticed, count = [], 0
    for which, held in enumerate(compiled.programs):
        for what, old, program in mutants(held):
            count += 1
            verdict = prove_function(
                damaged(compiled, which, program), shape, DecodeStep(contexts), mode="full"
            )
            if verdict.verdict == "passed" and not harmless(what, old):
                unnoticed.append((what, old))
    assert count > 60  # some 25 instructions with about 4 operands
    assert unnoticed == []


def test_another_format_is_noticed() -> None:
    """The proof goes by the model's dtype, not by what the programs say."""
    step = DecodeStep((50,))
    compiled = compile_step(shaped("int8"), step, SYSTEM)
    assert prove_function(compiled, shaped("fp8"), step).verdict == "violated"


def test_missing_and_needless_appends_are_noticed() -> None:
    shape, step = shaped("int8"), DecodeStep((50,))
    compiled = compile_step(shape, step, SYSTEM)
    verdict = prove_function(compiled, shape, step, append=(False,))
    assert "must be appended to elsewhere" in verdict.first_fault
    for scale in (False, True):
        without = _without_appends(compiled, scale)
        verdict = prove_function(without, shape, step)
        assert verdict.verdict == "violated", f"append of {'scales' if scale else 'vectors'}"


def _without_appends(compiled: CompiledStep, scale: bool) -> CompiledStep:
    """The programs without the APP of vectors, or of scales (one column)."""
    for which, held in enumerate(compiled.programs):
        streams = tuple(
            replace(
                s,
                instructions=tuple(
                    i
                    for i in s.instructions
                    if i.mnemonic != "APP" or (i["source"] % 2 == 1) != scale
                ),
            )
            for s in held.program.streams
        )
        compiled = damaged(compiled, which, replace(held.program, streams=streams))
    return compiled


# --- what cannot be


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        (latent(64, 16, dtype="int8"), "head-split", "must be fp16, bf16 or fp8, not 'int8'"),
        (latent(1040, 16), "head-split", "kv_rank of handmade must be at most 512, a row"),
        (latent(64, 600), "head-split", "rope_dim of handmade must be at most 512"),
        (shaped("int8", 1024), "head-split", "must leave room for scales of int8"),
        (shaped("fp8", 1100), "head-split", "head_dim of handmade must be at most 1024"),
        (shaped("fp16", softcap=1e6), "head-split", "softcap must be a positive FP16 number"),
        *((latent(64, 16), n, "must be 'head-split'") for n in ("head-fused", "token-major")),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled(shape: ModelSpec, layout: str, message: str) -> None:
    assert layout in list_layouts()
    with pytest.raises(InputError, match=message):
        compile_step(shape, DecodeStep((20,)), replace(SYSTEM, layout=layout))


# --- numbers and references


def test_quantiser_by_hand() -> None:
    vectors = np.array([[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float16)
    stored, clipped = quantise(vectors, FORMATS["int8"])
    # scale 2 / 127 = 0.015748 -> FP16 0.01575 (129 x 2^-13); 1 / 0.015747 = 63.5 -> 64, 0.5 -> 32
    scale = 129 * 2.0**-13
    assert stored.scales is not None and stored.scales.tolist() == [scale, 0.0] and clipped == 0
    assert stored.elements.tolist() == [[64, -127, 32, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(stored.numbers()[0], np.array([64, -127, 32, 0]) * scale)
    stored, _ = quantise(vectors, FORMATS["int4"])  # 2 / 7: 1 -> 3.5 -> even 4, 0.5 -> 1.75 -> 2
    assert stored.elements[0].tolist() == [4, -7, 2, 0]
    stored, clipped = quantise(np.array([[500.0, 17.0, 0.1]], np.float16), FORMATS["fp8"])
    # 448 is the largest; 17 is a tie of 16 and 18; 0.1 lies between 0.1015625 and 0.09375
    assert stored.elements[0].tolist() == [448.0, 16.0, 0.1015625] and clipped == 1


@given(name=st.sampled_from(["int8", "int4"]), seed=st.integers(0, 999), size=st.integers(-6, 4))
def test_quantised_numbers_are_near(name: str, seed: int, size: int) -> None:
    form = FORMATS[name]
    rng = np.random.default_rng(seed)
    vectors = (rng.standard_normal((5, 40)) * 4.0**size).astype(np.float16)
    stored, _ = quantise(vectors, form)
    assert stored.scales is not None
    # half a step, and what the rounding of the scale to FP16 does to the greatest element
    step = (
        stored.scales.astype(np.float64) * (0.5 + form.largest * 2.0**-11) + form.largest * 2.0**-25
    )
    off = np.abs(stored.numbers() - vectors.astype(np.float64)).max(axis=1)
    assert (off <= step).all()


def test_unabsorbed_reference_by_scalars() -> None:
    mla = MlaSpec(None, kv_rank=6, nope_dim=3, rope_dim=2, value_dim=4)
    data = draw_latent(
        mla, seed=1, request=0, heads=2, tokens=5, dtype="fp16", scale=0.3, softcap=2.0
    )
    assert data.latent is not None
    ref = bounds.reference(data)
    stored = data.key.numbers().astype(float)
    for h in range(2):
        up_key, up_value, q = data.latent.key[h], data.latent.value[h], data.query[h].astype(float)
        weights, values = [], []
        for c in stored:
            key = [sum(up_key[i, r] * c[r] for r in range(6)) for i in range(3)] + list(c[6:])
            score = 0.3 * sum(a * b for a, b in zip(q, key, strict=True))
            weights.append(exp(2 * tanh(score / 2)))
            values.append(
                np.array([sum(up_value[i, r] * c[r] for r in range(6)) for i in range(4)])
            )
        mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        np.testing.assert_allclose(ref.output[h], mean, rtol=1e-12)
        # what the device gets is the absorbed query, rounded once to FP16
        absorbed = [0.3 * sum(q[i] * up_key[i, r] for i in range(3)) for r in range(6)]
        np.testing.assert_array_equal(data.folded[h, :6], np.array(absorbed, np.float16))
    assert ref.largest_value == max(
        abs(data.latent.value[h] @ c[:6]).max() for h in range(2) for c in stored
    )


def test_projections_are_exact_in_float64() -> None:
    """Multiples of 2^-12 times multiples of 2^-24, below 2^51 of their product's unit."""
    mla = MlaSpec(None, kv_rank=512, nope_dim=2, rope_dim=2, value_dim=2)
    data = draw_latent(mla, seed=3, request=0, heads=1, tokens=40, dtype="fp16", scale=0.1)
    assert data.latent is not None
    whole = data.latent.value[0] * 2.0**12
    fixed = data.value.numbers().astype(np.float64) * 2.0**24
    assert (whole == np.rint(whole)).all() and (fixed == np.rint(fixed)).all()
    exact = [
        [sum(int(a) * int(b) for a, b in zip(w, c, strict=True)) for w in whole] for c in fixed
    ]
    values = data.value.numbers().astype(np.float64) @ data.latent.value[0].T
    assert (values * 2.0**36 == np.array(exact, dtype=np.float64)).all()


def test_softmax_scale_of_the_model() -> None:
    data = draw(
        seed=1, request=0, kv_head=0, heads=4, head_dim=64, tokens=400, dtype="fp16", scale=1.0
    )
    ref = bounds.reference(data)
    # q is drawn so that scores are N(0, 2) whatever the scale: 1600 of them stay below 5 sigma
    assert 5 < ref.score_max < 10 and 1.8 < ref.scores.std() < 2.2
    np.testing.assert_array_equal(data.folded, data.query)


def test_tolerance_of_capped_scores() -> None:
    data = draw(
        seed=0, request=0, kv_head=0, heads=1, head_dim=64, tokens=30, dtype="fp16", softcap=30.0,
        scores="huge",
    )  # fmt: skip
    ref, arithmetic = bounds.reference(data), Arithmetic()
    assert np.abs(ref.folded).max() > 29000
    expected = bounds.expected_scores(ref, arithmetic)
    assert np.abs(expected).max() <= 30
    # the uncapped score's half ulp is 8 there, and the cap's own 2^-7 (16 to 32)
    assert bounds.score_tolerance(ref, 4, arithmetic).max() < 8.1 + 2**-7
