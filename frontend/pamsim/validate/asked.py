"""What every stream of a channel asks its engine for, command by command, for the timing proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyramulator.description import RowUse
from pyramulator.stream import BARRIER, END, LOOP, MAX_LEVELS

if TYPE_CHECKING:
    from pyramulator.description import Description
    from pyramulator.stream import CommandStream

ASKED = np.dtype([("command", "<i4"), ("address", "<i4", (MAX_LEVELS,))])


def asked_sequences(stream: CommandStream, description: Description) -> list[np.ndarray]:
    """Per stream ASKED records of its final commands in order, loops written out (36 B each).

    Without those that open or close rows: refresh brings more of them than were asked for, and the
    device's rules already hold every access to its open row.
    """
    rows = [c.row_use in (RowUse.OPEN, RowUse.CLOSE) for c in description.commands]
    sequences = []
    for records in stream.streams:
        asked = _body(records, stream.targets, 0, len(records))
        sequences.append(asked[~np.array(rows)[asked["command"]]])
    return sequences


def issued_as_asked(asked: list[np.ndarray], log: np.ndarray, description: Description) -> bool:
    """Whether every stream issued what it asked for, in order; check_sequence says what not."""
    uses = [c.row_use for c in description.commands]
    moves = np.array([use in (RowUse.OPEN, RowUse.CLOSE) for use in uses])
    named = np.array([use is RowUse.ACCESS for use in uses])
    levels = description.target_levels
    known = (log["source"] >= -1) & (log["source"] < len(asked))
    finals = log[~moves[log["command"]] & (log["source"] >= 0)]
    if not known.all():
        return False
    for stream, wanted in enumerate(asked):
        issued = finals[finals["source"] == stream]
        if not np.array_equal(issued["command"], wanted["command"]):
            return False
        have, want = issued["address"], wanted["address"]
        if not np.array_equal(have[:, :levels], want[:, :levels]):
            return False
        places = named[wanted["command"]]
        if not np.array_equal(have[places, levels : levels + 2], want[places, levels : levels + 2]):
            return False
    return True


def _body(records: np.ndarray, targets: np.ndarray, start: int, end: int) -> np.ndarray:
    parts, at = [], start
    while at < end:
        record = records[at]
        kind = int(record["command"])
        if kind == LOOP:
            close = _end_of(records, at)
            parts.append(_repeated(_body(records, targets, at + 1, close), record, targets))
            at = close
        elif kind not in (END, BARRIER):
            parts.append(_burst(record, targets))
        at += 1
    return np.concatenate(parts) if parts else np.empty(0, ASKED)


def _end_of(records: np.ndarray, loop: int) -> int:
    depth = 0
    for at in range(loop, len(records)):
        depth += int(records[at]["command"] == LOOP) - int(records[at]["command"] == END)
        if depth == 0:
            return at
    raise ValueError(f"loop at record {loop} must have an end")


def _burst(record: np.void, targets: np.ndarray) -> np.ndarray:
    count, levels = int(record["count"]), targets.shape[1]
    found = np.zeros(count, ASKED)
    found["command"] = record["command"]
    found["address"][:, :levels] = targets[record["target"]]
    found["address"][:, levels] = record["row"]
    steps = np.arange(count, dtype=np.int32)
    found["address"][:, levels + 1] = int(record["column"]) + steps * int(record["column_step"])
    return found


def _repeated(body: np.ndarray, loop: np.void, targets: np.ndarray) -> np.ndarray:
    count, levels = int(loop["count"]), targets.shape[1]
    found = np.tile(body, count)
    iteration = np.repeat(np.arange(count, dtype=np.int32), len(body))
    found["address"][:, levels] += iteration * int(loop["row"])
    found["address"][:, levels + 1] += iteration * int(loop["column"])
    return found
