"""Activities with dependencies become tasks with times, and the critical path falls out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """Something that occupies a resource for a time once others have finished.

    after: indices of earlier activities. An activity also waits for the one before it on the same
    resource: a resource does one thing at a time, in the order of the list.
    """

    task: str
    resource: str
    duration_ps: int
    layer: int | None
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Task:
    """An activity with its times. The critical tasks of a schedule tile [0, latency_ps]."""

    task: str
    resource: str
    start_ps: int
    end_ps: int
    layer: int | None
    critical: bool

    @property
    def duration_ps(self) -> int:
        return self.end_ps - self.start_ps


def schedule(activities: Sequence[Activity]) -> tuple[Task, ...]:
    """As-soon-as-possible times of `activities`, listed in an order that respects `after`.

    The critical path is walked back from the activity that ends last: each one starts exactly when
    one of those it waited for ends. Activities of no duration are never critical.
    Raises ValueError when an activity waits for itself or for a later one.
    """
    starts: list[int] = []
    ends: list[int] = []
    binding: list[int | None] = []
    last_on: dict[str, int] = {}
    for index, activity in enumerate(activities):
        if any(not 0 <= a < index for a in activity.after):
            raise ValueError(f"activity {index} ({activity.task}) waits for a later one")
        waits = list(activity.after)
        if activity.resource in last_on:
            waits.append(last_on[activity.resource])
        latest = max(waits, key=lambda a: (ends[a], -a), default=None)
        start = 0 if latest is None else ends[latest]
        starts.append(start)
        ends.append(start + activity.duration_ps)
        binding.append(latest)
        last_on[activity.resource] = index
    critical: set[int] = set()
    at = max(range(len(ends)), key=lambda i: (ends[i], -i), default=None)
    while at is not None:
        if activities[at].duration_ps > 0:
            critical.add(at)
        at = binding[at]
    return tuple(
        Task(a.task, a.resource, starts[i], ends[i], a.layer, i in critical)
        for i, a in enumerate(activities)
    )


def latency_ps(tasks: Sequence[Task]) -> int:
    """The end of the task that ends last."""
    return max((t.end_ps for t in tasks), default=0)
