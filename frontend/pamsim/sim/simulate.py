"""Runs the distinct channel programs of a compiled step through an engine."""

from __future__ import annotations

import os
from collections.abc import Callable

from pamsim.compiler.compiled import CompiledStep
from pamsim.config import describe
from pamsim.sim.engines import EMBEDDED, engine_type
from pamsim.sim.expand import expand
from pamsim.sim.run import ChannelRun
from pyramulator.many import run_many
from pyramulator.result import ChannelResult

Progress = Callable[[int, int], None]  # (programs done, programs in all)

_PER_THREAD = 4  # programs a thread gets between two calls of progress


def simulate(
    compiled: CompiledStep,
    *,
    threads: int | None = None,
    log: bool = False,
    engine: str = EMBEDDED,
    progress: Progress | None = None,
) -> tuple[ChannelRun, ...]:
    """One run per distinct program of the step, in the step's order; one layer each.

    threads: at most as many programs at a time (None: one a CPU); the result does not depend on it.
    log: keep every issued command (48 B each). engine: one of ENGINES; only the embedded one tells
    stalls. Raises InputError for an engine that is unknown or cannot be used, the engine's own
    errors when a program cannot run to its end.
    """
    make, stalls = engine_type(engine), engine == EMBEDDED
    description = describe(compiled.device, compiled.variants)
    jobs = [(description, expand(p.program, description)) for p in compiled.programs]
    results: list[ChannelResult] = []
    size = _PER_THREAD * (threads or os.cpu_count() or 1) if progress else max(1, len(jobs))
    for start in range(0, len(jobs), size):
        if progress:
            progress(start, len(jobs))
        part = jobs[start : start + size]
        results += run_many(part, threads, log=log, stalls=stalls, engine=make)
    if progress:
        progress(len(jobs), len(jobs))
    return tuple(
        ChannelRun(program, stream, description, result, compiled.layers)
        for program, (_, stream), result in zip(compiled.programs, jobs, results, strict=True)
    )
