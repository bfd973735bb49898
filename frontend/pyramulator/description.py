"""The resolved description of a channel: what an engine needs to know about a device, in integers.

Names become numbers in exactly one place (the resolver in front of this module); everything behind
it reads these types. Ticks are the engine's unit of time; `ticks_per_second` makes them seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Bus(IntEnum):
    """Which slots a tick offers (rule 12)."""

    SINGLE = 0  # one slot a tick
    ROW_COLUMN = 1  # HBM1, HBM2: a column slot, then a row slot, every tick
    HALF_CLOCK = 2  # HBM3, HBM4: odd ticks column then row, even ticks falling-edge rows only


class Slot(IntEnum):
    """The bus that carries a command."""

    ROW = 0
    COLUMN = 1


class RowUse(IntEnum):
    """What a command wants of the banks in its scope (rule 6)."""

    NONE = 0  # nothing: it touches no bank
    ACCESS = 1  # every bank open at the request's row
    OPEN = 2  # every bank closed; opens the request's row in all of them
    CLOSE = 3  # nothing; closes every bank
    ALL_CLOSED = 4  # every bank closed (refresh)


@dataclass(frozen=True)
class Command:
    """One DRAM or PIM command."""

    name: str
    scope: str  # deepest level its address names; every level below is -1 (all children)
    slot: Slot
    cycles: int  # ticks it occupies its slot, from its first
    row_use: RowUse
    opens: str | None = None  # issued first when the scope is closed (ACCESS)
    closes: str | None = None  # issued first when the scope is in any other wrong state
    completion: int = 0  # ticks from issue until its effect is complete (rules 8 and 16)
    falling_edge: bool = False  # may go on even ticks (HALF_CLOCK)
    auto_precharge: bool = False  # RDA, WRA: closes its bank
    refresh: bool = False


@dataclass(frozen=True)
class TimingRow:
    """`following` may issue no earlier than `latency` ticks after the `window`-th last `preceding`.

    History is kept per node of `level` and per preceding command. A `sibling` row looks at the same
    parent's other children instead of the node itself. Latencies hold the multi-cycle offsets.
    """

    level: str
    preceding: tuple[str, ...]
    following: tuple[str, ...]
    latency: int
    window: int = 1
    sibling: bool = False
    rule: str = ""  # the expression it was resolved from, for people


@dataclass(frozen=True)
class Refresh:
    """At ticks k x interval (k = 1, 2, ...) one `command` per node of `scope`, in node order.

    With `in_turn`, a level above: one per node of that level, to its k-th node of `scope`, and from
    the last on to the first again.
    """

    command: str
    scope: str
    interval: int
    in_turn: str | None = None


@dataclass(frozen=True)
class Description:
    """A channel: its tree of nodes, its commands, its timing, its refresh.

    `levels` runs from "Channel" to "Row", "Column"; `sizes` has the children per node at each level
    (`sizes[0]` is 1: one channel). Targets name every level but the last two.
    """

    name: str
    levels: tuple[str, ...]
    sizes: tuple[int, ...]
    ticks_per_second: int
    bus: Bus
    commands: tuple[Command, ...]
    rows: tuple[TimingRow, ...]
    refresh: Refresh | None = None

    @property
    def target_levels(self) -> int:
        """Number of levels that a target names: all but Row and Column."""
        return len(self.levels) - 2

    def command_index(self, name: str) -> int:
        """Index of a command. Raises KeyError with the name when there is none."""
        for i, command in enumerate(self.commands):
            if command.name == name:
                return i
        raise KeyError(name)

    def level_index(self, name: str) -> int:
        """Index of a level. Raises ValueError when there is none."""
        return self.levels.index(name)
