"""Local workers: accidents of workers and of the submitting process, none of which costs a result.

Expected values: point n gives n squared (batch_points); a point is tried 1 + 2 times, which is the
issue's "retried at most twice".
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import batch_points
import pytest
from batch_points import (
    RUNNER,
    assert_all_right,
    attempts,
    environment,
    point,
    points,
    submitter,
    wait_until,
)

from pamsim.batch.executors import ExecutorError, Progress, executor_of, in_flight, load_handles
from pamsim.batch.executors.local import LocalExecutor
from pamsim.batch.executors.supervisor import Supervisor, describe_exit
from pamsim.batch.point import Point
from pamsim.batch.store import Store
from pamsim.errors import InputError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def run(home: Path, wanted: list[Point], **options: object) -> Progress:
    options = {"jobs": 2, "runner": RUNNER, **options}
    with LocalExecutor(**options) as executor:  # type: ignore[arg-type]
        return executor.wait(executor.submit(wanted, home / "store", home / "runs"), timeout_s=60)


def test_every_point_is_done_once(home: Path) -> None:
    wanted = points(40, home / "traces")
    assert run(home, wanted) == Progress(done=40, failed=0, running=0, pending=0)
    assert_all_right(home / "store", wanted)
    assert len(list((home / "traces").iterdir())) == 40


def test_a_point_whose_worker_is_killed_runs_again(home: Path) -> None:
    wanted = [*points(10, home / "traces"), point(10, home / "traces", deaths=2)]
    assert run(home, wanted).done == 11
    assert_all_right(home / "store", wanted)
    assert attempts(home / "traces", 10) == 3
    assert len(list((home / "traces").iterdir())) == 10 + 3


def test_a_point_that_kills_every_worker_fails_after_two_retries(home: Path) -> None:
    bad = point(10, home / "traces", deaths=99)
    assert run(home, [bad, *points(10, home / "traces")]) == Progress(10, 1, 0, 0)
    failure = Store(home / "store").failure(bad.key)
    assert failure.attempts == attempts(home / "traces", 10) == 3
    assert failure.reason == "its worker ended with SIGKILL (out of memory?) in each of 3 attempts"


def test_a_crash_says_where(home: Path) -> None:
    bad = point(0, home / "traces", deaths=99, signal=signal.SIGSEGV)
    (home / "traces").mkdir()
    assert run(home, [bad]).failed == 1
    reason = Store(home / "store").failure(bad.key).reason
    assert reason.startswith("its worker ended with SIGSEGV in each of 3 attempts")
    assert "batch_points.py" in reason  # faulthandler's stack


def test_a_worker_that_exits_is_replaced(home: Path) -> None:
    (home / "traces").mkdir()
    bad = point(0, home / "traces", exit=7)
    assert run(home, [bad, point(1, home / "traces")], jobs=1) == Progress(1, 1, 0, 0)
    assert "exit code 7 in each of 3" in Store(home / "store").failure(bad.key).reason


def test_a_hanging_point_fails_after_the_timeout_and_is_not_retried(home: Path) -> None:
    bad = point(10, home / "traces", sleep_s=3600)
    wanted = points(10, home / "traces", sleep_s=0.05)
    assert run(home, [bad, *wanted], timeout_s=1.5) == Progress(10, 1, 0, 0)
    assert Store(home / "store").failure(bad.key).reason == "took longer than the timeout of 1.5 s"
    assert attempts(home / "traces", 10) == 1


def test_a_stopped_worker_is_bounded_by_the_timeout(home: Path) -> None:
    (home / "traces").mkdir()
    bad = point(0, home / "traces", deaths=1, signal=signal.SIGSTOP)
    assert run(home, [bad, point(1, home / "traces")], jobs=1, timeout_s=1.0).failed == 1


def test_an_exception_is_a_failure_that_is_not_retried(home: Path) -> None:
    bad = [point(n, home / "traces", raises="no such tier") for n in range(10, 13)]
    assert run(home, [*bad, *points(10, home / "traces")]) == Progress(10, 3, 0, 0)
    assert Store(home / "store").failure(bad[0].key).reason == "ValueError: no such tier"
    assert attempts(home / "traces", 10) == 1


def test_a_runner_that_leaves_nothing_is_a_failure(home: Path) -> None:
    (home / "traces").mkdir()
    bad = point(0, home / "traces", gives_nothing=True)
    assert run(home, [bad]).failed == 1
    assert "neither a result nor a reason" in Store(home / "store").failure(bad.key).reason


def test_a_failed_point_is_tried_again_by_a_new_submission(home: Path) -> None:
    (home / "traces").mkdir()
    assert run(home, [point(0, home / "traces", raises="not today")]).failed == 1
    wanted = [point(0, home / "traces")]
    assert run(home, wanted).done == 1
    assert_all_right(home / "store", wanted)


def test_a_full_disk_stops_the_batch_and_keeps_what_is_finished(home: Path) -> None:
    fine = points(3, home / "traces")
    full = [point(n, home / "traces", full=True) for n in range(3, 50)]
    with pytest.raises(ExecutorError, match=r"File too large.*finished points are kept"):
        run(home, [*fine, *full], jobs=1)
    assert_all_right(home / "store", fine)
    assert len(list((home / "traces").iterdir())) <= 3 + 1  # the first refusal is enough
    wanted = points(50, home / "traces")
    assert run(home, [p for p in wanted if not Store(home / "store").has(p.key)]).done == 47
    assert_all_right(home / "store", wanted)


def test_a_runner_that_cannot_be_imported_is_an_error_at_once(home: Path) -> None:
    with pytest.raises(ExecutorError, match=r"runner must be importable.*no_such_module"):
        run(home, points(3, home / "traces"), runner="no_such_module:run")


def test_workers_that_die_at_their_start_are_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pamsim.batch.executors.supervisor.BOOT", "import no_such_module")
    with pytest.raises(ExecutorError, match=r"exit code 1 .*No module named 'no_such_module'"):
        run(home, points(3, home / "traces"))


def test_the_wall_clock_may_jump(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter(n * (-1) ** n * 1e6 for n in range(10**9))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    wanted = points(10, home / "traces", sleep_s=0.05)
    assert run(home, wanted, timeout_s=30).done == 10
    assert_all_right(home / "store", wanted)


def test_cancel_keeps_what_is_finished(home: Path) -> None:
    wanted = points(30, home / "traces", sleep_s=0.1)
    with LocalExecutor(jobs=2, runner=RUNNER) as executor:
        handle = executor.submit(wanted, home / "store", home / "runs")
        wait_until(lambda: executor.poll(handle).done >= 4)
        executor.cancel(handle)
        end = executor.poll(handle)
        assert end.finished and end.total == 30 and 4 <= end.done < 30
    assert len(Store(home / "store").keys()) >= end.done
    assert run(home, [p for p in wanted if not Store(home / "store").has(p.key)]).failed == 0
    assert_all_right(home / "store", wanted)


def test_another_process_sees_the_same_progress(home: Path) -> None:
    wanted = points(20, home / "traces", sleep_s=0.1)
    with LocalExecutor(jobs=2, runner=RUNNER) as executor:
        executor.submit(wanted, home / "store", home / "runs")
        (handle,) = load_handles(home / "runs")
        other = executor_of(handle)
        wait_until(lambda: other.poll(handle).done >= 4)
        seen = other.poll(handle)
        assert seen.total == 20 and seen.running == 2
        assert 0 < len(in_flight(home / "runs")) <= 16
        assert other.wait(handle, timeout_s=30).done == 20
        assert in_flight(home / "runs") == set()


def test_a_submission_ends_before_its_process_does(home: Path) -> None:
    """As in a notebook: nobody works on these points, though the process lives."""
    wanted = points(30, home / "traces", sleep_s=0.1)
    with LocalExecutor(jobs=1, runner=RUNNER) as executor:
        handle = executor.submit(wanted, home / "store", home / "runs")
        wait_until(lambda: executor.poll(handle).done >= 1)
    assert in_flight(home / "runs") == set()
    seen = executor_of(handle).poll(handle)
    assert seen.finished and seen.done + seen.missing == 30 and seen.missing > 0


def test_watch_is_told_of_each_change_up_to_the_end(home: Path) -> None:
    seen: list[Progress] = []
    with LocalExecutor(jobs=2, runner=RUNNER) as executor:
        handle = executor.submit(
            points(20, home / "traces", sleep_s=0.05), home / "store", home / "runs"
        )
        executor.wait(handle, watch=seen.append)
    assert {progress.total for progress in seen} == {20}
    assert [p.done for p in seen] == sorted(p.done for p in seen) and seen[-1].done == 20


def test_a_killed_submitter_takes_its_workers_along_and_loses_nothing(home: Path) -> None:
    process = subprocess.Popen(submitter("local", home, 60, 0.05), env=environment())
    wait_until(lambda: len(Store(home / "store").keys()) >= 6)
    process.kill()
    process.wait()
    time.sleep(0.5)
    done = Store(home / "store").keys()
    begun = len(list((home / "traces").iterdir()))
    assert 6 <= len(done) < 60
    assert begun - len(done) <= 2  # only what was in the workers' hands
    (handle,) = load_handles(home / "runs")
    found = executor_of(handle).poll(handle)
    assert (found.done, found.missing, found.running) == (len(done), 60 - len(done), 0)
    assert in_flight(home / "runs") == set()
    assert executor_of(handle).explain(handle) == [
        "the submitting process ended before these points were done"
    ]
    assert subprocess.run(submitter("local", home, 60, 0), env=environment()).returncode == 0
    assert_all_right(home / "store", points(60, home / "traces"))
    # Exactly the missing ones were submitted, and ran once each.
    assert len(load_handles(home / "runs")[1].keys()) == 60 - len(done)
    assert len(list((home / "traces").iterdir())) == begun + 60 - len(done)


@pytest.mark.parametrize("after", [0.0, 0.15, 0.6, 1.0])
def test_ctrl_c_at_any_moment_ends_soon_and_keeps_results(home: Path, after: float) -> None:
    process = subprocess.Popen(
        submitter("local", home, 200, 0.02),
        env=environment(),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: (home / "runs").exists())
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=10) in (130, -signal.SIGINT)
    results = Store(home / "store")
    for wanted in points(200, home / "traces"):
        if results.has(wanted.key):
            assert results.get(wanted.key) == {"square": wanted.spec["n"] ** 2}
    assert results.failures() == {}


def test_workers_hold_work_for_a_short_time_only(home: Path) -> None:
    """A worker that dies gives back what it had not begun: no other point has a second attempt."""
    wanted = [point(n, home / "traces", deaths=1 if n == 50 else 0) for n in range(100)]
    (home / "traces").mkdir()
    assert run(home, wanted).done == 100
    assert [attempts(home / "traces", n) for n in (49, 50, 51)] == [1, 2, 1]
    assert len(list((home / "traces").iterdir())) == 101


def test_one_supervisor_with_more_jobs_than_points_starts_no_idle_workers(home: Path) -> None:
    wanted = points(2, home / "traces", sleep_s=0.5)
    supervisor = Supervisor(wanted, Store(home / "store"), RUNNER, jobs=16)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    wait_until(lambda: supervisor.progress().running == 2)
    assert len(supervisor.worker_pids()) == 2
    thread.join()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (7, "exit code 7"),
        (-11, "SIGSEGV"),
        (-9, "SIGKILL (out of memory?)"),
        (-200, "signal 200"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs must be at least 1, not 0"),
        ({"timeout_s": 0.0}, "timeout must be more than 0 s, not 0"),
        ({"runner": lambda store, point: None}, "runner must be a function at the top of a module"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LocalExecutor(**options)  # type: ignore[arg-type]


def test_the_runner_may_be_given_as_the_function(home: Path) -> None:
    assert run(home, points(2, home / "traces"), runner=batch_points.square).done == 2
