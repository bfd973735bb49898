"""The timing checker's rules for DDR-PIM: each by hand, and against the device description.

Gaps are in CK, worked out from PAM's Table 1 and DDR4-3200AC (JESD79-4) for `ddr4-pam`: tRCD, tCL,
tRP 24, tRAS 52, tRC 76, tWR 24, tRTP 12, tCWL 16, tBL 4, tCCD 4 and 8, tRRD 4 and 6, tWTR 4 and 12,
tFAW 26, tRFC 880, read to write 24 + 4 + 2 - 16 = 14, ranks 4 + 2 and max(1, 16 + 4 + 2 - 24). A PU
cycle is 3.2 CK.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from ddr_cases import DEVICES, compile_small, model, system

from pamsim.config import ProgramVariants, describe, load_device
from pamsim.sim import count_commands, simulate
from pamsim.validate.timing import check_log, find_family
from pamsim.validate.timing.rule import PairRule
from pyramulator.description import Description
from pyramulator.stream import LOG

Where = tuple[int, int, int]  # rank, bank group, bank
BANK, OTHER_BANK, OTHER_GROUP, OTHER_RANK = (0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)
START = 100
VARIANTS = ProgramVariants(queries=(1, 4), elements=(16,), reduced_elements=(32,))
FAMILY = find_family("ddr_pim")
assert FAMILY is not None


device = cache(load_device)


@cache
def description(name: str) -> Description:
    return describe(device(name), VARIANTS)


def log_of(made: Description, *records: tuple[int, str, Where]) -> np.ndarray:
    log = np.zeros(len(records), LOG)
    for at, (tick, name, where) in enumerate(records):
        command = made.command_index(name)
        depth = made.level_index(made.commands[command].scope)
        address = [0, *where][: depth + 1] + [-1] * (3 - depth)
        log[at] = (tick, command, 0, [*address, 0, 0, 0, 0])
    return log


def broken(name: str, made: Description, *records: tuple[int, str, Where]) -> dict[str, int]:
    log = log_of(made, *records)
    names = [c.name for c in made.commands]
    verdict = check_log(device(name), made.levels, names, log, ticks=int(log["tick"].max()))
    return verdict.by_rule


@dataclass(frozen=True)
class Case:
    rule: str
    earlier: str
    later: str
    gap: int
    there: Where = BANK  # of the later command; the earlier is at BANK
    far: Where | None = OTHER_RANK  # where the rule does not hold; None: everywhere


# fmt: off
BY_HAND = (
    # -- DDR4, one bank
    Case("DDR tRCD", "ACT", "RD", 24, far=OTHER_BANK),
    Case("DDR tRCD", "ACT", "WRA", 24, far=OTHER_BANK),
    Case("DDR tRAS", "ACT", "PREpb", 52, far=OTHER_BANK),
    Case("DDR tRAS", "ACT", "PREab", 52, OTHER_GROUP),
    Case("DDR tRC", "ACT", "ACT", 76, far=OTHER_BANK),
    Case("DDR tRP", "PREpb", "ACT", 24, far=OTHER_BANK),
    Case("DDR tRP", "PREab", "ACT", 24, OTHER_GROUP),
    Case("DDR tRTP", "RD", "PREpb", 12, far=OTHER_BANK),
    Case("DDR tWR", "WR", "PREab", 44, OTHER_GROUP),  # 16 + 4 + 24
    Case("DDR RDA-ACT", "RDA", "ACT", 36, far=OTHER_BANK),
    Case("DDR WRA-ACT", "WRA", "ACT", 68, far=OTHER_BANK),
    # -- DDR4, a rank and its groups
    Case("DDR tRRDS", "ACT", "ACT", 4, OTHER_GROUP),
    Case("DDR tRRDL", "ACT", "ACT", 6, OTHER_BANK, far=OTHER_GROUP),
    Case("DDR tPPD", "PREpb", "PREab", 1, OTHER_GROUP, far=None),
    Case("DDR tCCDS read", "RD", "RDA", 4, OTHER_GROUP),
    Case("DDR tCCDL read", "RD", "RD", 8, OTHER_BANK, far=OTHER_GROUP),
    Case("DDR tCCDS write", "WR", "WR", 4, OTHER_GROUP),
    Case("DDR tCCDL write", "WRA", "WR", 8, OTHER_BANK, far=OTHER_GROUP),
    Case("DDR read-write", "RD", "WR", 14, OTHER_GROUP),
    Case("DDR tWTRS", "WR", "RD", 24, OTHER_GROUP),
    Case("DDR tWTRL", "WR", "RD", 32, OTHER_BANK, far=OTHER_GROUP),
    # -- DDR4, the data bus
    Case("DDR burst", "RD", "RD", 4, OTHER_RANK, far=None),
    Case("DDR burst", "WR", "WR", 4, OTHER_RANK, far=None),
    Case("DDR rank read-read", "RD", "RDA", 6, OTHER_RANK, far=OTHER_GROUP),
    Case("DDR rank read-write", "RD", "WR", 14, OTHER_RANK, far=OTHER_GROUP),
    Case("DDR rank write-read", "WR", "RD", 1, OTHER_RANK, far=None),
    # -- DDR4, refresh of a rank
    Case("DDR tRFC", "REFab", "ACT", 880, OTHER_GROUP),
    Case("DDR tRFC", "REFab", "REFab", 880),
    Case("DDR ACT-REFab", "ACT", "REFab", 76),
    Case("DDR PRE-REFab", "PREpb", "REFab", 24),
    Case("DDR RDA-REFab", "RDA", "REFab", 36),
    Case("DDR WRA-REFab", "WRA", "REFab", 68),
    # -- rows of a group
    Case("PIM tRCD", "ACTbg", "MACbg_q1", 24, far=OTHER_GROUP),
    Case("PIM tRCD", "ACTbg", "WR", 24, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tRCD", "ACT", "MACbg_q1", 24, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREbg", 52, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREab", 52),
    Case("PIM tRAS", "ACT", "PREbg", 52, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tRC", "ACTbg", "ACTbg", 76, far=OTHER_GROUP),
    Case("PIM tRC", "ACT", "ACTbg", 76, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tRP", "PREbg", "ACT", 24, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tRP", "PREab", "ACTbg", 24, OTHER_GROUP),
    Case("PIM tRTP", "MACbg_q1", "PREbg", 12, far=OTHER_GROUP),
    Case("PIM tRTP", "RD", "PREbg", 12, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tWR", "WR", "PREbg", 44, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM RDA-ACTbg", "RDA", "ACTbg", 36, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM WRA-ACTbg", "WRA", "ACTbg", 68, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tFAW", "ACTbg", "ACTbg", 26, OTHER_GROUP),
    Case("PIM tFAW", "ACT", "ACTbg", 26, OTHER_GROUP),
    Case("PIM tPPD", "PREbg", "PREpb", 1, OTHER_GROUP, far=None),
    Case("PIM ACTbg-REFab", "ACTbg", "REFab", 76),
    Case("PIM PREbg-REFab", "PREbg", "REFab", 24),
    Case("PIM tRFC", "REFab", "ACTbg", 880, OTHER_GROUP),
    # -- a MAC and what follows it
    Case("PIM MAC tCCDS", "MACbg_q1", "MACbg_q1", 4, OTHER_GROUP),
    Case("PIM MAC tCCDL", "MACbg_q1", "MACbg_q4", 8, far=OTHER_GROUP),
    Case("PIM MAC PU time", "MACbg_q4", "WRQ", 13, far=OTHER_GROUP),  # 4 x 3.2
    Case("PIM MAC result", "MACbg_q1", "MAX_16", 32, far=OTHER_GROUP),  # 24 + 4 + 4
    Case("PIM MAC result", "MACbg_q4", "RDSC", 41, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "MACbg_q1", "RD", 8, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "RD", "MACbg_q1", 8, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM write-MAC", "WR", "MACbg_q1", 32, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM write-MAC", "WRQ", "MACbg_q1", 32, far=OTHER_GROUP),
    # -- arithmetic
    Case("PIM arithmetic", "MAX_16", "EXP_16", 20, far=OTHER_GROUP),  # 6 x 3.2
    Case("PIM arithmetic", "EXP_16", "SUM_16", 87, far=OTHER_GROUP),  # 27 x 3.2
    Case("PIM load data", "WRSC", "MAX_16", 20, far=OTHER_GROUP),
    Case("PIM RDSC", "RDSC", "MACbg_q1", 8, far=OTHER_GROUP),
    Case("PIM RDSC-WRSC", "RDSC", "WRSC", 38, far=OTHER_GROUP),  # 24 + 4 + 10
    Case("PIM REDBG", "REDBG_32", "REDCB", 64, far=OTHER_GROUP),  # 20 x 3.2
    Case("PIM REDCB-RDRES", "REDCB", "RDRES", 64, OTHER_RANK, far=None),
    # -- directions
    Case("PIM tCCDS read", "REDCB", "RD", 4, OTHER_GROUP),
    Case("PIM tCCDL read", "RD", "RDSC", 8, OTHER_BANK, far=OTHER_GROUP),
    Case("PIM tCCDS write", "WRQ", "WR", 4, OTHER_GROUP),
    Case("PIM tCCDL write", "WRQ", "WRQ", 8, far=OTHER_GROUP),
    Case("PIM read-write", "REDCB", "WRQ", 14, OTHER_GROUP),
    Case("PIM tWTRS", "WRQ", "REDCB", 24, OTHER_GROUP),
    Case("PIM tWTRL", "WRSC", "REDCB", 32, far=OTHER_GROUP),
    Case("PIM burst", "REDCB", "RDRES", 4, OTHER_RANK, far=None),
    Case("PIM burst", "RDRES", "RD", 4, OTHER_GROUP, far=None),
    Case("PIM rank read-read", "RDSC", "REDCB", 6, OTHER_RANK, far=OTHER_GROUP),
    Case("PIM rank read-write", "REDCB", "WRQ", 14, OTHER_RANK, far=OTHER_GROUP),
    Case("PIM rank write-read", "WRQ", "REDCB", 1, OTHER_RANK, far=None),
    Case("PIM RDRES-write", "RDRES", "WRQ", 14, OTHER_RANK, far=None),
    Case("PIM write-RDRES", "WR", "RDRES", 1, OTHER_RANK, far=None),
)
# fmt: on


def test_every_pair_rule_is_tried() -> None:
    assert FAMILY is not None
    assert {c.rule for c in BY_HAND} == {r.name for r in FAMILY.pairs if isinstance(r, PairRule)}


@pytest.mark.parametrize("case", BY_HAND, ids=lambda c: f"{c.rule}: {c.earlier} -> {c.later}")
def test_a_rule_is_tight(case: Case) -> None:
    made = description("ddr4-pam")
    first = (START, case.earlier, BANK)
    exact = broken("ddr4-pam", made, first, (START + case.gap, case.later, case.there))
    assert case.rule not in exact
    early = broken("ddr4-pam", made, first, (START + case.gap - 1, case.later, case.there))
    assert early[case.rule] == 1
    if case.far is not None:
        away = broken("ddr4-pam", made, first, (START + case.gap - 1, case.later, case.far))
        assert case.rule not in away


def test_four_activates_fill_the_window() -> None:
    made = description("ddr4-pam")
    ticks = (START, START + 6, START + 12, START + 18)
    acts = [(t, "ACT", (0, b // 2, b % 2)) for b, t in enumerate(ticks)]
    for tick, count in ((START + 26, 0), (START + 25, 1)):
        found = broken("ddr4-pam", made, *acts, (tick, "ACT", (0, 1, 2)))
        assert found.get("DDR tFAW", 0) == count
    assert "DDR tFAW" not in broken("ddr4-pam", made, *acts, (START + 25, "ACT", OTHER_RANK))


def test_one_bus_carries_one_command_and_ddr5s_two_cycle_ones_longer() -> None:
    for name, free in (("ddr4-pam", 1), ("ddr5-pam", 2)):
        made, bus = description(name), "DDR command bus"
        first = (START, "MACbg_q1", BANK)
        early = broken(name, made, first, (START + free - 1, "PREbg", OTHER_RANK))
        assert early[bus] == 1
        assert bus not in broken(name, made, first, (START + free, "PREbg", OTHER_RANK))


# -- the description and the rules are written apart and agree ------------------------------------

PLACES = (BANK, OTHER_BANK, OTHER_GROUP, OTHER_RANK)


def separation(made: Description, earlier: str, later: str, there: Where) -> int:
    """CK from one command to the other by the description's rows of window 1."""
    depth = {c.name: made.level_index(c.scope) for c in made.commands}
    first, second = (0, *BANK), (0, *there)
    gap = 1  # one command a tick
    for row in made.rows:
        if row.window != 1 or earlier not in row.preceding or later not in row.following:
            continue
        level = made.level_index(row.level)
        if row.sibling:
            named = min(depth[earlier], depth[later]) >= level
            met = named and first[:level] == second[:level] and first[level] != second[level]
        else:
            shared = min(level, depth[earlier], depth[later])
            met = first[: shared + 1] == second[: shared + 1]
        if met:
            gap = max(gap, row.latency)
    return gap


@pytest.mark.parametrize("name", ["ddr4-pam", "ddr5-pam"])
def test_checker_and_description_ask_for_the_same_gaps(name: str) -> None:
    """Every ordered pair of commands in every relation: what the rows allow breaks no pair rule,
    one tick less does. Pairs lie so far apart that they do not meet."""
    assert FAMILY is not None
    made, apart = description(name), 5000
    rules = {r.name for r in FAMILY.pairs} | {"DDR command bus"}
    pairs = [(a.name, b.name, there) for a in made.commands for b in made.commands
             for there in PLACES]  # fmt: skip
    exact = []
    for at, (earlier, later, there) in enumerate(pairs, 1):
        gap = separation(made, earlier, later, there)
        exact += [(at * apart, earlier, BANK), (at * apart + gap, later, there)]
    assert not rules & broken(name, made, *exact).keys()
    for earlier, later, there in pairs:
        gap = separation(made, earlier, later, there)
        if gap == 1:  # one command a CK: the bus
            continue
        records = ((START, earlier, BANK), (START + gap - 1, later, there))
        assert rules & broken(name, made, *records).keys(), (earlier, later, there, gap)


# -- whole runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEVICES)
def test_what_the_engine_issues_keeps_all_rules(name: str) -> None:
    """Long enough for refreshes of both ranks; every rule of the family is held."""
    compiled = compile_small(model(2, 2, 128), (700, 2100), system(name))
    for run in simulate(compiled, log=True):
        log, names = run.result.log, [c.name for c in run.description.commands]
        asked = count_commands(run.program.program)
        expected = {n: c for n, c in asked.items() if not n.startswith(("ACT", "PRE"))}
        verdict = check_log(
            compiled.device, run.description.levels, names, log, ticks=run.result.ticks,
            expected_counts=expected,
        )  # fmt: skip
        assert (verdict.verdict, verdict.first) == ("passed", None)
        assert run.result.counts["REFab"] >= 2
        assert FAMILY is not None
        assert set(verdict.rules) == {rule.name for rule in FAMILY.rules}


@pytest.mark.parametrize(
    ("damage", "rule"),
    [("early", "PIM MAC tCCDL"), ("row", "DDR wrong row"), ("refresh", "DDR tREFI"),
     ("dropped", "expected counts")],
)  # fmt: skip
def test_a_damaged_run_is_found_out(damage: str, rule: str) -> None:
    compiled = compile_small(model(1, 1, 128), (6144,), system())
    (run,) = simulate(compiled, log=True)
    assert run.result.log is not None
    log, made = run.result.log.copy(), run.description
    macs = np.flatnonzero(log["command"] == made.command_index("MACbg_q1"))
    if damage == "early":  # of two MACs of a group, the later comes as soon as the bus allows
        same = macs[log["address"][macs, 1] == 0]
        gaps = np.diff(log["tick"][same])
        at = same[1 + int(np.flatnonzero(gaps == 8)[0])]
        log["tick"][at] -= 1
        order = np.argsort(log["tick"], kind="stable")
        log = log[order]
    elif damage == "row":
        log["address"][macs[0], 4] += 1
    else:
        name = "REFab" if damage == "refresh" else "MACbg_q1"
        log = np.delete(log, np.flatnonzero(log["command"] == made.command_index(name))[0])
    expected = {"MACbg_q1": len(macs)}
    names = [c.name for c in made.commands]
    verdict = check_log(
        compiled.device, made.levels, names, log, ticks=run.result.ticks, expected_counts=expected
    )
    assert verdict.verdict == "violated"
    assert rule in verdict.by_rule
