"""Where the points of a batch run: this machine, a Slurm cluster, a dask scheduler.

An executor is given points and a store. Results travel through the store only; what an executor
says is how far its points are, and why some of them will not come.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pamsim.batch.executors.base import (
    RUN_ONE,
    Executor,
    ExecutorError,
    Handle,
    Progress,
    Runner,
    load_handle,
    load_handles,
)
from pamsim.errors import InputError, PamsimError, nearest

EXECUTORS = ("local", "slurm", "dask")

__all__ = [
    "EXECUTORS",
    "RUN_ONE",
    "Executor",
    "ExecutorError",
    "Handle",
    "Progress",
    "Runner",
    "executor_of",
    "in_flight",
    "load_handle",
    "load_handles",
    "make_executor",
]


def make_executor(name: str, **options: Any) -> Executor:
    """An executor by name; `options` are the arguments of its class. Raises InputError.

    local: `LocalExecutor`, slurm: `SlurmExecutor`, dask: `DaskExecutor`.
    """
    executor: Executor
    if name == "local":
        from pamsim.batch.executors.local import LocalExecutor

        executor = LocalExecutor(**options)
    elif name == "slurm":
        from pamsim.batch.executors.slurm import SlurmExecutor

        executor = SlurmExecutor(**options)
    elif name == "dask":
        from pamsim.batch.executors.dask import DaskExecutor

        executor = DaskExecutor(**options)
    else:
        raise InputError(
            f"executor must be one of {', '.join(EXECUTORS)}, not {name!r}",
            hint=nearest(name, EXECUTORS),
        )
    return executor


def executor_of(handle: Handle | Path) -> Executor:
    """An executor that can poll, wait for, explain and cancel what a handle names."""
    if isinstance(handle, Path):
        handle = load_handle(handle)
    return make_executor(handle.executor)


def in_flight(directory: Path) -> set[str]:
    """Keys of the points that earlier submissions of a sweep's directory are still at.

    A scheduler that does not answer has none: that a point runs twice does no harm.
    """
    found: set[str] = set()
    for handle in load_handles(directory):
        with contextlib.suppress(PamsimError):
            found |= executor_of(handle).in_flight(handle)
    return found
