"""What the numbers of a trace mean: device, levels, commands, time; enough to read it alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from pamsim.errors import InputError
from pyramulator.description import Command, Description, RowUse, Slot
from pyramulator.stream import MAX_LEVELS

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_COMMANDS = 1 << 16
_ROW_USES = tuple(use.name.lower() for use in RowUse)
_SLOTS = tuple(slot.name.lower() for slot in Slot)


@dataclass(frozen=True)
class TraceCommand:
    """A command by its name, and what is known of it (None: the trace's file did not say)."""

    name: str
    slot: str | None = None  # "row", "column": the bus that carries it
    cycles: int | None = None  # ticks on that bus
    scope: str | None = None  # deepest level its address names
    row_use: str | None = None  # "none", "access", "open", "close", "all_closed"
    completion: int | None = None  # ticks from issue until its effect is there
    busy: int | None = None  # ticks before its unit takes another of the same command
    refresh: bool = False
    auto_precharge: bool = False  # closes its bank
    unit: str = ""  # of the instruction set: what executes it, "" for what only the device has
    unit_level: str = ""  # the level whose nodes have such a unit each


@dataclass(frozen=True)
class TraceHeader:
    """One channel's trace: whose it is, and how to read its records."""

    device: str
    levels: tuple[str, ...]  # of an address, "Channel" to "Row", "Column"
    commands: tuple[TraceCommand, ...]  # by index
    ticks_per_second: int
    sizes: tuple[int, ...] = ()  # children per node at each level; () where not known
    family: str = ""
    tier: str = ""
    engine: str = ""
    channel: int = 0
    layer: int = 0
    layers: int = 0
    ticks_per_ck: int = 0  # 0: not known, as below
    column_bytes: int = 0  # that a column command moves in one bank
    dq_bits: int = 0  # data pins
    timing_ck: dict[str, int] = field(default_factory=dict)  # named parameters
    inputs: dict[str, str] = field(default_factory=dict)  # model, system, context, batch, set
    sources: dict[str, str] = field(default_factory=dict)  # SHA-256 of program and description

    def faults(self) -> Iterable[str]:
        """What makes the header meaningless, as `<thing> must be <rule>, not <value>`."""
        levels = self.levels
        if not 3 <= len(levels) <= MAX_LEVELS or len(set(levels)) != len(levels):
            yield f"levels must be 3 to {MAX_LEVELS} different names, not {len(levels)}"
        if not all(_is_word(name) for name in levels):
            yield "names of levels must be words"
        names = [command.name for command in self.commands]
        if len(names) > MAX_COMMANDS or len(set(names)) != len(names):
            yield f"commands must be at most {MAX_COMMANDS} different names, not {len(names)}"
        if not all(_is_word(name) for name in names):
            yield "names of commands must be words"
        if self.sizes and (len(self.sizes) != len(levels) or min(self.sizes) < 1):
            yield "sizes must be one positive number a level"
        if self.ticks_per_second < 1:
            yield f"ticks_per_second must be positive, not {self.ticks_per_second}"
        numbers = (self.channel, self.layer, self.layers, self.ticks_per_ck, self.column_bytes)
        if min(*numbers, self.dq_bits) < 0:
            yield "numbers of a header must not be negative"
        for command in self.commands:
            yield from self._faults_of(command)

    def _faults_of(self, command: TraceCommand) -> Iterable[str]:
        if command.slot not in (None, *_SLOTS):
            yield f"slot of {command.name} must be row or column, not {command.slot!r}"
        if command.row_use not in (None, *_ROW_USES):
            yield f"row_use of {command.name} must be a known one, not {command.row_use!r}"
        if command.scope is not None and command.scope not in self.levels:
            yield f"scope of {command.name} must be a level, not {command.scope!r}"
        if command.unit_level and command.unit_level not in self.levels:
            yield f"unit_level of {command.name} must be a level, not {command.unit_level!r}"
        if min(command.cycles or 0, command.completion or 0, command.busy or 0) < 0:
            yield f"times of {command.name} must not be negative"

    def require(self, what: str, **known: object) -> None:
        """Raises InputError unless every value is known; `what` needs them."""
        missing = [name for name, value in known.items() if not value]
        if missing:
            raise InputError(
                f"a trace must say {', '.join(missing)} for {what}, and this one does not",
                hint="take the run itself, or a binary trace of it",
            )

    def require_commands(self, what: str, *names: str) -> None:
        """Raises InputError unless all commands' attributes of these names are known."""
        for name in names:
            known = all(getattr(command, name) is not None for command in self.commands)
            self.require(what, **{f"{name} of its commands": known})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@cache
def adapter() -> TypeAdapter[TraceHeader]:
    """Reads a header from JSON, each value of its own type; raises pydantic.ValidationError."""
    from pydantic import TypeAdapter

    return TypeAdapter(TraceHeader)


def commands_of(description: Description, units: dict[str, str]) -> tuple[TraceCommand, ...]:
    """The commands of a description; units: what executes a command, where something does."""
    depths = {level: depth for depth, level in enumerate(description.levels)}
    outermost: dict[str, str] = {}
    for command in description.commands:
        if unit := units.get(command.name):
            known = outermost.setdefault(unit, command.scope)
            if depths[command.scope] < depths[known]:
                outermost[unit] = command.scope
    banks = description.levels[max(0, len(description.levels) - 4)]
    found = []
    for command in description.commands:
        unit = units.get(command.name, "")
        level = outermost.get(unit, banks)
        found.append(
            TraceCommand(
                name=command.name,
                slot=command.slot.name.lower(),
                cycles=command.cycles,
                scope=command.scope,
                row_use=command.row_use.name.lower(),
                completion=command.completion,
                busy=_busy(description, command, depths[level], depths),
                refresh=command.refresh,
                auto_precharge=command.auto_precharge,
                unit=unit,
                unit_level=level if unit else "",
            )
        )
    return tuple(found)


def _busy(description: Description, command: Command, at: int, depths: dict[str, int]) -> int:
    """The least gap between two of a command at one node of the level at depth `at`."""
    deepest = at if depths[command.scope] > at else len(depths)
    gaps = [
        row.latency
        for row in description.rows
        if command.name in row.preceding
        and command.name in row.following
        and not row.sibling
        and row.window == 1
        and depths[row.level] <= deepest
    ]
    return max(command.cycles, *gaps) if gaps else command.cycles


def _is_word(name: str) -> bool:
    return 0 < len(name) <= 60 and name.isascii() and name.isprintable() and " " not in name
