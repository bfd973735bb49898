"""Dropped, duplicated and altered commands are found and named; prerequisites are not asked for."""

from __future__ import annotations

import numpy as np
import pytest
from timing_logs import COMMANDS, DEVICE, LEVELS, Log, device

from pamsim.errors import InputError
from pamsim.validate.timing import SequenceFault, check_sequence

A, B = (0, 0, 0, 0), (0, 0, 1, 0)
EXPECTED = np.dtype([("command", "<i4"), ("address", "<i4", (8,))])


def stream(source: int, *, group: tuple[int, int, int, int]) -> Log:
    """WRQ twice, eight MAC over two rows with their ACTbg and PREbg, REDBG, one host read."""
    log = Log()
    tick = 1 + 100 * source
    for step in (
        *[("WRQ", 0, 0)] * 2,
        ("ACTbg", 1, 0),
        *[("MACbg_q1", 1, column) for column in range(4)],
        ("PREbg", 0, 0),
        ("ACTbg", 2, 0),
        *[("MACbg_q1", 2, column) for column in range(4)],
        ("REDBG_128", 0, 0),
        ("RD", 2, 5),
    ):
        log.add(tick, step[0], group, step[1], step[2], source=source)
        tick += 200
    return log


def both() -> np.ndarray:
    log = Log()
    log.records = stream(0, group=A).records + stream(1, group=B).records
    return log.add(5000, "REFab").array


def finals(log: np.ndarray, source: int) -> np.ndarray:
    """What stream `source` asked for: all but activates, precharges and refreshes."""
    own = log[log["source"] == source]
    row = [COMMANDS.index(name) for name in ("ACTbg", "PREbg")]
    own = own[~np.isin(own["command"], row)]
    expected = np.zeros(len(own), EXPECTED)
    expected["command"], expected["address"] = own["command"], own["address"]
    return expected


WHOLE = both()
EXPECT = [finals(WHOLE, 0), finals(WHOLE, 1)]


def check(log: np.ndarray, **options: object) -> list[SequenceFault]:
    return check_sequence(DEVICE, LEVELS, COMMANDS, EXPECT, log, **options)  # type: ignore[arg-type]


def test_a_whole_log_has_no_fault() -> None:
    assert check(WHOLE) == []


def place_of(index: int, source: int = 1) -> int:
    """Place in WHOLE of the `index`-th final of a stream."""
    row = [COMMANDS.index(name) for name in ("ACTbg", "PREbg")]
    own = (WHOLE["source"] == source) & ~np.isin(WHOLE["command"], row)
    return int(np.flatnonzero(own)[index])


@pytest.mark.parametrize("index", range(12))
def test_a_dropped_command_is_named(index: int) -> None:
    (fault,) = check(np.delete(WHOLE, place_of(index)))
    # of two equal WRQ the second is missed
    assert (fault.stream, fault.kind, fault.index) == (1, "dropped", max(index, 1))


@pytest.mark.parametrize("index", range(12))
def test_a_duplicated_command_is_named(index: int) -> None:
    place = place_of(index)
    (fault,) = check(np.insert(WHOLE, place, WHOLE[place]))
    assert (fault.stream, fault.kind) == (1, "duplicated")
    assert fault.index == max(index + 1, 2)


@pytest.mark.parametrize("index", range(2, 12))
def test_an_altered_address_is_named(index: int) -> None:
    log = WHOLE.copy()
    log[place_of(index)]["address"][3] = 3
    (fault,) = check(log)
    assert (fault.stream, fault.kind, fault.index) == (1, "altered", index)


def test_texts() -> None:
    (fault,) = check(np.delete(WHOLE, place_of(4)))
    assert fault.text == (
        "stream 1, command 4 was dropped: MACbg_q1 [pc 0 sid 0 group 1 row 1 column 2] is missing "
        "before tick 1301 MACbg_q1 [pc 0 sid 0 group 1 row 1 column 3]"
    )
    (fault,) = check(np.delete(WHOLE, place_of(11)))
    assert fault.tick is None
    assert fault.text == (
        "stream 1, command 11 was dropped: RD [pc 0 sid 0 group 1 bank 0 row 2 column 5] is not "
        "in the log"
    )
    log = WHOLE.copy()
    log[place_of(5)]["address"][6] = 9
    (fault,) = check(log)
    assert fault.text == (
        "stream 1, command 5 was altered: tick 1301 MACbg_q1 [pc 0 sid 0 group 1 row 1 column 9] "
        "issued for MACbg_q1 [pc 0 sid 0 group 1 row 1 column 3]"
    )


def test_a_command_that_nobody_asked_for_is_added() -> None:
    log = np.insert(WHOLE, place_of(10), WHOLE[place_of(3)])
    (fault,) = check(log)
    assert (fault.kind, fault.index) == ("added", 10)


def test_an_altered_stream_number_faults_both_streams() -> None:
    log = WHOLE.copy()
    log[place_of(10)]["source"] = 0
    assert [(f.stream, f.kind) for f in check(log)] == [(0, "added"), (1, "dropped")]
    log[place_of(10)]["source"] = 7
    assert [(f.stream, f.kind) for f in check(log)] == [(7, "added"), (1, "dropped")]


def test_order_counts_unless_a_stream_has_none() -> None:
    log = WHOLE.copy()
    a, b = place_of(3), place_of(4)
    log[["command", "address"]][[a, b]] = WHOLE[["command", "address"]][[b, a]]
    log["address"][[a, b]] = WHOLE["address"][[b, a]]
    assert [f.kind for f in check(log)] == ["altered"]
    assert check(log, unordered={1}) == []
    assert [f.kind for f in check(np.delete(log, a), unordered={1})] == ["dropped"]


def test_row_commands_that_a_program_asks_for_must_issue() -> None:
    own = WHOLE[WHOLE["source"] == 0]
    every = np.zeros(len(own), EXPECTED)
    every["command"], every["address"] = own["command"], own["address"]

    def faults(log: np.ndarray) -> list[tuple[str, int]]:
        found = check_sequence(DEVICE, LEVELS, COMMANDS, [every, EXPECT[1]], log)
        return [(fault.kind, fault.index) for fault in found]

    assert faults(WHOLE) == []
    place = int(np.flatnonzero(WHOLE["source"] == 0)[7])
    assert COMMANDS[WHOLE[place]["command"]] == "PREbg"
    assert faults(np.delete(WHOLE, place)) == [("dropped", 7)]
    # a prerequisite beside them is no fault
    assert faults(np.insert(WHOLE, place, WHOLE[place])) == []


def test_what_a_command_does_not_name_is_not_compared() -> None:
    log = WHOLE.copy()
    log["address"][place_of(0)][5:7] = (77, 8)  # WRQ names no row and no column
    log["address"][place_of(11)][7] = 1  # the eighth number belongs to no level
    assert check(log) == []


def test_a_family_without_commands_is_refused() -> None:
    with pytest.raises(InputError, match="family must be one with timing rules, not 'hbm_pym'"):
        check_sequence(device("hbm_pym"), LEVELS, COMMANDS, EXPECT, WHOLE)
