"""What must hold between the parts of a device description, beyond each value's own type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction

from pamsim.config.documents import is_packaged
from pamsim.config.reader import DataPath
from pamsim.config.schema import DeviceModel
from pamsim.config.spec import LEVEL_FIELDS
from pamsim.errors import InputError, PamsimError, Position, did_you_mean

Place = Callable[..., Position | None]

_OPERANDS = re.compile(r"[^{}]+(\{[ne]\}|\{n\}_c\{c\})")

# smaller, larger, may be equal, why
_ORDER = (
    ("nRFC", "nREFI", False, "a refresh has to end before the next is due"),
    ("nCCDS", "nCCDL", True, "the same bank group is never faster than another"),
    ("nCCDL", "nSEQ", True, "a sequencer reads a bank group no faster than the bus"),
    ("nCCDS", "nMAC", True, "a limit on MACs never makes them faster"),
    ("nREFIpb", "nREFI", True, "banks take turns within the interval of all"),
    ("nRRDS", "nRRDL", True, "the same bank group is never faster than another"),
    ("nWTRS", "nWTRL", True, "the same bank group is never faster than another"),
    ("nCCDS", "nCCDR", True, "another SID is never faster than the same"),
    ("nRCDRD", "nRAS", True, "a row has to stay open until it can be read"),
    ("nRCDWR", "nRAS", True, "a row has to stay open until it can be written"),
    ("nRAS", "nRC", True, "a row cycle holds the time that the row is open"),
    ("nRRDS", "nFAW", True, "the four-activate window holds more than one activate"),
)


def timing_faults(timing: Mapping[str, int], place: Place) -> Iterable[PamsimError]:
    """Timing parameters (CK) that contradict each other; told of the one that the user wrote."""
    for small, large, equal, why in _ORDER:
        if small not in timing or large not in timing:
            continue
        a, b = timing[small], timing[large]
        if a < b or (a == b and equal):
            continue
        at_small, at_large = place("timing", small), place("timing", large)
        if _users(at_small, at_large) is at_small:
            rule = f"at most {large} = {b} CK" if equal else f"below {large} = {b} CK"
            yield InputError(f"{small} must be {rule}, not {a} CK", at_small, why)
        else:
            rule = f"at least {small} = {a} CK" if equal else f"above {small} = {a} CK"
            yield InputError(f"{large} must be {rule}, not {b} CK", at_large, why)


def _users(*places: Position | None) -> Position | None:
    """Of the places of values that contradict each other, the first that is not the package's."""
    return next((p for p in places if p is not None and not is_packaged(p.file)), places[0])


def timing_warnings(timing: Mapping[str, int]) -> tuple[str, ...]:
    """Oddities of published values that are kept."""
    if not {"nRC", "nRAS", "nRP"} <= timing.keys():
        return ()
    row_cycle = timing["nRAS"] + timing["nRP"]
    if timing["nRC"] < row_cycle:
        return (
            f"nRC {timing['nRC']} CK is below nRAS + nRP = {row_cycle} CK: "
            "activate, precharge, activate binds, nRC never does",
        )
    return ()


def clock_faults(
    rate: Fraction, transfers: int, period_ps: Fraction | None, place: Place
) -> Iterable[PamsimError]:
    """The data rate and the clock's period as published; a period is rounded to 1 ps or so."""
    if (rate / transfers).denominator != 1:
        yield InputError("rate must give a whole number of CK a second", place("timing", "rate"))
    if period_ps is not None and abs(period_ps - Fraction(10**12) * transfers / rate) > 1:
        exact = float(Fraction(10**9) * transfers / rate)
        yield InputError(
            f"tCK must be {exact:.6g} ns (rate / {transfers} beats a CK), not "
            f"{float(period_ps / 1000):.6g} ns",
            _users(place("timing", "tCK"), place("timing", "rate")),
            "rate and tCK change together",
        )


def organisation_faults(
    model: DeviceModel, values: Mapping[str, int], nbl: int | None, place: Place
) -> Iterable[PamsimError]:
    """The family's levels are counted; rows hold whole columns; a burst moves one column.

    nbl: CK of a burst, None for a device that has none.
    """
    counted = {LEVEL_FIELDS[level] for level in model.levels if level in LEVEL_FIELDS}
    for name in set(LEVEL_FIELDS.values()) - {"columns"}:
        if (name in values) != (name in counted):
            rule = "given" if name in counted else "left out"
            yield InputError(
                f"organisation.{name} must be {rule}, as the levels of {model.family} are "
                f"{', '.join(model.levels)}",
                place("organisation", name),
            )
    if values["row_bytes"] % values["column_bytes"]:
        yield InputError(
            f"row_bytes must be a multiple of column_bytes = {values['column_bytes']} B, "
            f"not {values['row_bytes']} B",
            _users(place("organisation", "row_bytes"), place("organisation", "column_bytes")),
        )
    if nbl is None:
        return
    burst_bits = nbl * model.transfers_per_ck * values["dq_bits"]
    if burst_bits != values["column_bytes"] * 8:
        yield InputError(
            f"column_bytes must be what a burst moves ({nbl} CK x {model.transfers_per_ck} beats "
            f"x {values['dq_bits']} bit = {burst_bits // 8} B), not {values['column_bytes']} B",
            _users(
                place("organisation", "column_bytes"),
                place("organisation", "dq_bits"),
                place("timing", "nBL"),
            ),
        )


def family_faults(model: DeviceModel, place: Place) -> Iterable[PamsimError]:
    """Names inside the family that name nothing."""
    yield from _level_faults(model, place)
    names = set(model.commands)
    for name, command in model.commands.items():
        for role in ("opens", "closes"):
            target = getattr(command, role)
            if target is None:
                continue
            if target not in names:
                yield _unknown("command", target, names, place("commands", name, role))
            elif _wider(model, target, command.scope):
                yield InputError(
                    f"{role} of {name} must not be wider than {command.scope}, not {target}",
                    place("commands", name, role),
                )
        if command.cycles is None and model.bus_cycles is None:
            yield InputError(
                f"cycles of {name} must be given, as the device has no bus_cycles",
                place("commands", name),
            )
        if ("{" in name) != (command.over is not None):
            yield InputError(
                f"over of {name} must be given exactly when its name has an operand",
                place("commands", name),
            )
        elif "{" in name and not _OPERANDS.fullmatch(name):
            yield InputError(
                f"operand of {name} must be {{n}} or {{e}} at its end", place("commands", name)
            )
    for path, pattern in _patterns(model):
        if pattern.startswith("$") and path[0] == "groups":
            yield InputError("group must hold commands, not groups", place(*path))
        elif pattern.startswith("$") and pattern[1:] in model.groups:
            continue  # its members are looked at where they stand
        elif not expand_pattern(model, pattern):
            known = [*names, *(f"${g}" for g in model.groups)]
            yield _unknown("command", pattern, known, place(*path))
    for name in model.peak_command:
        if name not in names:
            yield _unknown("command", name, names, place("peak_command"))
    if model.refresh is not None:
        refresh = model.commands.get(model.refresh.command)
        if refresh is None:
            place_of = place("refresh", "command")
            yield _unknown("command", model.refresh.command, names, place_of)
        elif not refresh.refresh:
            yield InputError("refresh.command must be marked refresh", place("refresh", "command"))
        depth = {level: i for i, level in enumerate(model.levels)}
        above = model.refresh.in_turn
        if above is not None and depth.get(above, 0) >= depth.get(model.refresh.scope, 99):
            yield InputError(
                f"refresh.in_turn must be a level above {model.refresh.scope}, not {above}",
                place("refresh", "in_turn"),
            )
    if (model.bus == "HALF_CLOCK") != (model.ticks_per_ck == 2):
        yield InputError(
            f"ticks_per_ck must be 2 on a HALF_CLOCK bus and 1 elsewhere, not {model.ticks_per_ck}",
            _users(place("ticks_per_ck"), place("bus")),
        )
    for i, row in enumerate(model.timing_constraints):
        if row.sibling and (row.level == model.levels[0] or row.window != 1):
            yield InputError(
                "sibling row must have window 1 and a level below the top",
                place("timing_constraints", i),
            )


def _wider(model: DeviceModel, command: str, scope: str) -> bool:
    levels = {level: i for i, level in enumerate(model.levels)}
    return levels.get(model.commands[command].scope, 0) < levels.get(scope, 0)


def _level_faults(model: DeviceModel, place: Place) -> Iterable[PamsimError]:
    known = ("Channel", *LEVEL_FIELDS)
    for level in model.levels:
        if level not in known:
            yield _unknown("level", level, known, place("levels"))
    if (model.levels[0], *model.levels[-2:]) != ("Channel", "Row", "Column"):
        yield InputError("levels must go from Channel to Row, Column", place("levels"))
    if len(set(model.levels)) != len(model.levels):
        yield InputError("levels must be named once each", place("levels"))
    inside = model.levels[:-2]
    places: list[tuple[str, DataPath]] = []
    if model.activate_window is not None:
        places.append((model.activate_window.level, ("activate_window", "level")))
    if model.refresh is not None:
        places.append((model.refresh.scope, ("refresh", "scope")))
        places.append((model.refresh.in_turn or model.levels[0], ("refresh", "in_turn")))
    places += [(c.scope, ("commands", n, "scope")) for n, c in model.commands.items()]
    places += [
        (r.level, ("timing_constraints", i, "level"))
        for i, r in enumerate(model.timing_constraints)
    ]
    for level, path in places:
        if level not in inside:
            yield _unknown("level", level, inside, place(*path))


def _patterns(model: DeviceModel) -> Iterable[tuple[DataPath, str]]:
    for name, members in model.groups.items():
        for i, pattern in enumerate(members):
            yield ("groups", name, i), pattern
    for i, row in enumerate(model.timing_constraints):
        for side in ("preceding", "following"):
            for k, pattern in enumerate(getattr(row, side)):
                yield ("timing_constraints", i, side, k), pattern


def expand_pattern(model: DeviceModel, pattern: str) -> tuple[str, ...]:
    """Templates that a name, `X_*` or `$group` stands for; empty when there are none."""
    if pattern.startswith("$"):
        members = model.groups.get(pattern[1:], [])
        return tuple(n for m in members if not m.startswith("$") for n in expand_pattern(model, m))
    if "*" in pattern:
        return tuple(n for n in model.commands if fnmatchcase(n, pattern))
    return (pattern,) if pattern in model.commands else ()


def _unknown(what: str, name: str, known: Iterable[str], place: Position | None) -> PamsimError:
    return InputError(
        f"{what} must be a known one, not {name[:60]!r}", place, did_you_mean(name[:60], known)
    )
