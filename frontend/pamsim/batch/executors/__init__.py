"""Where the points of a batch run: this machine, a Slurm cluster, a dask scheduler.

An executor is given points and a store. Results travel through the store only; what an executor
says is how far its points are, and why some of them will not come.
"""

from __future__ import annotations

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
from pamsim.errors import InputError, did_you_mean

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
            hint=did_you_mean(name, EXECUTORS),
        )
    return executor


def executor_of(handle: Handle | Path) -> Executor:
    """An executor that can poll, wait for, explain and cancel what a handle names."""
    if isinstance(handle, Path):
        handle = load_handle(handle)
    return make_executor(handle.executor)
