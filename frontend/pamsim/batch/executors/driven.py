"""Executors whose points are driven by a thread of the submitting process: local and dask.

Seen from that process, progress comes from the driver; seen from another, from the store and from
whether the submitting process still lives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol

from pamsim.batch.executors.base import (
    RUN_ONE,
    ExecutorError,
    Handle,
    Progress,
    Runner,
    Tally,
    Watch,
    new_submission,
    polled,
    runner_name,
)
from pamsim.batch.point import Point
from pamsim.batch.store import Store
from pamsim.errors import PamsimError

ENDED = "ended"  # an empty file of a submission whose driver has returned
_WATCH_S = 0.1


class Driver(Protocol):
    """Runs points to their end; `stop` and `progress` come from other threads."""

    def run(self) -> None: ...

    def stop(self) -> None: ...

    def progress(self) -> Progress: ...


@dataclass
class _Drive:
    driver: Driver
    thread: threading.Thread
    error: BaseException | None = None


class DrivenExecutor(ABC):
    """What local and dask share; a subclass makes the driver."""

    name: ClassVar[str]

    def __init__(self, runner: Runner | str = RUN_ONE) -> None:
        self.runner = runner_name(runner)
        self._drives: dict[Path, _Drive] = {}
        self._tallies: dict[Path, Tally] = {}

    @abstractmethod
    def _driver(self, points: Sequence[Point], store: Store) -> Driver:
        """What will run the points."""

    def _details(self, driver: Driver) -> dict[str, Any]:
        return {}

    def submit(self, points: Sequence[Point], store: Path, directory: Path) -> Handle:
        handle = new_submission(self.name, points, Path(store), self.runner, Path(directory))
        driver = self._driver(points, Store(handle.store))
        handle = replace(handle, details={**_this_process(), **self._details(driver)})
        handle.save()
        drive = _Drive(driver, threading.Thread(target=self._drive, args=(handle,), daemon=True))
        self._drives[handle.directory] = drive
        drive.thread.start()
        return handle

    def _drive(self, handle: Handle) -> None:
        drive = self._drives[handle.directory]
        try:
            drive.driver.run()
        except BaseException as error:  # told by wait, in the thread that asks
            drive.error = error
        finally:
            with contextlib.suppress(OSError):
                (handle.directory / ENDED).touch()

    def poll(self, handle: Handle) -> Progress:
        drive = self._drives.get(handle.directory)
        if drive is None:
            return self._poll_store(handle)
        alive = drive.thread.is_alive()
        now = drive.driver.progress()
        if not alive:
            rest = now.running + now.pending + now.missing
            note = str(drive.error) if drive.error else ""
            return Progress(now.done, now.failed, 0, 0, rest, note)
        return now

    def _poll_store(self, handle: Handle) -> Progress:
        alive = _lives(handle)
        tally = self._tallies.get(handle.directory)
        if tally is None:
            tally = Tally(Store(handle.store), handle.keys())
            self._tallies[handle.directory] = tally
        tally.look()
        rest = len(tally.open)
        if alive:
            running = min(rest, int(handle.details.get("jobs", 1)))
            return Progress(tally.done, len(tally.failed), running, rest - running)
        return Progress(tally.done, len(tally.failed), 0, 0, rest)

    def wait(
        self, handle: Handle, timeout_s: float | None = None, watch: Watch | None = None
    ) -> Progress:
        drive = self._drives.get(handle.directory)
        pause = time.sleep if drive is None else drive.thread.join
        ended = False

        def poll() -> Progress:
            nonlocal ended
            # A driver that fails counts nothing as running before its thread ends with the error.
            ended = drive is not None and not drive.thread.is_alive()
            return self.poll(handle)

        for now in polled(poll, pause, _WATCH_S, timeout_s, watch):
            if ended or (drive is None and now.finished):
                break
        if drive is not None and ended and drive.error is not None:
            if isinstance(drive.error, PamsimError):
                raise ExecutorError(str(drive.error)) from drive.error
            raise drive.error
        return now

    def in_flight(self, handle: Handle) -> set[str]:
        if handle.details.get("host") != socket.gethostname() or not _lives(handle):
            return set()
        self._poll_store(handle)
        return self._tallies[handle.directory].open

    def explain(self, handle: Handle) -> list[str]:
        now = self.poll(handle)
        if not now.missing:
            return []
        return [now.note or "the submitting process ended before these points were done"]

    def cancel(self, handle: Handle) -> None:
        drive = self._drives.get(handle.directory)
        if drive is not None:
            drive.driver.stop()
            drive.thread.join()
        elif _lives(handle):
            if handle.details["host"] != socket.gethostname():
                raise ExecutorError(
                    f"{self.name} submission must be cancelled on {handle.details['host']!r},"
                    f" where it runs, not on {socket.gethostname()!r}"
                )
            os.kill(int(handle.details["pid"]), signal.SIGINT)

    def close(self) -> None:
        for drive in self._drives.values():
            drive.driver.stop()
        for drive in self._drives.values():
            drive.thread.join()

    def __enter__(self) -> DrivenExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _this_process() -> dict[str, Any]:
    """Names this process among all that ever had its number."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def _lives(handle: Handle) -> bool:
    """Whether the submission is driven; on another host, which nobody can ask, unless it ended.

    The process may well outlive it: an interpreter that somebody works in.
    """
    details = handle.details
    if "pid" not in details or (handle.directory / ENDED).exists():
        return False
    if details["host"] != socket.gethostname():
        return True
    return _born(int(details["pid"])) == details["born"]


def _born(pid: int) -> str | None:
    """Start of a process in clock ticks after boot; None where it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
