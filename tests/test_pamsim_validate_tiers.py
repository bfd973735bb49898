"""Proof 1 over several tiers: any split of the tokens gives the attention over all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pamsim.compiler import CompiledPart, compile_parts
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.model import load_model
from pamsim.placement import Shard, TierAssignment
from pamsim.validate.functional_tiers import prove_tiers
from pamsim.validate.parts import prove_functions, prove_layouts
from pamsim.workload.step import DecodeStep
from pim_isa import Program, Stream, decode, encode

HBM = load_system("pam-hbm").tier("hbm")
DDR = load_system("ddr-only").tier("ddr")


def machine(*names: str) -> SystemSpec:
    """Tiers of one device each, of these kinds: names that begin with hbm or ddr."""
    tiers = tuple(
        replace(HBM if name.startswith("hbm") else DDR, name=name, devices=1) for name in names
    )
    return replace(load_system("pam-hbm"), tiers=tiers, weights_tier=names[0])


MODEL = replace(
    load_model("llama-3-8b"), layers=1, kv_heads=2, query_heads=4, hidden=256, ffn_hidden=256,
    vocabulary=1000,
)  # fmt: skip
TWO = machine("hbm", "ddr")
THREE = machine("hbm", "ddr", "hbm far")


def compiled(
    system: SystemSpec, contexts: tuple[int, ...], codes: list[list[int]]
) -> tuple[CompiledPart, ...]:
    """codes: tier of every token of every request."""
    arrays = tuple(np.array([c], np.uint8) for c in codes)
    names = tuple(t.name for t in system.tiers)

    def assign(_shard: Shard) -> TierAssignment:
        return TierAssignment(names, arrays)

    return compile_parts(MODEL, DecodeStep(contexts), system, assign)


@st.composite
def splits(draw: st.DrawFn) -> tuple[tuple[int, ...], list[list[int]]]:
    contexts = tuple(draw(st.lists(st.integers(1, 90), min_size=1, max_size=3)))
    kinds = draw(st.lists(st.sampled_from(["runs", "any", "one"]), min_size=len(contexts),
                          max_size=len(contexts)))  # fmt: skip
    codes = []
    for context, kind in zip(contexts, kinds, strict=True):
        if kind == "one":
            codes.append([draw(st.integers(0, 2))] * context)
        elif kind == "any":
            seed = draw(st.integers(0, 2**32))
            codes.append(np.random.default_rng(seed).integers(0, 3, context).tolist())
        else:
            cuts = sorted(draw(st.lists(st.integers(0, context), min_size=2, max_size=2)))
            codes.append([2] * cuts[0] + [1] * (cuts[1] - cuts[0]) + [0] * (context - cuts[1]))
    return contexts, codes


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(splits(), st.integers(0, 1000))
def test_any_split_is_attention(split: tuple[tuple[int, ...], list[list[int]]], seed: int) -> None:
    parts = compiled(THREE, *split)
    verdict = prove_functions(parts, seed=seed, mode="full")
    assert verdict.verdict == "passed", verdict.first_fault
    assert verdict.programs_checked == verdict.programs
    layout = prove_layouts(parts, THREE)
    assert layout.verdict == "passed", layout.first_fault
    # every K and V element of the step has its place in one of the tiers
    assert layout.kv_elements == sum(split[0]) * 2 * 2 * 128


@pytest.mark.parametrize("scores", ["huge", "equal", "dominant", "lowest", "overflow"])
def test_scores_that_are_hard_to_merge(scores: str) -> None:
    codes = [[0, 1, 1, 0, 1] * 12]
    verdict = prove_tiers(compiled(TWO, (60,), codes), mode="full", scores=scores)
    assert verdict.verdict == "passed", verdict.first_fault


def test_an_empty_tier_contributes_nothing() -> None:
    parts = compiled(TWO, (64, 64), [[0] * 64, [1] * 64])
    assert [p.share.divided for p in parts] == [(False,), (False,)]
    assert prove_functions(parts, seed=0, mode="full").verdict == "passed"


def test_a_tier_that_loses_its_last_program_words_is_found() -> None:
    """Without its last REDL the DDR part has no share in the result."""
    parts = compiled(TWO, (64,), [[0, 1] * 32])
    assert prove_tiers(parts, mode="full").verdict == "passed"
    far = next(p for p in parts if p.share.tier == "ddr")
    program = far.step.programs[0]
    merging = program.program.streams[0].instructions
    (last, *_) = [i for i in reversed(merging) if i.mnemonic == "REDC" or i.mnemonic == "REDL"]
    place = len(merging) - 1 - merging[::-1].index(last)
    streams = (
        Stream(program.program.streams[0].unit, merging[:place] + merging[place + 1 :]),
        *program.program.streams[1:],
    )
    changed = Program(program.program.family, streams)
    binary = encode(changed)
    broken = replace(program, program=decode(binary), binary=binary)
    step = replace(far.step, programs=(broken, *far.step.programs[1:]))
    replaced = [replace(p, step=step) if p is far else p for p in parts]
    assert prove_tiers(replaced, mode="full").verdict == "violated"


def test_results_of_divided_queries_are_not_divided_by_l() -> None:
    parts = compiled(TWO, (64, 20), [[0, 1] * 32, [0] * 20])
    for part in parts:
        for program in part.step.programs:
            for binding in program.bindings:
                for query in binding.queries:
                    request = part.share.requests[query.request]
                    assert not (query.whole and request == 0)
