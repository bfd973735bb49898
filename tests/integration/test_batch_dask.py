"""200 points on dask's LocalCluster; workers and the submitting process are killed on the way.

Result n squared of point n (batch_points) is known without the store: none lost, none wrong.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

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

from pamsim.batch.executors import ExecutorError, Progress, executor_of, load_handles
from pamsim.batch.executors.dask import DaskExecutor
from pamsim.batch.store import Store

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

POINTS = 200
ALLOWED_FAILURES = 1  # 3 unless set; each costs a restart of a worker, which takes a second


@pytest.fixture(scope="module")
def cluster() -> Any:
    """A scheduler of somebody else, at an address, with two workers that a nanny replaces."""
    # Workers are new interpreters: they find the runner as they would on another machine.
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = batch_points.HERE
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
                # 30 s unless set: so long dask tries to reach a worker that has just been killed.
                "distributed.comm.timeouts.connect": "5s",
            }
        ),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as found,
    ):
        yield found
    if old is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = old


def worker_pids(cluster: Any) -> list[int]:
    with distributed.Client(cluster.scheduler_address) as client:
        return list(client.run(os.getpid).values())


def test_all_results_after_kills_of_workers_and_of_the_submitter(
    cluster: Any, tmp_path: Path
) -> None:
    wanted = points(POINTS, tmp_path / "traces", sleep_s=0.03)
    store = Store(tmp_path / "store")
    first = subprocess.Popen(
        submitter("dask", tmp_path, POINTS, 0.03, cluster.scheduler_address), env=environment()
    )
    wait_until(lambda: len(store.keys()) >= 20)
    first.kill()
    first.wait()
    time.sleep(0.5)
    kept = store.keys()
    (handle,) = load_handles(tmp_path / "runs")
    seen = executor_of(handle).poll(handle)
    assert 20 <= seen.done < POINTS and seen.done + seen.missing == POINTS

    todo = [one for one in wanted if one.key not in kept]
    with DaskExecutor(address=cluster.scheduler_address, runner=RUNNER) as executor:
        handle = executor.submit(todo, tmp_path / "store", tmp_path / "runs")
        for more in (20, 60):
            wait_until(lambda more=more: executor.poll(handle).done >= more)
            os.kill(worker_pids(cluster)[0], signal.SIGKILL)
        assert executor.wait(handle, timeout_s=60) == Progress(len(todo), 0, 0, 0)
    assert_all_right(tmp_path / "store", wanted)


def test_a_point_that_kills_every_worker_fails_and_costs_no_other(
    cluster: Any, tmp_path: Path
) -> None:
    wanted = points(20, tmp_path / "traces", sleep_s=0.01)
    bad = point(20, tmp_path / "traces", deaths=99)
    with DaskExecutor(address=cluster.scheduler_address, runner=RUNNER) as executor:
        handle = executor.submit([*wanted, bad], tmp_path / "store", tmp_path / "runs")
        end = executor.wait(handle, timeout_s=90)
    assert end == Progress(20, 1, 0, 0)
    failure = Store(tmp_path / "store").failure(bad.key)
    # One attempt and those that are allowed more, among others and then alone.
    tries = 1 + ALLOWED_FAILURES
    assert failure.reason == f"its worker died in each of {tries} attempts that it made alone"
    assert failure.attempts == tries and attempts(tmp_path / "traces", 20) == 2 * tries


def test_workers_of_its_own_and_an_exception(tmp_path: Path) -> None:
    wanted = points(10, tmp_path / "traces")
    bad = point(10, tmp_path / "traces", raises="broken")
    with DaskExecutor(jobs=1, runner=RUNNER) as executor:
        handle = executor.submit([*wanted, bad], tmp_path / "store", tmp_path / "runs")
        assert executor.wait(handle, timeout_s=60) == Progress(10, 1, 0, 0)
    assert Store(tmp_path / "store").failure(bad.key).reason == "ValueError: broken"
    assert attempts(tmp_path / "traces", 10) == 1


def test_cancel_keeps_what_is_finished(cluster: Any, tmp_path: Path) -> None:
    wanted = points(100, tmp_path / "traces", sleep_s=0.1)
    with DaskExecutor(address=cluster.scheduler_address, runner=RUNNER) as executor:
        handle = executor.submit(wanted, tmp_path / "store", tmp_path / "runs")
        wait_until(lambda: executor.poll(handle).done >= 4)
        executor.cancel(handle)
        end = executor.poll(handle)
    assert end.finished and 4 <= end.done < 100 and end.missing == 100 - end.done


def test_a_store_that_refuses_stops_the_batch(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "aside").write_text("in the way")
    with DaskExecutor(address=cluster.scheduler_address, runner=RUNNER) as executor:
        handle = executor.submit(
            points(50, tmp_path / "traces"), tmp_path / "store", tmp_path / "runs"
        )
        with pytest.raises(ExecutorError, match="store must allow to write"):
            executor.wait(handle, timeout_s=30)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with DaskExecutor("tcp://127.0.0.1:9", runner=RUNNER, wait_s=1.0) as executor:
        handle = executor.submit(points(1, tmp_path), tmp_path / "store", tmp_path / "runs")
        with pytest.raises(ExecutorError, match=r"must answer at 'tcp://127\.0\.0\.1:9'"):
            executor.wait(handle, timeout_s=30)
