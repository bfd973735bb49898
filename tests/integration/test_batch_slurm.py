"""A real Slurm on loopback: 200 points while workers, a task, a slurmd and the submitter die.

Result n squared of point n (batch_points) is known without the store: none lost, none wrong.
Where Slurm is not installed these are skipped; PAMSIM_NEEDS_SLURM=1 makes that a failure.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import batch_points
import pytest
from batch_points import (
    RUNNER,
    assert_all_right,
    attempts,
    children,
    point,
    points,
    submitter,
    wait_until,
)
from slurm_loopback import NODES, LoopbackSlurm, missing_programs

from pamsim.batch.executors import ExecutorError, Progress, executor_of, load_handles
from pamsim.batch.executors.slurm import SlurmExecutor, SlurmOptions
from pamsim.batch.store import Store

MISSING = missing_programs()
pytestmark = pytest.mark.skipif(
    bool(MISSING) and os.environ.get("PAMSIM_NEEDS_SLURM") != "1",
    reason=f"Slurm is not installed: no {', '.join(MISSING)}",
)

POINTS, SLEEP_S = 200, 0.1


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackSlurm]:
    # A short path: spool directories hold unix sockets.
    with tempfile.TemporaryDirectory(prefix="slurm-") as directory:
        found = LoopbackSlurm(Path(directory))
        old = dict(os.environ)
        os.environ |= {"SLURM_CONF": str(found.conf), "PYTHONPATH": batch_points.HERE}
        try:
            found.start()
            yield found
        finally:
            found.stop()
            os.environ.clear()
            os.environ.update(old)


def executor(**options: object) -> SlurmExecutor:
    return SlurmExecutor(**{"runner": RUNNER, "poll_s": 0.5, "settle_s": 1.0, **options})  # type: ignore[arg-type]


def tasks_of(directory: Path) -> dict[int, str]:
    """Processes that run a share of a submission, with the node that each is on."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            if b"executors.shard" in command and os.fsencode(directory) in command:
                environment = (entry / "environ").read_bytes().split(b"\0")
                names = [v for v in environment if v.startswith(b"SLURMD_NODENAME=")]
                found[int(entry.name)] = names[0].partition(b"=")[2].decode()
        except (OSError, ValueError, IndexError):
            continue
    return found


def kill(pids: list[int], chance: random.Random) -> None:
    """SIGKILL for one of these, if any still lives."""
    if pids:
        try:
            os.kill(chance.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return


def set_node(cluster: LoopbackSlurm, node: str, state: str) -> None:
    subprocess.run(
        ["scontrol", "update", f"NodeName={node}", f"State={state}", "Reason=test"], check=True
    )


def test_nothing_listens_on_another_address_than_loopback(cluster: LoopbackSlurm) -> None:
    """/proc/net/tcp writes addresses as little-endian hexadecimal: 127.0.0.1 is 0100007F."""
    text = cluster.conf.read_text()
    ports = [
        int(word.partition("=")[2])
        for word in text.split()
        if word.startswith(("Port=", "SlurmctldPort="))
    ]
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    listening = [fields[1].split(":") for fields in lines if fields[3] == "0A"]
    ours = [address for address, port in listening if int(port, 16) in ports]
    assert ours == ["0100007F"] * 3


def test_all_results_after_kills_of_everything(cluster: LoopbackSlurm, tmp_path: Path) -> None:
    chance = random.Random(6)
    wanted = points(POINTS, tmp_path / "traces", sleep_s=SLEEP_S)
    store = Store(tmp_path / "store")
    process = subprocess.Popen(submitter("slurm", tmp_path, POINTS, SLEEP_S))
    wait_until(lambda: len(store.keys()) >= 10, 60)

    process.kill()  # the submitting process; the job goes on
    process.wait()
    (handle,) = load_handles(tmp_path / "runs")
    watching = executor_of(handle)
    assert watching.poll(handle).running == 2

    for _ in range(3):  # workers: their tasks replace them
        kill([pid for task in tasks_of(handle.directory) for pid in children(task)], chance)
        time.sleep(0.5)

    # A node: its slurmd is gone, the task on it is an orphan and runs again on the other node.
    wait_until(lambda: NODES[0] in tasks_of(handle.directory).values())
    cluster.kill_node(NODES[0])
    set_node(cluster, NODES[0], "DOWN")
    before = len(store.keys())
    wait_until(lambda: len(store.keys()) >= before + 10, 60)

    # A whole task, whose points nobody does then: the scheduler says how it ended.
    on_living_node = [p for p, node in tasks_of(handle.directory).items() if node == NODES[1]]
    kill(on_living_node, chance)
    cluster.start_node(NODES[0])
    cluster.wait_for(
        "node is back", lambda: cluster.node_states()[NODES[0]].startswith(("idle", "alloc", "mix"))
    )
    end = executor().wait(handle, timeout_s=120)
    assert end.finished and end.failed == 0 and end.done + end.missing == POINTS
    assert any("restart 1" in log.read_text() for log in (handle.directory / "logs").iterdir())
    if on_living_node:
        assert 0 < end.missing <= POINTS / handle.details["shares"]
        said = watching.explain(handle)
        assert any("FAILED" in words and "exit code 0:9" in words for words in said), said

    again = subprocess.run(submitter("slurm", tmp_path, POINTS, 0), timeout=120, check=False)
    assert again.returncode == 0
    assert_all_right(tmp_path / "store", wanted)
    # Finished points did not run again with the second submission.
    second = load_handles(tmp_path / "runs")[1:]
    assert [len(found.keys()) for found in second] == ([end.missing] if end.missing else [])


def test_a_job_that_the_scheduler_refuses_is_quoted(cluster: LoopbackSlurm, tmp_path: Path) -> None:
    options = SlurmOptions(memory="10T")
    with pytest.raises(ExecutorError, match="Memory specification can not be satisfied"):
        executor(options=options).submit(
            points(2, tmp_path / "traces"), tmp_path / "store", tmp_path / "runs"
        )
    with pytest.raises(ExecutorError, match="invalid partition specified: nowhere"):
        executor(options=SlurmOptions(partition="nowhere")).submit(
            points(2, tmp_path / "traces"), tmp_path / "store", tmp_path / "runs"
        )
    assert load_handles(tmp_path / "runs") == []


def test_failures_and_fatal_points(cluster: LoopbackSlurm, tmp_path: Path) -> None:
    """A blank and a per cent sign in the path, as sbatch reads file names in a way of its own."""
    home = tmp_path / "50 % off"
    home.mkdir()
    bad = [point(4, home / "traces", raises="broken"), point(5, home / "traces", deaths=99)]
    wanted = [*points(4, home / "traces"), *bad]
    options = SlurmOptions(partition="main", time="5", memory="100M", directives=["--comment=x"])
    running = executor(options=options, jobs=2, shares=2)
    handle = running.submit(wanted, home / "store", home / "runs")
    assert running.wait(handle, timeout_s=60) == Progress(4, 2, 0, 0)
    failures = Store(home / "store").failures()
    assert failures[bad[0].key].reason == "ValueError: broken"
    assert failures[bad[1].key].attempts == attempts(home / "traces", 5) == 3
    assert len(list((handle.directory / "logs").glob("*.log"))) == 2
    assert running.explain(handle) == []


def test_cancel_keeps_what_is_finished_and_says_who_ended_it(
    cluster: LoopbackSlurm, tmp_path: Path
) -> None:
    wanted = points(60, tmp_path / "traces", sleep_s=0.2)
    running = executor(jobs=2)
    handle = running.submit(wanted, tmp_path / "store", tmp_path / "runs")
    wait_until(lambda: running.poll(handle).done >= 4)
    running.cancel(handle)
    end = running.wait(handle, timeout_s=60)
    assert 4 <= end.done < 60 and end.missing == 60 - end.done
    said = running.explain(handle)
    assert any("CANCELLED" in words for words in said), said


def test_two_attempts_at_once_do_no_harm(cluster: LoopbackSlurm, tmp_path: Path) -> None:
    wanted = points(20, tmp_path / "traces", sleep_s=0.05)
    running = executor(shares=1)
    handles = [running.submit(wanted, tmp_path / "store", tmp_path / "runs") for _ in range(2)]
    for handle in handles:
        assert running.wait(handle, timeout_s=60) == Progress(20, 0, 0, 0)
    assert_all_right(tmp_path / "store", wanted)


SWEEP = """
model: llama-3-8b
workload: {context: [64, 128], batch: [1, 2]}
set: {tiers.hbm.device.timing.nFAW: [16, 20]}
validate: off
"""


def test_a_sweep_through_the_command_line(cluster: LoopbackSlurm, tmp_path: Path) -> None:
    """Submitted, seen from another process, submitted again meanwhile, collected."""

    def sweep(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pamsim.cli.main", "sweep", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    (tmp_path / "s.yaml").write_text(SWEEP)
    slurm = ("--executor", "slurm", "--jobs", "2")
    cluster.hold()  # so that none of the eight ends before the second submission
    try:
        first = sweep("submit", "s.yaml", *slurm, "--partition", "main")
        assert first.returncode == 0, first.stderr
        assert "submitted" in first.stderr
        second = sweep("submit", "s.yaml", *slurm)
    finally:
        cluster.release()
    assert second.returncode == 0, second.stderr
    assert "8 of these are with an earlier submission" in second.stderr
    watched = sweep("status", "s.yaml", "--watch", "--json")
    assert watched.returncode == 0, watched.stderr
    document = json.loads(watched.stdout)
    assert (document["done"], document["failed"], document["missing"]) == (8, 0, 0)
    here = sweep("submit", "s.yaml", "--store", "elsewhere", "-o", "here", "--jobs", "2", "-q")
    assert here.returncode == 0, here.stderr
    tables = []
    for options in ([], ["-o", "here"]):
        assert sweep("collect", "s.yaml", *options).returncode == 0
    for path in ("pamsim-out/sweep/s/results.csv", "here/results.csv"):
        with open(tmp_path / path, newline="") as file:
            tables.append([(row["key"], row["latency_ns"]) for row in csv.DictReader(file)])
    assert len(tables[0]) == 8 and tables[0] == tables[1]


def test_the_script_starts_and_stops_a_cluster() -> None:
    script = Path(batch_points.HERE).parent / "scripts" / "slurm_loopback.py"
    with tempfile.TemporaryDirectory(prefix="slurm-") as directory:
        said = {}
        for verb in ("start", "status", "stop"):
            done = subprocess.run(
                [sys.executable, script, verb, directory],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            said[verb] = done.stdout
        assert said["start"] == f"export SLURM_CONF={directory}/slurm.conf\n"
        assert said["status"] == "n1 idle\nn2 idle\n"
        assert LoopbackSlurm(Path(directory)).pid("slurmctld") is None
