"""The embedded engine against the real Ramulator 2.1: the same commands on the same ticks.

Every case runs three times: on Ramulator's device tick by tick and in replay, and embedded.
RAMULATOR2_ROOT names a built checkout; without it these tests are skipped, and
test_pyramulator_bridge_recorded.py holds the engine against runs recorded here.
PAMSIM_BRIDGE_CASES sets how many drawn cases run, PAMSIM_BRIDGE_SEED the first seed. A case that
fails is cut down to the smallest one that still fails and printed as Python.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import generate, hbm3
from reference.compare import as_python, disagreement, minimise, outcome
from reference.generate import Case
from reference.recorded import read
from reference.variants import with_binding_windows, with_refresh_in_turn, with_refresh_later
from test_pyramulator_bridge_recorded import FILES
from test_pyramulator_golden import FOLDER as STOCK
from test_pyramulator_golden import VARIANTS, golden_case

import pyramulator
from pamsim.config import ProgramVariants, describe, list_configs, load_device
from pyramulator import bridge
from pyramulator.description import (
    Bus,
    Command,
    Description,
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
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

pytestmark = pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)

CASES = int(os.environ.get("PAMSIM_BRIDGE_CASES", "2000"))
SEEDS = max(20, CASES // 10)
FIRST = int(os.environ.get("PAMSIM_BRIDGE_SEED", "0"))
BLOCKS = 10
WAYS = pytest.mark.parametrize("replay", [False, True], ids=["ticking", "replay"])


def run_engine(description: Description, stream: CommandStream) -> ChannelResult:
    return pyramulator.run(description, stream, log=True, stalls=False)


def run_bridge(description: Description, stream: CommandStream) -> ChannelResult:
    return bridge.run_bridge(description, stream, log=True)


def run_replay(description: Description, stream: CommandStream) -> ChannelResult:
    return bridge.run_bridge(description, stream, log=True, replay=True)


def difference(case: Case) -> str | None:
    """The first difference: Ramulator's value, the engine's or the replay's value."""
    ticking = outcome(run_bridge, case)
    for run, name in ((run_engine, "engine"), (run_replay, "replay")):
        found = disagreement(ticking, outcome(run, case), case.description)
        if found is not None:
            return f"{name}: {found}"
    return None


def must_agree(case: Case, name: str) -> None:
    found = difference(case)
    if found is None:
        return
    smallest = minimise(case, lambda c: difference(c) is not None)
    pytest.fail(
        f"{name}: Ramulator and {found}\nsmallest: {difference(smallest)}\n{as_python(smallest)}",
        pytrace=False,
    )


# Equality


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_cases_agree(block: int) -> None:
    for seed in range(FIRST + block, FIRST + SEEDS, BLOCKS):
        case = generate.case(random.Random(seed))
        must_agree(case, f"seed {seed}")
        if seed % 4 == 0 and any(row.window > 1 for row in case.description.rows):
            must_agree(with_binding_windows(case), f"seed {seed}, binding windows")


@pytest.mark.parametrize("level", range(3))
def test_random_cases_with_refresh_in_turn_agree(level: int) -> None:
    for seed in range(FIRST + level, FIRST + SEEDS, 6):
        case = with_refresh_in_turn(generate.case(random.Random(seed)), level)
        must_agree(case, f"seed {seed}, in turn in level {level}")


# Hypothesis draws a seed and not every number of the case: twenty times as many cases a second, and
# minimise() cuts a case down as well. The numbers drawn along with it stay in the report.
@settings(
    max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(seed=st.integers(0, 2**64 - 1), binding=st.booleans(), phase=st.integers(0, 60))
def test_drawn_cases_agree(seed: int, binding: bool, phase: int) -> None:
    case = with_refresh_later(generate.case(random.Random(seed)), phase)
    must_agree(with_binding_windows(case) if binding else case, f"seed {seed}")


def test_the_cases_have_what_the_rules_speak_of() -> None:
    found: Counter[str] = Counter()
    for seed in range(200):
        case = generate.case(random.Random(seed))
        rows, streams = case.description.rows, case.stream.streams
        found["windows"] += any(row.window > 1 for row in rows)
        found["siblings"] += any(row.sibling for row in rows)
        found["negative latencies"] += any(row.latency < 0 for row in rows)
        found["scopes"] += len({c.scope for c in case.description.commands}) > 2
        found["all children"] += bool((case.stream.targets[:, 1:-1] == -1).any())
        found["barriers"] += any((records["command"] == BARRIER).any() for records in streams)
        found["loops"] += any((records["command"] == LOOP).any() for records in streams)
        found["several streams"] += len(streams) > 1
        found["fifo"] += any(window > 0 for window in case.stream.fifo_window)
        found["refresh"] += case.description.refresh is not None
        for bus in Bus:
            found[bus.name] += case.description.bus == bus
    few = {what: n for what, n in found.items() if n < 20}
    assert not few  # a tenth of the 200 at least


@pytest.mark.parametrize("refresh", [False, True], ids=["norefresh", "refresh"])
@pytest.mark.parametrize("kind", sorted(hbm3.STREAMS))
def test_hbm3_cases_agree(kind: str, refresh: bool) -> None:
    must_agree(hbm3.case(kind, refresh), f"{kind}, refresh {refresh}")


@pytest.mark.parametrize("refresh", [False, True], ids=["norefresh", "refresh"])
@pytest.mark.parametrize("device", list_configs("device"))
def test_random_streams_on_every_device_agree(device: str, refresh: bool) -> None:
    spec = load_device(device)
    over = {command.over: () for command in spec.templates.commands if command.over}
    known = {"queries": (1, 2), "elements": (16, 128), "visits": ((1, 32), (2, 5))}
    variants = ProgramVariants(**{name: known.get(name, (16, 128)) for name in over})
    description = describe(spec, variants)
    # a run is a few thousand ticks, shorter than nREFI: refresh more often, after nRFC at least
    own = description.refresh
    often = replace(own, interval=2_500) if refresh and own is not None else None
    description = replace(description, refresh=often)
    for seed in range(max(3, SEEDS // 20)):
        rng = random.Random(f"{device} {seed}")
        must_agree(
            Case(description, generate.random_stream(rng, description)), f"{device}, seed {seed}"
        )


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bridge_issues_what_ramulators_own_controller_issued(variant: str) -> None:
    description, stream = golden_case(variant)
    must_agree(Case(description, stream), variant)
    log = run_bridge(description, stream).log
    assert log is not None
    ours = np.column_stack((log["tick"], log["command"], log["address"][:, :7]))
    assert np.array_equal(ours, np.load(STOCK / "hbm3pim.npz")[variant])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.split(".")[0])
def test_programs_of_every_device_agree(file: Path) -> None:
    """The recorded cases, with Ramulator as it is now; device programs among them."""
    for run in read(file):
        must_agree(run.case, run.name)
        now = outcome(run_bridge, run.case)
        assert disagreement(now, run.outcome, run.case.description) is None, run.name


# The tests above can fail: a device that is off by one tick is noticed


CHANGES: list[tuple[str, Callable[[TimingRow], TimingRow | None]]] = [
    ("latency", lambda row: replace(row, latency=row.latency + 1)),
    ("window", lambda row: replace(row, window=row.window + 1) if row.window > 1 else None),
    ("sibling", lambda row: replace(row, sibling=False) if row.sibling else None),
]


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[what for what, _ in CHANGES])
def test_a_changed_timing_row_is_noticed(
    what: str, change: Callable[[TimingRow], TimingRow | None]
) -> None:
    noticed = 0
    for seed in range(120):
        case = with_binding_windows(generate.case(random.Random(seed)))
        rows = tuple(change(row) or row for row in case.description.rows)
        changed = replace(case.description, rows=rows)
        theirs = outcome(run_bridge, Case(changed, case.stream))
        mine = outcome(run_engine, case)
        noticed += disagreement(theirs, mine, case.description) is not None
    assert noticed >= 10  # of 120; many have a row of the kind, in some of them it decides


# Small devices: errors, stepping, cancel

ACT = Command("ACT", "Row", Slot.ROW, 1, RowUse.OPEN, closes="PRE")
PRE = Command("PRE", "Bank", Slot.ROW, 1, RowUse.CLOSE)
RD = Command("RD", "Column", Slot.COLUMN, 1, RowUse.ACCESS, opens="ACT", closes="PRE")
STUCK = Command("STUCK", "Bank", Slot.COLUMN, 1, RowUse.ACCESS)


def device(*rows: TimingRow, **more: object) -> Description:
    """One channel of two banks of 16 rows."""
    return Description(
        "tiny",
        ("Channel", "Bank", "Row", "Column"),
        (1, 2, 16, 16),
        ticks_per_second=10**9,
        bus=Bus.SINGLE,
        commands=(ACT, PRE, RD, STUCK),
        rows=rows,
        **more,  # type: ignore[arg-type]
    )


def streams(*records: list[tuple[int, ...]]) -> CommandStream:
    """Targets 0 and 1 are the banks, 2 is both."""
    targets = np.array([(0, 0), (0, 1), (0, -1)], dtype=np.int32)
    return CommandStream(targets, tuple(np.array(r, dtype=RECORD) for r in records))


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
