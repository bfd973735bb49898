"""Every named inequality: met to the tick it passes, one tick less and it is named.

Gaps are in ticks of half a CK between starts, worked out by hand from the numbers in
`timing_logs`: 2 x CK + (ticks of the earlier - 1) - (ticks of the later - 1), with 3 ticks for ACT
and ACTbg, 1 for PRE* and REF*, 2 for column commands. Durations are cycles x 2600 / 666,
rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from timing_logs import COMMANDS, DEVICE, LEVELS, REFI, Log, Where, depth, device

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing import FAMILIES, TimingVerdict, check_log
from pamsim.validate.timing.rule import split_operand

START = REFI + 401  # of the earlier command: one REFab may come here, none is overdue
END = 2 * REFI

BANK: Where = (0, 0, 0, 0)
SAME_GROUP: Where = (0, 0, 0, 1)
OTHER_GROUP: Where = (0, 0, 1, 0)
OTHER_SID: Where = (0, 1, 2, 0)
OTHER_PC: Where = (1, 0, 0, 0)

ACCESSES = ("RD", "WR", "RDA", "WRA", "MACbg_q1", "MACbg_q4")


@dataclass(frozen=True)
class Case:
    rule: str
    earlier: str
    later: str
    gap: int
    there: Where = BANK  # of the later command; the earlier is at BANK
    far: Where | None = OTHER_PC  # where the rule does not hold; None: everywhere
    masked: str = ""  # a rule that forbids the exact gap too, so that this one does no harm


# fmt: off
CASES = (
    # -- HBM3, one bank. 19 CK
    Case("HBM3 tRCDRD", "ACT", "RD", 39, far=SAME_GROUP),
    Case("HBM3 tRCDRD", "ACT", "RDA", 39, far=SAME_GROUP),
    Case("HBM3 tRCDWR", "ACT", "WR", 39, far=SAME_GROUP),
    Case("HBM3 tRCDWR", "ACT", "WRA", 39, far=SAME_GROUP),
    Case("HBM3 tRAS", "ACT", "PREpb", 92, far=SAME_GROUP),
    Case("HBM3 tRAS", "ACT", "PREab", 92),
    Case("HBM3 tRC", "ACT", "ACT", 126, far=SAME_GROUP, masked="HBM3 ACT on an open bank"),
    Case("HBM3 tRP", "PREpb", "ACT", 36, far=SAME_GROUP),
    Case("HBM3 tRP", "PREab", "ACT", 36, OTHER_SID),
    Case("HBM3 tRTP", "RD", "PREpb", 17, far=SAME_GROUP),
    Case("HBM3 tRTP", "RD", "PREab", 17),
    Case("HBM3 tWR", "WR", "PREpb", 59, far=SAME_GROUP),  # 6 + 2 + 21 CK
    Case("HBM3 tWR", "WR", "PREab", 59),
    Case("HBM3 RDA-ACT", "RDA", "ACT", 53, far=SAME_GROUP),  # 8 + 19 CK
    Case("HBM3 WRA-ACT", "WRA", "ACT", 95, far=SAME_GROUP),  # 6 + 2 + 21 + 19 CK
    # -- HBM3, between banks
    Case("HBM3 tRRDS", "ACT", "ACT", 4, OTHER_GROUP),
    Case("HBM3 tRRDS", "ACT", "ACT", 4, OTHER_SID),
    Case("HBM3 tRRDL", "ACT", "ACT", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("HBM3 tPPD", "PREpb", "PREpb", 4, OTHER_SID),
    Case("HBM3 tPPD", "PREpb", "PREab", 4),
    Case("HBM3 tPPD", "PREab", "PREpb", 4),
    Case("HBM3 tCCDS", "RD", "RD", 4, OTHER_GROUP),
    Case("HBM3 tCCDS", "WR", "WRA", 4, OTHER_SID),
    Case("HBM3 tCCDL", "RD", "RDA", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("HBM3 tCCDL", "WR", "WR", 8, far=OTHER_GROUP),
    Case("HBM3 tCCDR", "RD", "RD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("HBM3 tRTW", "RD", "WR", 34, OTHER_SID),
    Case("HBM3 tRTW", "RDA", "WRA", 34, OTHER_GROUP),
    Case("HBM3 tWTRS", "WR", "RD", 32, OTHER_GROUP),  # 6 + 2 + 8 CK
    Case("HBM3 tWTRL", "WR", "RD", 38, SAME_GROUP, far=OTHER_GROUP),  # 6 + 2 + 11 CK
    # -- HBM3, refresh
    Case("HBM3 tRFC", "REFab", "ACT", 908, OTHER_SID),  # 455 CK
    Case("HBM3 tRFC", "REFab", "PREab", 910),
    Case("HBM3 tRFC", "REFab", "PREpb", 910, OTHER_GROUP),
    Case("HBM3 ACT-REFab", "ACT", "REFab", 128, masked="HBM3 REF with an open bank"),
    Case("HBM3 PRE-REFab", "PREpb", "REFab", 38),
    Case("HBM3 PRE-REFab", "PREab", "REFab", 38),
    Case("HBM3 RDA-REFab", "RDA", "REFab", 55),
    Case("HBM3 WRA-REFab", "WRA", "REFab", 97),
    Case("HBM3 tRFCpb", "REFpb", "ACT", 518, far=SAME_GROUP),  # 260 CK
    Case("HBM3 tRFCpb", "REFpb", "PREpb", 520, far=SAME_GROUP),
    Case("HBM3 tRFCpb", "REFpb", "REFpb", 520, far=SAME_GROUP),
    Case("HBM3 REFpb-REFab", "REFpb", "REFab", 520),
    Case("HBM3 tRREFD", "REFpb", "ACT", 20, OTHER_GROUP),  # 11 CK
    Case("HBM3 tRREFD", "REFpb", "REFpb", 22, OTHER_SID),
    Case("HBM3 ACT-REFpb same bank", "ACT", "REFpb", 128, far=SAME_GROUP,
         masked="HBM3 REF with an open bank"),
    Case("HBM3 ACT-REFpb tRRDS", "ACT", "REFpb", 6, OTHER_GROUP),
    Case("HBM3 PRE-REFpb", "PREpb", "REFpb", 38, far=SAME_GROUP),
    Case("HBM3 PRE-REFpb", "PREab", "REFpb", 38, OTHER_SID),
    Case("HBM3 ACT-REFpb tRRDL", "ACT", "REFpb", 10, SAME_GROUP, far=OTHER_GROUP),
    Case("HBM3 ACT-REFpb tRRDL", "REFpb", "ACT", 6, SAME_GROUP, far=OTHER_GROUP,
         masked="HBM3 tRREFD"),
    Case("HBM3 REFab-REFpb", "REFab", "REFpb", 910, OTHER_SID),
    Case("HBM3 RDA-REFpb", "RDA", "REFpb", 55, far=SAME_GROUP),
    Case("HBM3 WRA-REFpb", "WRA", "REFpb", 97, far=SAME_GROUP),
    # -- HBM-PIM, rows
    Case("PIM tRCDRD", "ACTbg", "MACbg_q1", 39, far=OTHER_GROUP),
    Case("PIM tRCDRD", "ACTbg", "RD", 39, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRCDRD", "ACTbg", "RDA", 39, far=OTHER_GROUP),
    Case("PIM tRCDRD", "ACT", "MACbg_q1", 39, far=OTHER_GROUP, masked="PIM half-open group"),
    Case("PIM tRCDWR", "ACTbg", "WR", 39, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRCDWR", "ACTbg", "WRA", 39, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREbg", 92, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREpb", 92, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREab", 92),
    Case("PIM tRAS", "ACT", "PREbg", 92, far=OTHER_GROUP),
    Case("PIM tRC", "ACTbg", "ACTbg", 126, far=OTHER_GROUP, masked="HBM3 ACT on an open bank"),
    Case("PIM tRC", "ACTbg", "ACT", 126, SAME_GROUP, far=OTHER_GROUP,
         masked="HBM3 ACT on an open bank"),
    Case("PIM tRC", "ACT", "ACTbg", 126, far=OTHER_GROUP, masked="HBM3 ACT on an open bank"),
    Case("PIM tRP", "PREbg", "ACTbg", 36, far=OTHER_GROUP),
    Case("PIM tRP", "PREbg", "ACT", 36, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRP", "PREpb", "ACTbg", 36, far=OTHER_GROUP),
    Case("PIM tRP", "PREab", "ACTbg", 36, OTHER_SID),
    Case("PIM tRTP", "MACbg_q1", "PREbg", 17, far=OTHER_GROUP),
    Case("PIM tRTP", "MACbg_q4", "PREpb", 17, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRTP", "MACbg_q1", "PREab", 17),
    Case("PIM tRTP", "RD", "PREbg", 17, far=OTHER_GROUP),
    Case("PIM tWR", "WR", "PREbg", 59, far=OTHER_GROUP),
    Case("PIM RDA-ACTbg", "RDA", "ACTbg", 53, far=OTHER_GROUP),
    Case("PIM WRA-ACTbg", "WRA", "ACTbg", 95, far=OTHER_GROUP),
    Case("PIM tFAW", "ACTbg", "ACTbg", 78, OTHER_GROUP),  # 39 CK
    Case("PIM tFAW", "ACTbg", "ACT", 78, OTHER_SID),
    Case("PIM tFAW", "ACT", "ACTbg", 78, OTHER_SID),
    Case("PIM tPPD", "PREbg", "PREbg", 4, OTHER_SID),
    Case("PIM tPPD", "PREbg", "PREpb", 4, OTHER_GROUP),
    Case("PIM tPPD", "PREab", "PREbg", 4, OTHER_GROUP),
    Case("PIM tPPD", "PREpb", "PREbg", 4, OTHER_GROUP),
    Case("PIM ACTbg-REFab", "ACTbg", "REFab", 128, masked="HBM3 REF with an open bank"),
    Case("PIM PREbg-REFab", "PREbg", "REFab", 38),
    Case("PIM tRFC", "REFab", "ACTbg", 908, OTHER_SID),
    Case("PIM tRFC", "REFab", "PREbg", 910, OTHER_SID),
    # -- HBM-PIM, a MAC and what follows; PU time of 1 query 4 ticks, of 4 queries 16
    Case("PIM MAC tCCDL", "MACbg_q1", "MACbg_q1", 8, far=OTHER_GROUP),
    Case("PIM MAC tCCDL", "MACbg_q1", "WRQ", 8, far=OTHER_GROUP),
    Case("PIM MAC tCCDL", "MACbg_q1", "MAX_128", 8, far=OTHER_GROUP, masked="PIM MAC result"),
    Case("PIM MAC PU time", "MACbg_q4", "MACbg_q1", 16, far=OTHER_GROUP),
    Case("PIM MAC PU time", "MACbg_q1", "MACbg_q4", 4, far=OTHER_GROUP, masked="PIM MAC tCCDL"),
    Case("PIM MAC PU time", "MACbg_q4", "WRQ", 16, far=OTHER_GROUP),
    Case("PIM MAC result", "MACbg_q1", "MAX_128", 46, far=OTHER_GROUP),  # 19 + 2 CK + 4 ticks
    Case("PIM MAC result", "MACbg_q4", "EXP_128", 58, far=OTHER_GROUP),
    Case("PIM MAC result", "MACbg_q1", "SUM_128", 46, far=OTHER_GROUP),
    Case("PIM MAC result", "MACbg_q1", "REDBG_128", 46, far=OTHER_GROUP),
    Case("PIM MAC tCCDS", "MACbg_q1", "MACbg_q1", 4, OTHER_GROUP),
    Case("PIM MAC tCCDS", "MACbg_q4", "MACbg_q1", 4, OTHER_SID),
    Case("PIM MAC-host tCCDL", "MACbg_q1", "RD", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "MACbg_q1", "WRA", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "RD", "MACbg_q1", 8, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "RDA", "MACbg_q1", 8, far=OTHER_GROUP,
         masked="PIM half-open group"),
    Case("PIM write-MAC", "WR", "MACbg_q1", 38, far=OTHER_GROUP),
    Case("PIM write-MAC", "WRQ", "MACbg_q1", 38, far=OTHER_GROUP),
    # -- HBM-PIM, arithmetic: 8 + 4 cycles are 47 ticks, 128 + 11 are 543, 1 + 11 + 4 x 8 are 172
    Case("PIM arithmetic", "MAX_128", "EXP_128", 47, far=OTHER_GROUP),
    Case("PIM arithmetic", "EXP_128", "WRQ", 543, far=OTHER_GROUP),
    Case("PIM arithmetic", "SUM_128", "MACbg_q1", 47, far=OTHER_GROUP),
    Case("PIM arithmetic", "SUM_128", "REDBG_128", 47, far=OTHER_GROUP),
    Case("PIM WRQ data", "WRQ", "MAX_128", 16, far=OTHER_GROUP),  # 6 + 2 CK
    Case("PIM WRQ data", "WRQ", "REDBG_128", 16, far=OTHER_GROUP),
    Case("PIM REDBG", "REDBG_128", "REDLD", 172, far=OTHER_GROUP),
    Case("PIM REDBG", "REDBG_128", "MACbg_q1", 172, far=OTHER_GROUP),
    Case("PIM REDLD-RDRES", "REDLD", "RDRES", 79),  # 1 + 11 + 8 cycles
    # -- HBM-PIM, directions of the data bus
    Case("PIM tCCDS", "REDLD", "REDLD", 4, OTHER_GROUP),
    Case("PIM tCCDS", "RDRES", "RDRES", 4),
    Case("PIM tCCDS", "RDRES", "REDLD", 4, OTHER_SID),
    Case("PIM tCCDS", "RD", "RDRES", 4),
    Case("PIM tCCDS", "RDRES", "RD", 4),
    Case("PIM tCCDS", "WRQ", "WRQ", 4, OTHER_SID),
    Case("PIM tCCDS", "WR", "WRQ", 4, OTHER_GROUP),
    Case("PIM tCCDS", "WRQ", "WR", 4, OTHER_GROUP),
    Case("PIM tCCDL", "REDLD", "REDLD", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "REDLD", "RD", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "RD", "REDLD", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "WRQ", "WRQ", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "WR", "WRQ", 8, far=OTHER_GROUP),
    Case("PIM tCCDR", "REDLD", "REDLD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("PIM tCCDR", "REDLD", "RD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("PIM tCCDR", "RD", "REDLD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("PIM tRTW", "REDLD", "WRQ", 34, OTHER_GROUP),
    Case("PIM tRTW", "RDRES", "WR", 34),
    Case("PIM tRTW", "RD", "WRQ", 34, OTHER_SID),
    Case("PIM tWTRS", "WRQ", "RD", 32, OTHER_GROUP),
    Case("PIM tWTRS", "WRQ", "RDRES", 32),
    Case("PIM tWTRS", "WR", "REDLD", 32, OTHER_SID),
    Case("PIM tWTRL", "WRQ", "REDLD", 38, far=OTHER_GROUP),
    Case("PIM tWTRL", "WRQ", "RD", 38, far=OTHER_GROUP),
    Case("PIM tWTRL", "WR", "REDLD", 38, far=OTHER_GROUP),
)

# Rules whose one-tick mutation never shows alone with these numbers, and why. Each stays a rule:
# another device's numbers bring it out (see `test_a_longer_row_cycle_shows_alone`).
HARMLESS = {
    "HBM3 tRC": "a bank is closed in between, and tRAS + tRP (64 CK) is more than tRC (63 CK)",
    "PIM tRC": "as HBM3 tRC",
    "HBM3 ACT-REFab": "as HBM3 tRC: the bank is closed before a refresh",
    "HBM3 ACT-REFpb same bank": "as HBM3 ACT-REFab",
    "PIM ACTbg-REFab": "as HBM3 ACT-REFab",
}
# One edge of a rule that others mask, by (rule, earlier, later); its other edges show alone.
HARMLESS_EDGES = {
    ("HBM3 ACT-REFpb tRRDL", "REFpb", "ACT"): "tRREFD of the pseudo-channel is longer",
    ("PIM tRCDRD", "ACT", "MACbg_q1"): "the fourth ACT of the group comes later than the first",
    ("PIM MAC tCCDL", "MACbg_q1", "MAX_128"): "a MAC's result takes longer",
    ("PIM MAC PU time", "MACbg_q1", "MACbg_q4"): "one query (4 ticks) is less than tCCDL",
    ("PIM MAC-host tCCDL", "RDA", "MACbg_q1"): "RDA has closed a bank of the group",
}
# fmt: on


def build(case: Case, gap: int, *, there: Where | None = None) -> Log:
    """The earlier command, and `gap` ticks later the later one, with the rows they need open."""
    log = Log()
    where = there or case.there
    start = START
    if case.earlier.startswith("PRE") and (start + gap) % 2 == 0:
        start += 1  # a precharge may start on the falling edge
    opened: list[tuple[str, Where]] = []
    pairs = ((case.earlier, BANK), (case.later, where))
    by_group = any(name.startswith("MACbg") for name, _ in pairs)
    for name, place in pairs:
        if name not in ACCESSES:
            continue
        if (
            case.earlier in ("ACT", "ACTbg")
            and place[: depth(case.earlier)] == (BANK[: depth(case.earlier)])
        ):
            continue  # the earlier command opens it
        group_wide = by_group and (name.startswith("MACbg") or place[:3] == BANK[:3])
        opener = ("ACTbg" if group_wide else "ACT", place)
        covered = any(
            place[: depth(earlier_opener)] == other[: depth(earlier_opener)]
            for earlier_opener, other in opened
        )
        if not covered:
            opened.append(opener)
    for i, (name, place) in enumerate(opened):
        log.add(start - 400 + 100 * i, name, place)
    log.add(start, case.earlier, BANK)
    log.add(start + gap, case.later, where)
    return log


def check(log: Log, spec: DeviceSpec = DEVICE) -> TimingVerdict:
    return check_log(spec, LEVELS, COMMANDS, log.array, ticks=END)


def identity(case: Case) -> str:
    return f"{case.rule}: {case.earlier} to {case.later} at {case.there}"


@pytest.mark.parametrize("case", CASES, ids=identity)
def test_a_gap_is_exact(case: Case) -> None:
    met, broken = check(build(case, case.gap)), check(build(case, case.gap - 1))
    assert case.rule not in met.by_rule
    assert broken.by_rule[case.rule] == 1
    assert broken.verdict == "violated"
    if case.masked:
        assert case.masked in met.by_rule
        assert case.rule in HARMLESS or (case.rule, case.earlier, case.later) in HARMLESS_EDGES
    else:
        # the next tick on which the command may start
        log = build(case, case.gap)
        if "HBM3 rising edge" in met.by_rule:
            log = build(case, case.gap + 1)
        verdict = check(log)
        assert (verdict.verdict, verdict.first) == ("passed", None)


@pytest.mark.parametrize("case", [c for c in CASES if c.far], ids=identity)
def test_a_gap_holds_only_in_its_scope(case: Case) -> None:
    verdict = check(build(case, max(case.gap - 1, 3), there=case.far))
    assert case.rule not in verdict.by_rule


def test_every_rule_has_a_case_or_a_test() -> None:
    family = FAMILIES["hbm_pim"]
    assert {rule.name for rule in family.pairs} == {case.rule for case in CASES}
    assert [rule.name for rule in family.windows] == ["HBM3 tFAW"]  # below
    assert len({rule.name for rule in family.rules}) == len(family.rules)
    assert all(rule.source and rule.meaning.endswith(".") for rule in family.rules)


def test_every_command_of_a_rule_has_a_kind() -> None:
    family = FAMILIES["hbm_pim"]
    kinds = {kind.name for kind in family.kinds}
    named = {n for rule in family.pairs for edge in rule.edges for side in edge for n in side}
    assert named == kinds
    assert {split_operand(name)[0] for name in COMMANDS} == kinds


def test_what_is_listed_as_harmless_is() -> None:
    masked = {case.rule for case in CASES if case.masked}
    alone = {case.rule for case in CASES if not case.masked}
    assert masked - alone == set(HARMLESS)
    edges = {(c.rule, c.earlier, c.later) for c in CASES if c.masked and c.rule not in HARMLESS}
    assert edges == set(HARMLESS_EDGES)


@pytest.mark.parametrize(
    ("rule", "opener", "closer", "later", "gap"),
    [
        ("HBM3 tRC", "ACT", "PREpb", "ACT", 140),
        ("PIM tRC", "ACTbg", "PREbg", "ACTbg", 140),
        ("HBM3 ACT-REFab", "ACT", "PREpb", "REFab", 142),
        ("HBM3 ACT-REFpb same bank", "ACT", "PREpb", "REFpb", 142),
        ("PIM ACTbg-REFab", "ACTbg", "PREbg", "REFab", 142),
    ],
)
def test_a_longer_row_cycle_shows_alone(
    rule: str, opener: str, closer: str, later: str, gap: int
) -> None:
    spec = device(nRC=70)

    def log(gap: int) -> Log:
        return Log().add(START, opener).add(START + 92, closer).add(START + gap, later)

    assert check(log(gap), spec).verdict == "passed"
    assert check(log(gap - 2), spec).by_rule == {rule: 1}


@pytest.mark.parametrize(("fifth", "broken"), [(78, {}), (76, {"HBM3 tFAW": 1})])
def test_four_activates_fill_a_window(fifth: int, broken: dict[str, int]) -> None:
    log = Log()
    for i, tick in enumerate((0, 4, 8, 12, fifth)):
        log.add(START + tick, "ACT", (0, i // 4, i % 4, 0))
    assert check(log).by_rule == broken


def test_the_window_is_of_a_pseudo_channel() -> None:
    log = Log()
    for i in range(8):
        log.add(START + 4 * i, "ACT", (i % 2, 0, i // 2, 0))
    assert check(log).verdict == "passed"


def test_a_refresh_waits_for_the_one_before() -> None:
    """The first comes as late, the second as early as their intervals let them: 455 CK apart."""
    end = 3 * REFI

    def verdict(gap: int) -> TimingVerdict:
        log = Log().add(REFI + 1, "REFab", OTHER_PC)
        log.add(2 * REFI - 1, "REFab").add(2 * REFI - 1 + gap, "REFab")
        log.add(2 * REFI + 1, "REFab", OTHER_PC)
        return check_log(DEVICE, LEVELS, COMMANDS, log.array, ticks=end)

    assert verdict(910).verdict == "passed"
    assert verdict(908).by_rule == {"HBM3 tRFC": 1}


def test_the_message_names_both_commands_and_the_gap() -> None:
    log = Log().add(101, "ACT", (1, 0, 3, 2), row=7).add(139, "RD", (1, 0, 3, 2), 7, 5)
    assert check(log).first == (
        "HBM3 tRCDRD: tick 139 RD [pc 1 sid 0 group 3 bank 2 row 7 column 5] is 1 tick too early "
        "after tick 101 ACT [pc 1 sid 0 group 3 bank 2 row 7]"
    )


def test_an_edge_that_ramulator_lacks_is_said_to_be_one() -> None:
    log = Log().add(START, "REFab").add(START + 906, "REFpb", OTHER_SID)
    verdict = check(log)
    assert verdict.by_rule == {"HBM3 REFab-REFpb": 1}
    assert verdict.notes == (
        "only HBM3 REFab-REFpb broken: JEDEC edges that Ramulator 2.1 does not have "
        "(CMU-SAFARI/ramulator2 issue 272), so a run that obeys Ramulator can break them",
    )
    log.add(START + 500, "ACT", OTHER_GROUP)
    assert check(log).notes == ()
