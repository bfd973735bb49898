"""Points on this machine: worker processes that import once, under a supervisor that replaces them.

The supervisor is a thread of the submitting process. When that process dies the workers end too,
and a new submission does what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pamsim.batch.executors.base import RUN_ONE, Runner
from pamsim.batch.executors.driven import DrivenExecutor, Driver
from pamsim.batch.executors.supervisor import Supervisor
from pamsim.batch.point import Point
from pamsim.batch.store import Store
from pamsim.errors import InputError


class LocalExecutor(DrivenExecutor):
    """jobs: worker processes; None for one per CPU that this process may use.

    timeout_s: a point that takes longer has failed, its worker is replaced; None for no limit.
    """

    name = "local"

    def __init__(
        self,
        jobs: int | None = None,
        timeout_s: float | None = None,
        runner: Runner | str = RUN_ONE,
    ) -> None:
        super().__init__(runner)
        if jobs is not None and jobs < 1:
            raise InputError(f"jobs must be at least 1, not {jobs}")
        if timeout_s is not None and not timeout_s > 0:
            raise InputError(f"timeout must be more than 0 s, not {timeout_s:g}")
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self.timeout_s = timeout_s

    def _driver(self, points: Sequence[Point], store: Store) -> Driver:
        return Supervisor(points, store, self.runner, self.jobs, self.timeout_s)

    def _details(self, driver: Driver) -> dict[str, Any]:
        return {"jobs": self.jobs}
