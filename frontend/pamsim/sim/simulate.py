"""Runs the distinct channel programs of a compiled step through an engine."""

from __future__ import annotations

import os
from collections.abc import Callable

from pamsim.compiler.compiled import CompiledStep
from pamsim.config import describe
from pamsim.errors import InputError, did_you_mean
from pamsim.sim.expand import expand
from pamsim.sim.run import ChannelRun
from pyramulator.many import run_many
from pyramulator.result import ChannelResult

ENGINES = ("embedded",)
Progress = Callable[[int, int], None]  # (programs done, programs in all)

_PER_THREAD = 4  # programs a thread gets between two calls of progress


def simulate(
    compiled: CompiledStep,
    *,
    threads: int | None = None,
    log: bool = False,
    engine: str = "embedded",
    progress: Progress | None = None,
) -> tuple[ChannelRun, ...]:
    """One run per distinct program of the step, in the step's order; one layer each.

    threads: at most as many programs at a time (None: one a CPU); the result does not depend on it.
    log: keep every issued command (48 B each). Raises InputError for an unknown engine, the
    engine's own errors when a program cannot run to its end.
    """
    if engine not in ENGINES:
        raise InputError(
            f"engine must be a known one, not {engine!r}", None, did_you_mean(engine, ENGINES)
        )
    description = describe(compiled.device, compiled.variants)
    jobs = [(description, expand(p.program, description)) for p in compiled.programs]
    results: list[ChannelResult] = []
    size = _PER_THREAD * (threads or os.cpu_count() or 1) if progress else max(1, len(jobs))
    for start in range(0, len(jobs), size):
        if progress:
            progress(start, len(jobs))
        results += run_many(jobs[start : start + size], threads, log=log)
    if progress:
        progress(len(jobs), len(jobs))
    return tuple(
        ChannelRun(program, stream, description, result, compiled.layers)
        for program, (_, stream), result in zip(compiled.programs, jobs, results, strict=True)
    )
