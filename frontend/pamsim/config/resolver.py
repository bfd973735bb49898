"""From a device's named parameters to the integers that an engine runs on.

The one place where expressions, CK, multi-cycle commands, command buses and the weight of an
activate become numbers (engine rules 1, 4, 5, 12). Names become numbers here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction

from pamsim.config.expression import evaluate
from pamsim.config.family import CommandTemplate, ConstraintTemplate, Duration, Operand
from pamsim.config.spec import DeviceSpec, ProgramVariants
from pamsim.errors import InputError, PamsimError, Position, did_you_mean
from pyramulator.description import Bus, Command, Description, Refresh, RowUse, Slot, TimingRow

ELEMENTS, ELEMENT_STEP = "e", 16  # operands called e are multiples of it
COLUMNS = "c"  # operand: columns of a row that one macro command reads


def duration_ticks(device: DeviceSpec, unit: str, elements: int = 0) -> int:
    """Ticks that a unit works on one command: "MAX", "EXP", "SUM", "RED", "LDM", "PU" (a MAC's).

    `elements` is the operand: elements, or the number of queries for "PU". The product of cycles
    and ticks per cycle is rounded up once. Raises InputError for an unknown unit.
    """
    duration = device.templates.duration(unit)
    if duration is None:
        known = [d.name[1:] for d in device.templates.durations]
        raise InputError(f"unit must be a known one, not {unit!r}", hint=did_you_mean(unit, known))
    return _ticks_of(device, duration, elements)


def _ticks_of(device: DeviceSpec, duration: Duration, operand: int) -> int:
    names: dict[str, Fraction | int] = {
        name: value
        for part in (device.pim.extra, asdict(device.pim), asdict(device.organisation))
        for name, value in part.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    if duration.operand:
        names[duration.operand] = operand
    cycles = _at(duration.position, lambda: evaluate(duration.cycles, names))
    if cycles < 0:
        raise InputError(f"{duration.name} must not be negative, not {cycles}", duration.position)
    return math.ceil(cycles * device.ticks_per_second / device.pim.clock_hz)


def describe(device: DeviceSpec, variants: ProgramVariants) -> Description:
    """The Description for the operand values in `variants`.

    Commands come in the family's order, operand values ascending. Rows: the command buses, then the
    family's constraints in its order, then the activate window. Raises InputError for operands out
    of range, unknown names and negative latencies.
    """
    return _Resolver(device, variants).description()


@dataclass(frozen=True)
class _Instance:
    name: str
    template: CommandTemplate
    operand: Operand | None


class _Resolver:
    def __init__(self, device: DeviceSpec, variants: ProgramVariants) -> None:
        self.device, self.family = device, device.templates
        self.instances: dict[str, tuple[_Instance, ...]] = {}
        for template in self.family.commands:
            operands: Iterable[Operand | None] = [None]
            if template.over:
                operands = variants.of(template.over)
                _check_operands(template, variants.of(template.over))
            self.instances[template.name] = tuple(
                _Instance(template.instance(o), template, o) for o in operands
            )
        self.durations: dict[tuple[str, int], int] = {}
        self.sizes = tuple(device.organisation.count(level) for level in self.family.levels)

    def description(self) -> Description:
        family = self.family
        commands = tuple(self.command(i) for group in self.instances.values() for i in group)
        rows = [*self.bus_rows(commands)]
        for constraint in family.constraints:
            rows.extend(self.rows(constraint))
        rows.extend(self.activate_rows())
        refresh = (
            None
            if family.refresh is None
            else Refresh(
                family.refresh.command,
                family.refresh.scope,
                self.ticks(family.refresh.interval, None, None),
                family.refresh.in_turn,
            )
        )
        return Description(
            name=self.device.name,
            levels=family.levels,
            sizes=self.sizes,
            ticks_per_second=self.device.ticks_per_second,
            bus=Bus[family.bus],
            commands=commands,
            rows=tuple(rows),
            refresh=refresh,
        )

    def command(self, instance: _Instance) -> Command:
        t = instance.template
        return Command(
            name=instance.name,
            scope=t.scope,
            slot=Slot[t.bus.upper()],
            cycles=t.cycles,
            row_use=RowUse[t.row_use.upper()],
            opens=t.opens,
            closes=t.closes,
            completion=self.ticks(t.completion, instance, t.position) + self.stagger(t),
            falling_edge=t.falling_edge,
            auto_precharge=t.auto_precharge,
            refresh=t.refresh,
        )

    def ticks(self, text: str, instance: _Instance | None, position: Position | None) -> int:
        """An expression over parameters in CK, in ticks, before any offset."""
        per_ck = self.device.ticks_per_ck
        names: dict[str, Fraction | int] = dict(self.device.timing_ck)
        if instance is not None:
            names |= instance.template.values(instance.operand)
        functions = {d.name: self.function(d) for d in self.family.durations if d.operand}
        for duration in self.family.durations:
            if not duration.operand:
                names[duration.name] = Fraction(self.cached(duration, 0), per_ck)
        value = _at(position, lambda: evaluate(text, names, functions)) * per_ck
        if value.denominator != 1:
            raise InputError(f"latency must be whole ticks, not {value} ({text})", position)
        if value < 0:
            raise InputError(f"latency must not be negative, not {value} ticks ({text})", position)
        return value.numerator

    def function(self, duration: Duration) -> Callable[[Fraction], Fraction]:
        """The duration as a function of its operand, in CK: latencies are expressions in CK."""
        return lambda operand: Fraction(
            self.cached(duration, operand.numerator), self.device.ticks_per_ck
        )

    def cached(self, duration: Duration, operand: int) -> int:
        key = (duration.name, operand)
        if key not in self.durations:
            self.durations[key] = _ticks_of(self.device, duration, operand)
        return self.durations[key]

    def bus_rows(self, commands: tuple[Command, ...]) -> Iterable[TimingRow]:
        """A command keeps its bus for its cycles. No offset: it has the bus from its first tick."""
        single = Bus[self.family.bus] is Bus.SINGLE
        buses = {"": commands} if single else {
            f"{slot.name.lower()} ": [c for c in commands if c.slot is slot] for slot in Slot
        }  # fmt: skip
        for bus, on_slot in buses.items():
            for cycles in sorted({c.cycles for c in on_slot if c.cycles > 1}):
                yield TimingRow(
                    level=self.family.levels[0],
                    preceding=tuple(c.name for c in on_slot if c.cycles == cycles),
                    following=tuple(c.name for c in on_slot),
                    latency=cycles,
                    rule=f"{bus}command bus, {cycles} ticks",
                )

    def rows(self, constraint: ConstraintTemplate) -> Iterable[TimingRow]:
        """The rows of one constraint, one for each distinct latency with operand and offset."""
        following = [i for name in constraint.following for i in self.instances[name]]
        rows: dict[tuple[int, tuple[str, ...]], list[str]] = {}
        for name in constraint.preceding:
            for before in self.instances[name]:
                base = self.ticks(constraint.latency, before, constraint.position)
                by_latency: dict[int, list[str]] = {}
                for after in following:
                    latency = base + (before.template.cycles - 1) - (after.template.cycles - 1)
                    if after.template.row_use in ("access", "close"):
                        latency += self.stagger(before.template)
                    if latency < 0:
                        raise InputError(
                            f"latency of {before.name} -> {after.name} must not be negative, "
                            f"not {latency} ticks ({constraint.latency}, offset included)",
                            constraint.position,
                        )
                    by_latency.setdefault(latency, []).append(after.name)
                for latency, names in by_latency.items():
                    rows.setdefault((latency, tuple(names)), []).append(before.name)
        for (latency, followings), precedings in rows.items():
            yield TimingRow(
                level=constraint.level,
                preceding=tuple(precedings),
                following=followings,
                latency=latency,
                window=constraint.window,
                sibling=constraint.sibling,
                rule=constraint.latency,
            )

    def activate_rows(self) -> Iterable[TimingRow]:
        """What an activate takes of the window (engine rule 4)."""
        window = self.family.activate_window
        if window is None:
            return
        one = tuple(c.name for c in self.family.commands if c.activates == "one")
        full = {
            c.name: self.windows(c)
            for c in self.family.commands
            if c.activates in ("window", "staggered")
        }
        pairs = [(one, one, window.latency, window.window)]
        for count in sorted(set(full.values())):
            latency = window.latency if count == 1 else f"{count} * ({window.latency})"
            names = tuple(name for name, windows in full.items() if windows == count)
            pairs.append((names, (*one, *full), latency, 1))
        pairs.append((one, tuple(full), window.latency, 1))
        for preceding, following, latency, count in pairs:
            if preceding and following:
                yield from self.rows(
                    ConstraintTemplate(
                        window.level, preceding, following, latency, count, sibling=False
                    )
                )

    def windows(self, command: CommandTemplate) -> int:
        """Activate windows that the banks of an activate fill."""
        window = self.family.activate_window
        assert window is not None
        levels = self.family.levels
        node = max(levels.index(command.scope), levels.index(window.level))  # a window's own banks
        banks = math.prod(self.sizes[node + 1 : -2])
        if banks > window.window and command.activates == "window":
            raise InputError(
                f"activates of {command.name} must be staggered or exempt, as it opens {banks} "
                f"banks and {window.latency} is of {window.window}, not window",
                command.position,
            )
        return math.ceil(banks / window.window)

    def stagger(self, command: CommandTemplate) -> int:
        """Ticks from the first banks of a staggered activate to its last."""
        if command.activates != "staggered" or self.family.activate_window is None:
            return 0
        return (self.windows(command) - 1) * self.ticks(
            self.family.activate_window.latency, None, command.position
        )


def smallest_operand(template: CommandTemplate, columns: int = 1) -> Operand:
    """The least value that the operand of a template can have, with `columns` of a visit."""
    least = {ELEMENTS: ELEMENT_STEP, COLUMNS: columns}
    values = tuple(least.get(name, 1) for name in template.operands)
    return values if len(values) > 1 else values[0] if values else 1


def _check_operands(template: CommandTemplate, values: Iterable[Operand]) -> None:
    for name, value in ((n, v) for o in values for n, v in template.values(o).items()):
        if name == ELEMENTS:
            if not 0 < value <= 1 << 24 or value % ELEMENT_STEP:
                raise InputError(
                    f"{template.over} must be a positive multiple of {ELEMENT_STEP}, not {value}"
                )
        elif not 1 <= value <= 1 << 16:
            raise InputError(f"{template.over} must be from 1 to {1 << 16}, not {value}")


def _at(position: Position | None, compute: Callable[[], Fraction]) -> Fraction:
    """The value; an error gets the place of the expression."""
    try:
        return compute()
    except PamsimError as error:
        if error.position is not None:
            raise
        raise InputError(error.message, position, error.hint) from None
