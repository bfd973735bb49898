"""DDR-PIM: the device's numbers by hand, and the programs of a decode step, counted by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from ddr_cases import DEVICES, compile_small, model, system

from pamsim.compiler.ddr_tiling import choose_ddr_tiling
from pamsim.config import load_device
from pamsim.config.resolver import duration_ticks
from pamsim.errors import CapacityError, InputError
from pamsim.sim import count_commands
from pim_isa import check, decode, load


def counts(shape, contexts, machine, **how) -> Counter[str]:  # type: ignore[no-untyped-def]
    """Commands of all channels' programs for one layer."""
    compiled = compile_small(shape, contexts, machine, **how)
    total: Counter[str] = Counter()
    for program in compiled.programs:
        for name, count in count_commands(program.program).items():
            total[name] += count * len(program.bindings)
    return total


# -- the device ----------------------------------------------------------------------------------


def test_the_peak_by_hand() -> None:
    """128 banks x 8 B every tCCD_L = 8 x 0.625 ns (PAM, arXiv 2602.11521, Table 1): 204.8 GB/s."""
    device = load_device("ddr4-pam")
    o = device.organisation
    pus = o.ranks * o.bank_groups * o.banks * o.chips
    assert pus == 128  # "PIM banks per channel", PAM section 7.1
    by_hand = pus * 8 * 10**12 // (8 * 625)
    assert device.peak_bytes_per_second == by_hand == 204_800_000_000
    # A rank's MACbg every nCCDS = 4 CK, two ranks on one bus: the same rate.
    assert by_hand == 2 * (4 * 64) * 1_600_000_000 // 4


def test_the_dimms_are_as_large_and_as_wide_as_said() -> None:
    """32 GB a DIMM (PAM, Table 1) and 64 pins x 3.2 Gb/s; 64 GiB and 2 x 32 pins x 4.8 Gb/s."""
    ddr4, ddr5 = load_device("ddr4-pam"), load_device("ddr5-pam")
    for device, gib, rate in ((ddr4, 32, 25_600_000_000), (ddr5, 64, 38_400_000_000)):
        o = device.organisation
        assert o.channel_bytes * o.channels_per_device == gib << 30
        assert device.external_bytes_per_second == rate
    # 2 subchannels x 2 ranks x 256 B every nCCDS = 8 CK at 2.4 GHz.
    assert ddr5.peak_bytes_per_second == 2 * 2 * 256 * 2_400_000_000 // 8


def test_durations_by_hand() -> None:
    """A PU cycle is 2 ns = 3.2 CK; rounded up once a command."""
    device = load_device("ddr4-pam")
    for unit, operand, cycles in (
        ("PU", 1, 1),  # 8 B of a chip are its 4 lanes
        ("PU", 4, 4),
        ("MAX", 16, 4 + 2),
        ("EXP", 16, 16 + 11),
        ("SUM", 16, 4 + 2),
        ("RED", 32, 1 + 11 + 4 * 2),
        ("CBM", 0, 1 + 11 + 8),
        ("CBS", 0, 3),
    ):
        assert duration_ticks(device, unit, operand) == -(-cycles * 32 // 10), unit


@pytest.mark.parametrize("name", DEVICES)
def test_two_cycle_commands_are_said_twice_alike(name: str) -> None:
    """`bus_cycles` is what the engines go by, nCA what the checker does."""
    device = load_device(name)
    for command in device.templates.commands:
        short = command.name.startswith(("PRE", "REF"))
        assert command.cycles == (1 if short else device.timing_ck["nCA"]), command.name


# -- how the buffer is shared --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "head_dim", "queries", "parts", "tokens"),
    [
        # 128 B: a piece of 64 B and 16 FP32 partial scores
        ("ddr4-pam", 128, 1, 4, 16),
        ("ddr4-pam", 64, 1, 2, 16),
        ("ddr4-pam", 256, 1, 8, 16),
        ("ddr4-pam", 80, 1, 4, 18),  # 40 B and 22 scores; 6 vectors of 20 columns a row
        ("ddr5-pam", 128, 1, 4, 16),
        # 32 B of a query in each chip and 24 FP32 scores; rows of 16 K and 16 V
        ("ddr4-pam-striped", 128, 1, 1, 16),
        ("ddr4-pam-striped", 64, 1, 1, 28),  # 16 B and 28 scores
        ("ddr4-pam-gqa", 128, 4, 4, 16),  # 512 B for the four query heads
    ],
)
def test_tilings_by_hand(name: str, head_dim: int, queries: int, parts: int, tokens: int) -> None:
    shape, device = model(8, 2, head_dim), load_device(name)
    compiled = compile_small(shape, (64,), system(name))
    found = compiled.tiling
    assert (found.queries, found.parts, found.tokens) == (queries, parts, tokens)
    assert found == choose_ddr_tiling(shape, device, compiled.table.tile_slots)
    assert found.passes == 4 // queries


# -- commands by hand ----------------------------------------------------------------------------


def test_a_tile_by_hand() -> None:
    """512 tokens of one head: 32 PUs x 16 slots. 4 vectors a row: 4 rows of K, 4 of V, each opened
    again for each of 4 pieces; 8 columns of a piece and slot."""
    found = counts(model(1, 1, 128), (512,), system())
    assert found == {
        "ACTbg": 4 * 4 * 2,
        "PREbg": 4 * 4 * 2,
        "MACbg_q1": 2 * 4 * 16 * 8,  # = 512 tokens x 2 x 256 B / 256 B: every column once
        "WRQ": 4 * 8,  # the query in pieces of 8 columns
        "MAX_16": 1,
        "EXP_16": 1,
        "SUM_16": 1,
        "REDBG_32": 4,
        "REDCB": 4 * (8 + 1),
        "RDRES": 4,  # 32 elements of O in FP16 are one burst
        "WR": 2 * 32,
        "PREpb": 2,
    }


def test_a_tail_takes_a_mask() -> None:
    """515 tokens: three more are one slot of a second tile, and one mask for them."""
    found, whole = (counts(model(1, 1, 128), (n,), system()) for n in (515, 512))
    assert found["WRQ"] == 2 * whole["WRQ"] + 1
    assert found["MACbg_q1"] == whole["MACbg_q1"] + 2 * 4 * 8
    assert found["ACTbg"] == whole["ACTbg"] + 4 * 2


def test_query_heads_that_share_a_head_take_passes() -> None:
    one, four = (counts(model(n, 1, 128), (1024,), system()) for n in (1, 4))
    assert four["MACbg_q1"] == 4 * one["MACbg_q1"]
    wide = counts(model(4, 1, 128), (1024,), system("ddr4-pam-gqa"))
    assert wide["MACbg_q4"] == one["MACbg_q1"]


def test_a_new_token_costs_the_bus_writes_of_eight() -> None:
    """K and V of 128 elements are 2 x 4 bursts of 64 B; under the data mask 2 x 32 of 8 B each."""
    shape, vectors = model(1, 1, 128), 2 * 128 * 2
    masked = counts(shape, (512,), system())
    assert masked["WR"] == 8 * (vectors // 64)
    # Eight together fill the same writes: an eighth each.
    grouped = counts(shape, (512,), system(append_mode="grouped"))
    assert grouped["WR"] == masked["WR"] == 8 * vectors // 64
    striped = counts(shape, (512,), system("ddr4-pam-striped"))
    assert striped["WR"] == vectors // 64
    assert counts(shape, (512,), system(), append=False)["WR"] == 0


@pytest.mark.parametrize(("context", "held", "written"), [(511, 504, 0), (512, 512, 64), (7, 0, 0)])
def test_tokens_wait_with_the_host_until_eight_fill_a_write(
    context: int, held: int, written: int
) -> None:
    compiled = compile_small(model(1, 1, 128), (context,), system(append_mode="grouped"))
    assert compiled.held is not None
    assert compiled.held.step.contexts == (held,)
    assert compiled.held.divided == (context % 8 > 0,)
    assert sum(s.tokens for s in compiled.table.segments) == held
    assert sum(count_commands(p.program).get("WR", 0) for p in compiled.programs) == written


def test_striped_scores_are_added_up_at_the_central_buffer() -> None:
    """64 tokens: 4 banks x 16 slots, one tile. Parts of scores: 4 x 16 x 4 B = 256 B a chip in
    bursts of 8 B a chip; the sums go back as FP16. K and V share a row, opened twice."""
    found = counts(model(1, 1, 128), (64,), system("ddr4-pam-striped"))
    assert (found["RDSC"], found["WRSC"]) == (32, 16)
    assert found["MACbg_q1"] == 2 * 16 * 4
    assert (found["ACTbg"], found["WRQ"]) == (2, 4)
    assert (found["REDCB"], found["RDRES"]) == (4 + 1, 4)  # O of 128 elements in FP16: 256 B


def test_a_part_of_a_divided_request_leaves_as_it_is() -> None:
    """O, m, l in FP32: 32 x 4 + 8 B are three bursts a piece in place of one."""
    whole, part = (counts(model(1, 1, 128), (512,), system(), divided=d) for d in (False, True))
    assert (whole["RDRES"], part["RDRES"]) == (4, 12)


# -- programs and places -------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("mode", ["masked", "grouped"])
def test_programs_are_sound_and_come_back_from_their_binaries(name: str, mode: str) -> None:
    compiled = compile_small(model(6, 2, 64), (1, 40, 777), system(name, 2, append_mode=mode))
    assert compiled.programs
    for program in compiled.programs:
        assert check(program.program, rows=compiled.table.rows) == ()
        assert decode(program.binary) == program.program
        units = [s.unit for s in program.program.streams]
        assert len(set(units)) == len(units)


def test_eight_tokens_lie_side_by_side_and_ranks_take_turns() -> None:
    compiled = compile_small(model(1, 1, 128), (4096,), system())
    table = compiled.table
    assert table.banks == 4 * 8
    # 4096 tokens, at least 128 a bank: 8 groups would do, 4 there are; ranks before bank groups.
    assert [s.group for s in table.segments] == [0, 1, 2, 3]
    assert {s.tokens for s in table.segments} == {1024}
    units = [s.unit for s in compiled.programs[0].program.streams]
    assert sorted(units) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    two = compile_small(model(1, 1, 128), (1024,), system())
    assert [s.group for s in two.table.segments] == [0, 2]  # bank group 0 of either rank


def test_equal_channels_share_a_program() -> None:
    compiled = compile_small(model(4, 4, 128), (4096, 4096), system(devices=4))
    assert len(compiled.programs) == 1
    assert [b.channel for b in compiled.programs[0].bindings] == [0, 1, 2, 3]
    assert compiled.idle_channels == 0


def test_a_request_without_tokens_here_has_nothing() -> None:
    compiled = compile_small(model(2, 1, 64), (3, 64), system(append_mode="grouped"))
    assert {s.request for s in compiled.table.segments} == {1}


# -- what does not fit ---------------------------------------------------------------------------


def test_refusals_say_what_is_wrong() -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="head_dim of small must be at most 512, which a row"):
        compile_small(model(1, 1, 520), (16,), system())
    # striped: 8 B of a PU's 128 B for every 32 elements, and an FP32 score: 15 x 8 + 4 <= 128
    compile_small(model(1, 1, 480), (16,), system("ddr4-pam-striped"))
    with pytest.raises(InputError, match="head_dim of small must be at most 480, which the chips'"):
        compile_small(model(1, 1, 481), (16,), system("ddr4-pam-striped"))
    with pytest.raises(InputError, match="kv_layout of ddr4-pam must be 'chip' or 'striped'"):
        compile_small(model(1, 1, 64), (16,), system(kv_layout="diagonal"))
    with pytest.raises(InputError, match="softcap of small must be what DDR-PIM's units compute"):
        compile_small(replace(model(1, 1, 64), softcap=30.0), (16,), system())
    with pytest.raises(InputError, match="kv_dtype of small must be what DDR-PIM's units compute"):
        compile_small(replace(model(1, 1, 64), kv_dtype="int8"), (16,), system())
    with pytest.raises(CapacityError, match="tier 'ddr'"):
        compile_small(model(8, 8, 128, layers=80), (1 << 20,), system())
    tier = system().tier("ddr")
    small = replace(tier.device, pim=replace(tier.device.pim, buffer_bytes=64))
    with pytest.raises(InputError, match="PU buffer of ddr4-pam must hold a column of a query"):
        choose_ddr_tiling(model(1, 1, 128), small, 4)
    chips = replace(tier.device, organisation=replace(tier.device.organisation, chips=4))
    machine = replace(system(), tiers=(replace(tier, device=chips),))
    with pytest.raises(InputError, match="chips of a rank of ddr4-pam must be 8"):
        compile_small(model(1, 1, 128), (16,), machine)


def test_the_table_names_what_a_rank_has() -> None:
    table, o = load("ddr_pim"), load_device("ddr4-pam").organisation
    assert table.constants["units"] == o.banks * o.chips == 32
    assert table.constants["row_columns"] == o.columns
    assert table.spec("ACT").field("row").maximum + 1 == o.rows
