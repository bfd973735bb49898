"""Cheap points for the tests of executors, a runner for them, and a process that submits them.

The result of point n is n squared, which a test knows without the store. A runner cannot be a
closure: workers import it by name, from this file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pamsim.batch.executors import make_executor
from pamsim.batch.point import Point
from pamsim.batch.store import Store

RUNNER = "batch_points:square"
HERE = str(Path(__file__).parent)


def points(n: int, traces: Path, **spec: Any) -> list[Point]:
    """Points 0 to n - 1, each of which leaves a file in `traces` whenever it begins."""
    traces.mkdir(parents=True, exist_ok=True)
    return [point(i, traces, **spec) for i in range(n)]


def point(n: int, traces: Path, **spec: Any) -> Point:
    key = hashlib.sha256(f"square of {n}".encode()).hexdigest()
    return Point(key, {"n": n, "traces": str(traces), **spec})


def square(store: Store, point: Point) -> None:
    """A runner with every kind of accident, each asked for by the spec of the point."""
    spec = point.spec
    (Path(spec["traces"]) / f"{spec['n']}.{secrets.token_hex(4)}").touch()
    time.sleep(spec.get("sleep_s", 0))
    if "deaths" in spec and attempts(Path(spec["traces"]), spec["n"]) <= spec["deaths"]:
        os.kill(os.getpid(), spec.get("signal", signal.SIGKILL))
    if "exit" in spec:
        os._exit(spec["exit"])
    if "raises" in spec:
        raise ValueError(spec["raises"])
    if "gives_nothing" in spec:
        return
    if "full" in spec:  # as of a disk that takes no further byte
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    store.put(point.key, {"square": spec["n"] ** 2})


def attempts(traces: Path, n: int) -> int:
    """How often point n began."""
    return sum(1 for path in traces.iterdir() if path.name.partition(".")[0] == str(n))


def assert_all_right(store: Path, wanted: Sequence[Point]) -> None:
    """None lost, none wrong, none extra, no failure on record."""
    results = Store(store)
    assert results.keys() == {point.key for point in wanted}
    assert results.failures() == {}
    for point in wanted:
        assert results.get(point.key) == {"square": point.spec["n"] ** 2}


def wait_until(condition: Any, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s} s"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The living processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def submitter(
    executor: str, directory: Path, n: int, sleep_s: float, address: str = ""
) -> list[str]:
    """The command line of a process that submits points and waits for them."""
    return [sys.executable, __file__, executor, str(directory), str(n), str(sleep_s), address]


def environment() -> dict[str, str]:
    """That in which any process finds this module."""
    return {**os.environ, "PYTHONPATH": HERE}


def main(executor: str, directory: str, n: str, sleep_s: str, address: str) -> int:
    home = Path(directory)
    wanted = points(int(n), home / "traces", sleep_s=float(sleep_s))
    results = Store(home / "store")
    todo = [point for point in wanted if not results.has(point.key)]
    if not todo:  # a submission before this one has done them all
        return 0
    options = {"address": address} if address else {}
    with make_executor(executor, jobs=2, runner=RUNNER, **options) as running:
        handle = running.submit(todo, home / "store", home / "runs")
        try:
            end = running.wait(handle)
        except KeyboardInterrupt:
            return 130
    return 0 if end.done == len(todo) else 3


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
