"""The rules by hand, on a tiny device: both the reference and the engine have to get them right.

Every expected tick is derived in the comment beside it from docs/engine-rules.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from reference import engine as reference

import pyramulator
from pyramulator.description import Bus, Command, Description, Refresh, RowUse, Slot, TimingRow
from pyramulator.errors import Deadlock
from pyramulator.result import STALL_CLASSES, ChannelResult
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

Engine = Callable[[Description, CommandStream], ChannelResult]


def _embedded(description: Description, stream: CommandStream) -> ChannelResult:
    return pyramulator.run(description, stream, log=True, stalls=True)


@pytest.fixture(params=[reference.run, _embedded], ids=["reference", "engine"])
def run(request: pytest.FixtureRequest) -> Engine:
    """Both engines, one after the other."""
    return request.param


ACT = Command("ACT", "Row", Slot.ROW, 1, RowUse.OPEN, closes="PRE")
PRE = Command("PRE", "Bank", Slot.ROW, 1, RowUse.CLOSE, falling_edge=True)
PREab = Command("PREab", "PseudoChannel", Slot.ROW, 1, RowUse.CLOSE, falling_edge=True)
RD = Command("RD", "Column", Slot.COLUMN, 1, RowUse.ACCESS, opens="ACT", closes="PRE")
RDA = replace(RD, name="RDA", auto_precharge=True)
EXP = Command("EXP", "Bank", Slot.COLUMN, 1, RowUse.NONE)
REF = Command("REF", "PseudoChannel", Slot.ROW, 1, RowUse.ALL_CLOSED, closes="PREab", refresh=True)
COMMANDS = (ACT, PRE, PREab, RD, RDA, EXP, REF)


def device(*rows: TimingRow, bus: Bus = Bus.SINGLE, **more: object) -> Description:
    """One channel of two pseudo-channels of two banks."""
    return Description(
        name="tiny",
        levels=("Channel", "PseudoChannel", "Bank", "Row", "Column"),
        sizes=(1, 2, 2, 16, 16),
        ticks_per_second=1_000_000_000,
        bus=bus,
        commands=more.pop("commands", COMMANDS),  # type: ignore[arg-type]
        rows=rows,
        **more,  # type: ignore[arg-type]
    )


def row(level: str, preceding: str, following: str, latency: int, **more: object) -> TimingRow:
    return TimingRow(
        level,
        tuple(preceding.split()),
        tuple(following.split()),
        latency,
        **more,  # type: ignore[arg-type]
    )


# bank (pc, b) is place 2 pc + b; 4 and 5 are all banks of a pseudo-channel, 6 is the channel
TARGETS = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 0, -1), (0, 1, -1), (0, -1, -1)]
BARRIER_1, LOOP_END = (BARRIER, 0, 1, 0, 0, 1), (END, 0, 0, 0, 0, 0)


def do(name: str, bank: int, row: int = 0, column: int = 0, step: int = 0, count: int = 1) -> tuple:
    number = next(i for i, c in enumerate(COMMANDS) if c.name == name)
    return (number, bank, row, column, step, count)


def streams(*records: list[tuple], fifo: tuple[int, ...] = ()) -> CommandStream:
    arrays = tuple(np.array(r, dtype=RECORD) for r in records)
    return CommandStream(np.array(TARGETS, dtype=np.int32), arrays, fifo)


def issued(result: ChannelResult, *fields: str) -> list[tuple]:
    """(tick, name) of every command, and more fields when asked."""
    assert result.log is not None
    return [
        (int(r["tick"]), COMMANDS[r["command"]].name, *(int(r[f]) for f in fields))
        for r in result.log
    ]


def stalled(result: ChannelResult, stream: int) -> dict[str, int]:
    """Ticks of a stream by class or row; they sum to the run's ticks."""
    assert result.stalls is not None
    by_class = dict(zip(STALL_CLASSES, result.stalls.classes[stream].tolist(), strict=True))
    by_row = {f"row {i}": n for i, n in enumerate(result.stalls.rows[stream].tolist())}
    found = {name: n for name, n in (by_class | by_row).items() if n}
    assert sum(found.values()) == result.ticks
    return found


def test_every_command_issues_on_the_first_tick_that_its_rows_allow(run: Engine) -> None:
    """Rules 2, 6, 7 and 16."""
    description = device(
        row("Bank", "ACT", "RD", 5),
        row("Bank", "ACT", "PRE", 11),
        row("Bank", "RD", "RD", 2),
        row("Bank", "RD", "PRE", 3),
        row("Bank", "PRE", "ACT", 4),
        commands=(ACT, PRE, PREab, replace(RD, completion=3), RDA, EXP, REF),
    )
    result = run(description, streams([do("RD", 0, row=0, count=2), do("RD", 0, row=1)]))
    # ACT 1; RD 1+5 and +2; PRE max(8+3, 1+11); ACT +4; RD +5; the end is its completion, +3
    ticks = [(1, "ACT"), (6, "RD"), (8, "RD"), (12, "PRE"), (16, "ACT"), (21, "RD")]
    assert issued(result) == ticks
    assert result.ticks == 24
    assert result.counts == {"ACT": 2, "RD": 3, "PRE": 1}
    # row 0: 2..5 and 17..20; row 2: 7; row 1: 9..11 (12 beats 11); row 4: 13..15; done 22..24
    assert stalled(result, 0) == {
        "issued": 6,
        "row 0": 8,
        "row 2": 1,
        "row 1": 3,
        "row 4": 3,
        "done": 3,
    }


def test_a_window_looks_at_the_nth_last_push(run: Engine) -> None:
    """Rule 2: window 2 and 10 ticks; the banks are one history at the channel."""
    description = device(row("Channel", "ACT", "ACT", 10, window=2))
    result = run(description, streams([do("ACT", bank) for bank in range(4)]))
    # the third waits for the first, the fourth for the second
    assert issued(result) == [(1, "ACT"), (2, "ACT"), (11, "ACT"), (12, "ACT")]


def test_histories_of_different_commands_are_not_merged(run: Engine) -> None:
    """Rule 2: EXP and ACT in one row, window 2: two pushes of different commands are not two."""
    description = device(row("Channel", "ACT EXP", "RD", 20, window=2))
    result = run(description, streams([do("EXP", 0), do("RD", 0)]))
    assert issued(result) == [(1, "EXP"), (2, "ACT"), (3, "RD")]


def test_a_sibling_row_constrains_the_other_children_only(run: Engine) -> None:
    """Rule 2: EXP of pseudo-channel 0 holds up pseudo-channel 1 for 9 ticks, not itself."""
    description = device(row("PseudoChannel", "EXP", "EXP", 9, sibling=True))
    result = run(description, streams([do("EXP", 0), do("EXP", 1), do("EXP", 2)]))
    assert issued(result) == [(1, "EXP"), (2, "EXP"), (11, "EXP")]


def test_a_wildcard_has_no_siblings_and_matches_all_children(run: Engine) -> None:
    """Rules 2 and 3: EXP of all pseudo-channels pushes on each node, and nothing on siblings."""
    exp = replace(EXP, scope="Channel")
    description = device(
        row("PseudoChannel", "EXP", "EXP", 9, sibling=True),
        row("Bank", "EXP", "RD", 7),
        commands=(ACT, PRE, PREab, RD, RDA, exp, REF),
    )
    result = run(description, streams([do("EXP", 6, count=2), do("RD", 3)]))
    # the second EXP is free; RD in bank 3: 2 + 7, though its bank was opened at 3
    assert issued(result) == [(1, "EXP"), (2, "EXP"), (3, "ACT"), (9, "RD")]


def test_a_half_open_scope_is_closed_before_it_is_opened(run: Engine) -> None:
    """Rule 6: one of two banks open is neither all open nor all closed."""
    description = device()
    result = run(description, streams([do("RD", 0, row=2), do("RD", 4, row=2)]))
    expected = [(1, "ACT"), (2, "RD"), (3, "PRE"), (4, "ACT"), (5, "RD")]
    assert issued(result) == expected
    assert result.log is not None
    # address: channel, pseudo-channel, bank; the wildcard stays in the prerequisites
    assert result.log["address"][3, :3].tolist() == [0, 0, -1]


def test_auto_precharge_closes_at_its_issue(run: Engine) -> None:
    """Rule 6: the access after RDA has to open its row anew, at no PRE."""
    result = run(device(), streams([do("RDA", 0), do("RD", 0)]))
    assert issued(result) == [(1, "ACT"), (2, "RDA"), (3, "ACT"), (4, "RD")]
    # bank 0 is open in ticks 1, 3 and 4
    assert result.residency.open_bank_ticks.tolist() == [3, 0]
    assert result.residency.active.tolist() == [3, 0]
    assert result.residency.precharged.tolist() == [1, 4]


def test_a_bank_is_held_from_its_opens_to_the_final(run: Engine) -> None:
    """Rules 9, 11 and 17."""
    description = device(row("Bank", "ACT", "RD", 10))
    result = run(description, streams([do("RD", 0, row=0)], [do("RD", 0, row=1)]))
    # stream 1 may close the bank only after stream 0's RD at 1 + 10
    expected = [(1, "ACT", 0), (11, "RD", 0), (12, "PRE", 1), (13, "ACT", 1), (23, "RD", 1)]
    assert issued(result, "source") == expected
    # tick 1: an ACT like stream 0's, one slot; 2 to 11: held; 14 to 22: ACT to RD
    assert stalled(result, 1) == {"slot": 1, "held": 10, "issued": 3, "row 0": 9}
    assert result.stalls is not None
    assert result.stalls.slot_to.tolist() == [[0, 0, 0], [1, 0, 0]]


def test_a_head_that_holds_goes_before_older_heads(run: Engine) -> None:
    """Rule 11(b) before (d): at tick 3 both are ready, stream 1 holds."""
    description = device(row("Bank", "ACT", "RD", 1), row("Channel", "EXP", "EXP", 2))
    work = streams([do("EXP", 0, count=2)], [do("RD", 2)])
    # EXP 1; ACT 2 (the second EXP waits till 3); at 3 RD of the holder, then EXP
    assert issued(run(description, work), "source") == [
        (1, "EXP", 0),
        (2, "ACT", 1),
        (3, "RD", 1),
        (4, "EXP", 0),
    ]


def test_a_barrier_opens_a_tick_after_the_last_arrival(run: Engine) -> None:
    """Rule 8: arrivals at 1 + 4 (EXP completes) and at 0 (nothing before it)."""
    description = device(commands=(ACT, PRE, PREab, RD, RDA, replace(EXP, completion=4), REF))
    result = run(description, streams([do("EXP", 0), BARRIER_1], [BARRIER_1, do("EXP", 2)]))
    assert issued(result, "source") == [(1, "EXP", 0), (6, "EXP", 1)]
    assert result.ticks == 10
    assert stalled(result, 0) == {"issued": 1, "done": 9}  # behind its barrier is nothing
    assert stalled(result, 1) == {"barrier": 5, "issued": 1, "done": 4}


def test_two_barriers_in_a_row_open_together(run: Engine) -> None:
    """Rule 8: the second's arrival is the tick at which the first opened."""
    second = (BARRIER, 0, 2, 0, 0, 1)
    result = run(
        device(), streams([do("EXP", 0), BARRIER_1, second, do("EXP", 0)], [BARRIER_1, second])
    )
    assert issued(result) == [(1, "EXP"), (2, "EXP")]


def test_barriers_in_loops_are_generations(run: Engine) -> None:
    """Rule 8: each passing waits for the other stream's, and loop steps move the column."""
    loop = (LOOP, 0, 0, 2, 0, 3)
    first = [loop, do("EXP", 0, column=1), BARRIER_1, LOOP_END]
    other = [loop, do("EXP", 2, count=3), BARRIER_1, LOOP_END]
    result = run(device(), streams(first, other))
    # one slot: 0 1 1 1 | 0 1 1 1 | 0 1 1 1; the last arrival opens the barrier for the next tick
    assert issued(result, "source") == [
        (tick, "EXP", 0 if tick % 4 == 1 else 1) for tick in range(1, 13)
    ]
    assert stalled(result, 0) == {"issued": 3, "barrier": 6, "done": 3}


def test_a_barrier_that_a_stream_never_reaches_is_a_deadlock(run: Engine) -> None:
    """Rule 18: stream 1 passes the barrier once, stream 0 wants it twice."""
    work = streams([BARRIER_1, do("EXP", 0), BARRIER_1, do("EXP", 0)], [BARRIER_1])
    with pytest.raises(Deadlock, match="stream 0"):
        run(device(), work)


def test_row_and_column_slots_of_one_tick(run: Engine) -> None:
    """Rule 12: column, then row; the row slot sees what the column slot did."""
    description = device(bus=Bus.ROW_COLUMN)
    result = run(description, streams([do("EXP", 0)], [do("RD", 2)], [do("RDA", 0), do("RD", 0)]))
    assert issued(result, "source") == [
        (1, "EXP", 0),
        (1, "ACT", 1),
        (2, "RD", 1),
        (2, "ACT", 2),
        (3, "RDA", 2),
        (4, "ACT", 2),
        (5, "RD", 2),
    ]


def test_even_ticks_take_falling_edge_row_commands_only(run: Engine) -> None:
    """Rule 12: EXP and ACT at odd ticks, PRE at any."""
    description = device(bus=Bus.HALF_CLOCK)
    result = run(description, streams([do("ACT", 0), do("EXP", 0), do("PRE", 0), do("ACT", 2)]))
    assert issued(result) == [(1, "ACT"), (3, "EXP"), (4, "PRE"), (5, "ACT")]
    assert stalled(result, 0) == {"issued": 4, "edge": 1}


@pytest.mark.parametrize(
    ("closed", "tick"),
    [
        pytest.param(1, 2, id="another-bank"),
        pytest.param(0, 3, id="the-same-bank"),
        pytest.param(4, 3, id="several-banks-of-the-pseudo-channel"),
        pytest.param(5, 2, id="several-banks-of-the-other-pseudo-channel"),
        pytest.param(6, 3, id="every-pseudo-channel"),
    ],
)
def test_the_pairing_rule(run: Engine, closed: int, tick: int) -> None:
    """Rule 12: ACT of bank 0 at tick 1, one tick long; then a PRE that would go at tick 2."""
    description = device(bus=Bus.HALF_CLOCK)
    result = run(description, streams([do("ACT", 0), do("PRE", closed)]))
    assert issued(result) == [(1, "ACT"), (tick, "PRE")]


def test_the_pairing_rule_counts_the_first_command_s_cycles(run: Engine) -> None:
    """Rule 12: an ACT of 3 ticks pairs with tick 4; tick 2 is free."""
    description = device(
        row("Bank", "ACT", "PRE", 3),
        bus=Bus.HALF_CLOCK,
        commands=(replace(ACT, cycles=3), PRE, PREab, RD, RDA, EXP, REF),
    )
    result = run(description, streams([do("ACT", 0), do("PRE", 0)]))
    assert issued(result) == [(1, "ACT"), (5, "PRE")]  # ready at 4, refused there
    assert stalled(result, 0) == {"issued": 2, "row 0": 2, "edge": 1}


REFRESHING = Refresh("REF", "PseudoChannel", 6)


def test_refresh_keeps_out_the_heads_it_meets(run: Engine) -> None:
    """Rules 10, 11(c), 11(d) and 17."""
    description = device(row("Channel", "EXP", "EXP", 4), refresh=REFRESHING)
    result = run(description, streams([do("RD", 0), do("EXP", 0, count=2), do("RD", 0, row=1)]))
    # at 6 two refreshes enter; bank 0 is open: PREab, REF of pc 0, REF of pc 1. At 8 the head
    # is no longer met, but pc 1's refresh goes first, (c) before (d)
    assert issued(result, "source") == [
        (1, "ACT", 0),
        (2, "RD", 0),
        (3, "EXP", 0),
        (6, "PREab", -1),
        (7, "REF", -1),
        (8, "REF", -1),
        (9, "EXP", 0),
        (10, "ACT", 0),
        (11, "RD", 0),
    ]
    # 4, 5: EXP to EXP; 6 and 7: met by a refresh; 8: the slot went to refresh
    assert stalled(result, 0) == {"issued": 6, "row 0": 2, "refresh": 2, "slot": 1}
    assert result.stalls is not None
    assert result.stalls.slot_to.tolist() == [[0, 1]]


def test_a_row_pushed_by_a_refresh_is_a_refresh_stall(run: Engine) -> None:
    """Rule 17: REF to EXP, 5 ticks."""
    description = device(row("PseudoChannel", "REF", "EXP", 5), refresh=REFRESHING)
    result = run(description, streams([do("EXP", 0, count=6)]))
    # EXP 1..5; REF of pc 0 at 6, of pc 1 at 7; EXP at 6 + 5
    assert issued(result) == [
        *((tick, "EXP") for tick in range(1, 6)),
        (6, "REF"),
        (7, "REF"),
        (11, "EXP"),
    ]
    assert stalled(result, 0) == {"issued": 6, "refresh": 5}


def test_refreshes_go_on_to_the_end_and_no_further(run: Engine) -> None:
    """Rule 16: E = 1 + 12: refresh at 6 and 7, at 12 and 13, and none after."""
    commands = (ACT, PRE, PREab, RD, RDA, replace(EXP, completion=12), replace(REF, completion=4))
    description = device(commands=commands, refresh=REFRESHING)
    result = run(description, streams([do("EXP", 0)]))
    assert issued(result) == [(1, "EXP"), (6, "REF"), (7, "REF"), (12, "REF"), (13, "REF")]
    assert result.ticks == 13
    # pseudo-channel 0: 6..9 and 12, 13; pseudo-channel 1: 7..10 and 13
    assert result.residency.refreshing.tolist() == [6, 5]
    assert result.residency.precharged.tolist() == [7, 8]


def test_refresh_waits_for_a_held_bank(run: Engine) -> None:
    """Rule 9: its precharge does not issue on a bank that stream 0 opened at 2 and reads at 10."""
    commands = (ACT, PRE, PREab, replace(RD, completion=3), RDA, EXP, REF)
    description = device(
        row("Bank", "ACT", "RD", 8), refresh=replace(REFRESHING, interval=7), commands=commands
    )
    result = run(description, streams([do("EXP", 2), do("RD", 0)]))
    assert issued(result) == [
        (1, "EXP"),
        (2, "ACT"),
        (10, "RD"),
        (11, "PREab"),
        (12, "REF"),
        (13, "REF"),
    ]
    assert result.ticks == 13


def test_a_fifo_stream_issues_in_order_and_in_both_slots(run: Engine) -> None:
    """Rules 7 and 15: the next of a fifo stream may take the row slot of the same tick."""
    description = device(bus=Bus.ROW_COLUMN)
    records = [do("EXP", 0), do("RD", 0), do("EXP", 0)]
    result = run(description, streams(records, fifo=(2,)))
    assert issued(result) == [(1, "EXP"), (1, "ACT"), (2, "RD"), (3, "EXP")]
    # window 1: the RD enters at 2 only
    result = run(description, streams(records, fifo=(1,)))
    assert issued(result) == [(1, "EXP"), (2, "ACT"), (3, "RD"), (4, "EXP")]


def test_a_refresh_enters_before_a_fifo_stream_s_request(run: Engine) -> None:
    """Rules 10 and 15 in one tick: window 1, the third request could enter at 3 as REF does."""
    description = device(refresh=replace(REFRESHING, interval=3))
    result = run(description, streams([do("EXP", 0, count=3)], fifo=(1,)))
    assert issued(result) == [(1, "EXP"), (2, "EXP"), (3, "REF"), (4, "REF"), (5, "EXP")]
    assert stalled(result, 0) == {"issued": 3, "refresh": 2}


def test_nothing_to_do_takes_no_time(run: Engine) -> None:
    """Rule 16: E = 0 when there were no finals, barriers or not."""
    result = run(device(refresh=REFRESHING), streams([BARRIER_1], [BARRIER_1]))
    assert result.ticks == 0
    assert result.counts == {}
    assert result.stalls is not None and result.stalls.classes.sum() == 0
