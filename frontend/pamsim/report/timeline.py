"""A step's timeline for people: busy resources, what the step waited for, and Chrome trace events.

In the trace (ui.perfetto.dev) every instance is a process and every resource a track; arrows lead
along the critical path, from a task to the one that waited for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pamsim.report import words

NS_PER_US = 1000
Task = dict[str, Any]


def waited_for(document: dict[str, Any]) -> dict[tuple[str, str], float]:
    """(task, resource) -> nanoseconds of the critical path, longest first."""
    found: dict[tuple[str, str], float] = {}
    for task in document["timeline"]:
        if task["critical"]:
            key = task["task"], task["resource"]
            found[key] = found.get(key, 0.0) + task["end_ns"] - task["start_ns"]
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def busy(document: dict[str, Any]) -> dict[str, float]:
    """Resource -> nanoseconds that it worked, in order of first use."""
    found: dict[str, float] = {}
    for task in document["timeline"]:
        found[task["resource"]] = (
            found.get(task["resource"], 0.0) + task["end_ns"] - task["start_ns"]
        )
    return found


def trace_events(document: dict[str, Any]) -> dict[str, Any]:
    """The timeline as a Chrome trace: times in microseconds, nanoseconds in `args`."""
    places = _places(document["timeline"])
    events = [*_names(places), *_tasks(document["timeline"], places)]
    critical = sorted((t for t in document["timeline"] if t["critical"]),
                      key=lambda t: t["start_ns"])  # fmt: skip
    for number, (before, after) in enumerate(pairwise(critical)):
        events += _arrow(number, before, after, places)
    return {
        "displayTimeUnit": "ns",
        "otherData": {"model": document["model"], "system": document["system"]},
        "traceEvents": events,
    }


_Places = dict[str, tuple[int, int]]  # resource -> process, thread


def _places(timeline: list[Task]) -> _Places:
    processes: dict[str, int] = {}
    places: _Places = {}
    for task in timeline:
        resource = task["resource"]
        if resource not in places:
            instance = resource.rpartition("/")[0]
            process = processes.setdefault(instance, len(processes) + 1)
            places[resource] = process, sum(p == process for p, _ in places.values()) + 1
    return places


def _names(places: _Places) -> Iterator[dict[str, Any]]:
    for resource, (process, thread) in places.items():
        instance, _, name = resource.rpartition("/")
        if thread == 1:
            yield {"ph": "M", "name": "process_name", "pid": process, "tid": 0,
                   "args": {"name": instance or "instance"}}  # fmt: skip
            yield {"ph": "M", "name": "process_sort_index", "pid": process, "tid": 0,
                   "args": {"sort_index": process}}  # fmt: skip
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": thread,
               "args": {"name": name}}  # fmt: skip
        yield {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": thread,
               "args": {"sort_index": thread}}  # fmt: skip


def _tasks(timeline: list[Task], places: _Places) -> Iterator[dict[str, Any]]:
    for task in timeline:
        process, thread = places[task["resource"]]
        yield {
            "ph": "X",
            "name": words.TASKS.get(task["task"], task["task"]),
            "cat": "critical" if task["critical"] else "slack",
            "pid": process,
            "tid": thread,
            "ts": task["start_ns"] / NS_PER_US,
            "dur": (task["end_ns"] - task["start_ns"]) / NS_PER_US,
            "cname": "terrible" if task["critical"] else "grey",
            "args": {
                "layer": task["layer"],
                "start_ns": task["start_ns"],
                "end_ns": task["end_ns"],
                "the step waits for it": task["critical"],
            },
        }


def _arrow(number: int, before: Task, after: Task, places: _Places) -> Iterator[dict[str, Any]]:
    for phase, task, at in (("s", before, before["end_ns"]), ("f", after, after["start_ns"])):
        process, thread = places[task["resource"]]
        yield {
            "ph": phase,
            "id": number,
            "name": "waits",
            "cat": "critical path",
            "pid": process,
            "tid": thread,
            # inside the slice that the arrow leaves or enters
            "ts": (at if phase == "f" else (before["start_ns"] + at) / 2) / NS_PER_US,
            **({"bp": "e"} if phase == "f" else {}),
        }
