"""A directed device in the likeness of HBM3, and streams as attention has them.

The timing is of the right order (a tick is half a CK), not of a part: what matters is that every
kind of row is there (window, sibling, bus turnaround, refresh) on a tree of real depth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pyramulator.description import (
    Bus,
    Command,
    Description,
    Refresh,
    RowUse,
    Slot,
    TimingRow,
)
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream
from reference.generate import Case

LEVELS = ("Channel", "PseudoChannel", "Sid", "BankGroup", "Bank", "Row", "Column")
SIZES = (1, 2, 1, 4, 4, 1024, 32)

COLUMN, ROW = Slot.COLUMN, Slot.ROW
BANK: dict[str, Any] = dict(opens="ACT", closes="PRE")
GROUP: dict[str, Any] = dict(opens="ACTbg", closes="PREbg")

COMMANDS = (
    Command("ACT", "Row", ROW, 3, RowUse.OPEN, closes="PRE"),
    Command("ACTbg", "BankGroup", ROW, 3, RowUse.OPEN, closes="PREbg"),
    Command("PRE", "Bank", ROW, 1, RowUse.CLOSE, falling_edge=True),
    Command("PREbg", "BankGroup", ROW, 1, RowUse.CLOSE, falling_edge=True),
    Command("PREab", "PseudoChannel", ROW, 1, RowUse.CLOSE, falling_edge=True),
    Command("RD", "Column", COLUMN, 2, RowUse.ACCESS, completion=44, **BANK),
    Command("WR", "Column", COLUMN, 2, RowUse.ACCESS, completion=24, **BANK),
    Command("RDA", "Column", COLUMN, 2, RowUse.ACCESS, completion=44, auto_precharge=True, **BANK),
    Command("MACbg", "BankGroup", COLUMN, 2, RowUse.ACCESS, completion=30, **GROUP),
    Command("EXPbg", "BankGroup", COLUMN, 2, RowUse.NONE, completion=64),
    Command(
        "REFab",
        "PseudoChannel",
        ROW,
        1,
        RowUse.ALL_CLOSED,
        closes="PREab",
        completion=560,
        refresh=True,
    ),
)

READS, WRITES = ("RD", "RDA", "MACbg"), ("WR",)
ACTS, PRES = ("ACT", "ACTbg"), ("PRE", "PREbg", "PREab")
COLUMNS = (*READS, *WRITES, "EXPbg")


def _row(level: str, preceding: tuple, following: tuple, latency: int, **more: object) -> TimingRow:
    return TimingRow(level, preceding, following, latency, **more)  # type: ignore[arg-type]


ROWS = (
    _row("Channel", ACTS, (*ACTS, *PRES, "REFab"), 3),
    _row("Channel", COLUMNS, COLUMNS, 2),
    _row("PseudoChannel", READS, READS, 4),
    _row("PseudoChannel", WRITES, WRITES, 4),
    _row("PseudoChannel", READS, WRITES, 40),
    _row("PseudoChannel", WRITES, READS, 38),
    _row("PseudoChannel", ACTS, ACTS, 8),
    _row("PseudoChannel", ("ACT",), ("ACT",), 48, window=4),
    _row("PseudoChannel", ("ACTbg",), ("ACT", "ACTbg"), 48),
    _row("PseudoChannel", ("ACT",), ("ACTbg",), 48),
    _row("PseudoChannel", PRES, PRES, 4),
    _row("PseudoChannel", ACTS, ("REFab",), 146),
    _row("PseudoChannel", PRES, ("REFab",), 52),
    _row("PseudoChannel", ("RDA",), ("REFab",), 71),
    _row("PseudoChannel", ("REFab",), ACTS, 560),
    _row("PseudoChannel", ("REFab",), PRES, 560),
    _row("PseudoChannel", ("MACbg",), ("RD",), 12, sibling=False),
    _row("BankGroup", READS, READS, 8),
    _row("BankGroup", WRITES, WRITES, 8),
    _row("BankGroup", WRITES, READS, 44),
    _row("BankGroup", ("MACbg",), ("EXPbg",), 30),
    _row("BankGroup", ("EXPbg",), ("EXPbg", "MACbg"), 64),
    _row("BankGroup", ("EXPbg",), ("EXPbg",), 6, sibling=True),
    _row("BankGroup", ACTS, ACTS, 10),
    _row("Bank", ACTS, ACTS, 144),
    _row("Bank", ACTS, (*READS, *WRITES), 63),
    _row("Bank", ACTS, PRES, 92),
    _row("Bank", PRES, ACTS, 50),
    _row("Bank", READS, PRES, 19),
    _row("Bank", WRITES, PRES, 91),
    _row("Bank", ("RDA",), ACTS, 69),
)

DESCRIPTION = Description(
    name="hbm3-like",
    levels=LEVELS,
    sizes=SIZES,
    ticks_per_second=3_200_000_000,
    bus=Bus.HALF_CLOCK,
    commands=COMMANDS,
    rows=ROWS,
    refresh=Refresh("REFab", "PseudoChannel", 3_900),
)

TARGETS = [(0, pc, 0, bg, -1) for pc in range(2) for bg in range(4)] + [
    (0, pc, 0, bg, bank) for pc in range(2) for bg in range(4) for bank in range(4)
]


def _streams(*streams: list[tuple]) -> tuple[np.ndarray, ...]:
    numbers = {c.name: i for i, c in enumerate(COMMANDS)}
    return tuple(
        np.array([(numbers.get(r[0], r[0]), *r[1:]) for r in records], dtype=RECORD)
        for records in streams
    )


def _attention(group: int) -> list[tuple]:
    """MACs over four rows, an exponential, a barrier of all groups; three times over."""
    return [
        (LOOP, 0, 8, 0, 0, 3),
        (LOOP, 0, 1, 0, 0, 4),
        ("MACbg", group, 0, 0, 1, 32),
        (END, 0, 0, 0, 0, 0),
        ("EXPbg", group, 0, 0, 0, 2),
        (BARRIER, 0, 1, 0, 0, 1),
        (END, 0, 0, 0, 0, 0),
    ]


def _host(pc: int) -> list[tuple]:
    """Reads and writes of single banks that conflict with the groups' rows."""
    first = 8 + 16 * pc
    return [
        (LOOP, 0, 1, 3, 0, 6),
        *(
            record
            for bank in (0, 5, 10, 15)
            for record in (("RD", first + bank, 0, 0, 1, 4), ("WR", first + bank, 2, 0, 1, 2))
        ),
        ("RDA", first + 3, 4, 0, 0, 1),
        (END, 0, 0, 0, 0, 0),
    ]


STREAMS = {
    "groups": (_streams(*(_attention(g) for g in range(8))), (0,) * 8),
    "groups-and-host": (_streams(*(_attention(g) for g in range(4)), _host(0), _host(1)), (0,) * 6),
    "fifo": (_streams(_attention(0), _host(1), _attention(5)), (4, 0, 2)),
    "banks": (_streams(_host(0), _host(1), _host(0)), (0, 0, 0)),
}


def case(kind: str, refresh: bool) -> Case:
    """A directed case of some thousand ticks; with refresh it goes through at least one."""
    description = DESCRIPTION if refresh else replace(DESCRIPTION, refresh=None)
    streams, windows = STREAMS[kind]
    return Case(description, CommandStream(np.array(TARGETS, dtype=np.int32), streams, windows))
