"""A case on the embedded engine and on the bridge, ticking and in replay; a small device."""

from __future__ import annotations

import numpy as np

import pyramulator
from pyramulator import bridge
from pyramulator.description import (
    Bus,
    Command,
    Description,
    RowUse,
    Slot,
    TimingRow,
)
from pyramulator.result import ChannelResult
from pyramulator.stream import RECORD, CommandStream

ACT = Command("ACT", "Row", Slot.ROW, 1, RowUse.OPEN, closes="PRE")
PRE = Command("PRE", "Bank", Slot.ROW, 1, RowUse.CLOSE)
RD = Command("RD", "Column", Slot.COLUMN, 1, RowUse.ACCESS, opens="ACT", closes="PRE")
STUCK = Command("STUCK", "Bank", Slot.COLUMN, 1, RowUse.ACCESS)


def device(*rows: TimingRow, **more: object) -> Description:
    """One channel of two banks of 16 rows."""
    return Description(
        "tiny",
        ("Channel", "Bank", "Row", "Column"),
        (1, 2, 16, 16),
        ticks_per_second=10**9,
        bus=Bus.SINGLE,
        commands=(ACT, PRE, RD, STUCK),
        rows=rows,
        **more,  # type: ignore[arg-type]
    )


def streams(*records: list[tuple[int, ...]]) -> CommandStream:
    """Targets 0 and 1 are the banks, 2 is both."""
    targets = np.array([(0, 0), (0, 1), (0, -1)], dtype=np.int32)
    return CommandStream(targets, tuple(np.array(r, dtype=RECORD) for r in records))


def run_engine(description: Description, stream: CommandStream) -> ChannelResult:
    return pyramulator.run(description, stream, log=True, stalls=False)


def run_bridge(description: Description, stream: CommandStream) -> ChannelResult:
    return bridge.run_bridge(description, stream, log=True)


def run_replay(description: Description, stream: CommandStream) -> ChannelResult:
    return bridge.run_bridge(description, stream, log=True, replay=True)
