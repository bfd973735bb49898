"""A command family before its operands are known: templates of commands, timing and durations.

The family of a device is data (`ramulator_configs/device`); `pamsim.config.resolver` makes the
engine's integers from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pamsim.errors import Position


@dataclass(frozen=True)
class CommandTemplate:
    """A command, or one for each operand value: `MACbg_q{n}`."""

    name: str
    operand: str | None  # "n", "e"
    over: str | None  # the field of ProgramVariants that has the values
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
    activates: str  # "none", "one", "window": its weight in the activate window
    position: Position | None = field(default=None, compare=False)

    def instance(self, operand: int) -> str:
        """The command's name with its operand's value."""
        return self.name.replace(f"{{{self.operand}}}", str(operand)) if self.operand else self.name


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
class CommandFamily:
    """All of a device that is the same for every program."""

    name: str
    levels: tuple[str, ...]
    bus: str
    parameters: tuple[str, ...]
    durations: tuple[Duration, ...]
    commands: tuple[CommandTemplate, ...]
    constraints: tuple[ConstraintTemplate, ...]
    activate_window: ActivateWindow
    refresh_command: str
    refresh_scope: str
    refresh_interval: str
    peak_command: str  # the template that streams KV

    def duration(self, name: str) -> Duration | None:
        """The duration of that name, with or without the leading n ("nEXP", "EXP")."""
        return next((d for d in self.durations if name in (d.name, d.name[1:])), None)

    def template(self, name: str) -> CommandTemplate:
        """The template of that name. Raises StopIteration when there is none."""
        return next(c for c in self.commands if c.name == name)
