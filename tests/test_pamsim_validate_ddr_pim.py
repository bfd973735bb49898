"""DDR-PIM programs compute attention, for every layout, and every KV element has its place."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from ddr_cases import DEVICES, compile_small, model, system

from pamsim.compiler.compiled import CompiledStep
from pamsim.model.spec import ModelSpec
from pamsim.validate import FunctionalVerdict, prove_function, prove_layout
from pamsim.workload.step import DecodeStep
from pim_isa import Instruction, Stream, encode, load

CONTEXTS = (1, 7, 33, 515, 1300)  # one token; less than a group of 8; tails; more than a tile


def prove(
    compiled: CompiledStep, shape: ModelSpec, mode: str = "full", scores: str = "random"
) -> FunctionalVerdict:
    assert compiled.held is not None
    step = compiled.held.step
    return prove_function(compiled, shape, step, mode=mode, scores=scores)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize(
    ("query_heads", "kv_heads", "head_dim"), [(2, 1, 64), (8, 2, 128), (3, 3, 80), (2, 1, 256)]
)
def test_attention_of_every_shape(
    name: str, query_heads: int, kv_heads: int, head_dim: int
) -> None:
    shape = model(query_heads, kv_heads, head_dim)
    compiled = compile_small(shape, CONTEXTS, system(name))
    verdict = prove(compiled, shape)
    assert (verdict.verdict, verdict.first_fault) == ("passed", "")
    assert verdict.pairs_checked == len(CONTEXTS) * kv_heads
    assert verdict.tokens_checked == sum(CONTEXTS) * kv_heads
    assert verdict.reference == "dense attention in float64"
    assert 0 < verdict.max_abs_error < verdict.bound < 0.02 * verdict.max_abs_value  # type: ignore[operator]


@pytest.mark.parametrize("name", ["ddr4-pam", "ddr4-pam-striped"])
@pytest.mark.parametrize(
    "scores",
    ["huge", "equal", "dominant", "lowest", "alternating", "ascending", "overflow"],
)
def test_scores_that_are_hard(name: str, scores: str) -> None:
    shape = model(1, 1, 64)
    compiled = compile_small(shape, (600,), system(name))
    verdict = prove(compiled, shape, scores=scores)
    assert (verdict.verdict, verdict.first_fault) == ("passed", "")
    assert (verdict.saturated > 0) == (scores == "overflow")


@pytest.mark.parametrize(("append", "divided"), [(False, False), (True, True), (False, True)])
@pytest.mark.parametrize("name", ["ddr4-pam", "ddr4-pam-striped"])
def test_a_tier_may_append_nothing_and_hold_a_part(name: str, append: bool, divided: bool) -> None:
    """A part leaves as (O, m, l); without an append the newest token lies in memory already."""
    shape = model(2, 1, 128)
    compiled = compile_small(shape, (300, 600), system(name, 2), append=append, divided=divided)
    assert prove(compiled, shape).verdict == "passed"
    whole = {q.whole for p in compiled.programs for b in p.bindings for q in b.queries}
    assert whole == {not divided}


@pytest.mark.parametrize("name", ["ddr4-pam", "ddr4-pam-gqa", "ddr4-pam-striped"])
def test_groups_of_eight_tokens(name: str) -> None:
    """512 tokens are written out, eight of them in this step; of 519 seven wait, of 3 all three."""
    shape = model(4, 2, 64)
    compiled = compile_small(shape, (512, 519, 3), system(name, append_mode="grouped"))
    verdict = prove(compiled, shape)
    assert (verdict.verdict, verdict.first_fault) == ("passed", "")
    held = (512, 519, 3) if "striped" in name else (512, 512, 0)
    assert verdict.tokens_checked == 2 * sum(held)


def test_nothing_to_prove_is_not_a_proof() -> None:
    shape = model(1, 1, 64)
    compiled = compile_small(shape, (5,), system(append_mode="grouped"))
    assert prove(compiled, shape).verdict == "not checked"


def test_pairs_over_several_channels_are_merged() -> None:
    shape = model(2, 2, 128)
    compiled = compile_small(shape, (9000,), system(devices=3))
    pairs = [{(s.request, s.kv_head) for s in b.segments}
             for p in compiled.programs for b in p.bindings]  # fmt: skip
    assert sum(len(p) for p in pairs) > 2
    verdict = prove(compiled, shape, mode="default")
    assert verdict.verdict == "passed"
    assert verdict.programs_checked == verdict.programs == len(compiled.programs)


# -- what is wrong is found out --------------------------------------------------------------------


def damaged(compiled: CompiledStep, change) -> CompiledStep:  # type: ignore[no-untyped-def]
    """`change`: instruction -> instruction or None; the first one it changes."""
    first = compiled.programs[0]
    streams, done = [], False
    for stream in first.program.streams:
        code: list[Instruction] = []
        for instruction in stream.instructions:
            changed = instruction if done else change(instruction)
            done = done or changed != instruction
            if changed is not None:
                code.append(changed)
        streams.append(Stream(stream.unit, tuple(code)))
    assert done
    program = replace(first.program, streams=tuple(streams))
    binary = encode(program)
    sha = hashlib.sha256(binary).hexdigest()
    new = replace(first, program=program, binary=binary, sha256=sha)
    return replace(compiled, programs=(new, *compiled.programs[1:]))


def without(mnemonic: str, **operands: int):  # type: ignore[no-untyped-def]
    def change(i: Instruction) -> Instruction | None:
        gone = i.mnemonic == mnemonic and operands.items() <= dict(i.operands).items()
        return None if gone else i

    return change


def with_operand(mnemonic: str, **operands: int):  # type: ignore[no-untyped-def]
    def change(i: Instruction) -> Instruction:
        if i.mnemonic != mnemonic:
            return i
        return load("ddr_pim").make(mnemonic, **{**dict(i.operands), **operands})

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ddr4-pam", without("REDL"), "token 0 must count once with query head 0, not 0 times"),
        ("ddr4-pam", without("APP"), "MAX must work on numbers"),
        ("ddr4-pam", with_operand("APP", chip=3), "MAX must work on numbers"),
        ("ddr4-pam", with_operand("MASK", units=0x3), "K of token 1026 must count once"),
        ("ddr4-pam", with_operand("WRQ", offset=8), "score of token 0"),
        ("ddr4-pam", with_operand("MACK", column=8), "K of token 0 must count once"),
        ("ddr4-pam", with_operand("MACV", base=4), "MACV must work on exponentials"),
        ("ddr4-pam", with_operand("MACV", column=8), "merges one part of the head dimension into"),
        ("ddr4-pam", without("BAR", id=1), "read behind a barrier after stream 1"),
        ("ddr4-pam-striped", without("APPW"), "MAX must work on numbers"),
        ("ddr4-pam-striped", without("SUMX"), "MAX must work on scores"),
        ("ddr4-pam-striped", with_operand("MASK", units=0xFFFF), "K of token 1042 must count once"),
    ],
)
def test_a_wrong_program_is_found_out(name: str, change: object, message: str) -> None:
    """1043 tokens in two groups: 528 and 515, whose last slot has 16 and 3 of 32 places."""
    shape = model(1, 1, 128)
    machine = system(name)
    compiled = compile_small(shape, (1043,), machine)
    assert prove(compiled, shape).verdict == "passed"
    verdict = prove(damaged(compiled, change), shape)
    assert verdict.verdict == "violated"
    assert message in verdict.first_fault


# -- the layout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("head_dim", [64, 80, 128, 256])
def test_every_element_has_its_place(name: str, head_dim: int) -> None:
    shape, machine = model(4, 2, head_dim, layers=3), system(name, 2)
    compiled = compile_small(shape, CONTEXTS, machine)
    verdict = prove_layout(compiled.table, shape, DecodeStep(CONTEXTS), machine, tier="ddr")
    assert (verdict.verdict, verdict.first_fault) == ("passed", "")
    assert verdict.kv_elements == sum(CONTEXTS) * 2 * 2 * head_dim * 3
    assert (verdict.missing, verdict.duplicates) == (0, 0)
    assert verdict.bytes_needed == verdict.kv_elements * 2
    assert verdict.bytes_fetched >= verdict.bytes_needed


def test_bytes_fetched_by_hand() -> None:
    """33 tokens are two slots of 32 places, 2 x 32 columns of 64 B in each of 4 banks for K, and as
    much for V; three layers."""
    shape, machine = model(1, 1, 128, layers=3), system()
    table = compile_small(shape, (33,), machine).table
    verdict = prove_layout(table, shape, DecodeStep((33,)), machine, tier="ddr")
    assert verdict.bytes_fetched == 2 * 2 * 32 * 64 * 4 * 3
    assert verdict.bytes_needed == 33 * 2 * 256 * 3


@pytest.mark.parametrize("damage", ["overlap", "beyond", "token", "places"])
def test_a_wrong_table_is_found_out(damage: str) -> None:
    shape, machine = model(2, 2, 128), system()
    table = compile_small(shape, (600,), machine).table
    first, *others = table.segments
    if damage == "overlap":
        table = replace(table, segments=(replace(first, value=first.key), *others))
    elif damage == "beyond":
        moved = replace(first.key[0], first_row=table.rows - 1)
        table = replace(table, segments=(replace(first, key=(moved,)), *others))
    elif damage == "token":
        fewer = replace(first, tokens=first.tokens - 1)
        table = replace(table, segments=(fewer, *others))
    else:
        table = replace(table, banks=16)
    verdict = prove_layout(table, shape, DecodeStep((600,)), machine, tier="ddr")
    assert verdict.verdict == "violated"
    assert verdict.first_fault


def test_a_token_is_read_back_from_its_chip() -> None:
    """Token 45 is local token 45: slot 1, place 13, so bank 1, chip 5."""
    shape = model(1, 1, 128)
    compiled = compile_small(shape, (64,), system())
    (segment,) = compiled.table.segments
    slot, place = divmod(45, compiled.table.banks)
    assert (slot, *divmod(place, 8)) == (1, 1, 5)
    keys, places = compiled.table.places(0)
    block = int(np.flatnonzero(keys[:, 2] == 45 // 16)[0])  # its block begins at token 32: slot 1
    assert int(places[block]) & 0xFF == segment.key[0].column_of(1) == 32
