"""Pictures of ticks, for tests of when an engine issues what: one token a tick, left to right.

    ACTbg .x38 MACbg_q1    ACTbg, 38 ticks in which it waits, MACbg_q1 (a lone `.` is one tick)
    [MACbg_q1 .x7]x31      what is in the brackets, 31 times
    (ACTbg)                issued by the controller on its own, not asked for by the stream
    WR@2/5                 bank 2, row 5; bank 0 and row 0 where nothing is said

A lane is the picture of one stream from tick 1 on. Its tokens but those in parentheses are, in
order, what the stream asks for, so that a lane is both the question and the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

import pyramulator
from pyramulator import RECORD, CommandStream, Description

Address = tuple[int, ...]  # one number a target level, from the channel down to the bank

_TOKEN = re.compile(r"(?P<open>\()?(?P<name>\w+)(@(?P<bank>\d))?(/(?P<row>\d+))?(?(open)\))")
_WAIT = re.compile(r"\.(x(?P<ticks>\d+))?")
_REPEAT = re.compile(r"\[(?P<body>[^][]*)\]x(?P<times>\d+)")


@dataclass(frozen=True)
class Mark:
    """One command in a picture; `tick` counts from the picture's first tick, which is 1."""

    tick: int
    name: str
    bank: int = 0
    row: int = 0
    asked: bool = True


def read_picture(picture: str) -> list[Mark]:
    """The commands of a picture. Raises ValueError for a token that is none."""
    while _REPEAT.search(picture):
        picture = _REPEAT.sub(lambda m: " ".join([m["body"]] * int(m["times"])), picture)
    tick, marks = 1, []
    for token in picture.split():
        if wait := _WAIT.fullmatch(token):
            tick += int(wait["ticks"] or 1)
        elif mark := _TOKEN.fullmatch(token):
            bank, row = int(mark["bank"] or 0), int(mark["row"] or 0)
            marks.append(Mark(tick, mark["name"], bank, row, asked=not mark["open"]))
            tick += 1
        else:
            raise ValueError(f"token must be a command or a wait, not {token!r}")
    return marks


def draw(marks: Iterable[Mark], start: int = 1) -> str:
    """The picture from tick `start` on, without brackets, parentheses and rows: to compare."""
    tokens, at = [], start
    for mark in marks:
        if mark.tick > at:
            tokens.append("." if mark.tick == at + 1 else f".x{mark.tick - at}")
        elif mark.tick < at:
            tokens.append("<same tick>")
        tokens.append(f"{mark.name}@{mark.bank}" if mark.bank else mark.name)
        at = mark.tick + 1
    return " ".join(tokens)


def redraw(picture: str) -> str:
    """A picture as `draw` would have it."""
    return draw(read_picture(picture))


def mask(description: Description, name: str, address: Address) -> Address:
    """The address with -1 below the command's scope."""
    scope = description.commands[description.command_index(name)].scope
    kept = min(description.level_index(scope) + 1, description.target_levels)
    return address[:kept] + (-1,) * (description.target_levels - kept)


def play(
    description: Description, streams: Iterable[Iterable[tuple[str, Address, int]]]
) -> list[tuple[int, int, str, Address]]:
    """Runs streams of (command, address, row) and gives (tick, stream, command, address) as issued.

    Stream -1 is refresh. Columns are 0: no timing depends on them.
    """
    targets: dict[Address, int] = {}
    records = [
        np.array(
            [
                (
                    description.command_index(name),
                    targets.setdefault(mask(description, name, address), len(targets)),
                    row,
                    0,
                    0,
                    1,
                )
                for name, address, row in stream
            ],
            dtype=RECORD,
        )
        for stream in streams
    ]
    table = np.array(list(targets), dtype=np.int32)
    result = pyramulator.run(
        description, CommandStream(table, tuple(records)), log=True, stalls=False
    )
    assert result.log is not None
    return [
        (
            int(entry["tick"]),
            int(entry["source"]),
            description.commands[entry["command"]].name,
            tuple(int(n) for n in entry["address"][: description.target_levels]),
        )
        for entry in result.log
    ]


def play_lanes(description: Description, lanes: Mapping[str, str]) -> dict[str, str]:
    """Runs the lanes together and draws what came of them.

    A lane's name is the place of its stream, "pc.sid.bg"; "refresh pc" is a pseudo-channel's
    refresh, which asks for nothing, and is drawn where the run had any.
    """
    places = [name for name in lanes if not name.startswith("refresh")]
    homes = [(0, *(int(n) for n in place.split("."))) for place in places]
    streams = [
        [(m.name, (*home, m.bank), m.row) for m in read_picture(lanes[place]) if m.asked]
        for place, home in zip(places, homes, strict=True)
    ]
    drawn: dict[str, list[Mark]] = {name: [] for name in lanes}
    for tick, source, name, address in play(description, streams):
        lane = places[source] if source >= 0 else f"refresh {address[1]}"
        if source >= 0:
            assert mask(description, name, address) == mask(
                description, name, (*homes[source], address[-1])
            )
        drawn.setdefault(lane, []).append(Mark(tick, name, max(address[-1], 0)))
    return {lane: draw(marks) for lane, marks in drawn.items()}
