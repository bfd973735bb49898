"""What a timing rule is: data. A standard or a family is tables of these types, one file each.

Gaps are sums of named JEDEC parameters ("nCWL + nBL + nWR"), of `duration`, which is the earlier
command's own duration, of `run`, which is the time from the first to the last column of a macro
command, and of the family's derived times. They count from the last tick of the
earlier command to the last tick of the later one, so between the starts (the ticks of a log)

    gap = parameter + (bus ticks of the earlier - 1) - (bus ticks of the later - 1)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from pamsim.config.spec import DeviceSpec, PimUnit

_NAME = re.compile(r"([A-Za-z]+)(?:_q?(\d+))?(?:_c(\d+))?")


class Bus(Enum):
    """The command bus that carries a command."""

    ROW = "row"
    COLUMN = "column"


class Scope(IntEnum):
    """The levels of a channel that rules speak of, outermost first."""

    CHANNEL = 0
    PSEUDO_CHANNEL = 1
    SID = 2
    GROUP = 3
    BANK = 4


class RowUse(IntEnum):
    """What a command needs of, and does to, the rows of the banks in its scope."""

    NONE = 0
    ACCESS = 1  # needs its row open in every bank
    OPEN = 2  # needs every bank closed; opens its row in all of them
    CLOSE = 3  # closes every bank, open or not
    ACCESS_CLOSE = 4  # ACCESS, then CLOSE (auto-precharge)
    REFRESH = 5  # needs every bank closed


@dataclass(frozen=True)
class CommandKind:
    """A command, or with operands a set of commands that differ in one number.

    `cycles(pim, operand)` is the command's duration in PU or RU cycles. `run(device, operand,
    columns)` is in ticks.
    """

    name: str  # without the operand: "MACbg"
    bus: Bus
    ticks: int | str  # on the bus; a name is a timing parameter of the device, in CK
    scope: Scope  # deepest level its address names
    row_use: RowUse = RowUse.NONE
    falling_edge: bool = False  # may start on an even tick
    cycles: Callable[[PimUnit, int], int] | None = None
    run: Callable[[DeviceSpec, int, int], int] | None = None  # macro: see `run` above
    names_row: bool = False  # its address names a row ...
    names_column: bool = False  # ... and a column


@dataclass(frozen=True)
class Rule:
    """A named rule: where it comes from and what it says in one sentence."""

    name: str
    source: str
    meaning: str


Names = tuple[str, ...]


@dataclass(frozen=True)
class PairRule(Rule):
    """Every `later` command starts no earlier than `gap` after each `earlier` one in a shared node.

    Two commands share a node of `scope` when their addresses agree down to it, or down to the
    deepest level that both name where that is above it. With `other_sid` they share the node of
    `scope` but stand in different SIDs.
    """

    scope: Scope
    edges: tuple[tuple[Names, Names], ...]  # (earlier, later)
    gap: str
    other_sid: bool = False
    beyond_ramulator: bool = False  # Ramulator 2.1 does not have this edge (its issue 272)


@dataclass(frozen=True)
class WindowRule(Rule):
    """At most `count` of `commands` in a node of `scope` within any `gap`."""

    scope: Scope
    commands: Names
    count: int
    gap: str


class Check(Enum):
    """The rules that are more than an inequality between two commands; code does them."""

    RECORD = "record"
    ROW_BUS = "row bus"
    COLUMN_BUS = "column bus"
    RISING_EDGE = "rising edge"
    FALLING_PAIR = "falling-edge pairing"
    OPEN_BANK = "activate of an open bank"
    CLOSED_ROW = "column access to a closed row"
    WRONG_ROW = "column access to another row than the open one"
    HALF_OPEN = "access to a group that is open in part"
    REFRESH_OPEN = "refresh with an open bank"
    REFRESH_INTERVAL = "refresh interval"
    REFRESH_LIMIT = "refresh postponed too long"
    REFRESH_TURN = "refresh out of turn"
    COUNTS = "expected counts"


@dataclass(frozen=True)
class RefreshRule:
    """The k-th `command` of a node of `scope` issues in [k x interval, (k + late) x interval].

    With `in_turn`, a scope below: the nodes of that scope take turns, in their order.
    """

    command: str
    scope: Scope
    interval: str
    postponed: int  # beyond (k + postponed) x interval the standard itself is broken
    late: int = 1
    in_turn: Scope | None = None


@dataclass(frozen=True)
class SecondRows:
    """A second row state of every bank (the cache register of a flash plane): what each command
    needs of it and does to it, by name, and the rules by which it is checked."""

    uses: Mapping[str, RowUse]
    checks: Mapping[Check, Rule]


@dataclass(frozen=True)
class Family:
    """All that the checker knows of an instruction family.

    `on(family, device)`: its rules on a device that differs from the others.
    """

    name: str
    kinds: tuple[CommandKind, ...]
    pairs: tuple[PairRule, ...]
    windows: tuple[WindowRule, ...]
    checks: Mapping[Check, Rule]
    refresh: RefreshRule | None = None
    derived: Callable[[DeviceSpec], Mapping[str, int]] = field(default=lambda _device: {})  # ticks
    on: Callable[[Family, DeviceSpec], Family] = field(default=lambda family, _device: family)
    second_rows: SecondRows | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule, in the order in which verdicts name them."""
        second = self.second_rows.checks.values() if self.second_rows else ()
        return (*self.pairs, *self.windows, *self.checks.values(), *second)


class MissingParameter(Exception):
    """A gap names a timing parameter that the device does not give."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def split_operand(name: str) -> tuple[str, int | None]:
    """`MACbg_q4` -> (`MACbg`, 4); `ACT` -> (`ACT`, None); an unreadable name comes back whole."""
    found = _NAME.fullmatch(name)
    if found is None:
        return name, None
    return found[1], int(found[2]) if found[2] else None


def columns_of(name: str) -> int:
    """Columns that a command reads in its row: `MACseq_q1_c32` -> 32, `MACbg_q1` -> 1."""
    found = _NAME.fullmatch(name)
    return int(found[3]) if found is not None and found[3] else 1


def cycles_to_ticks(cycles: int, ticks_per_second: int, clock_hz: int) -> int:
    """Whole ticks that cover `cycles` of a clock, rounded up once for the whole product."""
    return -(-cycles * ticks_per_second // clock_hz)


def gap_in_ticks(
    gap: str, device: DeviceSpec, derived: Mapping[str, int], duration_ticks: int | None
) -> int:
    """A gap expression in ticks. Raises MissingParameter when the device lacks a name in it."""
    total = 0
    for term in (t.strip() for t in gap.split("+")):
        if term == "duration":
            if duration_ticks is None:
                raise MissingParameter(term)
            total += duration_ticks
        elif term in derived:
            total += derived[term]
        elif term in device.timing_ck:
            total += device.timing_ck[term] * device.ticks_per_ck
        else:
            raise MissingParameter(term)
    return total
