"""Command buses, clock edges, row state and addresses."""

from __future__ import annotations

import pytest
from timing_logs import COMMANDS, DEVICE, LEVELS, REFI, Log, Where

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing import TimingVerdict, check_log

START = REFI + 401
END = 2 * REFI


def check(log: Log, ticks: int = END, spec: DeviceSpec = DEVICE) -> TimingVerdict:
    return check_log(spec, LEVELS, COMMANDS, log.array, ticks=ticks)


# -- buses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later", "gap", "rule"),
    [
        ("ACT", "ACT", 3, "HBM3 row bus"),  # 3 ticks of ACT; the other pseudo-channel's
        ("ACT", "PREpb", 3, "HBM3 row bus"),
        ("ACTbg", "PREbg", 3, "HBM3 row bus"),
        ("ACTbg", "ACT", 3, "HBM3 row bus"),
        ("PREpb", "PREpb", 1, "HBM3 row bus"),
        ("MACbg_q1", "MACbg_q1", 2, "HBM3 column bus"),
        ("MACbg_q1", "REDLD", 2, "HBM3 column bus"),
        ("WRQ", "RDRES", 2, "HBM3 column bus"),
    ],
)
def test_a_bus_carries_one_command(earlier: str, later: str, gap: int, rule: str) -> None:
    """Both pseudo-channels share the buses, and no other rule joins them."""

    def log(gap: int) -> Log:
        log = Log()
        if earlier.startswith("MAC"):
            log.add(START - 200, "ACTbg", (0, 0, 0, 0))
        if later.startswith("MAC"):
            log.add(START - 190, "ACTbg", (1, 1, 1, 0))
        return log.add(START, earlier).add(START + gap, later, (1, 1, 1, 0))

    assert rule not in check(log(gap)).by_rule
    assert check(log(gap - 1)).by_rule[rule] == 1


def test_row_and_column_bus_are_apart() -> None:
    log = Log().add(START, "WRQ").add(START, "ACT", (1, 0, 0, 0))
    assert check(log).verdict == "passed"


@pytest.mark.parametrize("name", [n for n in COMMANDS if not n.startswith("PRE")])
def test_all_but_precharges_start_on_rising_edges(name: str) -> None:
    assert "HBM3 rising edge" not in check(Log().add(START, name)).by_rule
    assert check(Log().add(START + 1, name)).by_rule["HBM3 rising edge"] == 1


@pytest.mark.parametrize("name", ["PREpb", "PREab", "PREbg"])
def test_precharges_start_on_either_edge(name: str) -> None:
    for tick in (START, START + 1):
        assert check(Log().add(tick, name)).verdict == "passed"


A: Where = (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("earlier", "later", "there", "refused"),
    [
        ("ACT", "PREpb", (0, 0, 0, 1), False),
        ("ACT", "PREpb", (0, 1, 0, 0), False),  # the same place in another SID
        ("ACT", "PREpb", A, True),  # the same bank; tRAS refuses it too
        ("ACT", "PREbg", (0, 0, 1, 0), True),  # more than one bank
        ("ACT", "PREab", A, True),
        ("ACTbg", "PREpb", (0, 0, 1, 0), True),
        ("ACTbg", "PREpb", (1, 0, 0, 0), False),  # the other pseudo-channel
        ("ACTbg", "PREbg", (1, 0, 0, 0), False),
        ("REFab", "PREpb", A, True),  # tRFC refuses it too
        ("REFab", "PREpb", (1, 0, 0, 0), False),
        ("PREpb", "PREpb", (0, 1, 1, 1), False),  # tPPD refuses it
        ("PREpb", "PREpb", A, True),
    ],
)
def test_falling_edge_partners(earlier: str, later: str, there: Where, refused: bool) -> None:
    """A precharge on the falling edge right behind the last tick of a row command."""
    length = 3 if earlier.startswith("ACT") else 1
    start = START
    log = Log().add(start, earlier).add(start + length, later, there)
    assert (start + length) % 2 == 0
    found = check(log).by_rule.get("HBM3 falling-edge pairing", 0)
    assert found == int(refused)
    # a tick later it is no partner any more
    apart = Log().add(start, earlier).add(start + length + 1, later, there)
    assert "HBM3 falling-edge pairing" not in check(apart).by_rule


# -- row state ------------------------------------------------------------------------------------


def rows(*steps: tuple[str, Where, int], pace: int = 201) -> dict[str, int]:
    """by_rule of commands spaced too far apart for any gap, row given for each."""
    log = Log()
    for i, (name, where, row) in enumerate(steps):
        log.add(START + (pace + 1) * i, name, where, row)
    return check(log).by_rule


def test_a_column_command_needs_an_open_row() -> None:
    for name in ("RD", "WR", "RDA", "WRA", "MACbg_q1"):
        assert rows((name, A, 5)) == {"HBM3 closed row": 1}
    for closer in ("PREpb", "PREab", "PREbg", "RDA", "WRA"):
        assert rows(("ACT", A, 5), (closer, A, 5), ("RD", A, 5)) == {"HBM3 closed row": 1}
    assert rows(("ACT", A, 5), ("PREpb", (0, 0, 0, 1), 5), ("RD", A, 5)) == {}
    assert rows(("ACT", A, 5), ("PREab", (1, 0, 0, 0), 5), ("RD", A, 5)) == {}


def test_a_column_command_needs_its_own_row() -> None:
    for name in ("RD", "WR", "RDA", "WRA"):
        assert rows(("ACT", A, 5), (name, A, 6)) == {"HBM3 wrong row": 1}
    assert rows(("ACTbg", A, 5), ("MACbg_q1", A, 5), ("MACbg_q4", A, 6)) == {"HBM3 wrong row": 1}
    assert rows(("ACTbg", A, 5), ("RD", (0, 0, 0, 3), 5)) == {}


def test_a_mac_needs_all_four_banks() -> None:
    group = [("ACT", (0, 0, 0, bank), 5) for bank in range(4)]
    assert rows(*group, ("MACbg_q1", A, 5)) == {}
    assert rows(*group[:3], ("MACbg_q1", A, 5)) == {"PIM half-open group": 1}
    assert rows(("ACTbg", A, 5), ("PREpb", (0, 0, 0, 2), 5), ("MACbg_q1", A, 5)) == {
        "PIM half-open group": 1
    }
    assert rows(("ACTbg", A, 5), ("RDA", (0, 0, 0, 2), 5), ("MACbg_q1", A, 5)) == {
        "PIM half-open group": 1
    }
    other_row = [*group[:3], ("ACT", (0, 0, 0, 3), 6)]
    assert rows(*other_row, ("MACbg_q1", A, 5)) == {"HBM3 wrong row": 1}


def test_only_closed_banks_are_activated() -> None:
    assert rows(("ACT", A, 5), ("ACT", A, 6)) == {"HBM3 ACT on an open bank": 1}
    assert rows(("ACT", A, 5), ("ACTbg", A, 6)) == {"HBM3 ACT on an open bank": 1}
    assert rows(("ACTbg", A, 5), ("ACTbg", A, 6)) == {"HBM3 ACT on an open bank": 1}
    assert rows(("ACTbg", A, 5), ("PREbg", A, 0), ("ACT", (0, 0, 0, 3), 6)) == {}


def test_only_closed_banks_are_refreshed() -> None:
    rule = "HBM3 REF with an open bank"
    assert rows(("ACT", (0, 1, 2, 3), 5), ("REFab", A, 0)) == {rule: 1}
    assert rows(("ACT", (1, 1, 2, 3), 5), ("REFab", A, 0)) == {}
    assert rows(("ACT", (0, 1, 2, 3), 5), ("PREab", A, 0), ("REFab", A, 0)) == {}
    assert rows(("ACTbg", A, 5), ("REFpb", (0, 0, 0, 3), 0)) == {rule: 1}
    assert rows(("ACT", A, 5), ("REFpb", (0, 0, 0, 3), 0)) == {}


# -- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "value"),
    [(1, 2), (1, -1), (2, 2), (3, 4), (4, -1), (4, 4), (5, 16384), (5, -1), (6, 32)],
)
def test_an_address_is_of_its_commands_scope(place: int, value: int) -> None:
    log = Log().add(START, "ACT").add(START + 100, "RD").array
    log[1]["address"][place] = value
    verdict = check_log(DEVICE, LEVELS, COMMANDS, log, ticks=END)
    assert verdict.by_rule == {"HBM3 record": 1}


def test_a_group_command_names_no_bank() -> None:
    log = Log().add(START, "ACTbg").array
    log[0]["address"][4] = 0
    assert check_log(DEVICE, LEVELS, COMMANDS, log, ticks=END).by_rule == {"HBM3 record": 1}


def test_ticks_ascend_up_to_the_end() -> None:
    log = Log().add(START, "WRQ").add(START + 100, "WRQ").array[::-1]
    assert check_log(DEVICE, LEVELS, COMMANDS, log, ticks=END).by_rule["HBM3 record"] == 1
    late = Log().add(START, "WRQ")
    assert check(late, ticks=START).verdict == "passed"
    assert check(late, ticks=START - 1).by_rule == {"HBM3 record": 1}
