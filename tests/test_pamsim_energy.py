"""Energy terms against sums by hand. Constants: AttAcc, FGDRAM and Ayna as in energy/hbm3.yaml."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep, Tiling
from pamsim.config import ProgramVariants, describe, load_system
from pamsim.config.spec import Constant, EnergyTable, SystemSpec
from pamsim.energy import (
    EnergyAccount,
    EnergyTerm,
    StepActivity,
    TierActivity,
    account,
    banks_of,
    command_work,
)
from pamsim.energy.background import refresh_interval_ps
from pamsim.layout.table import BlockTable
from pamsim.sim.run import ChannelRun
from pim_isa import assemble
from pyramulator.result import ChannelResult, Residency
from pyramulator.stream import CommandStream

SYSTEM = load_system("pam-hbm")
DEVICE = SYSTEM.tier("hbm").device
CHANNELS, LAYERS = 3, 2
TICKS = 26_000  # 10 us at 2.6 GHz


def system(*drop: str, **change: float) -> SystemSpec:
    """pam-hbm without, or with other, or with more energy constants."""
    kept = [c for c in DEVICE.energy.constants if c.name not in (*drop, *change)]
    kept += [Constant(name, value, "1", "test") for name, value in change.items()]
    device = replace(DEVICE, energy=EnergyTable(tuple(kept)))
    return replace(SYSTEM, tiers=(replace(SYSTEM.tier("hbm"), device=device),))


def storing(score: str, probability: str) -> SystemSpec:
    """pam-hbm with scores and probabilities stored in these formats."""
    device = "tiers.hbm.device.pim"
    return load_system(
        "pam-hbm", [f"{device}.score_dtype={score}", f"{device}.probability_dtype={probability}"]
    )


def terms(
    counts: dict[str, int],
    machine: SystemSpec = SYSTEM,
    activity: StepActivity | None = None,
    residency: tuple[int, int, int, int] = (TICKS, 0, 0, TICKS),
    program: str = "",
) -> dict[str, EnergyTerm]:
    """Terms by name of 3 channels x 2 layers that each issued `counts` in 10 us."""
    found = evaluate(counts, machine, activity, residency, program)
    assert found.missing == ()
    return {t.name: t for t in found.terms}


def evaluate(
    counts: dict[str, int],
    machine: SystemSpec = SYSTEM,
    activity: StepActivity | None = None,
    residency: tuple[int, int, int, int] = (TICKS, 0, 0, TICKS),
    text: str = "",
) -> EnergyAccount:
    device = machine.tier("hbm").device
    bindings = tuple(ChannelBinding(c, (), (), (), ()) for c in range(CHANNELS))
    assembled = assemble(f".family hbm_pim\n.stream pc=0 sid=0 bg=0\n{text}")
    program = ChannelProgram(assembled, b"", "0" * 64, bindings)
    active, precharged, refreshing, open_banks = (np.array([n, n]) for n in residency)
    result = ChannelResult(
        TICKS, counts, None, Residency("PseudoChannel", active, precharged, refreshing, open_banks)
    )
    run = ChannelRun(
        program,
        CommandStream(np.zeros((0, 5), np.int32), ()),
        describe(device, ProgramVariants(queries=(1,), elements=(128,), reduced_elements=(128,))),
        result,
        LAYERS,
    )
    table = BlockTable("handmade", 2, 80, 16, 4, 8, 8, (), np.zeros((80, 16), np.int64), 0, 16384)
    compiled = CompiledStep(
        "hbm", device, LAYERS, table, Tiling(1, 128, 1, 8, 1), (program,),
        ProgramVariants(queries=(1,), elements=(128,), reduced_elements=(128,)), 80 - CHANNELS,
    )  # fmt: skip
    quiet = TierActivity("hbm", 20_000_000, 0, 0, 0, 0, 0, 128)
    return account(
        [compiled], [[run]], machine, activity or StepActivity(20_000_000, 0, 0, (quiet,))
    )


@pytest.mark.parametrize(
    ("command", "term", "count", "unit"),
    [
        # command, its term, what one command is of it, the constant
        ("ACT", "activate", 1, 909),
        ("ACTbg", "activate", 4, 909),  # the four banks it opens
        ("MACbg_q1", "mac_cell_read", 4 * 32 * 8, 0.44),  # 32 B in each of four banks, in bits
        ("MACbg_q1", "mac_arithmetic", 4 * 16, 0.32),  # 16 lanes in each of four PUs
        ("MACbg_q3", "mac_cell_read", 4 * 32 * 8, 0.44),  # the column is read once for 3 queries
        ("MACbg_q3", "mac_arithmetic", 3 * 4 * 16, 0.32),
        ("MAX_64", "maximum", 4 * 64, 0.08),
        ("EXP_64", "exponential", 4 * 64, 1.28),
        ("SUM_64", "sum", 4 * 64, 0.16),
        # O of one query and its l, from each of four PUs; one weight a PU
        ("REDBG_128", "group_reduction", 4 * (128 + 1), 0.32),
        ("REDBG_128", "group_reduction_exponential", 4, 1.28),
        # two queries of 128 elements: 256 elements of O
        ("REDBG_256", "group_reduction", 4 * (256 + 2), 0.32),
        ("REDBG_256", "group_reduction_exponential", 4 * 2, 1.28),
        ("REDBG_128", "group_reduction_path", 4 * 128 * 16, 1.01),
        ("REDLD", "logic_die_path", 256, 1.23 + 0.5),  # to the global I/O, through the TSV
        ("WRQ", "query_load_path", 256, 1.73),
        ("WRQ", "query_load_bank_group", 4 * 256, 1.01),  # broadcast to four PUs
        ("RD", "read", 256, 3.18),  # 0.44 + 1.01 + 1.23 + 0.5, without the interposer
        ("WR", "write", 256, 3.18),
        ("REFab", "refresh", 1, 102.85 * 350),  # mW x 350 ns
    ],
)
def test_a_command_costs_what_it_does(command: str, term: str, count: int, unit: float) -> None:
    found = terms({command: 5})[term]
    # 5 commands a run, 3 channels, 2 layers
    assert found.count == 5 * CHANNELS * LAYERS * count
    assert found.unit_energy_pj == pytest.approx(unit, rel=1e-12)
    assert found.pj == found.unit_energy_pj * found.count
    assert dict(found.commands) == {command: count}
    assert found.source


def test_a_mac_pays_no_way_to_the_pins() -> None:
    names = set(terms({"MACbg_q1": 1}, program=KEYS.format(q=1)))
    charged = {n for n in names if not n.startswith(("background", "refresh"))}
    assert charged == {"mac_cell_read", "mac_arithmetic", "mac_buffers"}


# Two rows of four vectors of 8 columns: 2 x 4 x 8 = 64 MACs.
KEYS = """CFG queries={q} part=8 vector=8
LOOP count=2 row_step=1 base_step=4
MACK row=5 column=0 slots=4 base=0 mask=15 last=1
END"""
VALUES = KEYS.replace("MACK", "MACV").replace(" last=1", "")


@pytest.mark.parametrize(
    ("program", "formats", "bytes_per_bank"),
    [
        (KEYS, ("fp16", "fp16"), 64 * 2 * 32),  # 32 B of each of two queries
        (VALUES, ("fp16", "fp16"), 64 * 2 * 2),  # a probability for each of two queries
        (VALUES, ("fp16", "fp32"), 64 * 2 * 4),
        (VALUES, ("fp32", "fp16"), 64 * 2 * 2),
        (f"{KEYS}\n{VALUES}", ("fp16", "fp16"), 64 * 2 * (32 + 2)),
    ],
)
def test_a_mac_reads_a_query_or_a_probability(
    program: str, formats: tuple[str, str], bytes_per_bank: int
) -> None:
    found = terms({"MACbg_q2": 64}, storing(*formats), program=program.format(q=2))["mac_buffers"]
    assert found.count == 4 * bytes_per_bank * 8 * CHANNELS * LAYERS  # bits of four banks
    assert found.unit_energy_pj == 0.0034 / 8


@pytest.mark.parametrize(
    ("command", "formats", "bytes_per_element"),
    [
        ("MAX_64", ("fp16", "fp32"), 2),  # a score is read
        ("MAX_64", ("fp32", "fp16"), 4),
        ("EXP_64", ("fp16", "fp16"), 2 + 2),  # a score is read, a probability written
        ("EXP_64", ("fp32", "fp16"), 4 + 2),
        ("EXP_64", ("fp16", "fp32"), 2 + 4),
        ("SUM_64", ("fp32", "fp16"), 2),  # a probability is read
        ("SUM_64", ("fp16", "fp32"), 4),
    ],
)
def test_softmax_moves_scores_and_probabilities_as_they_are_stored(
    command: str, formats: tuple[str, str], bytes_per_element: int
) -> None:
    found = terms({command: 1}, storing(*formats))["buffers"]
    assert dict(found.commands) == {command: 4 * 64 * bytes_per_element * 8}  # bits of four banks


def test_a_merge_on_the_logic_die_has_two_exponentials() -> None:
    # 18 REDLD are two merges of a query of 8 columns, (m, l) in the ninth. Each: u and w of the
    # instruction table's REDL, and two MACs for each of 128 elements of O and for l.
    found = terms({"REDLD": 18})
    assert found["logic_die_reduction"].count == 2 * 2 * (128 + 1) * CHANNELS * LAYERS
    assert found["logic_die_exponential"].count == 2 * 2 * CHANNELS * LAYERS
    assert found["logic_die_exponential"].pj == pytest.approx(2 * 2 * 6 * 1.28)


# (command, terms by hand in pJ): every byte is 8 bits, constants are those of energy/hbm3.yaml
BY_HAND = {
    # 4 banks x 909 pJ
    "ACTbg": {"activate": 3636.0},
    # 4 banks x 32 B x 8 bit x 0.44 pJ/bit; 4 PUs x 16 lanes x 0.32 pJ
    "MACbg_q1": {"mac_cell_read": 450.56, "mac_arithmetic": 20.48},
    # 4 PUs x 64 elements x 0.08 pJ; 4 x 64 x 2 B x 0.0034 pJ/B
    "MAX_64": {"maximum": 20.48, "buffers": 1.7408},
    # 4 x 64 x 1.28 pJ; 4 x 64 x (2 B + 2 B) x 0.0034 pJ/B
    "EXP_64": {"exponential": 327.68, "buffers": 3.4816},
    # 4 x 64 x 0.16 pJ; 4 x 64 x 2 B x 0.0034 pJ/B
    "SUM_64": {"sum": 40.96, "buffers": 1.7408},
    # 32 B x 8 bit x (1.23 + 0.5) pJ/bit; 4 PUs x 32 B x 8 bit x 1.01; 4 x 32 B x 0.0034 pJ/B
    "WRQ": {"query_load_path": 442.88, "query_load_bank_group": 1034.24, "buffers": 0.4352},
    # 4 x (128 + 1) MACs x 0.32; 4 x 1.28; 4 x 128 x 2 B x 8 bit x 1.01; 4 x 128 x (2 B + 2 B)
    "REDBG_128": {"group_reduction": 165.12, "group_reduction_exponential": 5.12,
                  "group_reduction_path": 8273.92, "buffers": 6.9632},
    # 32 B x 8 bit x 1.73 pJ/bit; 32 B read, 16 FP32 elements read and written: 160 B x 0.0034
    "REDLD": {"logic_die_path": 442.88, "buffers": 0.544},
    # 32 B x 0.0034 pJ/B
    "RDRES": {"buffers": 0.1088},
    # 32 B x 8 bit x (0.44 + 1.01 + 1.23 + 0.5) pJ/bit
    "RD": {"read": 814.08},
    "WR": {"write": 814.08},
    # 102.85 mW x 350 ns
    "REFab": {"refresh": 35997.5},
}  # fmt: skip


@pytest.mark.parametrize("command", BY_HAND)
def test_one_command_by_hand(command: str) -> None:
    """Every term of one command that issued once in each of 3 channels and 2 layers."""
    found = {n: t for n, t in terms({command: 1}).items() if t.commands}
    assert {n: t.pj / 6 for n, t in found.items()} == pytest.approx(BY_HAND[command], rel=1e-12)


def test_one_step_s_pins_by_hand() -> None:
    # 100 B x 8 bit x 0.3 pJ/bit of interposer; 1 mW x 1 ns is 1 pJ: 160 pseudo-channels, of which
    # 6 were open for 2 x 10 us at 78.32 mW, stand by for the rest of 20 us at 77.55 mW.
    activity = TierActivity("hbm", 20_000_000, 100, 0, 0, 0, 0, 128)
    found = terms({}, activity=StepActivity(20_000_000, 0, 0, (activity,)))
    assert found["query_broadcast"].pj == pytest.approx(240.0)
    assert found["background_active"].pj == pytest.approx(12 * 10_000 * 78.32)
    assert found["background_waiting"].pj == pytest.approx((160 * 2 - 12) * 10_000 * 77.55)


def test_precharges_are_in_the_activates_constant() -> None:
    without, with_pre = terms({"ACTbg": 3}), terms({"ACTbg": 3, "PREbg": 9, "PREab": 2})
    assert without == with_pre


def test_a_multiple_of_a_read_replaces_the_macs_terms() -> None:
    plain = terms({"MACbg_q1": 10, "ACTbg": 1})
    found = terms({"MACbg_q1": 10, "ACTbg": 1}, system(mac_read_multiple=3))
    assert set(plain) - set(found) == {"mac_cell_read", "mac_arithmetic"}
    assert set(found) - set(plain) == {"mac_read_multiple"}
    assert found["mac_read_multiple"].pj == pytest.approx(3 * plain["mac_cell_read"].pj)
    assert found["activate"] == plain["activate"]


@pytest.mark.parametrize(
    "name", ["act_pre_pj", "mac_pj", "background_precharged_mw", "tsv_pj_per_bit"]
)
def test_a_missing_constant_makes_the_energy_unknown(name: str) -> None:
    found = evaluate({"ACTbg": 1, "MACbg_q1": 1, "REDLD": 9}, system(name))
    assert found.total_pj is None
    assert found.terms == ()
    assert found.missing == (f"hbm3-pam: {name}",)


def test_a_constant_that_nothing_needs_may_be_missing() -> None:
    assert evaluate({"ACTbg": 1}, system("exponential_pj")).total_pj is not None


def test_a_host_without_energy_makes_the_energy_unknown() -> None:
    host = replace(SYSTEM.host, energy_pj_per_flop=None)
    assert evaluate({}, replace(SYSTEM, host=host)).missing == ("h100: energy",)


class TestBackground:
    def test_every_pseudo_channel_is_charged_once_for_the_whole_step(self) -> None:
        tier = TierActivity("hbm", 20_000_000, 0, 0, 0, 0, 0, 128)
        activity = StepActivity(50_000_000, 0, 0, (tier,))
        found = terms({}, activity=activity, residency=(20_000, 5_000, 1_000, 60_000))
        counted = sum(
            t.count
            for n, t in found.items()
            if n.startswith("background") and n != "background_open_banks"
        )
        # 80 channels x 2 pseudo-channels x 50 us
        assert counted == pytest.approx(80 * 2 * 50_000)

    def test_simulated_states_have_their_own_power(self) -> None:
        found = terms({}, residency=(20_000, 5_000, 1_000, 60_000))
        per_run = CHANNELS * LAYERS * 2  # pseudo-channels
        ns_of = 1000 / 2600  # of a tick
        assert found["background_active"].pj == pytest.approx(78.32 * 20_000 * ns_of * per_run)
        assert found["background_precharged"].pj == pytest.approx(77.55 * 5_000 * ns_of * per_run)
        assert found["background_refreshing"].pj == pytest.approx(78.32 * 1_000 * ns_of * per_run)
        # 60,000 bank ticks of which the first bank's 20,000 are in the active power
        extra = (80.63 - 78.32) / 15 * 40_000 * ns_of * per_run
        assert found["background_open_banks"].pj == pytest.approx(extra)

    def test_refresh_goes_on_where_nothing_was_simulated(self) -> None:
        found = terms({})
        # 160 pseudo-channels for 20 us of which 6 were simulated for 10 us twice: 3080 us
        assert found["refresh_unsimulated"].count == 3_080_000_000 // refresh_interval_ps(DEVICE)
        # nREFI = 5070 CK of 1.3 GHz = 3.9 us (PAM, Table 1)
        assert refresh_interval_ps(DEVICE) == 3_900_000


def test_what_crosses_the_pins_pays_the_interposer_once() -> None:
    tier = TierActivity("hbm", 20_000_000, 100, 20, 300, 1000, 7, 128)
    found = terms({}, activity=StepActivity(20_000_000, 500, 4096, (tier,)))
    bits = {
        "query_broadcast": 100 * 8,
        "append_transfer": 20 * 8,
        "result_return": 300 * 8,
        "between_devices": 2 * 1000 * 8,  # out of one stack and into another
        "host_memory_transfer": 4096 * 8,
    }
    for name, count in bits.items():
        assert (found[name].count, found[name].unit_energy_pj) == (count, 0.3)
    assert found["arithmetic"].pj == pytest.approx(500 * 0.16)
    assert found["host_memory_activate"].count == 4  # rows of 1 KiB
    # seven merges: two MACs for each element of O and for l, two exponentials
    assert found["cross_channel_reduction"].count == 7 * 2 * (128 + 1)
    assert found["cross_channel_exponential"].count == 7 * 2


def test_a_link_with_energy_of_its_own_is_a_term_of_its_own() -> None:
    tier = SYSTEM.tier("hbm")
    machine = replace(
        SYSTEM, tiers=(replace(tier, link=replace(tier.link, energy_pj_per_bit=4.4)),)
    )
    activity = TierActivity("hbm", 20_000_000, 100, 0, 0, 0, 0, 128)
    found = terms({}, machine, StepActivity(20_000_000, 0, 0, (activity,)))
    assert found["query_broadcast_link"].pj == pytest.approx(100 * 8 * 4.4)


def test_every_command_of_the_family_has_its_work_and_banks() -> None:
    description = describe(
        DEVICE, ProgramVariants(queries=(1, 2), elements=(16,), reduced_elements=(16,))
    )
    banks = {c.name: banks_of(c.name, DEVICE) for c in description.commands}
    for name in banks:
        command_work(name, DEVICE, 8)
    assert banks["ACT"] == banks["RD"] == 1
    assert banks["ACTbg"] == banks["MACbg_q2"] == banks["EXP_16"] == 4
    assert banks["PREab"] == banks["REFab"] == 32  # 2 SIDs x 4 groups x 4 banks
    assert banks["RDRES"] == 0
