"""SSD-PIM: the programs of a decode step and the pages that they read, counted by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ssd_cases import DEVICES, compile_small, model, system

from pamsim.compiler.ssd_tiling import choose_ssd_tiling
from pamsim.config import load_device
from pamsim.errors import CapacityError, InputError
from pamsim.layout.page_map import WornOutError
from pamsim.layout.ssd_pages import page_shape, usable_rows
from pamsim.sim import count_commands, simulate
from pim_isa import check, decode

PAGE_TOKENS = 64  # K vectors of 128 FP16 elements in 16 KiB


def counts(shape, contexts, machine, **how) -> Counter[str]:  # type: ignore[no-untyped-def]
    """Commands of all channels' programs for one layer."""
    compiled = compile_small(shape, contexts, machine, **how)
    total: Counter[str] = Counter()
    for program in compiled.programs:
        for name, count in count_commands(program.program).items():
            total[name] += count * len(program.bindings)
    return total


# -- how the buffer is shared, and what a page holds ---------------------------------------------


@pytest.mark.parametrize(
    ("head_dim", "vectors", "queries", "parts"),
    [
        # 512 B: a query of 256 B and 8 scores of 2 B; a second query has no room
        (128, 64, 1, 1),
        (64, 128, 3, 1),  # 3 x (128 + 16 x 2) B
        (256, 32, 1, 2),  # a query alone fills the buffer: two parts, FP32 scores
        (80, 96, 2, 1),  # 5 columns: 102 vectors, in whole blocks of 16; 2 x (160 + 24) B
        (100, 64, 2, 1),  # 7 columns: 73 vectors; 2 x (224 + 16) B
    ],
)
def test_pages_and_tilings_by_hand(head_dim: int, vectors: int, queries: int, parts: int) -> None:
    shape, device = model(8, 2, head_dim), load_device("ssd-pam")
    page = page_shape(shape, device)
    assert page.vectors == vectors
    found = choose_ssd_tiling(shape, device, page)
    assert (found.queries, found.parts, found.tokens) == (queries, parts, vectors // 8)
    assert found.passes == -(-4 // queries)


# -- commands by hand ----------------------------------------------------------------------------


def test_a_tile_by_hand() -> None:
    """64 tokens of one head: a page of K and one of V. 8 slots x 8 columns of every PU."""
    assert counts(model(1, 1, 128), (PAGE_TOKENS,), system(), append=False) == {
        "READ": 2, "CACHE": 2, "XFER": 2,
        "WRQ_128": 1, "MAC_q64": 2, "MAX_16": 1, "EXP_16": 1, "SUM_16": 1,
        "RED_128": 1, "MRG_128": 1,
        "RDRES_128": 1,  # O of 128 elements in FP16
    }  # fmt: skip


def test_query_heads_share_pages_and_pass_over_them() -> None:
    """8 query heads of a KV head: the pages once, the units 8 times."""
    one, eight = (counts(model(n, 1, 128), (640,), system(), append=False) for n in (1, 8))
    assert eight["XFER"] == one["XFER"] == 2 * 10
    assert eight["MAC_q64"] == 8 * one["MAC_q64"]
    three = counts(model(8, 1, 64), (128,), system(), append=False)  # 3, 3 and 2 queries at a time
    assert {n: c for n, c in three.items() if n.startswith("MAC")} == {
        "MAC_q192": 2 * 2, "MAC_q128": 2,
    }  # fmt: skip


def test_a_page_filled_in_part_is_read_whole_and_worked_on_in_part() -> None:
    found = counts(model(1, 1, 128), (PAGE_TOKENS + 20,), system(), append=False)
    assert found["XFER"] == 4
    assert (found["MAC_q64"], found["MAC_q24"]) == (2, 2)  # 20 vectors are 3 slots


def test_a_new_token_goes_to_the_write_buffer() -> None:
    """The page that it is in is not in flash; it is programmed when the token fills it."""
    shape = model(1, 1, 128)
    filling, full = (counts(shape, (n,), system()) for n in (PAGE_TOKENS + 20, 2 * PAGE_TOKENS))
    assert filling["WRB_128"] == full["WRB_128"] == 2
    assert filling["XFER"] == full["XFER"] == 2
    assert (filling["PROG"], full["PROG"]) == (0, 2)
    # one page of K and one of V for every 64 tokens: 1/32 of a page program a token
    each = counts(shape, tuple(range(1, 2 * PAGE_TOKENS + 1)), system())
    assert (each["PROG"], each["WRB_128"]) == (2 * 2, 2 * 2 * PAGE_TOKENS)


def test_a_part_of_a_divided_request_leaves_as_it_is() -> None:
    """O, m, l in FP32 are 520 B in place of 256 B."""
    found = counts(model(1, 1, 128), (PAGE_TOKENS,), system(), append=False, divided=True)
    assert (found["RDRES_272"], found["RDRES_128"]) == (1, 0)


def test_parts_of_a_long_head_dimension() -> None:
    """256 elements: a query in two halves, each with its K; O in two halves, each merged."""
    found = counts(model(1, 1, 256), (32,), system(), append=False)
    assert found["XFER"] == 2
    assert (found["WRQ_128"], found["MAC_q32"]) == (2, 4)  # 4 slots x 8 columns
    assert (found["RED_128"], found["MRG_128"], found["RDRES_128"]) == (2, 2, 2)


# -- where pages lie -----------------------------------------------------------------------------


def test_tiles_go_round_over_channels_then_planes() -> None:
    """40 tiles of one head: channels first, then dies; 8 x 4 planes, the first 8 have two."""
    compiled = compile_small(model(1, 1, 128), (40 * PAGE_TOKENS,), system(), append=False)
    held = {(s.channel, s.group): s for s in compiled.table.segments}
    assert len(held) == 32
    for (channel, plane), segment in held.items():
        first = plane * 8 + channel
        own = [first] + ([32 + channel] if plane == 0 else [])
        assert segment.blocks.tolist() == [4 * tile + i for tile in own for i in range(4)]
    assert compiled.table.rows_per_layer.tolist() == [[4, 2, 2, 2]] * 8


def test_heads_go_on_where_the_last_one_ended() -> None:
    """Two heads of 5 tiles: the second one's first is on channel 5."""
    compiled = compile_small(model(2, 2, 128), (5 * PAGE_TOKENS,), system(), append=False)
    channels = {h: [s.channel for s in compiled.table.segments if s.kv_head == h] for h in (0, 1)}
    assert sorted(channels[0]) == [0, 1, 2, 3, 4]
    assert sorted(channels[1]) == [0, 1, 5, 6, 7]


def test_pairs_go_round_over_drives() -> None:
    compiled = compile_small(model(2, 2, 128), (64 * 8, 64 * 8), system(devices=2), append=False)
    drive = {(s.request, s.kv_head): s.channel // 8 for s in compiled.table.segments}
    assert drive == {(0, 0): 0, (0, 1): 1, (1, 0): 0, (1, 1): 1}


@pytest.mark.parametrize("name", DEVICES)
def test_programs_are_sound_and_come_back_from_their_binaries(name: str) -> None:
    compiled = compile_small(model(6, 2, 64), (1, 40, 777, 1024), system(name, 2))
    for program in compiled.programs:
        assert check(program.program, rows=compiled.table.rows) == ()
        assert decode(program.binary) == program.program
        units = [s.unit for s in program.program.streams]
        assert len(set(units)) == len(units)
        assert units[0] == (255, 0)


@pytest.mark.parametrize("tokens", [2048, 2000, 2112])
def test_a_long_batch_is_a_short_program(tokens: int) -> None:
    """What comes again is a loop: 32 requests of 8 heads, 256 pairs, in a few hundred words."""
    compiled = compile_small(model(8, 8, 128), (tokens,) * 32, system(), append=False)
    assert max(len(p.binary) for p in compiled.programs) < 20_000
    total = sum(count_commands(p.program)["XFER"] * len(p.bindings) for p in compiled.programs)
    assert total == 2 * 32 * 8 * -(-tokens // PAGE_TOKENS)


def test_units_work_while_pages_come() -> None:
    """8 query heads take the units 8 x 0.3 us a tile, of which a channel brings one in 15 us: the
    flash is all that a step waits for."""
    shape = model(8, 1, 128)
    compiled = compile_small(shape, (64 * 32 * 20,), system(), append=False)
    (found,) = simulate(compiled)
    tokens = 64 * 32 * 20
    rate = tokens * 512 * 1.2e9 / found.result.ticks
    assert 0.96 * compiled.device.peak_bytes_per_second < rate


# -- what does not fit ---------------------------------------------------------------------------


def test_a_page_smaller_than_a_blocks_vectors() -> None:
    machine = system()
    tier = machine.tier("ssd")
    small = replace(tier.device.organisation, row_bytes=2048, column_bytes=2048)
    machine = replace(
        machine, tiers=(replace(tier, device=replace(tier.device, organisation=small)),)
    )
    with pytest.raises(
        InputError, match=r"page of ssd-pam must hold 16 vectors of 256 B .*not be 2048"
    ):
        compile_small(model(1, 1, 128), (16,), machine)


def test_a_worn_out_drive() -> None:
    with pytest.raises(
        WornOutError, match=r"drives of tier 'ssd' must have .* 10000 of 10000 used"
    ):
        compile_small(model(1, 1, 128), (16,), system(erases_before=10000))


def test_more_pages_than_a_plane_has() -> None:
    """The over-provision of 7 % holds no data. 120 tiles a plane and 80 layers are 19,200 pages."""
    assert usable_rows(load_device("ssd-pam")) == 4194304 * 100 // 107
    machine = system()
    tier = machine.tier("ssd")
    few = replace(tier.device.organisation, rows=256 * 80)
    machine = replace(
        machine, tiers=(replace(tier, device=replace(tier.device, organisation=few)),)
    )
    with pytest.raises(CapacityError, match=r"fit the 19140 that a plane .*need 19200 in plane"):
        compile_small(model(1, 1, 128, layers=80), (64 * 32 * 120,), machine)


def test_more_filling_pages_than_the_write_buffer_holds() -> None:
    """80 layers x 2 pages of 16 KiB for each head of a request: 2.5 MiB a head."""
    shape = model(8, 8, 128, layers=80)
    compile_small(shape, (100, 100), system(write_buffer_mib=40))
    with pytest.raises(CapacityError, match=r"write buffer of 40.00 MiB of .*60.00 MiB: 20.00"):
        compile_small(shape, (100, 100, 100), system(write_buffer_mib=40))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"softcap": 30.0}, "softcap of small must be what SSD-PIM's units compute"),
        ({"kv_dtype": "int8"}, "kv_dtype of small must be what SSD-PIM's units compute"),
    ],
)
def test_models_that_the_units_do_not_compute(change: dict[str, object], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        compile_small(replace(model(1, 1, 64), **change), (16,), system())  # type: ignore[arg-type]


def test_a_device_that_the_instruction_set_does_not_have() -> None:
    with pytest.raises(
        InputError, match="processing units of a channel of ssd-pam must be 8, not 4"
    ):
        compile_small(model(1, 1, 64), (16,), system(processing_units=32))
    device = load_device("ssd-pam")
    small = replace(device, pim=replace(device.pim, buffer_bytes=32))
    with pytest.raises(
        InputError, match="PU buffer of ssd-pam must hold a column of a query and the 8"
    ):
        choose_ssd_tiling(model(1, 1, 128), small, page_shape(model(1, 1, 128), device))


def test_a_request_without_tokens_here_has_nothing() -> None:
    compiled = compile_small(model(2, 1, 64), (0, 64), system())
    assert {s.request for s in compiled.table.segments} == {1}
    assert compiled.idle_channels == 7
    nothing = compile_small(model(2, 1, 64), (0,), system())
    assert nothing.programs == () and np.array_equal(nothing.table.rows_per_layer, np.zeros((8, 4)))
