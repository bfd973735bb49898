"""One thread at a time: the engines let go of the GIL, and have no locks of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyramulator.errors import EngineError


class Alone:
    """A call beside another thread's raises EngineError; it never waits."""

    def __init__(self) -> None:
        self._in_use = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if not self._in_use.acquire(blocking=False):
            raise EngineError("an engine must be used by one thread at a time")
        try:
            yield
        finally:
            self._in_use.release()
