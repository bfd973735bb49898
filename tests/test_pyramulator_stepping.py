"""Stepping in any pieces, with or without a log, gives one and the same run."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from engine_cases import PLACES, device, row, streams
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import generate

from pyramulator import (
    LOG,
    Bus,
    ChannelResult,
    Engine,
    EngineError,
    run,
)


def assert_same(a: ChannelResult, b: ChannelResult) -> None:
    assert (a.ticks, a.counts) == (b.ticks, b.counts)
    assert a.stalls is not None and b.stalls is not None
    for one, other in ((a.stalls, b.stalls), (a.residency, b.residency)):
        for name in vars(one):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name


def stepped(engine: Engine, rng: random.Random) -> tuple[ChannelResult, np.ndarray]:
    until, logs = 0, []
    while not engine.advance(until):
        logs.append(engine.take_log())
        assert not len(logs[-1]) or logs[-1]["tick"].max() <= until
        until += rng.choice((0, 1, 1, 2, 3, 5, 20, 300))
    result = engine.result()
    assert result.log is not None
    return result, np.concatenate([*logs, result.log])


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.integers(0, 2**32))
def test_random_pieces_give_the_same_run(seed: int) -> None:
    case = generate.case(random.Random(seed))
    try:
        whole = run(case.description, case.stream, log=True)
    except EngineError as error:
        with pytest.raises(type(error)):
            stepped(Engine(case.description, case.stream, log=True), random.Random(seed))
        with pytest.raises(type(error)):
            run(case.description, case.stream)
        return
    result, log = stepped(Engine(case.description, case.stream, log=True), random.Random(seed))
    assert_same(result, whole)
    assert whole.log is not None and log.dtype == LOG and log.tobytes() == whole.log.tobytes()
    assert_same(run(case.description, case.stream), whole)  # without a log


def test_a_burst_is_its_copies() -> None:
    """One record of count n, n records, and a loop issue in the same ticks."""
    slow = device(row("Bank", "X", "X", 5), row("Bank", "X", "X", 40, window=5), refresh=100)
    half = replace(slow, bus=Bus.HALF_CLOCK)
    plain = device(row("Bank", "X", "X", 5), refresh=100, bus=Bus.HALF_CLOCK)
    for description in (slow, half, plain):
        burst = run(description, streams("X 0.0 x200, Y 0.0"), log=True)
        assert burst.log is not None
        for text in (", ".join(["X 0.0"] * 200) + ", Y 0.0", "loop 200, X 0.0, end, Y 0.0"):
            other = run(description, streams(text), log=True)
            assert_same(other, burst)
            assert other.log is not None and np.array_equal(other.log["tick"], burst.log["tick"])
            assert_same(run(description, streams(text)), burst)
        assert_same(run(description, streams("X 0.0 x200, Y 0.0")), burst)


def test_a_long_burst_alone_is_exact() -> None:
    # X every 5 ticks from 1: the n-th at 1 + 5 (n - 1); refresh off.
    n = 3_000_000
    result = run(device(row("Bank", "X", "X", 5)), streams(f"X 0.0 x{n}"))
    assert result.ticks == 1 + 5 * (n - 1)
    assert result.stalls is not None and result.stalls.rows.tolist() == [[4 * (n - 1)]]


def test_more_operations_than_the_table_of_effects_holds() -> None:
    """Above 1024 commands at targets the engine looks every ready tick up anew."""
    n = 600
    wide = device(row("Bank", "X", "Y", 9), row("PseudoChannel", "X", "X", 2))
    sizes = (1, 2, n, 64, 32)
    description = replace(wide, sizes=sizes)
    targets = np.array([[0, 0, bank] for bank in range(n)], np.int32)
    few = streams("X 0.0, Y 0.0")
    record = few.streams[0]
    both = np.tile(record, n)
    both["target"] = np.repeat(np.arange(n), 2)
    stream = replace(few, targets=targets, streams=(both,))
    result = run(description, stream, log=True)
    # X at 1, Y at 10, the next bank's X at 11: ten ticks a bank, the last Y at 10 n.
    assert result.ticks == 10 * n
    assert result.log is not None
    assert result.log["tick"].tolist() == [t for i in range(n) for t in (10 * i + 1, 10 * i + 10)]
    assert len(PLACES) < n


def test_advance_beyond_the_end_and_again() -> None:
    engine = Engine(device(), streams("X 0.0 x3"))
    assert not engine.advance(2)
    assert engine.advance(10**18) and engine.advance(1) and engine.advance()
    assert engine.result().ticks == 3
    assert engine.result() is engine.result()


def test_a_result_before_the_end_is_an_error() -> None:
    engine = Engine(device(), streams("X 0.0 x3"))
    engine.advance(2)
    with pytest.raises(EngineError, match="must be finished"):
        engine.result()


def test_advance_takes_no_negative_tick() -> None:
    with pytest.raises(ValueError, match="until_tick must be at least 0, not -1"):
        Engine(device(), streams("X 0.0")).advance(-1)
