"""A tiny device and short ways to write streams for it, good and bad."""

from __future__ import annotations

import numpy as np

import pyramulator
from pyramulator.description import Bus, Command, Description, RowUse, Slot, TimingRow
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

ACT = Command("ACT", "Row", Slot.ROW, 1, RowUse.OPEN, closes="PRE")
PRE = Command("PRE", "Bank", Slot.ROW, 1, RowUse.CLOSE)
PREab = Command("PREab", "Channel", Slot.ROW, 1, RowUse.CLOSE)
RD = Command("RD", "Column", Slot.COLUMN, 1, RowUse.ACCESS, opens="ACT", closes="PRE")
STUCK = Command("STUCK", "Column", Slot.COLUMN, 1, RowUse.ACCESS)
EXP = Command("EXP", "Bank", Slot.COLUMN, 1, RowUse.NONE)
REF = Command("REF", "Channel", Slot.ROW, 1, RowUse.ALL_CLOSED, closes="PREab", refresh=True)
COMMANDS = (ACT, PRE, PREab, RD, STUCK, EXP, REF)
NUMBER = {command.name: number for number, command in enumerate(COMMANDS)}

LARGEST = 2**40  # of a latency and a completion, in ticks
LAST_TICK = 2**45


def device(*rows: TimingRow, **more: object) -> Description:
    """One channel of two banks of 16 rows."""
    given = {"sizes": (1, 2, 16, 16), "bus": Bus.SINGLE, "commands": COMMANDS} | more
    return Description(
        name="tiny",
        levels=("Channel", "Bank", "Row", "Column"),
        ticks_per_second=10**9,
        rows=rows,
        **given,  # type: ignore[arg-type]
    )


def do(name: str, bank: int = 0, row: int = 0, column: int = 0, step: int = 0, count: int = 1):
    return (NUMBER[name], bank, row, column, step, count)


def barrier(number: int) -> tuple[int, ...]:
    return (BARRIER, 0, number, 0, 0, 1)


def loop(count: int, *body: tuple[int, ...], row: int = 0, column: int = 0) -> list[tuple]:
    return [(LOOP, 0, row, column, 0, count), *body, (END, 0, 0, 0, 0, 1)]


def streams(*records: list[tuple], fifo: tuple[int, ...] = ()) -> CommandStream:
    """Targets 0 and 1 are the banks, 2 is both."""
    arrays = tuple(np.array(one, dtype=RECORD) for one in records)
    return CommandStream(np.array([(0, 0), (0, 1), (0, -1)], dtype=np.int32), arrays, fifo)


def run(description: Description, stream: CommandStream) -> pyramulator.ChannelResult:
    return pyramulator.run(description, stream, log=True)


ENDLESS = loop(2**32 - 1, *loop(2**32 - 1, do("EXP"), do("EXP", 1)))
AGAIN = loop(2**32 - 1, do("EXP", count=2**32 - 1))
# nothing but barriers: they open all in one tick
BARRIERS = loop(2**32 - 1, *loop(2**32 - 1, barrier(1), barrier(2)))
