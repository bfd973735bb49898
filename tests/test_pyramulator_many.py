"""Many channels, threads, cancelling and Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from engine_cases import device, row, streams
from reference import generate

from pyramulator import Cancelled, Deadlock, Engine, EngineError, run, run_many

# One X and one Y a turn, never two of a kind: nothing to take in one step. About a minute of work.
ENDLESS = "loop 1000000000, X 0.0, Y 0.0, end"


def good_cases(n: int) -> list[generate.Case]:
    cases = []
    for seed in range(1000):
        case = generate.case(random.Random(seed))
        try:
            run(case.description, case.stream)
        except EngineError:
            continue
        cases.append(case)
        if len(cases) == n:
            break
    return cases


def test_the_number_of_threads_changes_nothing() -> None:
    jobs = [(case.description, case.stream) for case in good_cases(20)]
    alone = [run(*job, log=True) for job in jobs]
    for threads in (1, 2, 7):
        for one, other in zip(run_many(jobs, threads, log=True), alone, strict=True):
            assert (one.ticks, one.counts) == (other.ticks, other.counts)
            assert one.log is not None and other.log is not None
            assert one.log.tobytes() == other.log.tobytes()
            assert one.stalls is not None and other.stalls is not None
            assert np.array_equal(one.stalls.rows, other.stalls.rows)


def test_equal_jobs_run_once() -> None:
    a, b = streams("X 0.0 x5"), streams("X 0.0 x6")
    again = streams("X 0.0 x5")
    results = run_many([(device(), a), (device(), b), (device(), again), (device(refresh=9), a)])
    assert results[0] is results[2]
    assert [result.ticks for result in results] == [5, 6, 5, 5]
    assert results[3] is not results[0]
    assert run_many([]) == []


def test_a_failure_cancels_the_rest() -> None:
    dead = streams("barrier 3, X 0.0, barrier 3", "barrier 3")
    start = time.monotonic()
    with pytest.raises(Deadlock, match="barrier 3"):
        run_many([(device(), streams(ENDLESS)), (device(), dead)], 2)
    assert time.monotonic() - start < 2


def test_threads_must_be_positive() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        run_many([(device(), streams("X 0.0"))], 0)


@pytest.mark.parametrize(
    "text",
    [
        ENDLESS,
        "loop 4000000000, X 0.0 x3, end",
        "loop 2000000000, barrier 1, end",
    ],
    ids=["alternating", "burst", "barriers"],
)
def test_cancel_is_seen_within_100_ms(text: str) -> None:
    engine = Engine(device(row("Bank", "X", "X", 2)), streams(text))
    seen: list[float] = []

    def work() -> None:
        with pytest.raises(Cancelled, match="cancelled"):
            engine.advance()
        seen.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    start = time.monotonic()
    engine.cancel()
    thread.join(5)
    assert seen and seen[0] - start < 0.1
    with pytest.raises(EngineError, match="has failed"):
        engine.advance()


@pytest.mark.parametrize("call", ["run(*job)", "run_many([job, other], 2)"])
def test_ctrl_c_is_heard(call: str) -> None:
    program = f"""
        import time
        from engine_cases import device, streams
        from pyramulator import run, run_many
        job = (device(), streams({ENDLESS!r}))
        other = (device(refresh=100), streams({ENDLESS!r}))
        print("ready", flush=True)
        try:
            {call}
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    heard = process.communicate(timeout=10)[0]
    # 100 ms, and as much again for a machine that is busy with other tests.
    assert float(heard) - start < 0.2
