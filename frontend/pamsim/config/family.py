"""A command family before its operands are known: templates of commands, timing and durations.

The family of a device is data (`ramulator_configs/device`); `pamsim.config.resolver` makes the
engine's integers from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pamsim.errors import Position

Operand = int | tuple[int, ...]  # of a command; a tuple where its name holds several numbers
_PLACE = re.compile(r"\{(\w)\}")


@dataclass(frozen=True)
class CommandTemplate:
    """A command, or one for each operand value: `MACbg_q{n}`, `MACseq_q{n}_c{c}`."""

    name: str
    over: str | None  # the name in ProgramVariants that has the values
    bus: str  # "row", "column"
    cycles: int  # ticks
    scope: str
    row_use: str
    opens: str | None
    closes: str | None
    completion: str
    falling_edge: bool
    auto_precharge: bool
    refresh: bool
    activates: str  # its weight in the activate window: one of the schema's
    position: Position | None = field(default=None, compare=False)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands: "n", "e", "c"."""
        return tuple(_PLACE.findall(self.name))

    def operand_of(self, command: str) -> Operand | None:
        """The operand's value in the name of a command of this template; None for another's."""
        stems = _PLACE.split(self.name)[::2]
        found = re.fullmatch(r"(\d+)".join(map(re.escape, stems)), command)
        if found is None or not found.groups():
            return None
        values = tuple(map(int, found.groups()))
        return values[0] if len(values) == 1 else values

    def values(self, operand: Operand | None) -> dict[str, int]:
        """Operand name -> value."""
        if operand is None or not self.operands:
            return {}
        values = operand if isinstance(operand, tuple) else (operand,)
        return dict(zip(self.operands, values, strict=True))

    def instance(self, operand: Operand | None) -> str:
        """The command's name with its operand's value."""
        values = self.values(operand)
        return _PLACE.sub(lambda place: str(values[place[1]]), self.name)


@dataclass(frozen=True)
class ConstraintTemplate:
    """A timing constraint over templates; `preceding` and `following` are names of templates."""

    level: str
    preceding: tuple[str, ...]
    following: tuple[str, ...]
    latency: str
    window: int
    sibling: bool
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Duration:
    """Time of a unit in its own cycles, `operand` being the name in `cycles` (None: a constant)."""

    name: str
    operand: str | None
    cycles: str
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ActivateWindow:
    """The four-activate window: `window` activates of a `level` node per `latency`."""

    level: str
    latency: str
    window: int


@dataclass(frozen=True)
class RefreshTemplate:
    """Every `interval` (an expression in CK) one `command` per node of level `scope`.

    With `in_turn`, a level above: one per node of that level, whose `scope` nodes take turns.
    """

    command: str
    scope: str
    interval: str
    in_turn: str | None = None


@dataclass(frozen=True)
class CommandFamily:
    """All of a device that is the same for every program."""

    name: str
    levels: tuple[str, ...]
    bus: str
    parameters: tuple[str, ...]
    durations: tuple[Duration, ...]
    commands: tuple[CommandTemplate, ...]
    constraints: tuple[ConstraintTemplate, ...]
    activate_window: ActivateWindow | None
    refresh: RefreshTemplate | None
    peak_commands: tuple[str, ...]  # the templates that every column of KV goes through, in order

    def duration(self, name: str) -> Duration | None:
        """The duration of that name, with or without the leading n ("nEXP", "EXP")."""
        return next((d for d in self.durations if name in (d.name, d.name[1:])), None)

    def template(self, name: str) -> CommandTemplate:
        """The template of that name. Raises StopIteration when there is none."""
        return next(c for c in self.commands if c.name == name)
