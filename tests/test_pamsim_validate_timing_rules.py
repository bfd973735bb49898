"""Every named inequality: met to the tick it passes, one tick less and it is named."""

from __future__ import annotations

import pytest
from timing_cases import (
    BANK,
    CASES,
    HARMLESS,
    HARMLESS_EDGES,
    OTHER_GROUP,
    OTHER_PC,
    OTHER_SID,
    Case,
)
from timing_logs import COMMANDS, DEVICE, LEVELS, REFI, Log, Where, depth, device

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing import TimingVerdict, check_log, find_family
from pamsim.validate.timing.rule import split_operand

START = REFI + 401  # of the earlier command: one REFab may come here, none is overdue
END = 2 * REFI

READ_BY_GROUP = ("MACbg", "SCbg")
ACCESSES = ("RD", "WR", "RDA", "WRA", "MACbg_q1", "MACbg_q4", "SCbg_q1", "SCbg_q4")


def build(case: Case, gap: int, *, there: Where | None = None) -> Log:
    """The earlier command, and `gap` ticks later the later one, with the rows they need open."""
    log = Log()
    where = there or case.there
    start = START
    if case.earlier.startswith("PRE") and (start + gap) % 2 == 0:
        start += 1  # a precharge may start on the falling edge
    opened: list[tuple[str, Where]] = []
    pairs = ((case.earlier, BANK), (case.later, where))
    by_group = any(name.startswith(READ_BY_GROUP) for name, _ in pairs)
    for name, place in pairs:
        if name not in ACCESSES:
            continue
        if (
            case.earlier in ("ACT", "ACTbg")
            and place[: depth(case.earlier)] == (BANK[: depth(case.earlier)])
        ):
            continue  # the earlier command opens it
        group_wide = by_group and (name.startswith(READ_BY_GROUP) or place[:3] == BANK[:3])
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


def test_every_edge_of_every_rule_has_a_case() -> None:
    family = find_family("hbm_pim")
    edges = {
        (rule.name, earlier, later)
        for rule in family.pairs
        for before, after in rule.edges
        for earlier in before
        for later in after
    }
    cases = {(c.rule, split_operand(c.earlier)[0], split_operand(c.later)[0]) for c in CASES}
    # two REFab have intervals of their own: `test_a_refresh_waits_for_the_one_before`
    assert edges == cases | {("HBM3 tRFC", "REFab", "REFab")}
    assert [rule.name for rule in family.windows] == ["HBM3 tFAW"]  # below
    assert len({rule.name for rule in family.rules}) == len(family.rules)
    assert all(rule.source and rule.meaning.endswith(".") for rule in family.rules)


def test_every_command_of_a_rule_has_a_kind() -> None:
    family = find_family("hbm_pim")
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
