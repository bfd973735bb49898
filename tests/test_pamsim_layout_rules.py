"""Every layout and every spread rule: places by hand, and all proofs for odd shapes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from handmade import model
from hypothesis import given, settings
from hypothesis import strategies as st

from pamsim.compiler import CompiledStep, compile_step
from pamsim.config import SystemSpec, load_system
from pamsim.errors import InputError
from pamsim.layout import (
    BLOCK_TOKENS,
    BlockTable,
    Region,
    Segment,
    get_layout,
    list_layouts,
    list_spreads,
)
from pamsim.layout.spread import Shares, get_spread
from pamsim.layout.table import PLACE_FIELDS
from pamsim.model import ModelSpec, load_model
from pamsim.report.proofs import prove_timing
from pamsim.sim import count_commands, simulate
from pamsim.validate import prove_function, prove_layout
from pamsim.workload import make_step
from pim_isa import check

RULES = [(layout, spread) for layout in list_layouts() for spread in list_spreads()]
DIMS = (64, 80, 96, 112, 128, 256)


@cache
def system(layout: str = "head-split", spread: str = "spread") -> SystemSpec:
    """One stack: 16 channels of 16 bank groups of 4 banks."""
    return load_system("pam-hbm", ["tiers.hbm.devices=1", f"layout={layout}", f"spread={spread}"])


def place(shape: ModelSpec, contexts: object, *rules: str) -> BlockTable:
    on = system(*rules)
    # No weights below the cache: rows count from 0.
    on = replace(on, weights_tier="elsewhere")
    return get_layout(on.layout).place(shape, make_step(contexts), on, "hbm")


def test_head_fused_by_hand() -> None:
    # 128 x 2 B are 8 columns of 32 B; K and V of two tokens fill a row of 32 columns.
    (segment,) = place(model(1, 1, 128), "100", "head-fused").segments
    assert segment.key == (Region(0, 2, 16, 0, 8),)
    assert segment.value == (Region(0, 2, 16, 8, 8),)
    # 80 x 2 B are 5 columns: 3 x (5 + 5) = 30 of 32.
    (segment,) = place(model(1, 1, 80), "100", "head-fused").segments
    assert (segment.key[0].slots_per_row, segment.value[0].column) == (3, 5)
    # 100 tokens on 4 banks are 25 slots: 13 rows, where head-split takes 7 for K and 7 for V.
    assert place(model(1, 1, 128), "100", "head-fused").rows_per_layer.max() == 13
    assert place(model(1, 1, 128), "100", "head-split").rows_per_layer.max() == 14
    with pytest.raises(InputError, match="head_dim of handmade must be at most 256, 2 vectors"):
        place(model(1, 1, 257), "1", "head-fused")


def test_token_major_by_hand() -> None:
    table = place(model(8, 8, 128), "100", "token-major")
    # Four heads of 8 columns fill a row; 8 heads are two sets, each in a group of its own.
    assert [s.kv_head for s in table.segments] == list(range(8))
    assert len({(s.channel, s.group) for s in table.segments}) == 2
    for s in table.segments:
        column = s.kv_head % 4 * 8
        # 25 slots of one token a row: 25 rows of K, then those of V.
        assert s.key == (Region(0, 1, 32, column, 8),)
        assert s.value == (Region(25, 1, 32, column, 8),)
    # 5 heads: two sets of 3 (24 of 32 columns) and 2. One head: as head-split.
    five = place(model(5, 5, 128), "100", "token-major")
    assert [s.key[0].column for s in five.segments] == [0, 8, 16, 0, 8]
    assert place(model(4, 1, 128), "100", "token-major").segments[0].place == (
        place(model(4, 1, 128), "100", "head-split").segments[0].place
    )


def test_naive_by_hand() -> None:
    # 16 x 16 = 256 groups; request 0 has 63 blocks, request 1 has 300: its blocks 193 and 300 - 1
    # are numbers 63 + 193 = 256 (group 0 again, one turn on) and 362.
    table = place(model(2, 2, 128), "1000,4800", "naive")
    held = {(s.request, s.kv_head, int(s.blocks[0])): s for s in table.segments}
    assert len(held) == len(table.segments) == 2 * (63 + 256)
    first = held[0, 0, 0]
    assert (first.channel, first.group, first.tokens) == (0, 0, 16)
    # A block is one row of K and one of V for each head: 16 tokens are 4 slots on 4 banks.
    assert [held[0, h, 0].key[0].first_row for h in (0, 1)] == [0, 2]
    assert [held[0, h, 0].value[0].first_row for h in (0, 1)] == [1, 3]
    assert held[0, 0, 17].channel == 1 and held[0, 0, 17].group == 8  # second in filling order
    assert held[0, 0, 62].tokens == 1000 - 62 * 16
    assert (held[1, 0, 193].channel, held[1, 0, 193].group) == (0, 0)
    assert held[1, 0, 193].key[0].first_row == 4  # above the block of request 0
    # Block 0 of request 1 is number 63; 256 blocks on, its block 256 lies in the same group.
    assert held[1, 0, 0].blocks.tolist() == [0, 256]
    assert held[1, 0, 0].key == (Region(0, 4, 8, 0, 8, 1, 4),)
    # 363 blocks on 256 groups: two in the first 107.
    assert Counter((table.rows_per_layer // 4).ravel().tolist()) == {2: 107, 1: 149}
    # 256 x 2 B: two slots a row, so a block has two rows of K and two of V.
    wide = place(model(2, 2, 256), "1000,4800", "naive")
    assert wide.segments[0].key[0].block_slots == 4 and wide.rows_per_layer.max() == 2 * 8


def share_count(shares: Shares) -> Counter[tuple[int, int]]:
    return Counter(zip(shares.request.tolist(), shares.heads.tolist(), strict=True))


def test_spread_over_all_groups_by_hand() -> None:
    # 2 channels of 4 groups; 10 blocks go over all 8, 3 blocks over 3, then round again.
    shares = get_spread("all")([160, 48], 1, 2, 4, 4, 128)
    assert share_count(shares) == {(0, 0): 8, (1, 0): 3}
    assert shares.group is not None
    where = list(zip(shares.channel.tolist(), shares.group.tolist(), strict=True))
    assert where == [(c, g) for c in range(2) for g in range(4)] + [(0, 0), (0, 1), (0, 2)]
    assert shares.tokens.tolist() == [32, 32, 16, 16, 16, 16, 16, 16, 16, 16, 16]


def test_pairs_in_one_channel_by_hand() -> None:
    # 8192 tokens would take 16 groups of 4 x 128 tokens; a channel has 4.
    shares = get_spread("channel")([8192, 8192], 2, 4, 4, 4, 128)
    assert set(share_count(shares).values()) == {4}
    assert shares.channel.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    # Few tokens take few groups, as `spread` has it.
    assert len(get_spread("channel")([1000], 4, 4, 4, 4, 128)) == 4


def test_head_parallel_by_hand() -> None:
    # 3 heads of 2 requests on 4 channels of 4 groups: pairs 0 to 5 in channels 0 1 2 3 0 1.
    shares = get_spread("head-parallel")([640, 32], 3, 4, 4, 4, 128)
    assert share_count(shares) == {(r, h): 4 if r == 0 else 2 for r in (0, 1) for h in range(3)}
    pair = shares.request * 3 + shares.heads
    assert (shares.channel == pair % 4).all()
    assert shares.group is not None
    assert shares.group[pair == 0].tolist() == [0, 1, 2, 3]
    # Pair 4 (request 1, head 1) comes second in channel 0: 4 shares on, the first group again.
    assert shares.group[pair == 4].tolist() == [0, 1]
    assert shares.group[pair == 3].tolist() == [0, 1]  # channel 3 had none before


@pytest.mark.parametrize("spread", list_spreads())
@given(
    contexts=st.lists(st.integers(1, 3000), min_size=1, max_size=6),
    heads=st.integers(1, 5),
    channels=st.integers(1, 20),
)
@settings(max_examples=25, deadline=None)
def test_every_rule_hands_out_every_token_once(
    spread: str, contexts: list[int], heads: int, channels: int
) -> None:
    shares = get_spread(spread)(contexts, heads, channels, 16, 4, 128)
    tokens: Counter[tuple[int, int]] = Counter()
    for request, head, n in zip(shares.request, shares.heads, shares.tokens, strict=True):
        assert n > 0
        tokens[int(request), int(head)] += int(n)
    assert tokens == {(r, h): c for r, c in enumerate(contexts) for h in range(heads)}
    assert int(shares.last.sum()) == len(contexts) * heads
    assert shares.channel.min() >= 0 and shares.channel.max() < channels
    if spread in ("channel", "head-parallel"):
        pairs = {
            (int(r), int(h), int(c))
            for r, h, c in zip(shares.request, shares.heads, shares.channel, strict=True)
        }
        assert len(pairs) == len(contexts) * heads  # a pair keeps to one channel


@given(
    rule=st.sampled_from(RULES),
    dim=st.sampled_from(DIMS),
    kv_heads=st.integers(1, 9),
    contexts=st.lists(st.integers(1, 3000), min_size=1, max_size=4),
    kv_dtype=st.sampled_from(["fp16", "fp8", "int8", "int4"]),
)
@settings(max_examples=60, deadline=None)
def test_every_element_has_one_place(
    rule: tuple[str, str], dim: int, kv_heads: int, contexts: list[int], kv_dtype: str
) -> None:
    shape = replace(model(kv_heads, kv_heads, dim, layers=3), kv_dtype=kv_dtype)
    on, step = system(*rule), make_step(contexts)
    try:
        table = get_layout(on.layout).place(shape, step, on, "hbm")
    except InputError as error:  # 256 x (K, V) fill a row: no room for scales
        assert "room for scales" in str(error) and dim * 4 * shape.kv_bits // 8 > 900
        return
    verdict = prove_layout(table, shape, step, on)
    assert verdict.verdict == "passed", verdict.first_fault
    assert (verdict.missing, verdict.duplicates) == (0, 0)
    assert verdict.kv_elements == 2 * sum(contexts) * kv_heads * dim * 3
    assert verdict.bytes_fetched >= verdict.bytes_needed


@given(
    rule=st.sampled_from(RULES),
    dim=st.sampled_from(DIMS),
    group=st.sampled_from([1, 3]),
    kv_heads=st.sampled_from([1, 3, 4]),
    contexts=st.lists(st.integers(1, 700), min_size=1, max_size=3),
)
@settings(max_examples=30, deadline=None)
def test_every_program_computes_attention(
    rule: tuple[str, str], dim: int, group: int, kv_heads: int, contexts: list[int]
) -> None:
    shape, step = model(group * kv_heads, kv_heads, dim), make_step(contexts)
    compiled = compile_step(shape, step, system(*rule))
    for program in compiled.programs:
        assert check(program.program, rows=compiled.table.rows) == ()
    verdict = prove_function(compiled, shape, step, mode="full")
    assert verdict.verdict == "passed", verdict.first_fault


@pytest.mark.parametrize("rule", RULES, ids="-".join)
def test_commands_keep_the_timing(rule: tuple[str, str]) -> None:
    shape, step = model(2, 2, 128), make_step("600,33")
    compiled = compile_step(shape, step, system(*rule))
    for run in simulate(compiled, log=True):
        verdict = prove_timing(run, compiled.device)
        assert verdict.verdict == "passed", verdict.first


def totals(step: CompiledStep) -> Counter[str]:
    counts: Counter[str] = Counter()
    for program in step.programs:
        for name, n in count_commands(program.program).items():
            counts[name] += n * len(program.bindings)
    return counts


# Rows that the new token of 8 KV heads opens: K and V of each; K and V of a head together; K of
# four heads, V of four heads; K and V of each.
@pytest.mark.parametrize(
    ("layout", "rows"), [("head-split", 16), ("head-fused", 8), ("token-major", 4), ("naive", 16)]
)
def test_rows_that_an_append_opens(layout: str, rows: int) -> None:
    counts = totals(compile_step(model(8, 8, 128), make_step("1000"), system(layout)))
    assert counts["WR"] == 8 * 2 * 8  # heads, K and V, columns
    assert counts["PREpb"] == rows


# Rows that attention opens for 512 tokens of 4 heads, 128 slots: K and V of 4, 2 and 1 slots a row.
@pytest.mark.parametrize(
    ("layout", "slots"), [("head-split", 4), ("head-fused", 2), ("token-major", 1), ("naive", 4)]
)
def test_rows_that_attention_opens(layout: str, slots: int) -> None:
    counts = totals(compile_step(model(4, 4, 128), make_step("512"), system(layout)))
    assert counts["ACTbg"] == 4 * 2 * 128 // slots
    assert counts["MACbg_q1"] == 4 * 2 * 128 * 8


def test_latent_attention_keeps_its_vector_once() -> None:
    shape = replace(load_model("deepseek-v2"), layers=2)
    step, on = make_step("1000,17"), replace(system(), weights_tier="elsewhere")
    table = get_layout("head-split").place(shape, step, on, "hbm")
    verdict = prove_layout(table, shape, step, on)
    assert verdict.verdict == "passed", verdict.first_fault
    assert verdict.kv_elements == 1017 * (512 + 64) * 2  # DeepSeek-V2: kv_lora_rank, rope, layers
    for layout in ("head-fused", "token-major", "naive"):
        with pytest.raises(InputError, match="must be 'head-split'"):
            get_layout(layout).place(shape, step, on, "hbm")


def test_places_have_room_for_every_device() -> None:
    bits = sorted(PLACE_FIELDS.values())
    assert [low for low, _ in bits] == np.cumsum([0, *(n for _, n in bits)])[:-1].tolist()
    assert sum(n for _, n in bits) == 64
    most = {name: (1 << n) - 1 for name, (_, n) in PLACE_FIELDS.items()}
    banks = 64
    region = Region(most["row"], 1, 1, most["column"], 1)
    blocks = np.arange(4)
    segment = Segment(5, 6, 3, 7, 64, (region,), (region,), blocks)
    rows = np.zeros((4, 8), np.int64)
    table = BlockTable("handmade", 1, 4, 8, banks, 1, 1, (segment,), rows, 0, most["row"] + 1)
    keys, places = table.places(0)
    assert keys.tolist() == [[5, 6, n] for n in range(4)]
    expected = {"column": most["column"], "row": most["row"], "group": 7, "channel": 3}
    for name, (low, n) in PLACE_FIELDS.items():
        found = [int(p) >> low & (1 << n) - 1 for p in places]
        assert found == ([0, 16, 32, 48] if name == "bank" else [expected[name]] * 4)
    assert BLOCK_TOKENS == 16
