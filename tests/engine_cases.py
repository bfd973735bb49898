"""Channels small enough to work out by hand, and a way to write down what they issue.

The tree: 1 channel, 2 pseudo-channels, 4 banks each. Commands:

    ACT PRE RD RDA   of a bank            ACTp PREp MACp   of a pseudo-channel (4 banks)
    REF              of a pseudo-channel  X Y              column commands without a row, of a bank
    Z                a row command without a row, of a bank
    N                a column command without a row, of the channel
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyramulator import (
    BARRIER,
    END,
    LOOP,
    RECORD,
    Bus,
    ChannelResult,
    Command,
    CommandStream,
    Description,
    Refresh,
    RowUse,
    Slot,
    TimingRow,
    run,
)

LEVELS = ("Channel", "PseudoChannel", "Bank", "Row", "Column")
PSEUDO = "PseudoChannel"
R, C = Slot.ROW, Slot.COLUMN

COMMANDS = (
    Command("ACT", "Bank", R, 1, RowUse.OPEN, closes="PRE"),
    Command("PRE", "Bank", R, 1, RowUse.CLOSE, falling_edge=True),
    Command("RD", "Bank", C, 1, RowUse.ACCESS, opens="ACT", closes="PRE"),
    Command("RDA", "Bank", C, 1, RowUse.ACCESS, opens="ACT", closes="PRE", auto_precharge=True),
    Command("ACTp", PSEUDO, R, 1, RowUse.OPEN, closes="PREp"),
    Command("PREp", PSEUDO, R, 1, RowUse.CLOSE, falling_edge=True),
    Command("MACp", PSEUDO, C, 1, RowUse.ACCESS, opens="ACTp", closes="PREp"),
    Command("REF", PSEUDO, R, 1, RowUse.ALL_CLOSED, closes="PREp", completion=4, refresh=True),
    Command("X", "Bank", C, 1, RowUse.NONE),
    Command("Y", "Bank", C, 1, RowUse.NONE),
    Command("Z", "Bank", R, 1, RowUse.NONE),
    Command("N", "Channel", C, 1, RowUse.NONE),
)
NAMES = [command.name for command in COMMANDS]

# Rows of the target table, by what tests call them: "p.b", "*" for all children.
PLACES = ["0.0", "0.1", "0.2", "0.3", "1.0", "1.1", "1.2", "1.3", "0.*", "1.*", "*.*", "*.1"]
TARGETS = np.array(
    [[0, *(-1 if part == "*" else int(part) for part in place.split("."))] for place in PLACES],
    np.int32,
)


def device(
    *rows: TimingRow,
    bus: Bus = Bus.SINGLE,
    refresh: int | None = None,
    **changes: dict[str, Any],
) -> Description:
    """`changes`: fields of a command to replace, by its name."""
    commands = tuple(replace(c, **changes.get(c.name, {})) for c in COMMANDS)
    every = None if refresh is None else Refresh("REF", PSEUDO, refresh)
    sizes = (1, 2, 4, 64, 32)
    return Description("small", LEVELS, sizes, 10**9, bus, commands, tuple(rows), every)


def row(
    level: str, preceding: str, following: str, latency: int, window: int = 1, sibling: bool = False
) -> TimingRow:
    names = (tuple(preceding.split()), tuple(following.split()))
    return TimingRow(level, *names, latency, window, sibling)


def records(text: str) -> np.ndarray:
    """`NAME place row x count`, separated by commas; row and count may be left out.

    `barrier ID`, `loop COUNT ROW_STEP`, `end`.
    """
    out = []
    for line in filter(None, (part.strip() for part in text.split(","))):
        name, *rest = line.split()
        if name == "barrier":
            out.append((BARRIER, 0, int(rest[0]), 0, 0, 1))
        elif name == "loop":
            out.append((LOOP, 0, int(rest[1]) if rest[1:] else 0, 0, 0, int(rest[0])))
        elif name == "end":
            out.append((END, 0, 0, 0, 0, 1))
        else:
            count = int(rest.pop()[1:]) if rest[-1].startswith("x") else 1
            number = int(rest[1]) if rest[1:] else 0
            out.append((NAMES.index(name), PLACES.index(rest[0]), number, 0, 1, count))
    return np.array(out, RECORD)


def streams(*texts: str, windows: Sequence[int] = ()) -> CommandStream:
    return CommandStream(TARGETS, tuple(records(text) for text in texts), tuple(windows))


def issued(result: ChannelResult, *, sources: bool = False) -> str:
    """`tick NAME place`, with `sources` `tick stream:NAME place`, separated by commas."""
    assert result.log is not None
    parts = []
    for one in result.log:
        place = ".".join("*" if n < 0 else str(n) for n in one["address"][1:3])
        source = "ref" if one["source"] < 0 else str(one["source"])
        name = NAMES[one["command"]]
        parts.append(f"{one['tick']} {f'{source}:' if sources else ''}{name} {place}")
    return ", ".join(parts)


def play(description: Description, *texts: str, windows: Sequence[int] = ()) -> str:
    """What one stream issues, or with several streams who issues what."""
    result = run(description, streams(*texts, windows=windows), log=True)
    return issued(result, sources=len(texts) > 1 or description.refresh is not None)
