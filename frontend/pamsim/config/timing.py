"""A device's named timing parameters: written in CK, in time, or as an expression over others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from pamsim.config.constants import Place
from pamsim.config.expression import evaluate, names_in
from pamsim.config.quantity import ConstantModel
from pamsim.config.schema import DeviceModel
from pamsim.config.units import DIMENSIONS, convert
from pamsim.errors import InputError, PamsimError, short

MAX_CK = 10**7
CLOCK_NAMES = ("rate", "tCK")


def measure(constant: ConstantModel, dimension: str, name: str, place: Place) -> Fraction:
    """A quantity with its unit, in the dimension's canonical unit. Raises InputError."""
    value, unit = constant.written
    where = place("timing", name)
    try:
        if isinstance(value, str | bool):
            raise InputError("quantity must be a number with a unit")
        result = convert(value, unit, dimension)
    except PamsimError as error:
        units = ", ".join(DIMENSIONS[dimension])
        raise InputError(
            f"timing.{name} must be a quantity of {dimension} with its unit ({units}), "
            f"not {f'{value} {unit}'.strip()!r}",
            where,
            error.hint,
        ) from None
    if result <= 0:
        raise InputError(f"timing.{name} must be above 0, not {value} {unit}", where)
    return result


def resolve(
    model: DeviceModel, ck_hz: int, place: Place
) -> tuple[dict[str, int], list[PamsimError]]:
    """(parameter -> CK, faults). Times are rounded up to CK; expressions follow what they name."""
    values: dict[str, int] = {}
    faults: list[PamsimError] = []
    waiting: dict[str, str] = {}
    for name in model.parameters:
        constant = model.timing[name]
        value, unit = constant.written
        if isinstance(value, str) and unit in ("", "CK"):
            waiting[name] = value
            continue
        try:
            values[name] = _written_ck(name, value, unit, ck_hz)
        except PamsimError as error:
            faults.append(InputError(error.message, place("timing", name), error.hint))
    while waiting and not faults:
        ready = [n for n, text in waiting.items() if _names(text) & waiting.keys() == set()]
        for name in ready or list(waiting)[:1]:
            text = waiting.pop(name)
            try:
                if not ready:
                    raise InputError(
                        f"timing.{name} must not be defined by itself, as {text[:60]!r}"
                    )
                values[name] = _whole(name, evaluate(text, values))
            except PamsimError as error:
                message = error.message
                if not message.startswith("timing."):
                    message = f"timing.{name}: {message}"
                faults.append(InputError(message, place("timing", name), error.hint))
                break
    if not faults:
        faults += _range_faults(model, values, ck_hz, place)
    return {n: values[n] for n in model.parameters if n in values}, faults


def range_in_ck(constant: ConstantModel, ck_hz: int) -> tuple[float, float] | None:
    """The range of a parameter in CK: its ends have the unit that its value is written in."""
    if constant.range is None:
        return None
    unit = constant.written[1]
    low, high = constant.range
    if unit in ("", "CK"):
        return float(low), float(high)
    return float(_time_in_ck(low, unit, ck_hz)), float(_time_in_ck(high, unit, ck_hz))


def _range_faults(
    model: DeviceModel, values: dict[str, int], ck_hz: int, place: Place
) -> Iterator[PamsimError]:
    """Expressions outside their range; a number is held against its range as it is read."""
    for name, value in values.items():
        ends = range_in_ck(model.timing[name], ck_hz)
        if ends is not None and not ends[0] <= value <= ends[1]:
            yield InputError(
                f"timing.{name} must be inside its own range {ends[0]:g} to {ends[1]:g} CK, "
                f"not {value} CK",
                place("timing", name),
            )


def _names(text: str) -> frozenset[str]:
    try:
        return names_in(text)
    except PamsimError:
        return frozenset()  # evaluate says what is wrong


def _written_ck(name: str, value: int | float | bool | str, unit: str, ck_hz: int) -> int:
    if isinstance(value, bool | str):
        raise InputError(f"timing.{name} must be CK, a time or an expression, not {short(value)}")
    if unit in ("", "CK"):
        return _whole(
            name, Fraction(value) if isinstance(value, int) else convert(value, "1", "number")
        )
    try:
        cycles = _time_in_ck(value, unit, ck_hz)
    except PamsimError as error:
        units = ", ".join(DIMENSIONS["time"])
        raise InputError(
            f"timing.{name} must be CK, a time ({units}) or an expression, "
            f"not {f'{value} {unit}'[:60]!r}",
            hint=error.hint,
        ) from None
    return _whole(name, cycles)


def _time_in_ck(value: int | float, unit: str, ck_hz: int) -> Fraction:
    """A time in CK, rounded up."""
    return Fraction(math.ceil(convert(value, unit, "time") * ck_hz / 10**12))


def _whole(name: str, value: Fraction) -> int:
    if value.denominator != 1:
        raise InputError(f"timing.{name} must be a whole number of CK, not {float(value):g}")
    if not 1 <= value <= MAX_CK:
        raise InputError(f"timing.{name} must be from 1 to {MAX_CK} CK, not {int(value)}")
    return int(value)
