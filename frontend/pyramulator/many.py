"""Many channels: equal ones once, different ones in parallel."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

import numpy as np

from pyramulator.bridge import Bridge
from pyramulator.description import Description
from pyramulator.engine import Engine
from pyramulator.errors import Cancelled
from pyramulator.result import ChannelResult
from pyramulator.stream import CommandStream

Job = tuple[Description, CommandStream]

_POLL_S = 0.05  # Ctrl-C is heard at least this often


def _stream_digest(stream: CommandStream) -> bytes:
    digest = hashlib.sha256()
    for array in (stream.targets, *stream.streams):
        digest.update(repr((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    digest.update(repr(tuple(stream.fifo_window)).encode())
    return digest.digest()


def run_many(
    jobs: Sequence[Job],
    threads: int | None = None,
    *,
    log: bool = False,
    stalls: bool = True,
    engine: Callable[..., Engine | Bridge] = Engine,
) -> list[ChannelResult]:
    """Simulates every job to its end; the i-th result is that of the i-th job.

    Jobs with equal descriptions and equal stream bytes run once and share one result object. At
    most `threads` run at a time (None: one a CPU); the results do not depend on it. A failure
    cancels the rest and is raised; Ctrl-C cancels all within 100 ms.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    numbers: dict[tuple[Description, bytes], int] = {}
    distinct: list[Job] = []
    place: list[int] = []
    for job in jobs:
        key = (job[0], _stream_digest(job[1]))
        if key not in numbers:
            numbers[key] = len(distinct)
            distinct.append(job)
        place.append(numbers[key])

    engines: set[Engine | Bridge] = set()
    stopped = False

    def work(job: Job) -> ChannelResult:
        if stopped:
            raise Cancelled("the run was cancelled")
        one = engine(*job, log=log, stalls=stalls)
        engines.add(one)
        try:
            if stopped:
                one.cancel()
            one.advance()
            return one.result()
        finally:
            engines.discard(one)

    workers = min(threads or os.cpu_count() or 1, max(1, len(distinct)))
    with ThreadPoolExecutor(workers) as pool:
        futures: list[Future[ChannelResult]] = [pool.submit(work, job) for job in distinct]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
                failed = [future for future in done if future.exception() is not None]
                if failed:
                    first = min(failed, key=futures.index)
                    raise first.exception() or AssertionError
        except BaseException:
            stopped = True
            for future in futures:
                future.cancel()
            for one in list(engines):
                one.cancel()
            raise
    results = [future.result() for future in futures]
    return [results[i] for i in place]
