"""The interface of executors, shaped like concurrent.futures, and what all of them share."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from pamsim.batch.point import Point
from pamsim.batch.store import Store, StoreError
from pamsim.batch.work import read_points, write_points
from pamsim.errors import EXIT_POINTS_FAILED, InputError, PamsimError, Position

# Puts a point's result or the reason of its failure into the store; raises StoreError where the
# store cannot be used. It is imported by name on the worker: a function at the top of a module.
Runner = Callable[[Store, Point], None]
RUN_ONE = "pamsim.batch.work:run_one"

HANDLE, POINTS = "handle.json", "points.jsonl"
_FORMAT = 1
_REASON_CHARACTERS = 2000
_LIST_ABOVE = 5000  # so many keys are looked up by listing the store, fewer one by one


class ExecutorError(PamsimError):
    """Points cannot be run at all: a scheduler refuses, a worker cannot start, the store is full.

    Finished points are kept.
    """

    exit_code = EXIT_POINTS_FAILED


@dataclass(frozen=True)
class Progress:
    """How many points of a submission are where; the five numbers add up to all of them.

    missing: neither done nor failed, and nobody works on them any more; a new submission would.
    note: one sentence for people, empty where there is nothing to say.
    """

    done: int
    failed: int
    running: int
    pending: int
    missing: int = 0
    note: str = ""

    @property
    def total(self) -> int:
        return self.done + self.failed + self.running + self.pending + self.missing

    @property
    def finished(self) -> bool:
        """Nothing more will happen."""
        return self.running == self.pending == 0


@dataclass(frozen=True)
class Handle:
    """A submission, from any process: `directory` holds handle.json and points.jsonl.

    runner: `module:function`. details: what the executor needs to find its work again, plain JSON.
    """

    executor: str
    directory: Path
    store: Path
    runner: str
    details: dict[str, Any] = field(default_factory=dict)

    def save(self) -> None:
        """Writes directory/handle.json, whole or not at all. Raises ExecutorError."""
        document = {
            "format": _FORMAT,
            "executor": self.executor,
            "store": str(self.store),
            "runner": self.runner,
            "details": self.details,
        }
        path = self.directory / HANDLE
        aside = path.with_name(f".{HANDLE}.{os.getpid()}")
        try:
            aside.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
            os.replace(aside, path)
        except OSError as error:
            raise ExecutorError(
                f"handle must be writable to {str(path)!r} ({error.strerror})"
            ) from error

    def points(self) -> list[Point]:
        """The points that were submitted, in order."""
        return read_points(self.directory / POINTS)

    def keys(self) -> list[str]:
        return [point.key for point in self.points()]


Watch = Callable[[Progress], None]


class Executor(Protocol):
    """Runs points somewhere. `with` ends what would not outlive the process."""

    @property
    def name(self) -> str: ...

    def submit(self, points: Sequence[Point], store: Path, directory: Path) -> Handle:
        """Starts points and returns at once; writes below `directory`, which is the sweep's.

        A point that failed before is tried again. Raises ExecutorError when nothing was started.
        """

    def poll(self, handle: Handle) -> Progress:
        """How far the points are, seen from any process. Raises ExecutorError."""

    def wait(
        self, handle: Handle, timeout_s: float | None = None, watch: Watch | None = None
    ) -> Progress:
        """Until nothing more will happen, or until `timeout_s`; `watch` sees each change.

        Raises ExecutorError when the points cannot be run at all.
        """

    def in_flight(self, handle: Handle) -> set[str]:
        """Keys of the points that are run, or wait to be, as far as this process can tell."""

    def explain(self, handle: Handle) -> list[str]:
        """A sentence for each cause of missing points."""

    def cancel(self, handle: Handle) -> None:
        """Stops what runs and what waits; finished points are kept."""

    def close(self) -> None:
        """Ends what this object runs in this process."""

    def __enter__(self) -> Executor: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def polled(
    poll: Callable[[], Progress],
    pause: Callable[[float], object],
    every_s: float,
    timeout_s: float | None,
    watch: Watch | None,
) -> Iterator[Progress]:
    """What `poll` says, again and again with a pause between, until `timeout_s` have passed.

    Whoever waits stops asking when it is enough. `watch` sees each change.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    last: Progress | None = None
    while True:
        now = poll()
        if watch is not None and now != last:
            watch(now)
            last = now
        yield now
        left_s = every_s if end is None else end - time.monotonic()
        if left_s <= 0:
            return
        pause(min(every_s, left_s))


def runner_name(runner: Runner | str) -> str:
    """`module:function` of a runner that workers can import. Raises InputError."""
    name = runner if isinstance(runner, str) else f"{runner.__module__}:{runner.__qualname__}"
    module, _, function = name.partition(":")
    if not module or not function or module == "__main__" or "<" in function:
        raise InputError(f"runner must be a function at the top of a module, not {name!r}")
    return name


def load_runner(name: str) -> Runner:
    """The function that `module:function` names. Raises InputError."""
    module, _, function = runner_name(name).partition(":")
    try:
        runner: Runner = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"runner must be importable, not {name!r} ({error})") from error
    return runner


def attempt(runner: Runner, store: Store, point: Point) -> str | None:
    """Runs a point here; None when it is done, else why it failed. Raises StoreError."""
    try:
        runner(store, point)
    except StoreError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        reason = f"{type(error).__name__}: {text}"[:_REASON_CHARACTERS]
        store.put_failure(point.key, reason, 1)
        return reason
    if store.has(point.key):
        return None
    try:
        return store.failure(point.key).reason[:_REASON_CHARACTERS]
    except KeyError:
        reason = "the runner returned and left neither a result nor a reason"
        store.put_failure(point.key, reason, 1)
        return reason


def new_submission(
    executor: str, points: Sequence[Point], store: Path, runner: str, directory: Path
) -> Handle:
    """Makes the submission's own directory, and writes its points. Raises ExecutorError.

    The executor saves the handle, when it is about to start.
    Directories are numbered, not dated: clocks jump. Points that failed before are to be tried.
    """
    if not points:
        raise InputError("a submission must have points, not none")
    own = _numbered(directory.absolute(), executor)
    write_points(own / POINTS, points)
    results = Store(store.absolute())
    for key in results.failures().keys() & {point.key for point in points}:
        results.forget_failure(key)
    return Handle(executor, own, store.absolute(), runner)


def _numbered(directory: Path, executor: str) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(path) for path in directory.iterdir()), default=0)
        while True:
            own = directory / f"{number:04d}-{executor}"
            try:
                own.mkdir()
                return own
            except FileExistsError:
                number += 1
    except OSError as error:
        raise ExecutorError(
            f"directory must be writable, not {str(directory)!r} ({error.strerror})"
        ) from error


def _number(path: Path) -> int:
    head = path.name.partition("-")[0]
    return int(head) if head.isdecimal() else 0


def load_handle(directory: Path) -> Handle:
    """A submission from its directory, or from its handle.json. Raises InputError."""
    path = directory if directory.name == HANDLE else directory / HANDLE
    try:
        said = json.loads(path.read_text())
        if said["format"] != _FORMAT:
            raise ValueError(f"format {said['format']}")
        return Handle(
            str(said["executor"]),
            path.parent.absolute(),
            Path(said["store"]),
            str(said["runner"]),
            dict(said["details"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"handle must be one that submit wrote ({error})", Position(str(path))
        ) from error


def load_handles(directory: Path) -> list[Handle]:
    """All submissions of a sweep's directory, oldest first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _number(path) and (path / HANDLE).is_file()]
    return [load_handle(path) for path in sorted(found, key=lambda path: (_number(path), path))]


class Tally:
    """Which of some keys the store has results or failures for; a result is not asked for twice."""

    def __init__(self, store: Store, keys: Iterable[str]) -> None:
        self.store = store
        self.left = set(keys)
        self.done = 0
        self.failed: set[str] = set()

    def look(self) -> None:
        """Looks into the store. Raises StoreError."""
        if len(self.left) > _LIST_ABOVE:
            found = self.left & self.store.keys()
        else:
            found = {key for key in self.left if self.store.has(key)}
        self.left -= found
        self.done += len(found)
        if len(self.left) > _LIST_ABOVE:
            self.failed = self.left & self.store.failures().keys()
        else:
            self.failed = {key for key in self.left if self._has_failure(key)}

    @property
    def open(self) -> set[str]:
        """Neither done nor failed."""
        return self.left - self.failed

    def _has_failure(self, key: str) -> bool:
        try:
            self.store.failure(key)
        except KeyError:
            return False
        return True
