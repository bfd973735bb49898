"""Keeps worker processes at work until every point has a result, a reason, or the batch is stopped.

A point whose worker dies is tried again, on a new worker, at most RETRIES times; then its failure
is recorded. Clocks are monotonic: the wall clock may jump.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pamsim.batch.executors.base import ExecutorError, Progress
from pamsim.batch.executors.worker import BOOT, DONE, READY, STORE, UNFIT
from pamsim.batch.point import Point
from pamsim.batch.store import Store

RETRIES = 2  # after the first attempt
_AHEAD_S = 0.2  # of work that a worker holds in advance, so that it never waits for the next point
_MOST_AHEAD = 64
_START_DEATHS = 3  # in a row, of workers that never became ready: something is wrong with all
_LOOK_S = 1.0  # between looks at workers that say nothing
_STUCK_S = 10  # a worker that neither takes nor gives a whole message for so long is killed
_LOG_LINES = 4
_CRASH = "Current thread"  # what faulthandler prints before the innermost frame
# Worker processes are the parallelism; numerical libraries must not add threads of their own.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Worker:
    def __init__(self, runner: str, store: Path, log: Path) -> None:
        ours, theirs = socket.socketpair()
        timeout = struct.pack("ll", _STUCK_S, 0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        self.log = log
        self.points: deque[Point] = deque()  # sent and not answered; the first one runs
        self.since_s = time.monotonic()  # when the first of `points` began
        self.ready = False
        self.overdue = ""  # the key of the point for which it was killed
        environment = {**dict.fromkeys(_ONE_THREAD, "1"), **os.environ}
        # A process group of its own: Ctrl-C reaches the supervisor only, which ends it.
        with theirs, open(log, "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", BOOT, json.dumps(sys.path), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                process_group=0,
            )
        self.connection = Connection(ours.detach())
        with contextlib.suppress(OSError):
            self.connection.send((runner, str(store)))

    def send(self, points: list[Point]) -> None:
        if not self.points:
            self.since_s = time.monotonic()
        self.points.extend(points)
        # A failure to send is a worker's death: its connection reports the end when it is read.
        with contextlib.suppress(OSError):
            self.connection.send(points)

    def end(self) -> int:
        """Closes, kills, reaps; the exit code as subprocess gives it: -9 for SIGKILL."""
        self.connection.close()
        self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """Kills the worker and what it started."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what it printed; of a crash the innermost Python frames."""
        try:
            lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        except OSError:
            return ""
        lines = [line for line in lines if line]
        crash = [i for i, line in enumerate(lines) if line.startswith(_CRASH)]
        chosen = lines[crash[-1] + 1 :][:_LOG_LINES] if crash else lines[-_LOG_LINES:]
        return " | ".join(chosen)


class Supervisor:
    """Runs points on `jobs` workers; `run` once, `stop` and `progress` from any thread.

    timeout_s: a point that takes longer has failed; None for no limit.
    """

    def __init__(
        self,
        points: Sequence[Point],
        store: Store,
        runner: str,
        jobs: int,
        timeout_s: float | None = None,
    ) -> None:
        self._store = store
        self._runner = runner
        self._jobs = max(1, min(jobs, len(points)))
        self._timeout_s = timeout_s
        self._waiting = deque(points)
        self._open = len(points)
        self._done = self._failed = 0
        self._tries: dict[str, int] = {}
        self._workers: list[_Worker] = []
        self._started = self._start_deaths = 0
        self._mean_s = math.inf  # of the points so far; unknown at first
        self._stopped = threading.Event()
        self._alarm_in, self._alarm_out = Pipe(duplex=False)

    def progress(self) -> Progress:
        running = 0 if self._stopped.is_set() else sum(bool(w.points) for w in list(self._workers))
        rest = max(0, self._open - running)
        if self._stopped.is_set():
            return Progress(self._done, self._failed, 0, 0, rest)
        return Progress(self._done, self._failed, min(running, self._open), rest)

    def worker_pids(self) -> list[int]:
        return [worker.process.pid for worker in list(self._workers)]

    def stop(self) -> None:
        """Ends the workers with the points in their hands; `run` returns soon after."""
        self._stopped.set()
        self._alarm_out.send_bytes(b"x")

    def run(self) -> None:
        """Until nothing is left to do. Raises ExecutorError when no point can be run."""
        with tempfile.TemporaryDirectory(prefix="pamsim-workers-") as logs:
            try:
                while self._open and not self._stopped.is_set():
                    self._staff(Path(logs))
                    for worker in list(self._workers):
                        self._feed(worker)
                    self._listen()
                    self._enforce_timeout()
            finally:
                if self._open:
                    self._stopped.set()
                for worker in self._workers:
                    worker.end()
                self._workers.clear()

    def _staff(self, logs: Path) -> None:
        while len(self._workers) < min(self._jobs, self._open):
            self._started += 1
            try:
                worker = _Worker(self._runner, self._store.path, logs / f"{self._started}.log")
            except OSError as error:
                if self._workers:
                    return  # the machine is full: go on with those there are
                raise ExecutorError(f"worker must start, not fail ({error.strerror})") from error
            self._workers.append(worker)

    def _feed(self, worker: _Worker) -> None:
        """Sends so many points that the worker has _AHEAD_S of work, fewer near the end.

        Long points are sent one by one: a point in reserve could be run by another worker.
        """
        if not worker.ready or not self._waiting:
            return
        ahead = 1 + int(min(_MOST_AHEAD, _AHEAD_S / max(self._mean_s, 1e-6)))
        share = 1 + len(self._waiting) // (2 * self._jobs)
        wanted = min(ahead, share, len(self._waiting) + len(worker.points))
        # Half empty before it is filled again: fewer messages, for short points.
        if len(worker.points) <= wanted // 2:
            more = min(wanted - len(worker.points), len(self._waiting))
            worker.send([self._waiting.popleft() for _ in range(more)])

    def _listen(self) -> None:
        patience_s = _LOOK_S
        if self._timeout_s is not None:
            now = time.monotonic()
            ends = [w.since_s + self._timeout_s - now for w in self._workers if w.points]
            patience_s = max(0.0, min([patience_s, *ends]))
        by_connection = {worker.connection: worker for worker in self._workers}
        for ready in wait([*by_connection, self._alarm_in], patience_s):
            if ready in by_connection:
                self._hear(by_connection[ready])
        for worker in list(self._workers):
            # Its connection does not end while a process that it forked holds the other side.
            if worker.process.poll() is not None and not worker.connection.poll():
                self._bury(worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            while True:
                self._take(worker, worker.connection.recv())
                if not worker.connection.poll():
                    return
        except (EOFError, OSError):
            self._bury(worker)

    def _take(self, worker: _Worker, message: tuple[object, ...]) -> None:
        kind = message[0]
        if kind == READY:
            worker.ready = True
            self._start_deaths = 0
        elif kind == DONE:
            _, key, seconds, reason = message
            point = worker.points.popleft()
            assert point.key == key and isinstance(seconds, float)
            worker.since_s = time.monotonic()
            known = self._mean_s if math.isfinite(self._mean_s) else seconds
            self._mean_s = 0.9 * known + 0.1 * seconds
            self._settle(failed=reason is not None)
        elif kind == STORE:
            raise ExecutorError(str(message[2]))
        elif kind == UNFIT:
            raise ExecutorError(f"worker must be able to run points, not fail: {message[1]}")

    def _settle(self, failed: bool) -> None:
        self._open -= 1
        if failed:
            self._failed += 1
        else:
            self._done += 1

    def _bury(self, worker: _Worker) -> None:
        """What a dead worker held goes back to the front; the point that ran has had a try."""
        self._workers.remove(worker)
        code = worker.end()
        death = describe_exit(code)
        if not worker.ready:
            self._start_deaths += 1
            if code > 0 or self._start_deaths >= _START_DEATHS:
                raise ExecutorError(
                    f"worker must become ready, not end with {death} ({worker.last_words()})"
                )
            return
        self._waiting.extendleft(reversed(list(worker.points)[1:]))
        if not worker.points:
            return
        point = worker.points[0]
        tries = self._tries[point.key] = self._tries.get(point.key, 0) + 1
        if self._store.has(point.key):  # it died between the result and its message
            self._settle(failed=False)
        elif worker.overdue == point.key:
            reason = f"took longer than the timeout of {self._timeout_s:g} s"
            self._store.put_failure(point.key, reason, tries)
            self._settle(failed=True)
        elif tries > RETRIES:
            words = worker.last_words()
            reason = f"its worker ended with {death} in each of {tries} attempts"
            self._store.put_failure(point.key, f"{reason} ({words})" if words else reason, tries)
            self._settle(failed=True)
        else:
            self._waiting.appendleft(point)

    def _enforce_timeout(self) -> None:
        if self._timeout_s is None:
            return
        now = time.monotonic()
        for worker in self._workers:
            if worker.points and now - worker.since_s >= self._timeout_s:
                worker.overdue = worker.points[0].key
                worker.kill()  # its connection then reports the end


def describe_exit(code: int) -> str:
    """An exit code of subprocess in words: `SIGKILL (the kernel may be out of memory)`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
