"""The streams of the reference: records expanded into requests, and the barriers between them.

Written from docs/engine-rules.md (rules 7, 8, 15, 18) and pyramulator/stream.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

REFRESH = -1  # the source of a command that no stream asked for


@dataclass(frozen=True, eq=False)
class Request:
    """One final command, wanted by a stream or by refresh."""

    source: int
    command: int
    target: tuple[int, ...]
    row: int
    column: int


@dataclass(frozen=True)
class Barrier:
    """A place in a stream where it waits for all streams that name the same id."""

    id: int


@dataclass(eq=False)
class Stream:
    """A stream while it runs. `position` is its head: the oldest item that has not gone."""

    number: int
    window: int  # 0: ordinary; else the window of a fifo stream (rule 15)
    items: list[Request | Barrier]
    position: int = 0
    visible: int = 1  # tick from which the head can be seen (rule 7)
    arrived: int = 0  # tick of arrival, should the head be a barrier (rule 8)
    entered: int = 0  # fifo streams: place of the next item to enter the FIFO
    opened: int | None = None  # tick of the `opens` that was issued for the head (rule 9)
    past_last_request: int = 0

    def __post_init__(self) -> None:
        for place, item in enumerate(self.items):
            if isinstance(item, Request):
                self.past_last_request = place + 1

    @property
    def ended(self) -> bool:
        return self.position == len(self.items)

    @property
    def at_barrier(self) -> bool:
        return not self.ended and isinstance(self.items[self.position], Barrier)

    @property
    def requests_left(self) -> bool:
        return self.position < self.past_last_request

    def head(self, tick: int) -> Request | None:
        """The request that the stream shows at this tick (rule 7)."""
        if self.ended or self.visible > tick:
            return None
        item = self.items[self.position]
        return item if isinstance(item, Request) else None

    def final_issued(self, tick: int, completion: int) -> None:
        self.position += 1
        self.visible = tick + 1
        self.arrived = tick + completion
        self.opened = None

    def barrier_opened(self, tick: int) -> None:
        self.position += 1
        self.entered = self.position
        self.visible = tick + 1
        self.arrived = tick  # a second barrier in a row is reached when the first opens


def expand(stream: CommandStream) -> list[Stream]:
    """Every stream with its loops unrolled and its bursts spread out."""
    targets = [tuple(int(a) for a in target) for target in stream.targets]
    return [
        Stream(number, stream.fifo_window[number], _expand(records, 0, 0, number, targets))
        for number, records in enumerate(stream.streams)
    ]


def _expand(
    records: np.ndarray, row: int, column: int, number: int, targets: list[tuple[int, ...]]
) -> list[Request | Barrier]:
    items: list[Request | Barrier] = []
    at = 0
    while at < len(records):
        record = {name: int(records[at][name]) for name in RECORD.names or ()}
        at += 1
        if record["command"] == BARRIER:
            items.append(Barrier(record["row"]))
        elif record["command"] == LOOP:
            body = at
            at = _matching_end(records, at)
            for i in range(record["count"]):
                items += _expand(
                    records[body:at],
                    row + i * record["row"],
                    column + i * record["column"],
                    number,
                    targets,
                )
            at += 1
        else:
            for i in range(record["count"]):
                first = column + record["column"]
                items.append(
                    Request(
                        number,
                        record["command"],
                        targets[record["target"]],
                        row + record["row"],
                        first + i * record["column_step"],
                    )
                )
    return items


def _matching_end(records: np.ndarray, at: int) -> int:
    depth = 1
    while True:
        command = int(records[at]["command"])
        depth += (command == LOOP) - (command == END)
        if depth == 0:
            return at
        at += 1


@dataclass
class Barriers:
    """Rule 8. A barrier's participants are all streams that name its id."""

    streams: list[Stream]
    participants: dict[int, list[Stream]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for stream in self.streams:
            for name in {item.id for item in stream.items if isinstance(item, Barrier)}:
                self.participants.setdefault(name, []).append(stream)

    def opening(self, name: int) -> int | None:
        """Tick at which the barrier opens; None while a participant still has to get there."""
        streams = self.participants[name]
        if all(s.at_barrier and s.items[s.position] == Barrier(name) for s in streams):
            return max(s.arrived for s in streams)
        return None

    def pass_all(self, tick: int) -> None:
        """Let through every barrier whose last participant arrived at `tick` or before."""
        passed = True
        while passed:
            passed = False
            for name, streams in self.participants.items():
                opening = self.opening(name)
                if opening is not None and opening <= tick:
                    passed = True
                    for stream in streams:
                        stream.barrier_opened(opening)

    def deadlocked(self) -> Stream | None:
        """A stream that waits forever (rule 18): nobody has a request and no barrier can open."""
        waiting = [s for s in self.streams if not s.ended]
        if not waiting or any(not s.at_barrier for s in waiting):
            return None
        if any(self.opening(name) is not None for name in self.participants):
            return None
        return waiting[0]
