"""One task of a Slurm array: a share of the points of a file, under a supervisor of its own.

    python -m pamsim.batch.executors.shard --points FILE --store DIR --shard 3/16

What is done already is not done again, so the task may be requeued, and may run twice at once.
Exit codes are pamsim's: 0 when every point of the share is done, 3 when some failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pamsim.batch.executors.base import RUN_ONE
from pamsim.batch.executors.supervisor import Supervisor
from pamsim.batch.store import Store
from pamsim.batch.work import read_points, shard
from pamsim.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_POINTS_FAILED, InputError, PamsimError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=Path, required=True, help="file of points, one a line")
    parser.add_argument("--store", type=Path, required=True, help="directory of results")
    parser.add_argument("--shard", default="1/1", metavar="i/n", help="which share, from 1")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="longest time of a point")
    parser.add_argument("--runner", default=RUN_ONE, metavar="MODULE:FUNCTION")
    options = parser.parse_args(arguments)
    try:
        number, count = _share(options.shard)
        store = Store(options.store)
        points = [p for p in shard(read_points(options.points), number, count)]
        todo = [point for point in points if not store.has(point.key)]
        print(f"shard {number}/{count}: {len(points)} points, {len(todo)} to do", flush=True)
        if not todo:
            return EXIT_OK
        supervisor = Supervisor(todo, store, options.runner, options.jobs, options.timeout)

        def stop(number: int, frame: FrameType | None) -> None:
            supervisor.stop()

        # scancel, a time limit and a preemption all send SIGTERM first.
        before = {sign: signal.signal(sign, stop) for sign in (signal.SIGTERM, signal.SIGINT)}
        try:
            supervisor.run()
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)
    except PamsimError as error:
        print(f"pamsim: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    end = supervisor.progress()
    print(f"shard {number}/{count}: {end.done} done, {end.failed} failed", flush=True)
    if end.missing:
        return EXIT_INTERRUPTED
    return EXIT_POINTS_FAILED if end.failed else EXIT_OK


def _share(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal()):
        raise InputError(f"shard must be i/n, such as 1/8, not {text!r}")
    return int(number), int(count)


if __name__ == "__main__":
    sys.exit(main())
