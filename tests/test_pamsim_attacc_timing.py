"""AttAcc: description and checker rules edge by edge, and what the engines make of its programs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from attacc_cases import DEVICES, attention, compiled
from reference import engine as reference

from pamsim.config import describe, load_device
from pamsim.config.spec import DeviceSpec, ProgramVariants
from pamsim.report.proofs import prove_timing
from pamsim.sim import simulate
from pamsim.sim.program import run_program
from pamsim.validate.timing import check_log
from pamsim.validate.timing.attacc import FAMILY, KINDS
from pamsim.validate.timing.rule import PairRule, Scope, cycles_to_ticks, gap_in_ticks
from pim_isa import assemble
from pyramulator.description import Description
from pyramulator.stream import LOG

BLOCKS = 8
LEVELS = {Scope.CHANNEL: 1, Scope.SID: 2, Scope.GROUP: 3, Scope.BANK: 4}
NAMES = [f"SFM_{BLOCKS}" if k.name == "SFM" else k.name for k in KINDS]
PLACES = {
    "same bank": (0, 0, 0), "same group": (0, 0, 1), "same rank": (0, 1, 0), "other rank": (1, 0, 0)
}  # fmt: skip
Address = tuple[int, ...]


@cache
def device(name: str) -> DeviceSpec:
    return load_device(name)


@cache
def description(name: str) -> Description:
    return describe(device(name), ProgramVariants(softmax_blocks=(BLOCKS,)))


def address(name: str, place: tuple[int, int, int]) -> Address:
    scope = next(k.scope for k in KINDS if name.startswith("SFM") or k.name == name)
    if name.startswith("SFM"):
        scope = Scope.CHANNEL
    named = LEVELS[scope] - 1
    return (0, *place[:named], *(-1,) * (3 - named))


def meet(a: Address, b: Address, levels: int) -> bool:
    return all(x == y or -1 in (x, y) for x, y in zip(a[:levels], b[:levels], strict=True))


def of_rows(name: str, earlier: str, later: str, place: tuple[int, int, int]) -> int:
    """The greatest gap that the description asks for between two commands."""
    a, b = address(earlier, (0, 0, 0)), address(later, place)
    found = description(name)
    return max(
        (
            row.latency
            for row in found.rows
            if earlier in row.preceding
            and later in row.following
            and row.window == 1
            and meet(a, b, 1 + found.level_index(row.level))
        ),
        default=0,
    )


def ticks_of(rule: PairRule, spec: DeviceSpec, earlier: str) -> int:
    kind = next(k for k in KINDS if k.name == earlier.partition("_")[0])
    duration = None
    if kind.cycles is not None:
        cycles = kind.cycles(spec.pim, BLOCKS)
        duration = cycles_to_ticks(cycles, spec.ticks_per_second, spec.pim.clock_hz)
    return gap_in_ticks(rule.gap, spec, FAMILY.derived(spec), duration)


def of_rules(name: str, earlier: str, later: str, place: tuple[int, int, int]) -> int:
    """The greatest gap that the checker asks for between two commands."""
    a, b = address(earlier, (0, 0, 0)), address(later, place)
    before, after = earlier.partition("_")[0], later.partition("_")[0]
    return max(
        (
            ticks_of(rule, device(name), earlier)
            for rule in FAMILY.pairs
            for befores, afters in rule.edges
            if before in befores and after in afters and meet(a, b, LEVELS[rule.scope])
        ),
        default=0,
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", DEVICES)
def test_description_and_rules_agree_on_every_pair(name: str, place: str) -> None:
    differ = {
        (a, b): (rows, rules)
        for a in NAMES
        for b in NAMES
        if (rows := of_rows(name, a, b, PLACES[place]))
        != (rules := of_rules(name, a, b, PLACES[place]))
    }
    assert differ == {}


def test_every_parameter_of_the_published_preset() -> None:
    # scale-snu/attacc_simulator @c600051 pim_ramulator_src/HBM3-PIM.cpp, preset HBM3_5.2Gbps, and
    # 350 ns / 0.769 ns; its nRTW of 3 is in no rule there
    published = {
        "nBL": 2, "nCL": 19, "nRCDRD": 19, "nRCDWR": 19, "nRP": 19, "nRAS": 45, "nRC": 63,
        "nWR": 21, "nRTPS": 6, "nRTPL": 8, "nCWL": 6, "nCCDS": 2, "nCCDL": 4, "nCCDAB": 6,
        "nRRDS": 2, "nRRDL": 4, "nWTRS": 8, "nWTRL": 11, "nFAW": 39, "nRFC": 456, "nREFI": 5070,
    }  # fmt: skip
    for name in ("attacc", "attacc-sim"):
        timing = device(name).timing_ck
        assert {k: timing[k] for k in published} == published
        assert timing["nRTW"] == 19 + 2 + 2 - 6


@pytest.mark.parametrize(
    ("name", "earlier", "later", "gap"),
    [
        # docs/attacc-commands.md, worked out by hand
        ("attacc-sim", "ACTAB", "MACAB", 19),
        ("attacc", "ACTAB", "MACAB", 19 + 3 * 39),  # 16 banks of a rank, four at a time
        ("attacc", "ACTAB", "PREA", 45 + 3 * 39),
        ("attacc", "ACTAB", "ACTAB", 4 * 39),
        ("attacc-exempt", "ACTAB", "ACTAB", 63),
        ("attacc", "ACT", "ACTAB", 63),
        ("attacc-npc", "MACAB", "MACAB", 4),
        ("attacc-sim", f"SFM_{BLOCKS}", "MVGB", 2),
        ("attacc", f"SFM_{BLOCKS}", "MVGB", 16 * BLOCKS),
        ("attacc", "MVSB", f"SFM_{BLOCKS}", 19 + 2),
        ("attacc-sim", "PREA", "REFab", 1),
        ("attacc", "PREA", "REFab", 19),
    ],
)
def test_gaps_by_hand(name: str, earlier: str, later: str, gap: int) -> None:
    assert of_rows(name, earlier, later, (0, 0, 0)) == gap
    assert of_rules(name, earlier, later, (0, 0, 0)) == gap


@pytest.mark.parametrize("rule", FAMILY.pairs, ids=lambda rule: rule.name)
def test_a_gap_one_too_short_breaks_its_rule(rule: PairRule) -> None:
    spec = device("attacc")
    for earlier, later in ((a, b) for x, y in rule.edges for a in x for b in y):
        first, second = (n if n != "SFM" else f"SFM_{BLOCKS}" for n in (earlier, later))
        gap = ticks_of(rule, spec, first)
        for short in (1, 0):
            log = np.zeros(2, LOG)
            log["tick"] = 100, 100 + gap - short
            log["command"] = NAMES.index(first), NAMES.index(second)
            log["address"][:, :4] = address(first, (0, 0, 0)), address(second, (0, 0, 0))
            verdict = check_log(spec, description("attacc").levels, NAMES, log, ticks=2000)
            assert (rule.name in verdict.by_rule) == bool(short), (earlier, later)


def test_five_activates_in_a_window() -> None:
    spec = device("attacc")
    log = np.zeros(5, LOG)
    log["tick"] = 10, 14, 18, 22, 10 + 38  # nFAW is 39
    log["command"] = NAMES.index("ACT")
    log["address"][:, :4] = [(0, 0, g % 4, g // 4) for g in range(5)]
    names = NAMES
    broken = check_log(spec, description("attacc").levels, names, log, ticks=100)
    assert "AttAcc tFAW" in broken.by_rule
    log["tick"][4] += 1
    kept = check_log(spec, description("attacc").levels, names, log, ticks=100)
    assert kept.violations == 0


def test_a_half_open_channel() -> None:
    spec = device("attacc")
    log = np.zeros(2, LOG)
    log["tick"] = 10, 400
    log["command"] = NAMES.index("ACT"), NAMES.index("MACAB")
    log["address"][:, :4] = [(0, 0, 0, 0), (0, -1, -1, -1)]
    verdict = check_log(spec, description("attacc").levels, NAMES, log, ticks=500)
    assert "AttAcc half-open channel" in verdict.by_rule


def test_every_command_of_the_family_in_one_program() -> None:
    body = """\
.family attacc
.stream queue=0
CFG part=1
OPN rank=1 bg=2 bank=3 row=7
APP half=1 rank=1 bg=2 bank=3 row=7 column=5 columns=1 offset=3 source=0
CLS rank=1 bg=2 bank=3
ACT row=1
MACK row=1 column=0 tokens=1 at=0 slot=0
PRE
.stream queue=1
CFG part=1
WRG slot=0 query=0
MVS rank=0 bg=0 slot=0 block=0
SFM slot=0 tokens=1 blocks=1
MVG rank=0 bg=0 slot=0 piece=0
MVO rank=0 bank=0 slot=0 chunk=0
"""
    for name in DEVICES:
        run = run_program(assemble(body), device(name))
        expected = {k.name for k in KINDS} - {"REFab", "RD", "SFM"} | {"SFM_1"}
        assert set(run.result.counts) == expected
        assert prove_timing(run, device(name)).verdict == "passed"


@pytest.mark.parametrize("name", ["attacc", "attacc-sim"])
def test_the_engine_agrees_with_the_reference(name: str) -> None:
    step = compiled(name, attention(2, 1), (130,), "timing.nREFI=520")
    for run in simulate(step, log=True):
        expected = reference.run(run.description, run.stream, max_ticks=100_000)
        assert run.result.ticks == expected.ticks
        assert run.result.counts == expected.counts
        assert run.result.log is not None and expected.log is not None
        assert np.array_equal(run.result.log, expected.log)
        assert run.result.counts["REFab"] > 0
