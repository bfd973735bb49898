"""What every stream of a channel asks its engine for, command by command, for the timing proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyramulator.stream import BARRIER, END, LOOP, MAX_LEVELS

if TYPE_CHECKING:
    from pyramulator.stream import CommandStream

ASKED = np.dtype([("command", "<i4"), ("address", "<i4", (MAX_LEVELS,))])


def asked_sequences(stream: CommandStream) -> list[np.ndarray]:
    """Per stream ASKED records of its final commands in order, loops written out (36 B each)."""
    return [_body(records, stream.targets, 0, len(records)) for records in stream.streams]


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
