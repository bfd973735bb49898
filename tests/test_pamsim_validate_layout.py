"""The layout proof: holds for sound placements, finds every kind of damage, and its figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handmade import model, place, system
from hypothesis import given, settings
from hypothesis import strategies as st

from pamsim.config import load_system
from pamsim.layout import get_layout
from pamsim.layout.table import BlockTable, Region
from pamsim.model import load_model
from pamsim.validate import prove_layout
from pamsim.workload.step import DecodeStep

SYSTEM = system()
HOMES = [(0, 0), (0, 5), (3, 2)]
SHAPE = model(4, 2, 128)  # 8 columns a vector, 4 vectors a row, 2 layers
STEP = DecodeStep((100, 17))


def table() -> BlockTable:
    return place(SHAPE, STEP, SYSTEM, HOMES)


def with_segment(number: int, **changes: object) -> BlockTable:
    held = table()
    segments = list(held.segments)
    segments[number] = replace(segments[number], **changes)  # type: ignore[arg-type]
    return replace(held, segments=tuple(segments))


def with_region(number: int, name: str, **changes: int) -> BlockTable:
    """The table with the only region of a segment's K or V changed."""
    (region,) = getattr(table().segments[number], name)
    return with_segment(number, **{name: (replace(region, **changes),)})


@given(
    dim=st.sampled_from([64, 80, 96, 128, 256]),
    kv_heads=st.integers(1, 4),
    contexts=st.lists(st.integers(1, 3000), min_size=1, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_layouts_are_right(dim: int, kv_heads: int, contexts: list[int]) -> None:
    shape, step = model(2 * kv_heads, kv_heads, dim, layers=3), DecodeStep(tuple(contexts))
    for held in (
        place(shape, step, SYSTEM, HOMES),
        get_layout("head-split").place(shape, step, SYSTEM, "hbm"),
    ):
        verdict = prove_layout(held, shape, step, SYSTEM)
        assert verdict.verdict == "passed", verdict.first_fault
        assert (verdict.missing, verdict.duplicates) == (0, 0)
        # K and V, FP16
        assert verdict.bytes_needed == 2 * sum(contexts) * kv_heads * dim * 2 * 3
        assert verdict.bytes_fetched >= verdict.bytes_needed


def test_figures_by_hand() -> None:
    shape, step = model(1, 1, 128), DecodeStep((100,))
    verdict = prove_layout(place(shape, step, SYSTEM, [(0, 0)]), shape, step, SYSTEM)
    # 100 tokens on 4 banks: 25 slots, 7 rows of 4 slots, of K and of V, in 2 layers
    assert verdict.kv_elements == 100 * 128 * 2 * 2
    assert verdict.bytes_needed == verdict.kv_elements * 2
    assert verdict.bytes_fetched == 25 * 4 * 256 * 2 * 2  # no token is fetched in vain
    assert verdict.column_accesses == 25 * 8 * 2 * 2
    assert verdict.row_hits == verdict.column_accesses - 7 * 2 * 2
    assert verdict.over_fetch == 1.0
    assert verdict.row_hit_rate == 1 - 7 / 200
    assert (verdict.groups_used, verdict.tokens_per_group_max) == (1, 100)
    assert (verdict.tokens_per_bank_max, verdict.tokens_per_bank_mean) == (25, 25.0)
    # rows 10 to 24 in layer 0, 14 further in layer 1, of 16384
    assert verdict.rows_free == 16384 - 10 - 2 * 14


def test_tail_and_padding_are_over_fetch() -> None:
    shape, step = model(1, 1, 72), DecodeStep((5,))  # 4.5 columns, padded to 5
    verdict = prove_layout(place(shape, step, SYSTEM, [(0, 0)]), shape, step, SYSTEM)
    # 5 tokens are 2 slots of 4 banks x 5 columns x 32 bytes, against 5 x 144 bytes
    assert verdict.over_fetch == pytest.approx((2 * 4 * 160) / (5 * 144))


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (replace(table(), segments=table().segments[1:]), "has no place"),
        (replace(table(), segments=(*table().segments, table().segments[0])), "has two places"),
        (with_segment(0, key=table().segments[0].value[::-1]), "is not read back"),
        (with_segment(3, key=table().segments[0].key, channel=0, group=0), "not read back"),
        (with_region(0, "key", first_row=9), "must begin at 10, not 9"),
        (with_region(0, "value", first_row=16384), "must end below 16384"),
        (with_segment(0, channel=80), "channel of segment of request 0, KV head 0 must be"),
        (with_segment(0, group=16), "group of segment"),
        (with_segment(0, request=2), "request of segment"),
        (with_segment(0, kv_head=2), "KV head of segment"),
        (with_segment(0, tokens=1), "a block for every 16"),
        (with_segment(0, tokens=table().segments[0].tokens - 1), "must hold whole blocks"),
        (with_segment(0, blocks=table().segments[0].blocks[::-1]), "must ascend"),
        (with_segment(0, blocks=table().segments[0].blocks + 5), "must ascend within 0 to 6"),
        (replace(table(), rows_per_layer=table().rows_per_layer - 1), "holds two layers"),
        (replace(table(), rows_per_layer=table().rows_per_layer * 0), "holds two layers"),
        (replace(table(), rows=32768), "rows of the table must be 16384, not 32768"),
        (replace(table(), layers=1), "layers of the table must be 2, not 1"),
        (replace(table(), banks=8), "banks of the table must be 4, not 8"),
        (with_region(0, "key", slots_per_row=5), "a row must hold 5 vectors"),
        (with_region(0, "value", column=1), "a row must hold 4 vectors"),
        (with_region(0, "key", slot_columns=7), "must be 8 columns apart"),
        (with_region(0, "key", block_rows=2), "blocks of 2 rows must not meet"),
        (with_region(0, "value", vector_columns=4), "a vector must have 256 bytes"),
    ],
)
def test_damage_is_found(damaged: BlockTable, message: str) -> None:
    verdict = prove_layout(damaged, SHAPE, STEP, SYSTEM)
    assert verdict.verdict == "violated"
    assert message in verdict.first_fault


def changed(held: BlockTable, piece: int, **changes: object) -> BlockTable:
    """The table with region `piece` of its first segment's K, then V, changed."""
    first, *others = held.segments
    regions = [*first.key, *first.value]
    regions[piece] = replace(regions[piece], **changes)  # type: ignore[arg-type]
    cut = len(first.key)
    first = replace(first, key=tuple(regions[:cut]), value=tuple(regions[cut:]))
    return replace(held, segments=(first, *others))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_column": None}, "a row must hold its scales"),
        ({"scale_column": 32}, "a row must hold the scales of 7 vectors"),
        ({"scale_column": 27}, "is not read back"),  # the last vector's column
        ({"column": 1}, "is not read back"),  # the last vector over the scales
    ],
)
def test_damage_to_scales_is_found(changes: dict[str, object], message: str) -> None:
    # INT8: 128 elements are 4 columns; 7 vectors in 28 columns, their 7 scales in the next one.
    shape = replace(SHAPE, kv_dtype="int8")
    held = get_layout("head-split").place(shape, STEP, SYSTEM, "hbm")
    assert (held.segments[0].key[0].slots_per_row, held.segments[0].key[0].scale_column) == (7, 28)
    assert prove_layout(held, shape, STEP, SYSTEM).verdict == "passed"
    verdict = prove_layout(changed(held, 0, **changes), shape, STEP, SYSTEM)
    assert verdict.verdict == "violated"
    assert message in verdict.first_fault


@pytest.mark.parametrize(
    ("piece", "changes", "message"),
    [
        (2, {"first_row": 5000}, "must be the latent vector of its K"),
        (1, {"first_row": 0}, "is not read back"),  # rope parts over latent vectors
        (1, {"vector_columns": 2}, "a vector must have 128 bytes"),
        (0, {"block_step": 8}, "must be the latent vector of its K"),
    ],
)
def test_damage_to_latent_vectors_is_found(
    piece: int, changes: dict[str, object], message: str
) -> None:
    shape, machine = replace(load_model("deepseek-v2"), layers=2), replace(SYSTEM, weights_tier="")
    held = get_layout("head-split").place(shape, STEP, machine, "hbm")
    verdict = prove_layout(changed(held, piece, **changes), shape, STEP, machine)
    assert verdict.verdict == "violated"
    assert message in verdict.first_fault


def test_missing_and_duplicates_are_counted_in_elements() -> None:
    held = table()
    tokens = held.segments[0].tokens
    each = 2 * 128 * 2  # K and V, elements, layers
    without = prove_layout(replace(held, segments=held.segments[1:]), SHAPE, STEP, SYSTEM)
    assert (without.missing, without.duplicates) == (tokens * each, 0)
    free = replace(held.segments[0], channel=7)  # the same tokens once more, elsewhere
    rows = np.array(held.rows_per_layer)
    rows[7, 0] = rows[0, 0]
    twice = replace(held, segments=(*held.segments, free), rows_per_layer=rows)
    verdict = prove_layout(twice, SHAPE, STEP, SYSTEM)
    assert (verdict.missing, verdict.duplicates) == (0, tokens * each)


def test_interleaved_layers_are_looked_at_one_by_one() -> None:
    """K at row 10, V at row 100, a layer every 2 rows: they do not meet with 32 layers."""
    shape, step = model(1, 1, 128, layers=32), DecodeStep((32,))
    held = place(shape, step, SYSTEM, [(0, 0)])
    (segment,) = held.segments
    key, value = Region(10, 4, 8, 0, 8), Region(100, 4, 8, 0, 8)
    apart = replace(segment, key=(key,), value=(value,))
    rows = np.full_like(held.rows_per_layer, 2)
    held = replace(held, segments=(apart,), rows_per_layer=rows)
    assert prove_layout(held, shape, step, SYSTEM).verdict == "passed"
    value = replace(value, first_row=73)  # K of layer 31 is in rows 72, 73
    near = replace(held, segments=(replace(apart, value=(value,)),))
    verdict = prove_layout(near, shape, step, SYSTEM)
    assert "row 73 of channel 0, group 0 holds two layers" in verdict.first_fault


def test_places_of_the_table_are_what_is_read() -> None:
    class Wrong(BlockTable):
        def places(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
            keys, places = super().places(layer)
            return keys, places + np.uint64(1 << 8)  # one row on

    held = table()
    wrong = Wrong(**{name: getattr(held, name) for name in held.__dataclass_fields__})
    assert "not read back" in prove_layout(wrong, SHAPE, STEP, SYSTEM).first_fault


def test_long_context_of_a_preset() -> None:
    shape, machine, step = load_model("llama-3-8b"), load_system("pam-hbm"), DecodeStep((131072,))
    held = get_layout("head-split").place(shape, step, machine, "hbm")
    verdict = prove_layout(held, shape, step, machine)
    assert verdict.verdict == "passed", verdict.first_fault
    assert (
        verdict.kv_elements == 131072 * 8 * 128 * 2 * 32
    )  # tokens, KV heads, dim, K and V, layers
