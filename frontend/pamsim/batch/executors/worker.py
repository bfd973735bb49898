"""A worker process of the local executor: runs the points that it is sent, says how each ended.

It ends at once when its supervisor does: a result is whole or absent at every moment, so nothing
is lost but the point in hand.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import threading
import time
from multiprocessing.connection import Connection

from pamsim.batch.executors.base import attempt, load_runner
from pamsim.batch.point import Point
from pamsim.batch.store import Store, StoreError
from pamsim.errors import PamsimError

# What the worker's command line runs: the supervisor's module search path, then `serve`.
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pamsim.batch.executors.worker import serve; serve(int(sys.argv[2]))"
)

# Messages to the supervisor: (READY,), (DONE, key, seconds, reason or None), (STORE, key, what the
# store refused), (UNFIT, why no point can run here).
READY, DONE, STORE, UNFIT = "ready", "done", "store", "unfit"


def serve(descriptor: int) -> None:
    """Runs points until the supervisor closes the connection. Does not return."""
    faulthandler.enable()
    connection = Connection(descriptor)
    runner_name, store_path = connection.recv()
    try:
        runner, store = load_runner(runner_name), Store(store_path)
    except PamsimError as error:
        connection.send((UNFIT, str(error)))
        os._exit(1)
    connection.send((READY,))
    points: queue.SimpleQueue[Point] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, points), daemon=True).start()
    while True:
        point = points.get()
        start = time.monotonic()
        try:
            reason = attempt(runner, store, point)
        except StoreError as error:
            connection.send((STORE, point.key, str(error)))
            os._exit(1)
        connection.send((DONE, point.key, time.monotonic() - start, reason))


def _receive(connection: Connection, points: queue.SimpleQueue[Point]) -> None:
    try:
        while True:
            for point in connection.recv():
                points.put(point)
    except (EOFError, OSError):
        os._exit(0)
