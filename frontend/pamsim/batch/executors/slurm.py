"""Points on a Slurm cluster: one sbatch array, each task a share of the points.

Nothing of it needs this process: tasks read points.jsonl and write to the store, both on a file
system that the nodes share, and any process with the handle can poll. A task that is requeued, or
runs twice at once, does what is missing. Accounting is not needed; it helps to explain.
"""

from __future__ import annotations

import secrets
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import jinja2

from pamsim.batch.executors.base import (
    HANDLE,
    POINTS,
    RUN_ONE,
    ExecutorError,
    Handle,
    Progress,
    Runner,
    Tally,
    Watch,
    new_submission,
    polled,
    runner_name,
)
from pamsim.batch.executors.slurm_queue import (
    Queue,
    SchedulerBusy,
    call,
    job_named,
    queue_of,
    task_ends,
    unusual,
)
from pamsim.batch.point import Point
from pamsim.batch.store import Store
from pamsim.errors import InputError, Position

TEMPLATE = Path(__file__).with_name("slurm.sh.j2")
JOB, LOGS = "job.sh", "logs"
_SHARES_A_JOB = 4  # so that a slow share, or one that is run again, does not hold up the rest
_MOST_SHARES = 1000  # MaxArraySize is 1001 unless a site raises it
_LOG_LINES = 3


@dataclass(frozen=True)
class SlurmOptions:
    """What the template is told; empty is the site's default. Texts are as sbatch(1) takes them.

    directives: further lines after `#SBATCH `. setup: shell lines before the work. template: a file
    of the user's own. python: on the nodes; this one unless told.
    """

    partition: str = ""
    account: str = ""
    time: str = ""
    memory: str = ""
    cpus: int = 1
    modules: Sequence[str] = ()
    directives: Sequence[str] = ()
    setup: Sequence[str] = ()
    template: Path = TEMPLATE
    python: str = field(default_factory=lambda: sys.executable)

    def check(self) -> None:
        """Raises InputError for what cannot stand in a script."""
        if self.cpus < 1:
            raise InputError(f"cpus must be at least 1, not {self.cpus}")
        for name in ("partition", "account", "time", "memory"):
            value = getattr(self, name)
            if value != "".join(value.split()):
                raise InputError(f"{name} must be one word, not {value!r}")
        for line in self.directives:
            if "\n" in line or not line.startswith("-"):
                raise InputError(f"directive must be an option of sbatch on one line, not {line!r}")


@dataclass(frozen=True)
class _View:
    """What is known of a submission: its points in the store, and each one's share."""

    tally: Tally
    share_of: dict[str, int]


class SlurmExecutor:
    """jobs: tasks at once, None for no limit of ours. shares: tasks in all; four a job unless told.

    poll_s: between questions to the scheduler in `wait`. settle_s: how long results may lag behind
    the end of a task on the shared file system before they count as missing.
    """

    name = "slurm"

    def __init__(
        self,
        jobs: int | None = None,
        timeout_s: float | None = None,
        runner: Runner | str = RUN_ONE,
        options: SlurmOptions | None = None,
        shares: int | None = None,
        poll_s: float = 2.0,
        settle_s: float = 10.0,
    ) -> None:
        for name, value in (("jobs", jobs), ("shares", shares)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")
        self.jobs = jobs
        self.timeout_s = timeout_s
        self.runner = runner_name(runner)
        self.options = options or SlurmOptions()
        self.options.check()
        self.shares = shares
        self.poll_s = poll_s
        self.settle_s = settle_s
        self._views: dict[Path, _View] = {}

    def submit(self, points: Sequence[Point], store: Path, directory: Path) -> Handle:
        shares = min(len(points), self.shares or _SHARES_A_JOB * (self.jobs or 16), _MOST_SHARES)
        # The name finds the job again when this process dies between sbatch and the handle.
        name = f"pamsim-{secrets.token_hex(6)}"
        handle = new_submission(self.name, points, Path(store), self.runner, Path(directory))
        handle = replace(
            handle,
            details={
                "job_name": name,
                "job_id": None,
                "shares": shares,
                "cpus": self.options.cpus,
            },
        )
        script = handle.directory / JOB
        try:
            (handle.directory / LOGS).mkdir()
            script.write_text(self.script(handle))
        except OSError as error:
            raise ExecutorError(
                f"directory must be writable, not {str(script.parent)!r} ({error.strerror})"
            ) from error
        handle.save()
        try:
            said = call("sbatch", "--parsable", "--chdir", str(handle.directory), str(script))
        except SchedulerBusy:
            job_id = job_named(name)  # it may have taken the job, and then not answered in time
            if job_id is None:
                raise
        except ExecutorError:
            # Not a submission: what asks for the last one must not find this.
            (handle.directory / HANDLE).unlink(missing_ok=True)
            raise
        else:
            job_id = said.strip().partition(";")[0]  # `number;cluster`
        handle = replace(handle, details={**handle.details, "job_id": job_id})
        handle.save()
        return handle

    def script(self, handle: Handle) -> str:
        """The batch script. Raises InputError for a template that cannot be rendered."""
        options = self.options
        words = [
            options.python,
            "-m",
            "pamsim.batch.executors.shard",
            "--points",
            str(handle.directory / POINTS),
            "--store",
            str(handle.store),
            "--runner",
            handle.runner,
            "--jobs",
            str(options.cpus),
        ]
        if self.timeout_s is not None:
            words += ["--timeout", f"{self.timeout_s:g}"]
        shares = handle.details["shares"]
        share = f'{shlex.join(words)} --shard "$SLURM_ARRAY_TASK_ID/{shares}"'
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
        )
        environment.filters["quote"] = shlex.quote
        try:
            template = environment.from_string(options.template.read_text())
            return template.render(
                job_name=handle.details["job_name"],
                shares=shares,
                at_once=self.jobs,
                log=_log_pattern(handle.directory / LOGS),
                share=share,
                partition=options.partition,
                account=options.account,
                time=options.time,
                memory=options.memory,
                cpus=options.cpus,
                modules=options.modules,
                directives=options.directives,
                setup=options.setup,
            )
        except (OSError, jinja2.TemplateError) as error:
            where = Position(str(options.template), getattr(error, "lineno", None) or 0)
            raise InputError(
                f"template must be one that jinja2 renders ({error})", where
            ) from error

    def poll(self, handle: Handle) -> Progress:
        # The queue first: what a task has written is there once the queue says that it ended.
        shares = int(handle.details["shares"])
        try:
            queue = self._queue(handle)
            note = queue.note
        except SchedulerBusy as error:
            queue, note = Queue(waiting=frozenset(range(1, shares + 1))), str(error)
        view = self._view(handle)
        view.tally.look()
        undone = [0] * (shares + 1)
        for key in view.tally.open:
            undone[view.share_of[key]] += 1
        running = pending = missing = 0
        for share, count in enumerate(undone):
            if share in queue.running:
                busy = min(count, int(handle.details["cpus"]))
                running += busy
                pending += count - busy
            elif share in queue.waiting:
                pending += count
            else:
                missing += count
        return Progress(view.tally.done, len(view.tally.failed), running, pending, missing, note)

    def wait(
        self, handle: Handle, timeout_s: float | None = None, watch: Watch | None = None
    ) -> Progress:
        settled: float | None = None
        for now in polled(lambda: self.poll(handle), time.sleep, self.poll_s, timeout_s, watch):
            clock = time.monotonic()
            if not now.finished:
                settled = None
            elif not now.missing:
                break
            else:
                settled = clock + self.settle_s if settled is None else settled
                if clock >= settled:
                    break
        return now

    def in_flight(self, handle: Handle) -> set[str]:
        queue = self._queue(handle)
        shares = queue.running | queue.waiting
        if not shares:
            return set()
        view = self._view(handle)
        view.tally.look()
        return {key for key in view.tally.open if view.share_of[key] in shares}

    def explain(self, handle: Handle) -> list[str]:
        """How the tasks of missing points ended, and the last lines that they printed."""
        if not self.poll(handle).missing:
            return []
        job_id = self._job_id(handle)
        if job_id is None:
            return ["the job was never submitted: the submitting process ended before"]
        view = self._view(handle)
        short = {view.share_of[key] for key in view.tally.open}
        causes: dict[str, int] = {}
        known = set()
        for task in unusual(task_ends(job_id)):
            if task.share in short:
                known.add(task.share)
                causes[task.words] = causes.get(task.words, 0) + 1
        if short - known:
            words = "gone from the queue with points missing, and the scheduler has forgotten why"
            causes[words] = len(short - known)
        said = [f"job {job_id}: {count} of its tasks: {words}" for words, count in causes.items()]
        return said + self._last_words(handle, min(short))

    def cancel(self, handle: Handle) -> None:
        job_id = self._job_id(handle)
        if job_id is not None:
            call("scancel", job_id)

    def close(self) -> None:
        """Nothing: the job lives on without this process."""

    def __enter__(self) -> SlurmExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _queue(self, handle: Handle) -> Queue:
        job_id = self._job_id(handle)
        return queue_of(job_id) if job_id is not None else Queue()

    def _job_id(self, handle: Handle) -> str | None:
        known = handle.details.get("job_id")
        return str(known) if known else job_named(str(handle.details["job_name"]))

    def _view(self, handle: Handle) -> _View:
        view = self._views.get(handle.directory)
        if view is None:
            keys = handle.keys()
            shares = int(handle.details["shares"])
            # As pamsim.batch.work.shard divides them: every n-th point, from 1.
            share_of = {key: 1 + i % shares for i, key in enumerate(keys)}
            view = _View(Tally(Store(handle.store), keys), share_of)
            self._views[handle.directory] = view
        return view

    def _last_words(self, handle: Handle, share: int) -> list[str]:
        try:
            text = (handle.directory / LOGS / f"{share}.log").read_text(errors="replace")
        except OSError:
            return []
        lines = text.strip().splitlines()[-_LOG_LINES:]
        return [f"task {share} last said: {' | '.join(lines)}"] if lines else []


def _log_pattern(directory: Path) -> str:
    """logs/SHARE.log, as sbatch writes file names: %% for %, and quotes around spaces."""
    path = str(directory).replace("%", "%%")
    if '"' in path or "\n" in path:
        raise InputError(f"directory must be without quotes for Slurm, not {path!r}")
    return f'"{path}/%a.log"' if " " in path else f"{path}/%a.log"
