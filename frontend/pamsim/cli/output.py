"""What goes to stdout and what to stderr, and progress for what takes longer than a second."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

SILENT_S = 1.0
TICK_S = 0.25


def note(text: str) -> None:
    """A line for people, on stderr."""
    print(f"pamsim: {text}", file=sys.stderr)


def print_json(document: Any) -> None:
    """The one JSON document of --json."""
    from pamsim.report.text import json_text

    sys.stdout.write(json_text(document))
    sys.stdout.flush()


def console() -> Console:
    """A rich console on stdout that leaves a closed pipe to `main`."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise  # rich calls this in its except clause

    return Plain()


class Progress:
    """Says on stderr what is going on, once a run has taken a second; nothing when `quiet`.

    On a terminal one line that changes; elsewhere a line for each phase.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._phase, self._said = "", ""
        self._done: tuple[int, int] | None = None
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if not self._quiet:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._terminal and self._said:
            self._write("\r\x1b[K")

    def phase(self, text: str) -> None:
        """What is being done from now on."""
        self._phase, self._done = text, None

    def advance(self, done: int, total: int) -> None:
        """How much of the phase is done; may be given as a callback."""
        self._done = (done, total)

    def _watch(self) -> None:
        while not self._stop.wait(TICK_S):
            seconds = time.monotonic() - self._started
            if seconds < SILENT_S or not self._phase:
                continue
            if self._terminal:
                done = f" {self._done[0]}/{self._done[1]}" if self._done else ""
                self._said = f"{self._phase}{done}, {seconds:.0f} s"
                self._write(f"\r\x1b[K{self._said}")
            elif self._said != self._phase:
                self._said = self._phase
                self._write(f"pamsim: {self._phase}\n")

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            pass
