"""What Slurm says about a job: through its commands, with or without accounting.

State comes from squeue, reasons from scontrol (for MinJobAge seconds, 300 unless set) and, where
there is accounting, from sacct. Texts are those of Slurm 22.05 and later; `scontrol show job` has
no JSON form there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pamsim.batch.executors.base import ExecutorError

_PATIENCE_S = 60
_UNKNOWN_JOB = ("Invalid job id", "invalid job id")
# The states of squeue(1) in which a task may still run, or run again.
_WAITING = frozenset(
    {
        "PENDING",
        "REQUEUED",
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "SPECIAL_EXIT",
        "RESV_DEL_HOLD",
    }
)
_RUNNING = frozenset(
    {
        "CONFIGURING",
        "RUNNING",
        "COMPLETING",
        "SIGNALING",
        "STAGE_OUT",
        "STOPPED",
        "SUSPENDED",
        "RESIZING",
    }
)
_FINE = frozenset({"COMPLETED", "RUNNING", "PENDING", "COMPLETING"})


class SchedulerBusy(ExecutorError):
    """The controller does not answer; the jobs may well run."""


@dataclass(frozen=True)
class TaskEnd:
    """How an array task ended, in the scheduler's words."""

    share: int
    state: str
    exit_code: str  # `status:signal`
    reason: str
    node: str

    @property
    def words(self) -> str:
        """`OUT_OF_MEMORY on n1 (exit code 0:9)`."""
        where = f" on {self.node}" if self.node not in ("", "(null)", "None assigned") else ""
        why = f", {self.reason}" if self.reason not in ("", "None", "(null)") else ""
        return f"{self.state}{where} (exit code {self.exit_code}{why})"


def call(program: str, *arguments: str, stdin: str | None = None) -> str:
    """stdout of one of Slurm's commands. Raises ExecutorError, which quotes what it said."""
    if shutil.which(program) is None:
        raise ExecutorError(
            f"{program} must be on PATH, with Slurm's commands", hint="is Slurm installed here?"
        )
    try:
        done = subprocess.run(
            [program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            env={k: v for k, v in os.environ.items() if k != "SLURM_TIME_FORMAT"},
        )
    except subprocess.TimeoutExpired:
        raise SchedulerBusy(f"{program} must answer within {_PATIENCE_S} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        said = "; ".join(re.sub(r"^\w+: (error: )?", "", line.strip()) for line in lines)
        said = said or f"exit code {done.returncode}"
        kind = SchedulerBusy if _is_busy(said) else ExecutorError
        raise kind(f"{program} must succeed, not say {said!r}")
    return done.stdout


def _is_busy(said: str) -> bool:
    return "Unable to contact slurm controller" in said or "Socket timed out" in said


@dataclass(frozen=True)
class Queue:
    """The shares of an array job that run, those that wait, and why the first of these does."""

    running: frozenset[int] = frozenset()
    waiting: frozenset[int] = frozenset()
    note: str = ""


def queue_of(job_id: str) -> Queue:
    """What is still in the queue; nothing of a job that is forgotten.

    Raises SchedulerBusy, ExecutorError.
    """
    try:
        text = call("squeue", "--noheader", "--array", "--jobs", job_id, "--format", "%K|%T|%r")
    except SchedulerBusy:
        raise
    except ExecutorError as error:
        if any(words in str(error) for words in _UNKNOWN_JOB):
            return Queue()
        raise
    return parse_squeue(text)


def parse_squeue(text: str) -> Queue:
    """`squeue --array --format %K|%T|%r`."""
    running, waiting, reasons = set(), set(), set()
    for line in text.splitlines():
        share, state, reason = (*line.strip().split("|"), "", "")[:3]
        if not share.isdecimal():
            continue
        if state in _RUNNING:
            running.add(int(share))
        elif state in _WAITING:
            waiting.add(int(share))
            reasons |= {reason} - {"", "None"}
    note = ""
    if reasons and not running:
        note = f"the scheduler waits: {', '.join(sorted(reasons))}"
    return Queue(frozenset(running), frozenset(waiting), note)


def job_named(name: str) -> str | None:
    """The number of a queued array job by its name, None where there is none."""
    text = call("squeue", "--noheader", "--name", name, "--format", "%F")
    numbers = {line.strip() for line in text.splitlines() if line.strip()}
    return min(numbers, key=int) if numbers else None


def task_ends(job_id: str) -> list[TaskEnd]:
    """How the tasks of a job ended, as far as anything still knows: sacct first, then scontrol."""
    return _from_sacct(job_id) or _from_scontrol(job_id)


def _from_sacct(job_id: str) -> list[TaskEnd]:
    if shutil.which("sacct") is None:
        return []
    try:
        text = call(
            "sacct",
            "--noheader",
            "--parsable2",
            "--allocations",
            "--jobs",
            job_id,
            "--format",
            "JobID,State,ExitCode,NodeList",
        )
    except ExecutorError:  # "Slurm accounting storage is disabled"
        return []
    return parse_sacct(text)


def parse_sacct(text: str) -> list[TaskEnd]:
    """`sacct --parsable2 --format JobID,State,ExitCode,NodeList`; `1_[3-4]` has not begun."""
    ends = []
    for line in text.splitlines():
        fields = line.split("|")
        match = re.fullmatch(r"\d+_(\d+)", fields[0]) if len(fields) == 4 else None
        if match:
            state, _, reason = fields[1].partition(" ")  # `CANCELLED by 1000`
            ends.append(TaskEnd(int(match[1]), state, fields[2], reason, fields[3]))
    return ends


def _from_scontrol(job_id: str) -> list[TaskEnd]:
    try:
        return parse_scontrol(call("scontrol", "--oneliner", "show", "job", job_id))
    except ExecutorError:  # forgotten
        return []


def parse_scontrol(text: str) -> list[TaskEnd]:
    """`scontrol --oneliner show job`: one task a line, `Name=value` words."""
    ends = []
    for line in text.splitlines():
        said = dict(re.findall(r"(?:^| )([A-Za-z]+)=(\S*)", line))
        for share in _array_tasks(said.get("ArrayTaskId", "")):
            ends.append(
                TaskEnd(
                    share,
                    said.get("JobState", "UNKNOWN"),
                    said.get("ExitCode", "?"),
                    said.get("Reason", ""),
                    said.get("NodeList", ""),
                )
            )
    return ends


def _array_tasks(text: str) -> list[int]:
    """`3` of a task that has begun, `4-6,8%2` of those that have not."""
    tasks: list[int] = []
    for part in text.partition("%")[0].split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match:
            tasks += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tasks


def unusual(ends: Sequence[TaskEnd]) -> list[TaskEnd]:
    """Ends that may explain missing points."""
    return [end for end in ends if end.state not in _FINE]
