"""Layouts: every token has one place, groups and channels are balanced, errors say what to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamsim.config import SystemSpec, load_system
from pamsim.errors import CapacityError, InputError
from pamsim.layout import BlockTable, get_layout, layout_of, list_layouts, list_spreads
from pamsim.layout.placing import group_order
from pamsim.layout.spread import groups_per_pair, spread
from pamsim.layout.stack import Share, Unit, stack
from pamsim.layout.table import PLACE_FIELDS
from pamsim.model import ModelSpec, load_model
from pamsim.workload import make_step


@cache
def system(devices: int = 1, *more: str) -> SystemSpec:
    return load_system("pam-hbm", [f"tiers.hbm.devices={devices}", *more])


def small(**changes: int) -> ModelSpec:
    shape = {"layers": 2, "hidden": 64, "query_heads": 4, "kv_heads": 2, "head_dim": 128,
             "ffn_hidden": 64, "vocabulary": 100}  # fmt: skip
    return replace(load_model("llama-3-8b"), **{**shape, **changes})


def place(model: ModelSpec, contexts: object, on: SystemSpec | None = None) -> BlockTable:
    return get_layout("head-split").place(model, make_step(contexts), on or system(), "hbm")


def test_groups_a_pair_by_hand() -> None:
    # 5 stacks x 16 channels x 16 groups = 1280 groups; llama-3-8b has 8 KV heads.
    # 4 requests: 32 pairs; 1280 / 32 = 40 groups, but 8192 tokens are 16 x 4 banks x 128.
    assert groups_per_pair([8192] * 4, 8, 1280, 4, 128) == (16,) * 4
    # 80 requests: 640 pairs, 2 groups each; 81 requests: 648 pairs, 1280 / 648 rounded up.
    assert groups_per_pair([8192] * 80, 8, 1280, 4, 128) == (2,) * 80
    assert groups_per_pair([8192] * 81, 8, 1280, 4, 128) == (2,) * 81
    assert groups_per_pair([8192] * 161, 8, 1280, 4, 128) == (1,) * 161
    # Fewer than 4 x 128 tokens: one group. 1023 tokens in two would leave a bank below 128.
    assert groups_per_pair([1, 511, 512, 1023, 1024], 1, 1280, 4, 128) == (1, 1, 1, 1, 2)
    # Groups follow the tokens: 131072 of 139264 tokens get 15 of 16 groups (1280 x 0.94 / 8 heads).
    assert groups_per_pair([131072, 8192], 8, 1280, 4, 128) == (151, 10)
    # Another minimum: 8192 tokens are 32 x 4 x 64 and 4 x 4 x 512.
    assert groups_per_pair([8192] * 4, 8, 1280, 4, 64) == (32,) * 4
    assert groups_per_pair([8192] * 4, 8, 1280, 4, 512) == (4,) * 4


@given(
    contexts=st.lists(st.integers(1, 5000), min_size=1, max_size=12),
    kv_heads=st.integers(1, 9),
    channels=st.integers(1, 40),
    least=st.integers(4, 128).map(lambda n: 4 * n),  # 16 to 512: the range of the constant
)
@settings(max_examples=60, deadline=None)
def test_shares_hold_every_block_once(
    contexts: list[int], kv_heads: int, channels: int, least: int
) -> None:
    shares = spread(contexts, kv_heads, channels, 16, 4, least)
    tokens: Counter[tuple[int, int]] = Counter()
    for request, head, n in zip(shares.request, shares.heads, shares.tokens, strict=True):
        tokens[int(request), int(head)] += int(n)
    assert tokens == {(r, h): c for r, c in enumerate(contexts) for h in range(kv_heads)}
    assert Counter(zip(shares.request.tolist(), shares.heads.tolist(), strict=True)) == {
        (r, h): int(shares.parts[shares.request == r][0])
        for r in range(len(contexts))
        for h in range(kv_heads)
    }
    assert int(shares.last.sum()) == len(contexts) * kv_heads
    assert (np.diff(shares.channel) >= 0).all() and shares.channel.min() >= 0
    assert shares.channel.max() < channels
    # A bank of a divided pair holds at least that many tokens: 4 banks, blocks of 16 tokens.
    divided = shares.tokens[shares.parts > 1]
    assert (divided >= 4 * least).all()
    # No channel holds more than its part of the tokens and one share.
    load = np.bincount(shares.channel, shares.tokens, channels)
    mean = sum(contexts) * kv_heads / channels
    assert load.max() <= mean + shares.tokens.max() + 16 * np.bincount(shares.channel).max()


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7, 10, 33, 80, 81, 150])
@pytest.mark.parametrize("context", [1, 100, 512, 8192, 9001])
def test_equal_requests_fill_channels_evenly(batch: int, context: int) -> None:
    shares = spread([context] * batch, 8, 80, 16, 4, 128)
    count = np.bincount(shares.channel, minlength=80)
    assert count.max() - count.min() <= 1
    # A pair covers the fewest channels that its shares need, and one more where it straddles.
    for first in range(0, len(shares), int(shares.parts[0])):
        own = shares.channel[first : first + int(shares.parts[0])]
        assert len(set(own.tolist())) <= -(-len(own) // max(1, count.min())) + 1


def test_the_minimum_of_the_spread_is_set_by_the_system() -> None:
    # 2 pairs of 8192 tokens, 256 groups: 16 groups each by 128 tokens a bank, 4 by 512, 128 by 16.
    for option, groups in (("128", 16), ("512", 4), ("16", 128)):
        table = place(small(), "8192", system(1, f"spread_min_bank_tokens={option}"))
        assert Counter(s.kv_head for s in table.segments) == {0: groups, 1: groups}


def test_few_pairs_spread_over_stacks() -> None:
    table = place(load_model("llama-3-8b"), "1", system(5))
    channels = [s.channel for s in table.segments]
    assert channels == [0, 10, 20, 30, 40, 50, 60, 70]  # 8 pairs, 80 channels: every tenth


def test_groups_of_a_channel_fill_in_turn() -> None:
    organisation = system().tier("hbm").device.organisation
    # group = (pseudo-channel x 2 + SID) x 4 + bank group
    assert group_order(organisation) == (0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15)
    for contexts in ("2048", "4096", "8192,8192", "16384"):
        table = place(small(), contexts)
        for channel in range(16):
            groups = [s.group for s in table.segments if s.channel == channel]
            per_pc = Counter(g // 8 for g in groups)
            assert abs(per_pc[0] - per_pc[1]) <= 1


def everything(table: BlockTable, layer: int) -> Counter[tuple[int, ...]]:
    """(channel, group, bank, row, column) of K and V of every token, by walking the segments."""
    places: Counter[tuple[int, ...]] = Counter()
    for s in table.segments:
        base = int(table.rows_per_layer[s.channel, s.group]) * layer
        for i in range(s.tokens):
            slot, bank = divmod(i, table.banks)
            for region in s.regions:
                row, place = divmod(slot, region.slots_per_row)
                where = (s.channel, s.group, bank, base + region.first_row + row)
                places[*where, place * region.slot_columns] += 1
    return places


@pytest.mark.parametrize("head_dim", [16, 64, 80, 128, 256, 512])
@pytest.mark.parametrize("contexts", ["1", "5,16,17", "700,31,1024", "3000"])
def test_every_vector_has_its_own_place_inside_the_bank(head_dim: int, contexts: str) -> None:
    model = small(head_dim=head_dim)
    table = place(model, contexts)
    assert table.key_columns == -(-head_dim * 2 // 32)  # 32 B columns, 2 B elements
    # 32 columns in a row of 1 KiB
    assert table.segments[0].key[0].slots_per_row == 32 // table.key_columns
    seen: Counter[tuple[int, ...]] = Counter()
    for layer in range(model.layers):
        seen += everything(table, layer)
    step = make_step(contexts)
    assert set(seen.values()) == {1}
    assert len(seen) == 2 * model.layers * model.kv_heads * sum(step.contexts)
    rows = [where[3] for where in seen]
    assert min(rows) >= table.first_row and max(rows) < table.rows
    blocks: dict[tuple[int, int], list[int]] = {}
    for s in table.segments:
        blocks.setdefault((s.request, s.kv_head), []).extend(s.blocks.tolist())
        assert (np.diff(s.blocks) > 0).all()
    for (request, _), own in blocks.items():
        assert sorted(own) == list(range(-(-step.contexts[request] // 16)))


def test_packed_places_agree_with_the_segments() -> None:
    table = place(small(), "700,31")
    keys, places = table.places(1)
    assert keys.shape == (2 * (44 + 2), 3)  # 700 tokens are 44 blocks, 31 are 2; 2 KV heads

    def field(name: str) -> np.ndarray:
        low, bits = PLACE_FIELDS[name]
        return places >> np.uint64(low) & np.uint64((1 << bits) - 1)

    seen = everything(table, 1)
    names = ("channel", "group", "bank", "row", "column")
    for where in zip(*(field(name).tolist() for name in names), strict=True):
        assert seen[where] == 1


def test_weights_lie_below_the_cache() -> None:
    model = load_model("llama-3-8b")
    table = place(model, "8192,8192,8192,8192", system(5))
    # 80 channels x 64 banks x 1 KiB = 5 MiB a row of the tier; 16.06 GB of weights.
    assert table.first_row == -(-model.weight_bytes // (80 * 64 * 1024)) == 3064
    elsewhere = replace(system(5), weights_tier="ddr")
    assert place(model, "8192", elsewhere).first_row == 0


def test_equal_patterns_get_equal_rows() -> None:
    table = place(load_model("llama-3-8b"), [4096] * 40, system(5))
    patterns = Counter()
    for channel in range(80):
        patterns[tuple(s.place for s in table.segments if s.channel == channel)] += 1
    assert patterns.most_common(1)[0][1] == 80  # 320 pairs, 4 groups each: 16 shares a channel


def test_weights_that_do_not_fit() -> None:
    with pytest.raises(CapacityError) as caught:
        place(load_model("llama-3-70b"), "1", system(5))
    # 70.55 G parameters x 2 B = 131.41 GiB; five stacks of 16 GiB.
    assert str(caught.value) == (
        "weights of llama-3-70b must fit tier 'hbm' of 80.00 GiB, not need 131.41 GiB: "
        "51.41 GiB too much (more devices, or another weights_tier)"
    )


def test_cache_that_does_not_fit() -> None:
    model = load_model("llama-3-8b")
    with pytest.raises(CapacityError) as caught:
        place(model, [8192] * 80, system(5))
    # 80 x 8192 tokens x 128 KiB = 80 GiB; 3064 rows x 5 MiB are the weights'.
    room = 80 * 2**30 - 3064 * 5 * 2**20
    over = 80 * 8192 * 131072 - room
    text = str(caught.value)
    assert f"{room / 2**30:.2f} GiB that tier 'hbm' has beside 14.96 GiB of weights" in text
    assert f"{over / 2**30:.2f} GiB or {-(-over // 131072)} tokens too much" in text


def test_a_cache_that_fits_by_the_byte_but_not_by_the_row() -> None:
    # One token of a pair takes whole rows for K and V: 2 rows x 4 banks x 1 KiB a head and layer.
    model = small(layers=400, kv_heads=100, query_heads=100)
    with pytest.raises(CapacityError) as caught:
        place(model, [1] * 70)
    assert "fullest is bank group" in str(caught.value)


def test_a_long_context_fills_a_channel_to_the_brim() -> None:
    model = load_model("llama-3-8b")
    fits = 65 * 2**30 // 131072  # 65.04 GiB are free
    assert place(model, str(fits * 97 // 100), system(5)).rows == 16384


def test_shares_divide_only_when_a_group_is_full() -> None:
    # Three shares of 64 tokens, two groups, 16 tokens a row: 4 rows of K and 4 of V each.
    shares, unit = [Share(64, 0), Share(64, 1), Share(64, 2)], Unit(16, 2)
    roomy = stack(shares, (0, 1), 10, 16, unit)
    assert [(p.share, p.group, p.tokens) for p in roomy] == [(0, 0, 64), (2, 0, 64), (1, 1, 64)]
    tight = stack(shares, (0, 1), 10, 12, unit)  # 12 rows: 6 of K and 6 of V, 96 tokens
    assert [(p.share, p.group, p.first_block, p.tokens) for p in tight] == [
        (0, 0, 0, 64),
        (2, 0, 0, 32),
        (1, 1, 0, 64),
        (2, 1, 2, 32),
    ]
    assert all(p.row + p.rows <= 22 for p in tight)
    full = stack(shares, (0, 1), 10, 10, unit)  # 2 x 80 tokens for 192: some group runs over
    assert max(p.row + p.rows for p in full) > 20
    assert sum(p.tokens for p in full) == 192


def test_divided_shares_use_the_whole_channel() -> None:
    # 4096 pairs of 2048 tokens on 640 channels of 16 groups: 1.2 shares a group. Undivided, groups
    # with two shares need 2 x 683 tokens x 80 layers, more than the 13019 rows above the weights.
    model = load_model("llama-3-70b")
    table = place(model, [2048] * 512, system(40))
    assert int(table.rows_per_layer.max()) * 80 + table.first_row <= table.rows
    tokens: Counter[tuple[int, int]] = Counter()
    for s in table.segments:
        tokens[s.request, s.kv_head] += s.tokens
    assert set(tokens.values()) == {2048} and len(tokens) == 4096


def test_names_and_dimensions_that_cannot_be_used() -> None:
    assert list_layouts() == ("head-fused", "head-split", "naive", "token-major")
    assert list_spreads() == ("all", "channel", "head-parallel", "spread")
    for option, message in (
        (
            "layout=head_split",
            "layout must be one of 'head-fused', 'head-split', 'naive' or 'token-major', not "
            "'head_split' [--set layout=head_split] (did you mean 'head-split'?)",
        ),
        (
            "spread=chanel",
            "spread must be one of 'all', 'channel', 'head-parallel' or 'spread', not 'chanel' "
            "[--set spread=chanel] (did you mean 'channel'?)",
        ),
    ):
        with pytest.raises(InputError) as caught:
            layout_of(system(1, option))
        assert str(caught.value) == message
    with pytest.raises(InputError, match="head_dim of llama-3-8b must be at most 512"):
        place(small(head_dim=513), "1")
