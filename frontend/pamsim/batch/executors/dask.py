"""Points on dask workers: those of any scheduler address, or of a cluster on this machine.

dask-jobqueue comes in by its scheduler's address. A worker that dies is dask's to replace; its
point runs again elsewhere, as often as `distributed.scheduler.allowed-failures` says (3 unless
set). dask blames all that a dying worker held, not only what it ran: so who is blamed once too
often runs again alone, and only when that kills the workers too has it failed. When the submitting
process dies, dask forgets its points, and a new submission does what is missing.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pamsim.batch.executors.base import (
    RUN_ONE,
    ExecutorError,
    Progress,
    Runner,
    attempt,
    load_runner,
)
from pamsim.batch.executors.driven import DrivenExecutor, Driver
from pamsim.batch.point import Point
from pamsim.batch.store import Store, StoreError
from pamsim.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK_S = 0.5
_AHEAD_OF_A_THREAD = 8  # points that the scheduler holds for each thread of its workers
_LEAST_AHEAD = 64


def run_on_worker(runner: str, store: str, key: str, spec: dict[str, Any]) -> tuple[bool, str]:
    """What dask runs: (True, "") done, (True, why) failed, (False, why) the store refuses."""
    try:
        return True, attempt(load_runner(runner), Store(store), Point(key, spec)) or ""
    except StoreError as error:
        return False, str(error)


class DaskExecutor(DrivenExecutor):
    """address: a scheduler, such as `tcp://node:8786`; None for workers of this process.

    jobs: workers where there is no address; None for one per CPU. wait_s: for the scheduler to
    answer, and for its first worker.
    """

    name = "dask"

    def __init__(
        self,
        address: str | None = None,
        jobs: int | None = None,
        runner: Runner | str = RUN_ONE,
        wait_s: float = 60.0,
    ) -> None:
        super().__init__(runner)
        if jobs is not None and jobs < 1:
            raise InputError(f"jobs must be at least 1, not {jobs}")
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise ExecutorError(
                "dask must be installed for this executor", hint="pip install 'pamsim[dask]'"
            ) from None
        self.address = address
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self.wait_s = wait_s

    def _driver(self, points: Sequence[Point], store: Store) -> Driver:
        return DaskDriver(points, store, self.runner, self.address, self.jobs, self.wait_s)

    def _details(self, driver: Driver) -> dict[str, Any]:
        return {"address": self.address, "jobs": self.jobs}


class DaskDriver:
    """Keeps so many points with the scheduler that no worker waits; the rest stay here."""

    def __init__(
        self,
        points: Sequence[Point],
        store: Store,
        runner: str,
        address: str | None,
        jobs: int,
        wait_s: float,
    ) -> None:
        self._points = list(points)
        self._store = store
        self._runner = runner
        self._address = address
        self._jobs = jobs
        self._wait_s = wait_s
        self._done = self._failed = 0
        self._threads = 0
        self._suspects: list[Point] = []
        self._stopped = threading.Event()

    def progress(self) -> Progress:
        rest = len(self._points) - self._done - self._failed
        if self._stopped.is_set():
            return Progress(self._done, self._failed, 0, 0, rest)
        running = min(rest, self._threads)
        return Progress(self._done, self._failed, running, rest - running)

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Until nothing is left to do. Raises ExecutorError when the scheduler is lost."""
        with self._client() as client:
            self._await_workers(client)
            self._pump(client, self._points)
            for point in self._suspects:
                self._pump(client, [point], alone=True)

    @contextlib.contextmanager
    def _client(self) -> Iterator[Client]:
        from distributed import Client, LocalCluster

        with contextlib.ExitStack() as stack:
            where: Any = self._address
            try:
                if where is None:
                    where = stack.enter_context(
                        LocalCluster(
                            n_workers=self._jobs,
                            threads_per_worker=1,
                            processes=True,
                            host="127.0.0.1",
                            dashboard_address="127.0.0.1:0",
                        )
                    )
                client = stack.enter_context(Client(where, timeout=self._wait_s))
            except (OSError, ValueError, RuntimeError) as error:
                place = f"at {self._address!r}" if self._address else "on this machine"
                raise ExecutorError(f"dask scheduler must answer {place} ({error})") from error
            yield client

    def _await_workers(self, client: Client) -> None:
        waited_s = 0.0
        while not self._stopped.is_set():
            threads = client.nthreads()
            if threads:
                return
            if waited_s >= self._wait_s:
                raise ExecutorError(f"dask scheduler must have workers after {self._wait_s:g} s")
            self._stopped.wait(_LOOK_S)
            waited_s += _LOOK_S

    def _pump(self, client: Client, points: Sequence[Point], alone: bool = False) -> None:
        from distributed import wait

        waiting = list(reversed(points))
        held: dict[Future, Point] = {}
        try:
            while (waiting or held) and not self._stopped.is_set():
                self._threads = sum(client.nthreads().values())
                room = max(_LEAST_AHEAD, _AHEAD_OF_A_THREAD * self._threads) - len(held)
                for point in [waiting.pop() for _ in range(min(room, len(waiting)))]:
                    # pure=False: dask must not answer from its memory, the store does that.
                    future = client.submit(
                        run_on_worker,
                        self._runner,
                        str(self._store.path),
                        point.key,
                        point.spec,
                        pure=False,
                    )
                    held[future] = point
                with contextlib.suppress(TimeoutError):
                    wait(list(held), timeout=_LOOK_S, return_when="FIRST_COMPLETED")
                for future in [future for future in held if future.done()]:
                    self._settle(future, held.pop(future), alone)
        finally:
            if held:
                self._stopped.set()
                with contextlib.suppress(Exception):
                    client.cancel(list(held))

    def _settle(self, future: Future, point: Point, alone: bool) -> None:
        from distributed.scheduler import KilledWorker

        if future.status == "cancelled":
            raise ExecutorError("dask scheduler must stay, not forget its work")
        error = future.exception()
        if error is None:
            ran, reason = future.result()
            if not ran:
                raise ExecutorError(reason)
        elif isinstance(error, KilledWorker):
            reason = ""
            if not self._store.has(point.key):
                if not alone:
                    self._suspects.append(point)
                    return
                tries = 1 + error.allowed_failures
                reason = f"its worker died in each of {tries} attempts that it made alone"
                self._store.put_failure(point.key, reason, tries)
        else:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:2000]
            self._store.put_failure(point.key, reason, 1)
        if reason:
            self._failed += 1
        else:
            self._done += 1
