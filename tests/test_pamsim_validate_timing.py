"""The checker as a whole: a hand-made legal run, refresh, counts, and what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from timing_logs import COMMANDS, DEVICE, LEVELS, REFI, Log, device

from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.validate.timing import Checker, TimingVerdict, check_log, combine, family_names
from pyramulator.stream import LOG

START = REFI + 401
END = 2 * REFI


def check(log: Log, ticks: int = END, spec: DeviceSpec = DEVICE) -> TimingVerdict:
    return check_log(spec, LEVELS, COMMANDS, log.array, ticks=ticks)


def attention_tile() -> Log:
    """A tile of one group by hand, its neighbour one CK behind, each gap the shortest allowed.

    Ticks of the first group; the neighbour's columns lie 4 ticks (tCCDS) behind, its ACTbg tFAW.
    """
    log = Log()
    for shift, group in ((0, (0, 0, 0, 0)), (4, (0, 0, 1, 0))):
        log.add(1 + 20 * shift, "ACTbg", group, row=3)
        log.add(101 + shift, "WRQ", group)
        log.add(109 + shift, "WRQ", group)
        for column in range(4):  # 109 + 38 after write data (6 + 2 + 11 CK)
            log.add(147 + shift + 8 * column, "MACbg_q1", group, 3, column)
        log.add(217 + shift, "MAX_128", group)  # 171 + 46: data after 21 CK, PU 4 ticks
        log.add(265 + shift, "EXP_128", group)  # 47 on, to a rising edge
        log.add(809 + shift, "SUM_128", group)  # 543 on, to a rising edge
        for column in range(4):
            log.add(857 + shift + 8 * column, "MACbg_q1", group, 3, 4 + column)
        log.add(927 + shift, "REDBG_128", group)
        for i in range(9):  # 172 on: 8 columns of O, one of (m, l)
            log.add(1099 + shift + 8 * i, "REDLD", group)
        log.add(1110 + 2 * shift, "PREbg", group)  # falling edge; nPPD between the two
    log.add(1247, "RDRES")  # 1167 + 79 ticks of the logic die's merge, to a rising edge
    log.add(REFI + 1, "REFab", (0, 0, 0, 0)).add(REFI + 3, "REFab", (1, 0, 0, 0))
    # the host's turn, after 455 CK of refresh
    log.add(REFI + 911, "ACT", (0, 1, 2, 3), row=9)
    log.add(REFI + 951, "RD", (0, 1, 2, 3), 9, 31)
    log.add(REFI + 985, "WRA", (0, 1, 2, 3), 9, 31)
    return log


def test_a_tile_by_hand_passes() -> None:
    log = attention_tile()
    verdict = check(log)
    assert (verdict.verdict, verdict.first, verdict.by_rule) == ("passed", None, {})
    assert verdict.commands_checked == len(log.records) == 2 * 25 + 6
    assert verdict.logs_checked == 1
    assert "HBM3 tRCDRD" in verdict.rules
    assert "expected counts" not in verdict.rules


def test_every_gap_of_the_tile_is_the_shortest() -> None:
    """A column command of the first group a CK earlier breaks a rule; the slack ones are listed."""
    log = attention_tile()
    slack = []
    for i, (tick, command, source, address) in enumerate(log.records[:25]):
        moved = Log()
        moved.records = list(log.records)
        moved.records[i] = (tick - 2, command, source, address)
        if check(moved).verdict == "passed":
            slack.append((tick, COMMANDS[command]))
    assert slack == [
        (101, "WRQ"),  # nothing comes before the first WRQ
        (1110, "PREbg"),  # long after the last MACbg
    ]


@pytest.mark.parametrize("place", range(56))
def test_a_dropped_command_is_caught(place: int) -> None:
    log = attention_tile()
    whole = log.array
    cut = np.delete(whole, place)
    names, counts = np.unique(whole["command"], return_counts=True)
    expected = {COMMANDS[n]: int(c) for n, c in zip(names, counts, strict=True)}
    verdict = check_log(DEVICE, LEVELS, COMMANDS, cut, ticks=3 * REFI, expected_counts=expected)
    assert verdict.by_rule["expected counts"] == 1
    name = COMMANDS[whole[place]["command"]]
    if name == "ACTbg":
        assert verdict.by_rule["HBM3 closed row"] == 8
    if name == "REFab":
        assert "HBM3 tREFI" in verdict.by_rule
    if name == "PREbg":
        assert verdict.by_rule["HBM3 REF with an open bank"] == 1


@pytest.mark.parametrize("place", range(56))
def test_a_duplicated_command_is_caught(place: int) -> None:
    whole = attention_tile().array
    twice = np.insert(whole, place, whole[place])
    name = COMMANDS[whole[place]["command"]]
    count = int((whole["command"] == whole[place]["command"]).sum())
    verdict = check_log(DEVICE, LEVELS, COMMANDS, twice, ticks=END, expected_counts={name: count})
    assert verdict.by_rule["expected counts"] == 1
    bus = "row" if name in ("ACT", "ACTbg", "PREbg", "REFab") else "column"
    assert verdict.by_rule[f"HBM3 {bus} bus"] >= 1


def test_counts_are_named() -> None:
    log = Log().add(START, "REDLD").add(START + 8, "REDLD")
    verdict = check_log(
        DEVICE, LEVELS, COMMANDS, log.array, ticks=END, expected_counts={"REDLD": 3, "WRQ": 0}
    )
    assert verdict.first == "expected counts: REDLD must issue 3 times, not 2"
    assert verdict.violations == 1
    assert check_log(
        DEVICE, LEVELS, COMMANDS, log.array, ticks=END, expected_counts={"NOSUCH": 1}
    ).by_rule == {"expected counts": 1}


# -- refresh --------------------------------------------------------------------------------------


def refreshes(*ticks: int, end: int, refresh: bool = True) -> TimingVerdict:
    """REFab of pseudo-channel 0 at `ticks`; those of pseudo-channel 1 are all there."""
    log = Log()
    for tick in ticks:
        log.add(tick, "REFab")
    for k in range(1, (end - 1) // REFI):
        log.add(k * REFI + 5001, "REFab", (1, 0, 0, 0))
    return check_log(DEVICE, LEVELS, COMMANDS, log.array, ticks=end, refresh=refresh)


def test_a_refresh_comes_in_its_interval() -> None:
    end = 3 * REFI
    assert refreshes(REFI + 1, 2 * REFI + 1, end=end).verdict == "passed"
    assert refreshes(2 * REFI - 1, 3 * REFI - 1, end=end).verdict == "passed"
    assert refreshes(REFI - 1, 2 * REFI + 1, end=end).by_rule == {"HBM3 tREFI": 1}
    assert refreshes(2 * REFI + 1, 2 * REFI + 2001, end=end).by_rule == {"HBM3 tREFI": 1}
    # one too many is one that comes before its interval
    assert refreshes(REFI + 1, 2 * REFI - 1001, 2 * REFI + 1, end=end).by_rule == {"HBM3 tREFI": 2}


def test_a_missing_refresh_shows_at_the_end() -> None:
    assert refreshes(end=2 * REFI).verdict == "passed"  # it may still come
    verdict = refreshes(end=2 * REFI + 1)
    assert verdict.by_rule == {"HBM3 tREFI": 1}
    assert verdict.first == (
        "HBM3 tREFI: REFab number 1 of pseudo-channel 0 is due by tick 20280 and missing at the "
        "end, tick 20281"
    )
    assert refreshes(REFI + 1, end=3 * REFI + 1).by_rule == {"HBM3 tREFI": 1}


def test_eight_refreshes_may_be_postponed_and_no_more() -> None:
    assert refreshes(9 * REFI - 1, end=9 * REFI).by_rule == {"HBM3 tREFI": 1 + 6}
    late = refreshes(9 * REFI + 1, end=9 * REFI + 2)
    assert late.by_rule == {"HBM3 tREFI": 1 + 7, "HBM3 tREFI x 9": 1}
    assert refreshes(end=9 * REFI).by_rule == {"HBM3 tREFI": 7}
    assert refreshes(end=9 * REFI + 1).by_rule == {"HBM3 tREFI": 8, "HBM3 tREFI x 9": 1}


def test_a_run_without_refresh_says_so() -> None:
    verdict = refreshes(end=9 * REFI, refresh=False)
    assert verdict.verdict == "passed"
    assert "HBM3 tREFI" not in verdict.rules
    assert verdict.notes == ("refresh intervals not held: the run refreshes nothing",)


# -- what is not known ----------------------------------------------------------------------------


def test_a_family_without_rules_is_unchecked() -> None:
    verdict = check(Log().add(START, "RD"), spec=device("tape_pim"))
    assert (verdict.verdict, verdict.commands_checked, verdict.rules) == ("unchecked", 0, ())
    known = ", ".join(family_names())
    assert verdict.notes == (f"no timing rules for family 'tape_pim'; known: {known}",)


def test_a_command_without_rules_is_unchecked() -> None:
    log = Log().add(START, "WRQ").array
    for name in ("RFMab", "MACbg", "WRQ_4"):
        names = [name if n == "WRQ" else n for n in COMMANDS]
        verdict = check_log(DEVICE, LEVELS, names, log, ticks=END)
        assert verdict.verdict == "unchecked"
        assert verdict.notes == (f"no rules of family 'hbm_pim' for command {name}",)
    # of the stock family the PIM commands are unknown
    assert check(Log().add(START, "WRQ"), spec=device("hbm3")).verdict == "unchecked"
    assert check(Log().add(START, "ACT"), spec=device("hbm3")).verdict == "passed"


def test_a_missing_parameter_leaves_its_rules_unchecked() -> None:
    verdict = check(Log().add(START, "ACT"), spec=device(drop="nFAW"))
    assert verdict.verdict == "unchecked"
    assert verdict.notes == ("PIM tFAW, HBM3 tFAW not held: the device gives no nFAW",)
    assert "HBM3 tFAW" not in verdict.rules
    broken = Log().add(START, "ACT").add(START + 2, "RD")
    assert check(broken, spec=device(drop="nFAW")).verdict == "violated"
    assert check(Log(), spec=device(drop="nREFI")).notes == (
        "HBM3 tREFI not held: the device gives no nREFI",
    )


def test_a_parameter_that_no_command_needs_may_be_missing() -> None:
    names = [n for n in COMMANDS if n != "REFpb"]
    log = Log().add(START, "ACT").array
    for drop in ("nRFCpb", "nRREFD"):
        verdict = check_log(device(drop=drop), LEVELS, names, log, ticks=END)
        assert verdict.verdict == "passed"


def test_levels_fit_the_organisation() -> None:
    with pytest.raises(InputError, match="levels must name 'sid' of 2 nodes"):
        Checker(DEVICE, ("Channel", "PseudoChannel", "BankGroup", "Bank", "Row", "Column"), [])
    with pytest.raises(InputError, match="levels must end in Row, Column"):
        Checker(DEVICE, LEVELS[:-1], COMMANDS)


def test_verdicts_combine() -> None:
    passed = check(attention_tile())
    broken = check(Log().add(START, "RD"))
    both = combine([passed, broken])
    assert (both.verdict, both.violations, both.first) == ("violated", 1, broken.first)
    assert both.commands_checked == passed.commands_checked + 1
    assert both.logs_checked == 2
    unknown = check(Log(), spec=device("no_such_pim"))
    assert combine([passed, unknown]).verdict == "unchecked"
    assert combine([]).verdict == "unchecked"


def test_a_log_of_another_type_is_refused() -> None:
    with pytest.raises(InputError, match="a log must be of dtype LOG"):
        Checker(DEVICE, LEVELS, COMMANDS).feed(np.zeros(3, np.int64))
    assert check_log(DEVICE, LEVELS, COMMANDS, np.zeros(0, LOG), ticks=0).verdict == "passed"
