"""Rule 17 of docs/engine-rules.md: where every tick of every stream goes, worked out by hand."""

from __future__ import annotations

import random

import numpy as np
from engine_cases import PSEUDO, device, row, streams
from reference import generate

from pyramulator import STALL_CLASSES, Bus, ChannelResult, Description, EngineError, run


def spent(result: ChannelResult, stream: int) -> dict[str, int]:
    """Ticks of a stream by class; `row N` and `slot to N` (the number of streams: refresh)."""
    assert result.stalls is not None
    named = dict(zip(STALL_CLASSES, result.stalls.classes[stream].tolist(), strict=True))
    named.pop("slot")
    named |= {f"row {i}": n for i, n in enumerate(result.stalls.rows[stream].tolist())}
    named |= {f"slot to {i}": n for i, n in enumerate(result.stalls.slot_to[stream].tolist())}
    return {name: ticks for name, ticks in named.items() if ticks}


def stalls(description: Description, *texts: str, windows: tuple[int, ...] = ()) -> list[dict]:
    result = run(description, streams(*texts, windows=windows))
    return [spent(result, i) for i in range(len(texts))]


def test_not_ready_is_charged_to_the_row_that_binds() -> None:
    # X at 1, 6, 11: four ticks before each of the last two.
    assert stalls(device(row("Bank", "X", "X", 5)), "X 0.0 x3") == [{"issued": 3, "row 0": 8}]


def test_of_two_rows_the_later_binds_and_of_equal_ones_the_outer_then_the_first() -> None:
    rows = [row("Bank", "X", "X", 4), row(PSEUDO, "X", "X", 5), row(PSEUDO, "X", "X", 5)]
    assert stalls(device(*rows), "X 0.0 x2") == [{"issued": 2, "row 1": 4}]
    rows = [row("Bank", "X", "X", 5), row(PSEUDO, "X", "X", 5)]
    assert stalls(device(*rows), "X 0.0 x2") == [{"issued": 2, "row 1": 4}]


def test_the_binding_row_may_change_while_the_stream_waits() -> None:
    # Stream 0 wants Y at 2: row 0 says 1 + 4 = 5. Stream 1's N at 3 makes it 3 + 10 = 13 by row 1:
    # ticks 2 and 3 (the state at the start of 3) go to row 0, 4 to 12 to row 1.
    slow = device(row("Bank", "X", "Y", 4), row("Channel", "N", "Y", 10), row("Bank", "X", "N", 2))
    assert stalls(slow, "X 0.0, Y 0.0", "N *.*")[0] == {"issued": 2, "row 0": 2, "row 1": 9}


def test_a_refresh_as_preceding_command_is_refresh() -> None:
    # X at 1 to 9, REF 0 at 10, X at 10 + 6. At 10 the refresh is in the FIFO (11(d)); at 11 to 15
    # the row waits for it.
    slow = device(row(PSEUDO, "REF", "X", 6), refresh=10)
    assert stalls(slow, "X 0.0 x10") == [{"issued": 10, "refresh": 6}]


def test_one_row_may_wait_for_a_refresh_or_for_another_command() -> None:
    # X at 1, 4, 7 waits for itself; REF 0 at 10 comes first, X follows at 13.
    slow = device(row(PSEUDO, "X REF", "X", 3), refresh=10)
    assert stalls(slow, "X 0.0 x4") == [{"issued": 4, "row 0": 6, "refresh": 3}]


def test_barrier_done_and_slot() -> None:
    # X of stream 0 at 1 completes at 9: both are visible at 10. Stream 1 loses tick 1 to stream 0,
    # issues Y at 2, waits 3 to 9, and loses 10 to stream 0. Stream 0 waits 2 to 9, is done at 11.
    slow = device(X=dict(completion=8))
    assert stalls(slow, "X 0.0, barrier 1, N *.*", "Y 0.1, barrier 1, N *.*") == [
        {"issued": 2, "barrier": 8, "done": 1},
        {"issued": 2, "barrier": 7, "slot to 0": 2},
    ]


def test_a_trailing_barrier_is_done() -> None:
    assert stalls(device(X=dict(completion=9)), "X 0.0", "Y 0.0, barrier 1") == [
        {"issued": 1, "done": 9},
        {"issued": 1, "slot to 0": 1, "done": 8},
    ]


def test_held() -> None:
    # ACT 1, RD 11; the other's PRE loses tick 1, is held at 2 to 11 (the state at the start of 11),
    # and issues at 12.
    slow = device(row("Bank", "ACT", "RD", 10))
    assert stalls(slow, "RD 0.0 1", "PRE 0.0") == [
        {"issued": 2, "row 0": 9, "done": 1},
        {"issued": 1, "slot to 0": 1, "held": 10},
    ]


def test_edge_of_a_column_command_and_of_the_pairing_rule() -> None:
    half = device(bus=Bus.HALF_CLOCK)
    assert stalls(half, "X 0.0 x3") == [{"issued": 3, "edge": 2}]
    assert stalls(half, "Z 0.0, PRE 0.0") == [{"issued": 2, "edge": 1}]


def test_not_ready_comes_before_edge() -> None:
    # Ready at 1 + 3 = 4, an even tick: 2 and 3 are the row's, 4 the edge's.
    half = device(row("Bank", "X", "X", 3), bus=Bus.HALF_CLOCK)
    assert stalls(half, "X 0.0 x2") == [{"issued": 2, "row 0": 2, "edge": 1}]


def test_a_slot_lost_to_refresh() -> None:
    # At 10 the head stands back for the refresh of its own pseudo-channel; at 11 that of the other
    # takes the only slot.
    assert stalls(device(refresh=10), "X 0.0 x10") == [{"issued": 10, "refresh": 1, "slot to 1": 1}]


def test_a_row_slot_that_the_column_command_spoiled_is_lost_to_it() -> None:
    # At 1 stream 1's Z is ready; N in the column slot makes it wait until 5 by row 0; the row slot
    # stays empty. Tick 1 is a slot lost to stream 0, 2 to 4 are the row's.
    both = device(row("Channel", "N", "Z", 4), bus=Bus.ROW_COLUMN)
    assert stalls(both, "N *.*", "Z 0.0")[1] == {"issued": 1, "slot to 0": 1, "row 0": 3}


def test_a_fifo_stream_behind_another_waits_for_its_slot() -> None:
    # Stream 0's Y waits at the front for 1 + 5; stream 1's request behind it could go any time.
    slow = device(row("Bank", "X", "Y", 5))
    assert stalls(slow, "X 0.0, Y 0.0", "N *.*", windows=(2, 1)) == [
        {"issued": 2, "row 0": 4, "done": 1},
        {"issued": 1, "slot to 0": 6},
    ]


def test_a_fifo_stream_behind_a_refresh() -> None:
    # REF 0 at 2 and REF 1 at 3 stand before the request that enters at 2.
    assert stalls(device(refresh=2), "X 0.0 x2", windows=(1,)) == [{"issued": 2, "refresh": 2}]


def test_stalls_change_nothing_and_sum_to_the_end() -> None:
    checked = 0
    for seed in range(300):
        case = generate.case(random.Random(seed))
        try:
            with_stalls = run(case.description, case.stream)
        except EngineError:
            continue
        without = run(case.description, case.stream, stalls=False)
        assert without.stalls is None
        assert (without.ticks, without.counts) == (with_stalls.ticks, with_stalls.counts)
        found = with_stalls.stalls
        assert found is not None
        assert (found.classes.sum(1) + found.rows.sum(1) == with_stalls.ticks).all()
        slot = STALL_CLASSES.index("slot")
        assert (found.classes[:, slot] == found.slot_to.sum(1)).all()
        assert (found.classes >= 0).all() and (found.rows >= 0).all()
        residency = with_stalls.residency
        total = residency.active + residency.precharged + residency.refreshing
        assert np.all(total == with_stalls.ticks)
        checked += 1
    assert checked > 200
