"""Progress of a batch on stderr: done, failed, rate, time left."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_S = 10.0  # between two lines where stderr is no terminal


class Bar:
    """A bar on a terminal, a line every ten seconds elsewhere, nothing when `quiet`.

    Rate and time left are of this process's own clock, which does not jump; they count what was
    done since it began (`done_before` was there already).
    """

    def __init__(self, total: int, quiet: bool, done_before: int = 0) -> None:
        self.total, self.quiet, self.before = total, quiet, done_before
        self.started = time.monotonic()
        self.said = self.started
        self._rich: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._rich = Progress(
                BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._rich.add_task("points", total=self.total, said="")
            self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Takes the bar away."""
        if self._rich is not None:
            self._rich.stop()
            self._rich = None

    def show(self, done: int, failed: int) -> None:
        """Says how far it is."""
        now = time.monotonic()
        text = self.words(done, failed, now)
        if self._rich is not None and self._task is not None:
            self._rich.update(self._task, completed=done + failed, said=text)
        elif not self.quiet and now - self.said >= LINE_S:
            self.said = now
            print(f"pamsim: {done + failed}/{self.total} {text}", file=sys.stderr, flush=True)

    def words(self, done: int, failed: int, now: float) -> str:
        """`2 failed, 17 a second, 3 min left`."""
        from pamsim.cli.sweep_plan import words_of_seconds

        ended = done + failed - self.before
        passed = now - self.started
        said = [f"{failed} failed"] if failed else []
        if ended > 0 and passed > 0:
            rate = ended / passed
            left = (self.total - done - failed) / rate
            often = f"{rate:.3g} a second" if rate >= 1 else f"{rate * 60:.3g} a minute"
            said += [often, f"{words_of_seconds(left)} left"]
        return ", ".join(said)
