"""The bridge's own ways: errors in the engine's words, stepping, cancel; on small devices.

They need a Ramulator 2.1 that its owner has built (RAMULATOR2_ROOT) and are skipped without one.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from bridge_runs import device, run_bridge, run_engine, run_replay, streams
from reference import generate
from reference.compare import disagreement, outcome

import pyramulator
from pyramulator import bridge
from pyramulator.description import (
    Command,
    Refresh,
    RowUse,
    Slot,
    TimingRow,
)
from pyramulator.errors import (
    Cancelled,
    Deadlock,
    DescriptionError,
    EngineError,
    StreamError,
)
from pyramulator.result import ChannelResult
from pyramulator.stream import BARRIER, END, LOOP

pytestmark = pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)

WAYS = pytest.mark.parametrize("replay", [False, True], ids=["ticking", "replay"])


@WAYS
def test_one_access_by_hand(replay: bool) -> None:
    # ACT at 1; RD no earlier than 1 + 5, completing at once
    result = bridge.run_bridge(
        device(TimingRow("Bank", ("ACT",), ("RD",), 5)),
        streams([(2, 0, 3, 4, 0, 1)]),
        log=True,
        replay=replay,
    )
    assert result.log is not None
    found = [(r["tick"], r["command"], r["address"].tolist()) for r in result.log]
    assert found == [(1, 0, [0, 0, 3, 4, 0, 0, 0, 0]), (6, 2, [0, 0, 3, 4, 0, 0, 0, 0])]
    assert (result.ticks, result.counts) == (6, {"ACT": 1, "RD": 1})
    # bank 0 is open in ticks 1 to 6; level 1 is the banks
    assert result.residency.active.tolist() == [6, 0]
    assert result.residency.precharged.tolist() == [0, 6]


@WAYS
def test_nothing_to_do_ends_at_tick_0(replay: bool) -> None:
    result = bridge.run_bridge(device(), streams([]), log=True, replay=replay)
    assert (result.ticks, result.counts) == (0, {})


@WAYS
def test_pieces_give_the_same_run(replay: bool) -> None:
    for seed in range(12):
        case = generate.case(random.Random(seed))
        whole = outcome(run_bridge, case)
        if not isinstance(whole, ChannelResult):
            continue
        rng = random.Random(seed)
        run = bridge.Bridge(case.description, case.stream, log=True, replay=replay)
        tick, logs = 0, []
        while not run.advance(tick):
            tick += rng.choice((0, 1, 7, 40))
            if rng.random() < 0.3:
                logs.append(run.take_log())
        result = run.result()
        log = np.concatenate([*logs, result.log])
        pieces = replace(result, log=log)
        assert disagreement(pieces, whole, case.description) is None


@WAYS
def test_a_stream_that_can_never_issue_is_named(replay: bool) -> None:
    with pytest.raises(Deadlock, match=r"stream 0: STUCK at \(0, 1, row 3\).*\(rule 6\)"):
        bridge.run_bridge(device(), streams([(3, 1, 3, 0, 0, 1)]), replay=replay)


@WAYS
def test_a_deadlock_under_refresh_is_found(replay: bool) -> None:
    refresh = Command(
        "REF", "Channel", Slot.ROW, 1, RowUse.ALL_CLOSED, closes="PREab", refresh=True
    )
    closes = Command("PREab", "Channel", Slot.ROW, 1, RowUse.CLOSE)
    description = device(refresh=Refresh("REF", "Channel", 20))
    description = replace(description, commands=(*description.commands, refresh, closes))
    with pytest.raises(Deadlock, match="stream 0: STUCK"):
        bridge.run_bridge(description, streams([(3, 1, 3, 0, 0, 1)]), replay=replay)


@WAYS
def test_crossed_barriers_are_named(replay: bool) -> None:
    wait = [(BARRIER, 0, name, 0, 0, 1) for name in (5, 6)]
    with pytest.raises(Deadlock, match=r"stream 0: waits at barrier 5 .*stream 1 \(rule 8\)"):
        bridge.run_bridge(device(), streams(wait, wait[::-1]), replay=replay)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (TimingRow("Bank", ("ACT",), ("RD",), 2**31), "timing row 0: latency must fit 32 bits"),
        (TimingRow("Bank", ("ACT",), ("RD",), 1, window=0), "timing row 0: window must be 1"),
        (TimingRow("Row", ("ACT",), ("RD",), 1), "timing row 0: level must be one that"),
        (TimingRow("Channel", ("ACT",), ("RD",), 1, sibling=True), "sibling must be below"),
        (TimingRow("Bank", ("ACT",), ("RD",), 1, window=2, sibling=True), "sibling must have"),
        (TimingRow("Bank", ("ACT",) * 64, ("RD",), 1, window=2**20), "windows must hold at most"),
    ],
    ids=["latency", "window", "level", "sibling", "sibling-window", "memory"],
)
def test_a_row_that_cannot_be_is_refused(row: TimingRow, message: str) -> None:
    with pytest.raises(DescriptionError, match=message):
        bridge.run_bridge(device(row), streams([]))


@pytest.mark.parametrize(
    "record",
    [
        (2, 0, 0, 0, 0, 0),  # a count of 0
        (9, 0, 0, 0, 0, 1),  # no such command
        (2, 3, 0, 0, 0, 1),  # no such target
        (2, 0, 16, 0, 0, 1),  # no such row
        (2, 0, 0, 0, -1, 2),  # a negative column
        (END, 0, 0, 0, 0, 1),
        (LOOP, 0, 0, 0, 0, 1),
    ],
)
def test_a_bad_record_is_refused_in_the_engines_words(record: tuple[int, ...]) -> None:
    messages = []
    for run in (bridge.run_bridge, pyramulator.run):
        with pytest.raises(StreamError) as error:
            run(device(), streams([(2, 0, 0, 0, 0, 1), record]))
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith("stream 0, record 1")


def test_a_result_before_the_end_is_refused() -> None:
    run = bridge.Bridge(device(), streams([(2, 0, 3, 4, 0, 9)]))
    with pytest.raises(EngineError, match="must be finished"):
        run.result()


def test_replay_passes_over_what_ticking_cannot_wait_for() -> None:
    # RD after RD: 3 x 10^9 / 2 ticks apart, 5 times after the first at tick 2
    far = device(TimingRow("Bank", ("RD",), ("RD",), 1_500_000_000))
    stream = streams([(2, 0, 3, 4, 0, 6)])
    replayed = run_replay(far, stream)
    assert replayed.ticks == 2 + 5 * 1_500_000_000
    assert disagreement(replayed, run_engine(far, stream), far) is None


def test_a_run_beyond_the_last_tick_is_refused_in_the_engines_words() -> None:
    # 2^15 reads almost 2^31 ticks apart are more than 2^45 ticks
    far = device(TimingRow("Bank", ("RD",), ("RD",), 2**31 - 1))
    stream = streams([(2, 0, 3, 4, 0, 2**15)])
    for run in (run_replay, run_engine):
        with pytest.raises(EngineError, match=r"must end before tick 2\^45"):
            run(far, stream)


def test_stalls_are_refused() -> None:
    with pytest.raises(EngineError, match="does not say what a stream waited for"):
        bridge.Bridge(device(), streams([]), stalls=True)


LONG = [(LOOP, 0, 0, 0, 0, 2**31), (2, 0, 3, 4, 0, 1), (END, 0, 0, 0, 0, 1)]


@WAYS
def test_cancel_is_heard(replay: bool) -> None:
    run = bridge.Bridge(device(), streams(LONG), replay=replay)
    refused: list[str] = []

    def meddle() -> None:
        try:
            run.take_log()
        except EngineError as error:  # an engine is one thread's at a time
            refused.append(str(error))
        run.cancel()

    threading.Timer(0.1, meddle).start()
    with pytest.raises(Cancelled):
        run.advance()
    assert refused == ["an engine must be used by one thread at a time"]


@WAYS
def test_ctrl_c_is_heard(replay: bool) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            bridge.run_bridge(device(), streams(LONG), replay=replay)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
