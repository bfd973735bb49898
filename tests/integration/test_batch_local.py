"""200 points on local workers; workers and the submitting process are killed on the way.

Result n squared of point n (batch_points) is known without the store: none lost, none wrong.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from batch_points import (
    assert_all_right,
    attempts,
    children,
    environment,
    points,
    submitter,
    wait_until,
)

from pamsim.batch.store import Store

POINTS, SLEEP_S, KILLED_WORKERS = 200, 0.04, 6


def test_all_results_after_kills_of_workers_and_of_the_submitter(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    chance = random.Random(6)
    first = subprocess.Popen(submitter("local", tmp_path, POINTS, SLEEP_S), env=environment())
    wait_until(lambda: len(store.keys()) >= 10)
    for _ in range(KILLED_WORKERS // 2):
        os.kill(chance.choice(children(first.pid)), signal.SIGKILL)
        time.sleep(0.4)
    workers = children(first.pid)
    first.kill()
    first.wait()
    # They are no children any more, whoever adopts them: they end with the submitting process.
    wait_until(lambda: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in workers), 5)
    kept = store.keys()
    assert 10 <= len(kept) < POINTS

    second = subprocess.Popen(submitter("local", tmp_path, POINTS, SLEEP_S), env=environment())
    wait_until(lambda: len(store.keys()) >= len(kept) + 10)
    assert kept < store.keys()
    for _ in range(KILLED_WORKERS // 2):
        os.kill(chance.choice(children(second.pid)), signal.SIGKILL)
        time.sleep(0.4)
    assert second.wait(timeout=60) == 0
    wanted = points(POINTS, tmp_path / "traces")
    assert_all_right(tmp_path / "store", wanted)
    # Each kill costs the point in hand, and the killed submitter those of both workers.
    begun = [attempts(tmp_path / "traces", n) for n in range(POINTS)]
    assert sum(begun) <= POINTS + KILLED_WORKERS + 2
