"""Measures batches: 1,000 points of 50 ms on two local workers, and the plan of 100,000 points.

A point sleeps for its 50 ms, so that other load on the machine does not count as overhead, and
then stores a result, whose cost does. Efficiency is the points' own time over the workers' time.
`pamsim sweep plan` expands, validates and hashes a sweep, and looks each point up in the store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pamsim.batch.executors.local import LocalExecutor
from pamsim.batch.point import Point
from pamsim.batch.store import Store

WORKERS = 2
LEAST_EFFICIENCY = 0.95
MOST_OVERHEAD_MS = 10.0
MOST_PLAN_S = 5.0
# 2 models x 1,000 contexts x 50 batches.
SWEEP = """\
model: [llama-3-8b, llama-2-7b]
workload:
  context: {from: 16, to: 16000, step: 16}
  batch: {from: 1, to: 50, step: 1}
"""
PLANNED = 100_000


@dataclass(frozen=True)
class Batch:
    """A measured batch. overhead_ms: of a worker's time, for each point, start included."""

    points: int
    point_ms: float
    workers: int
    wall_s: float
    efficiency: float
    overhead_ms: float


def sleep_and_store(store: Store, point: Point) -> None:
    """The runner: workers import it by name."""
    time.sleep(point.spec["seconds"])
    store.put(point.key, {"number": point.spec["number"]})


def measure(n: int, seconds: float) -> Batch:
    points = [
        Point(
            hashlib.sha256(str(number).encode()).hexdigest(), {"number": number, "seconds": seconds}
        )
        for number in range(n)
    ]
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as directory:
        home = Path(directory)
        start = time.monotonic()
        with LocalExecutor(jobs=WORKERS, runner="bench_batch:sleep_and_store") as executor:
            end = executor.wait(executor.submit(points, home / "store", home / "runs"))
        wall_s = time.monotonic() - start
        if end.done != n or len(Store(home / "store").keys()) != n:
            raise SystemExit(f"{n} points must be done, not {end}")
    work_s = n * seconds
    return Batch(
        n,
        seconds * 1e3,
        WORKERS,
        wall_s,
        work_s / (WORKERS * wall_s),
        (WORKERS * wall_s - work_s) / n * 1e3,
    )


def plan_s() -> float:
    """Wall time of the command, its start included."""
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as directory:
        (Path(directory) / "sweep.yaml").write_text(SWEEP)
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pamsim.cli.main", "sweep", "plan", "sweep.yaml", "--json"],
            cwd=directory,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        wall_s = time.monotonic() - start
    if json.loads(done.stdout)["points"] != PLANNED:
        raise SystemExit(f"plan must have {PLANNED} points")
    return wall_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="200 points")
    options = parser.parse_args()
    n = 200 if options.quick else 1000
    batches = []
    if not options.json:
        print(
            f"{'points':>6}{'each ms':>9}{'workers':>9}{'wall s':>9}{'efficiency':>12}"
            f"{'overhead ms':>13}"
        )
    for seconds in (0.050, 0.0):
        batch = measure(n, seconds)
        batches.append(batch)
        if not options.json:
            share = f"{batch.efficiency:.1%}" if seconds else "-"
            print(
                f"{batch.points:6}{batch.point_ms:9.0f}{batch.workers:9}{batch.wall_s:9.2f}"
                f"{share:>12}{batch.overhead_ms:13.2f}",
                flush=True,
            )
    planned_s = plan_s()
    if not options.json:
        print(f"plan of {PLANNED:,} points: {planned_s:.2f} s")
    good = (
        batches[0].efficiency >= LEAST_EFFICIENCY
        and planned_s < MOST_PLAN_S
        and all(batch.overhead_ms < MOST_OVERHEAD_MS for batch in batches)
    )
    if options.json:
        print(
            json.dumps(
                {
                    "least_efficiency": LEAST_EFFICIENCY,
                    "most_overhead_ms": MOST_OVERHEAD_MS,
                    "most_plan_s": MOST_PLAN_S,
                    "plan_points": PLANNED,
                    "plan_s": planned_s,
                    "reached": good,
                    "batches": [asdict(batch) for batch in batches],
                },
                indent=1,
            )
        )
    elif not good:
        print(
            f"targets missed: efficiency {LEAST_EFFICIENCY:.0%}, "
            f"overhead under {MOST_OVERHEAD_MS:g} ms, plan under {MOST_PLAN_S:g} s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
