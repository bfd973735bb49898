"""Command streams: what an engine is asked to issue, as flat numpy records of 16 bytes.

A stream is an array of RECORD. A record with an ordinary `command` asks for `count` copies of that
final command at (target, row, column), the column growing by `column_step` each time. Loops and
barriers are records too, so a long context is a short stream:

    LOOP     repeat the records up to the matching END `count` times; iteration i adds
             i x `row` to every row and i x `column` to every column in the body; loops nest
    END      closes the innermost LOOP
    BARRIER  `row` is the barrier's id; it opens when every stream that names this id has arrived
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

LOOP = 0xFFFD
END = 0xFFFE
BARRIER = 0xFFFF

RECORD = np.dtype(
    [
        ("command", "<u2"),  # index in Description.commands, or LOOP, END, BARRIER
        ("target", "<u2"),  # row of the target table
        ("row", "<i4"),  # row address; LOOP: row step; BARRIER: id
        ("column", "<i2"),  # first column; LOOP: column step
        ("column_step", "<i2"),
        ("count", "<u4"),  # copies; LOOP: iterations
    ]
)
assert RECORD.itemsize == 16

MAX_LEVELS = 8

LOG = np.dtype(
    [
        ("tick", "<i8"),
        ("command", "<i4"),  # index in Description.commands
        ("source", "<i4"),  # stream number; -1 for refresh
        ("address", "<i4", (MAX_LEVELS,)),  # one number a level, -1 = all children; unused levels 0
    ]
)
assert LOG.itemsize == 48


@dataclass(frozen=True)
class CommandStream:
    """The streams of one channel over one table of targets.

    targets: int32 [n_targets, target_levels], -1 matches all children.
    streams: one RECORD array per stream; the stream number is its place here.
    fifo_window: per stream, 0 for an ordinary one, else the window of a `fifo` stream (rule 15).
    """

    targets: np.ndarray
    streams: tuple[np.ndarray, ...]
    fifo_window: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.fifo_window:
            object.__setattr__(self, "fifo_window", (0,) * len(self.streams))
