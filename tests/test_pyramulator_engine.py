"""The rules of docs/engine-rules.md one by one, on channels small enough to work out by hand.

A command is seen to issue at its tick and therefore not one tick earlier; the arithmetic of every
expected tick stands beside it.
"""

from __future__ import annotations

import pytest
from engine_cases import device, play, row, streams

from pyramulator import Bus, Deadlock, run

# ---- rules 1 to 3: time, rows, scopes


def test_ticks_start_at_1_and_a_row_is_kept_to_the_tick() -> None:
    assert play(device(row("Bank", "X", "X", 5)), "X 0.0 x3") == "1 X 0.0, 6 X 0.0, 11 X 0.0"


def test_a_window_counts_from_its_last_but_n_push() -> None:
    # The fifth of five waits for the first: 1 + 20.
    assert play(device(row("Bank", "X", "X", 20, window=4)), "X 0.0 x5").endswith(
        "4 X 0.0, 21 X 0.0"
    )


def test_histories_of_different_commands_are_not_merged() -> None:
    # X at 1, Y at 2: two pushes, but one of each, so nothing waits; the third X is
    # the second push of X; N waits for the last but one X: 1 + 20.
    slow = device(row("Bank", "X Y", "N", 20, window=2))
    assert play(slow, "X 0.0, Y 0.0, N *.*, X 0.0, N *.*") == (
        "1 X 0.0, 2 Y 0.0, 3 N *.*, 4 X 0.0, 21 N *.*"
    )


def test_a_wildcard_pushes_once_a_node_and_is_seen_at_every_node() -> None:
    # Bank 0.0 has two pushes (1, 2) and waits until 1 + 10; bank 0.1 has one and does not.
    slow = device(row("Bank", "X", "X", 10, window=2))
    assert play(slow, "X 0.0, X 0.*, X 0.1") == "1 X 0.0, 2 X 0.*, 3 X 0.1"
    assert play(slow, "X 0.0, X 0.*, X 0.0") == "1 X 0.0, 2 X 0.*, 11 X 0.0"


def test_a_wildcard_waits_for_the_slowest_of_its_nodes() -> None:
    assert play(device(row("Bank", "X", "Y", 10)), "X 0.3, Y 0.*") == "1 X 0.3, 11 Y 0.*"
    assert play(device(row("Bank", "X", "Y", 10)), "X 1.3, Y 0.*") == "1 X 1.3, 2 Y 0.*"


def test_a_wildcard_in_the_middle_matches_one_bank_of_each_pseudo_channel() -> None:
    slow = device(row("Bank", "X", "Y", 10))
    assert play(slow, "X *.1, Y 1.0, Y 1.1") == "1 X *.1, 2 Y 1.0, 11 Y 1.1"


def test_a_command_above_the_level_of_a_row_pushes_to_all_below() -> None:
    assert play(device(row("Bank", "N", "X", 10)), "N *.*, X 1.2") == "1 N *.*, 11 X 1.2"
    assert play(device(row("Bank", "X", "N", 10)), "X 1.2, N *.*") == "1 X 1.2, 11 N *.*"


def test_a_sibling_row_spares_the_node_itself_and_other_parents() -> None:
    slow = device(row("Bank", "X", "X", 10, sibling=True))
    assert play(slow, "X 0.0 x2, X 1.1, X 0.1") == "1 X 0.0, 2 X 0.0, 3 X 1.1, 12 X 0.1"


def test_a_wildcard_has_no_siblings() -> None:
    assert (
        play(device(row("Bank", "X", "X", 10, sibling=True)), "X 0.*, X 0.1") == "1 X 0.*, 2 X 0.1"
    )
    # ... but it has nodes that are siblings of another's.
    assert (
        play(device(row("Bank", "X", "X", 10, sibling=True)), "X 0.1, X 0.*") == "1 X 0.1, 11 X 0.*"
    )


def test_levels_below_the_scope_are_taken_as_all() -> None:
    assert play(device(), "REF 0.2, N 1.3") == "1 REF 0.*, 2 N *.*"


# ---- rule 6: what a request needs next


def test_an_access_opens_closes_and_then_issues() -> None:
    assert play(device(), "RD 0.0 5, RD 0.0 5, RD 0.0 6") == (
        "1 ACT 0.0, 2 RD 0.0, 3 RD 0.0, 4 PRE 0.0, 5 ACT 0.0, 6 RD 0.0"
    )


def test_an_access_of_several_banks_needs_all_of_them_alike() -> None:
    # One open bank of four is neither all open nor all closed.
    assert (
        play(device(), "ACT 0.2 7, MACp 0.* 7") == "1 ACT 0.2, 2 PREp 0.*, 3 ACTp 0.*, 4 MACp 0.*"
    )
    assert play(device(), "ACT 0.0 7, ACT 0.1 7, ACT 0.2 7, ACT 0.3 7, MACp 0.* 7").endswith(
        "5 MACp 0.*"
    )


def test_an_open_waits_for_closed_banks_and_a_close_for_nothing() -> None:
    assert play(device(), "ACT 0.0 1, ACT 0.0 1, PRE 0.1, PRE 0.0, ACT 0.0 1") == (
        "1 ACT 0.0, 2 PRE 0.0, 3 ACT 0.0, 4 PRE 0.1, 5 PRE 0.0, 6 ACT 0.0"
    )


def test_an_auto_precharge_access_closes_its_bank_at_its_issue() -> None:
    assert play(device(), "RDA 0.0 1, RD 0.0 1") == "1 ACT 0.0, 2 RDA 0.0, 3 ACT 0.0, 4 RD 0.0"


def test_a_refresh_in_a_stream_closes_first() -> None:
    assert play(device(), "ACT 0.3 1, REF 0.*") == "1 ACT 0.3, 2 PREp 0.*, 3 REF 0.*"


# ---- rules 7 and 8: heads and barriers


def test_one_stream_issues_once_a_tick() -> None:
    # The row slot of tick 1 is free, but the stream has had its command.
    assert play(device(bus=Bus.ROW_COLUMN), "X 0.0, Z 0.0") == "1 X 0.0, 2 Z 0.0"


def test_a_barrier_waits_for_completion_of_the_previous_finals() -> None:
    slow = device(X=dict(completion=10))
    # X at 1 completes at 11; the other arrives at 2 (Y completes at once): visible at 12.
    assert play(slow, "X 0.0, barrier 7, N *.*", "Y 0.1, barrier 7, N *.*") == (
        "1 0:X 0.0, 2 1:Y 0.1, 12 0:N *.*, 13 1:N *.*"
    )


def test_a_barrier_at_the_start_is_reached_at_tick_0() -> None:
    assert play(device(), "barrier 1, N *.*") == "1 N *.*"
    assert play(device(), "barrier 1, N *.*", "barrier 1, N *.*") == "1 0:N *.*, 2 1:N *.*"


def test_two_barriers_in_a_row_open_in_the_same_tick() -> None:
    assert (
        play(device(X=dict(completion=3)), "X 0.0, barrier 1, barrier 2, N *.*")
        == "1 X 0.0, 5 N *.*"
    )


def test_each_passing_of_a_barrier_is_a_generation() -> None:
    # Each round: two X a tick apart, both complete 4 later; the next round starts after the later.
    assert play(device(X=dict(completion=4)), *["loop 2, X 0.0, barrier 3, end"] * 2) == (
        "1 0:X 0.0, 2 1:X 0.0, 7 0:X 0.0, 8 1:X 0.0"
    )


def test_a_loop_steps_rows_and_nests() -> None:
    result = run(device(), streams("loop 2 10, loop 3 1, RDA 0.0 4, end, end"), log=True)
    assert result.log is not None
    finals = result.log[result.log["command"] == 3]
    assert finals["address"][:, 3].tolist() == [4, 5, 6, 14, 15, 16]  # 4 + 10 i + j


def test_a_count_steps_the_column() -> None:
    result = run(device(), streams("X 0.0 0 x4"), log=True)
    assert result.log is not None and result.log["address"][:, 4].tolist() == [0, 1, 2, 3]


# ---- rule 9: held banks

OPEN_10 = row("Bank", "ACT", "RD", 10)


def test_a_bank_opened_for_a_head_is_held_until_its_final() -> None:
    # Stream 1 could precharge at 2; the bank is stream 0's until RD at 1 + 10.
    assert play(device(OPEN_10), "RD 0.0 1", "PRE 0.0") == "1 0:ACT 0.0, 11 0:RD 0.0, 12 1:PRE 0.0"


def test_a_bank_opened_by_an_explicit_activate_is_not_held() -> None:
    assert play(device(OPEN_10), "ACT 0.0 1, RD 0.0 1", "N *.*, PRE 0.0") == (
        "1 0:ACT 0.0, 2 1:N *.*, 3 1:PRE 0.0, 4 0:ACT 0.0, 14 0:RD 0.0"
    )


def test_a_wider_close_and_an_auto_precharge_respect_a_held_bank() -> None:
    assert (
        play(device(OPEN_10), "RD 0.0 1", "PREp 0.*") == "1 0:ACT 0.0, 11 0:RD 0.0, 12 1:PREp 0.*"
    )
    # RDA has no row to wait for and the bank is open at its row: only the hold keeps it back.
    assert (
        play(device(OPEN_10), "RD 0.0 1", "RDA 0.0 1") == "1 0:ACT 0.0, 11 0:RD 0.0, 12 1:RDA 0.0"
    )


def test_the_holder_itself_is_excepted() -> None:
    slow = device(row("Bank", "ACT", "RDA", 10))
    assert play(slow, "RDA 0.0 1") == "1 ACT 0.0, 11 RDA 0.0"


# ---- rules 10 and 11: refresh and arbitration


def test_refresh_is_due_at_every_interval_in_node_order() -> None:
    # Both enter at 10 and go before the head, whose scope the first one's meets.
    assert play(device(refresh=10), "X 0.0 x12").split(", ")[8:] == [
        "9 0:X 0.0",
        "10 ref:REF 0.*",
        "11 ref:REF 1.*",
        "12 0:X 0.0",
        "13 0:X 0.0",
        "14 0:X 0.0",
    ]


def test_refresh_waits_for_a_held_bank_and_only_the_front_is_looked_at() -> None:
    # ACT at 1 holds bank 0.0 until RD at 9. Both refreshes fall due at 5; that of 0 must close a
    # held bank, that of 1 could go but is not the front. RD 9, PREp 10, REF 11, REF 12.
    slow = device(
        row("Bank", "ACT", "RD", 8), refresh=5, REF=dict(completion=0), RD=dict(completion=5)
    )
    assert play(slow, "RD 0.0 1").startswith(
        "1 0:ACT 0.0, 9 0:RD 0.0, 10 ref:PREp 0.*, 11 ref:REF 0.*, 12 ref:REF 1.*"
    )


def test_a_head_outside_the_scope_of_the_refreshes_goes_on() -> None:
    # The streams take turns until 9. Of the refreshes of 10, that of pseudo-channel 1 issues at
    # 10 + 6: until then stream 1 stands back, and stream 0 goes on.
    slow = device(row("Channel", "REF", "REF", 6), refresh=10)
    assert play(slow, "X 0.0 x9", "X 1.0 x5").split(", ")[8:] == [
        "9 0:X 0.0",
        "10 ref:REF 0.*",
        "11 0:X 0.0",
        "12 0:X 0.0",
        "13 0:X 0.0",
        "14 0:X 0.0",
        "16 ref:REF 1.*",
        "17 1:X 1.0",
    ]


def test_refresh_that_never_ends_is_a_deadlock() -> None:
    # Two refreshes of 6 ticks fall due every 3: the FIFO grows for ever, and the head stands back.
    with pytest.raises(
        Deadlock, match=r"stream 0: X.*waits for a refresh in the FIFO \(rule 11\(d\)\)"
    ):
        run(device(row("Channel", "REF", "REF", 6), refresh=3), streams("X 0.0 x9"))


def test_order_is_holder_then_fifo_then_oldest_then_lowest() -> None:
    # Three heads visible at 1: by number. Stream 0's second becomes visible at 2, after the others.
    assert play(device(), "X 0.0 x2", "X 0.1", "X 0.2") == (
        "1 0:X 0.0, 2 1:X 0.1, 3 2:X 0.2, 4 0:X 0.0"
    )
    # Stream 1 holds at 2 and goes before the older head of stream 2.
    assert play(device(), "X 0.0", "RD 0.1 1", "X 0.2") == (
        "1 0:X 0.0, 2 1:ACT 0.1, 3 1:RD 0.1, 4 2:X 0.2"
    )
    # A fifo stream goes before ordinary heads.
    assert play(device(), "X 0.0 x2", "Y 0.1 x2", windows=(0, 1)) == (
        "1 1:Y 0.1, 2 1:Y 0.1, 3 0:X 0.0, 4 0:X 0.0"
    )


# ---- rule 12: slots


def test_row_and_column_share_a_tick_column_first() -> None:
    assert play(device(bus=Bus.ROW_COLUMN), "X 0.0", "Z 0.1", "Y 0.2") == (
        "1 0:X 0.0, 1 1:Z 0.1, 2 2:Y 0.2"
    )


def test_the_row_slot_sees_what_the_column_slot_did() -> None:
    # RDA closes bank 0.0 in the column slot of tick 2: in its row slot ACT finds it closed.
    both = device(bus=Bus.ROW_COLUMN)
    assert play(both, "ACT 0.0 1, barrier 1, RDA 0.0 1", "barrier 1, ACT 0.0 2") == (
        "1 0:ACT 0.0, 2 0:RDA 0.0, 2 1:ACT 0.0"
    )


def test_half_clock_columns_on_odd_ticks_and_falling_edges_only_where_marked() -> None:
    half = device(bus=Bus.HALF_CLOCK)
    assert play(half, "X 0.0 x2") == "1 X 0.0, 3 X 0.0"
    assert play(half, "Z 0.0 x2") == "1 Z 0.0, 3 Z 0.0"
    assert play(half, "X 0.0, PRE 0.0, PRE 0.1") == "1 X 0.0, 2 PRE 0.0, 3 PRE 0.1"


@pytest.mark.parametrize(
    ("first", "second", "tick"),
    [
        ("Z 0.0", "PRE 0.0", 3),  # the same bank
        ("Z 0.0", "PRE 0.1", 2),  # another bank of the pseudo-channel
        ("Z 0.0", "PREp 0.*", 3),  # several banks of the same pseudo-channel
        ("Z 0.0", "PREp 1.*", 2),  # of the other
        ("ACTp 1.* 1", "PRE 1.3", 3),
        ("ACTp 1.* 1", "PRE 0.3", 2),
        ("REF *.*", "PRE 1.1", 3),  # -1 is every pseudo-channel
    ],
)
def test_pairing_refuses_the_tick_after_the_last_of_a_row_command(
    first: str, second: str, tick: int
) -> None:
    half = device(bus=Bus.HALF_CLOCK)
    assert play(half, f"{first}, {second}").endswith(
        f", {tick} {second.split()[0]} {second.split()[1]}"
    )


def test_pairing_looks_at_one_tick_only() -> None:
    # Z takes 3 ticks, 1 to 3: tick 4 is refused, tick 2 is not (no timing row keeps the bus free).
    half = device(bus=Bus.HALF_CLOCK, Z=dict(cycles=3))
    assert play(half, "Z 0.0, PRE 0.0") == "1 Z 0.0, 2 PRE 0.0"
    wait = device(row("Bank", "Z", "PRE", 3), bus=Bus.HALF_CLOCK, Z=dict(cycles=3))
    assert play(wait, "Z 0.0, PRE 0.0") == "1 Z 0.0, 5 PRE 0.0"


# ---- rule 15: fifo streams


def test_a_fifo_stream_fills_both_slots_of_a_tick() -> None:
    both = device(bus=Bus.ROW_COLUMN)
    assert play(both, "X 0.0, Z 0.0, X 0.0, Z 0.0", windows=(4,)) == (
        "1 X 0.0, 1 Z 0.0, 2 X 0.0, 2 Z 0.0"
    )
    # With a window of 1 the next request enters a tick later.
    assert play(both, "X 0.0, Z 0.0, X 0.0, Z 0.0", windows=(1,)) == (
        "1 X 0.0, 2 Z 0.0, 3 X 0.0, 4 Z 0.0"
    )


def test_only_the_front_of_the_fifo_issues() -> None:
    # Y waits for X until 1 + 9; the request behind it could go at 2.
    slow = device(row("Bank", "X", "Y", 9))
    assert play(slow, "X 0.0, Y 0.0, N *.*", windows=(3,)) == "1 X 0.0, 10 Y 0.0, 11 N *.*"


def test_refresh_stands_behind_what_was_in_the_fifo_and_before_what_enters_with_it() -> None:
    # Tick 4: the place freed at 3 and the refreshes are due together; refreshes enter first.
    assert play(device(refresh=4), "X 0.0 x6", windows=(1,)) == (
        "1 0:X 0.0, 2 0:X 0.0, 3 0:X 0.0, 4 ref:REF 0.*, 5 ref:REF 1.*, 6 0:X 0.0, 7 0:X 0.0, "
        "8 ref:REF 0.*, 9 ref:REF 1.*, 10 0:X 0.0"
    )
    # With a window of 2 the second place, filled at 3, goes first.
    assert play(device(refresh=4), "X 0.0 x5", windows=(2,)) == (
        "1 0:X 0.0, 2 0:X 0.0, 3 0:X 0.0, 4 0:X 0.0, 5 ref:REF 0.*, 6 ref:REF 1.*, 7 0:X 0.0"
    )
