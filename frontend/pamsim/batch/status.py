"""How far a submitted sweep is, from the store and from what its executors say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pamsim.batch.executors.base import load_handles
from pamsim.batch.plan import distinct
from pamsim.batch.reasons import Reason, reasons
from pamsim.batch.store import Store
from pamsim.batch.submission import Submission
from pamsim.errors import PamsimError

SCHEMA_VERSION = 1
HANDLES = 32  # of the latest submissions are asked what they are doing


@dataclass(frozen=True)
class Status:
    """Points of a submission by state; the five add up to `points`, the distinct ones."""

    points: int
    done: int
    failed: int
    running: int
    pending: int
    missing: int  # neither finished nor failed, and nobody works on them
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    edited: bool

    @property
    def finished(self) -> bool:
        return self.running == self.pending == 0


def status(submission: Submission, explain: bool = True) -> Status:
    """Looks once. Raises StoreError, ExecutorError."""
    store = Store(submission.store)
    keys = {point.key for point in distinct(submission.points)}
    done = keys & store.keys()
    failures = {k: f for k, f in store.failures().items() if k in keys} if keys - done else {}
    open_points = len(keys) - len(done) - len(failures)
    running = pending = 0
    notes: list[str] = []
    if open_points:
        for handle in load_handles(submission.runs)[-HANDLES:]:  # shards have one each
            more = _of_executor(handle, open_points - running - pending, explain)
            running, pending = running + more[0], pending + more[1]
            notes = more[2] or notes
    return Status(
        points=len(keys),
        done=len(done),
        failed=len(failures),
        running=running,
        pending=pending,
        missing=open_points - running - pending,
        reasons=tuple(reasons(failures.values())),
        notes=tuple(notes),
        edited=submission.edited,
    )


def _of_executor(handle: Any, open_points: int, explain: bool) -> tuple[int, int, list[str]]:
    """What a submission's executor says of open points: running, pending, causes."""
    from pamsim.batch.executors import executor_of

    try:
        with executor_of(handle) as executor:
            said = executor.poll(handle)
            notes = executor.explain(handle) if explain and said.missing else []
    except (PamsimError, ImportError) as error:
        return 0, 0, [f"executor {handle.executor} does not answer: {error}"]
    running = min(said.running, open_points)
    pending = min(said.pending, open_points - running)
    return running, pending, [*notes, *([said.note] if said.note else [])]


def status_document(submission: Submission, found: Status) -> dict[str, Any]:
    """What `status --json` prints."""
    return {
        "schema_version": SCHEMA_VERSION,
        "sweep": str(submission.sweep_path),
        "directory": str(submission.directory),
        "store": str(submission.store),
        "points": found.points,
        "done": found.done,
        "failed": found.failed,
        "running": found.running,
        "pending": found.pending,
        "missing": found.missing,
        "finished": found.finished,
        "edited": found.edited,
        "reasons": [asdict(reason) for reason in found.reasons],
        "notes": list(found.notes),
    }
