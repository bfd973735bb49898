"""The values of one field of a sweep: one, a list, a range, or a distribution to draw from.

20                                     one value
[16, 20, 24]                           a list
{from: 1024, to: 65536, factor: 2}     a range: by step, by factor, or `count` values evenly spread
{from: 1, to: 2, count: 5, scale: log} (scale: linear or log)
{uniform: [0.5, 2]}                    to draw from, with `sample`: uniform,
{uniform: [1, 2], step: 0.01}          log_uniform (both may be rounded by step),
{choice: [a, b]}                       integer, log_integer (both ends included), choice
{from: 50, to: 200, step: 50, unit: ns}
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from pamsim.config.reader import DataPath, Document
from pamsim.errors import InputError, PamsimError, Position, did_you_mean, short

MAX_VALUES = 1_000_000
RANGE_KEYS = ("from", "to", "step", "factor", "count", "scale", "unit")
DISTRIBUTIONS = ("uniform", "log_uniform", "integer", "log_integer", "choice")

Value = int | float | str | bool | None | tuple[int, ...]


@dataclass(frozen=True)
class Distribution:
    """kind: one of DISTRIBUTIONS; `bounds` are its two ends, or the values of a choice.

    step: draws are rounded to the lower end plus a multiple of it; None for no rounding.
    """

    kind: str
    bounds: tuple[Value, ...]
    step: Fraction | None = None

    def at(self, quantile: float) -> Value:
        """The value below which a share of `quantile` (0 <= quantile < 1) of all draws lies."""
        if self.kind == "choice":
            return self.bounds[int(quantile * len(self.bounds))]
        low, high = self.bounds
        assert isinstance(low, int | float) and isinstance(high, int | float)
        if self.kind == "integer":
            return int(low) + int(quantile * (int(high) - int(low) + 1))
        if self.kind == "uniform":
            return self._rounded(low + quantile * (high - low))
        top = high + 1 if self.kind == "log_integer" else high
        value = math.exp(math.log(low) + quantile * (math.log(top) - math.log(low)))
        return min(int(value), int(high)) if self.kind == "log_integer" else self._rounded(value)

    def _rounded(self, value: float) -> Value:
        if self.step is None:
            return value
        low = self.bounds[0]
        assert isinstance(low, int | float)
        return _lattice(low, self.step, round((value - low) / float(self.step)))


@lru_cache(maxsize=1 << 16)
def _lattice(low: int | float, step: Fraction, steps: int) -> int | float:
    return _plain(Fraction(str(low)) + steps * step)


@dataclass(frozen=True)
class Axis:
    """A field's values in order, or the distribution they are drawn from.

    name: how zips, conditions and results call the field. position: of its value in the file.
    unit: what stands behind each number in the system ("ns"), "" for nothing.
    """

    name: str
    values: tuple[Value, ...]
    distribution: Distribution | None
    position: Position | None
    unit: str = ""


def read_axis(
    name: str, data: Any, document: Document, path: DataPath, faults: list[PamsimError]
) -> Axis:
    """The axis at `path` of a document; what is wrong with it goes to `faults`."""
    place = document.position(path)
    try:
        if isinstance(data, dict):
            unit = _unit(name, data, document, path)
            data = {key: value for key, value in data.items() if key != "unit"}
            if set(data) & set(DISTRIBUTIONS):
                return Axis(name, (), _distribution(name, data, document, path), place, unit)
            return Axis(name, _range(name, data, document, path), None, place, unit)
        if isinstance(data, list):
            if not data:
                raise InputError(f"{name} must have at least one value, not an empty list", place)
            return Axis(name, tuple(_scalar(name, v, document, (*path, i))
                                    for i, v in enumerate(data)), None, place)  # fmt: skip
        return Axis(name, (_scalar(name, data, document, path),), None, place)
    except PamsimError as error:
        faults.append(error)
        return Axis(name, (), None, place)


def _scalar(name: str, value: Any, document: Document, path: DataPath) -> Value:
    if isinstance(value, dict | list):
        raise InputError(f"value of {name} must be one value, not {short(value)}",
                         document.position(path))  # fmt: skip
    found: Value = value
    return found


def _unit(name: str, data: dict[str, Any], document: Document, path: DataPath) -> str:
    unit = data.get("unit", "")
    if not isinstance(unit, str):
        raise InputError(
            f"unit of {name} must be text such as ns, not {short(unit)}",
            document.position((*path, "unit")),
        )
    return unit


def _range(
    name: str, data: dict[str, Any], document: Document, path: DataPath
) -> tuple[Value, ...]:
    place = document.position(path)
    for key in data:
        if key not in RANGE_KEYS:
            raise InputError(
                f"key of {name} must be one of a range or a distribution, not {key[:60]!r}",
                document.position((*path, key), of_key=True),
                did_you_mean(key, (*RANGE_KEYS, *DISTRIBUTIONS)),
            )
    numbers = {k: _number(f"{k} of {name}", v, document.position((*path, k)))
               for k, v in data.items() if k != "scale"}  # fmt: skip
    ways = [key for key in ("step", "factor", "count") if key in data]
    if "from" not in data or "to" not in data or len(ways) != 1:
        rule = "from, to and one of step, factor or count"
        raise InputError(f"range of {name} must have {rule}", place)
    if "scale" in data and ("count" not in data or data["scale"] not in ("linear", "log")):
        raise InputError(f"scale of {name} must be linear or log, and go with count",
                         document.position((*path, "scale")))  # fmt: skip
    low, high, by = numbers["from"], numbers["to"], numbers[ways[0]]
    if low > high:
        raise InputError(f"range of {name} must go up, not from {data['from']} to {data['to']}",
                         place)  # fmt: skip
    where = document.position((*path, ways[0]))
    if ways[0] == "step":
        if by <= 0:
            raise InputError(f"step of {name} must be above 0, not {data['step']}", where)
        _few(name, (high - low) / by + 1, where)
        found = [low + i * by for i in range(int((high - low) / by) + 1)]
    elif ways[0] == "factor":
        if by <= 1 or low <= 0:
            raise InputError(f"factor of {name} must be above 1, and from above 0", where)
        _few(name, math.log(high / low) / math.log(by) + 1, where)
        found = []
        while low <= high:
            found.append(low)
            low *= by
    else:
        return _spread(name, data, low, high, by, where)
    return tuple(_plain(value) for value in found)


def _spread(
    name: str, data: dict[str, Any], low: Fraction, high: Fraction, by: Fraction,
    where: Position | None,
) -> tuple[Value, ...]:  # fmt: skip
    if by.denominator != 1 or by < 1:
        raise InputError(f"count of {name} must be a whole number from 1, not {data['count']}",
                         where)  # fmt: skip
    _few(name, by, where)
    count = int(by)
    shares = [Fraction(i, count - 1) if count > 1 else Fraction(0) for i in range(count)]
    if data.get("scale") != "log":
        return tuple(_plain(low + share * (high - low)) for share in shares)
    if low <= 0:
        raise InputError(f"from of {name} must be above 0 on a log scale, not {data['from']}",
                         where)  # fmt: skip
    ratio = math.log(high / low)
    inner = [float(low) * math.exp(ratio * float(share)) for share in shares[1:-1]]
    return (_plain(low), *inner, *([_plain(high)] if count > 1 else []))


def _distribution(
    name: str, data: dict[str, Any], document: Document, path: DataPath
) -> Distribution:
    place = document.position(path)
    kinds = [key for key in data if key != "step"]
    if len(kinds) != 1 or (len(data) == 2 and kinds[0] not in ("uniform", "log_uniform")):
        rule = f"one of {', '.join(DISTRIBUTIONS)}, and step go with uniform or log_uniform"
        raise InputError(f"distribution of {name} must be {rule}", place)
    kind = kinds[0]
    bounds = data[kind]
    where = document.position((*path, kind))
    if not isinstance(bounds, list) or not bounds:
        raise InputError(f"{kind} of {name} must be a list", where)
    if kind == "choice":
        return Distribution(kind, tuple(_scalar(name, v, document, (*path, kind, i))
                                        for i, v in enumerate(bounds)))  # fmt: skip
    if len(bounds) != 2:
        raise InputError(f"{kind} of {name} must have two ends, not {len(bounds)}", where)
    low, high = (_number(f"{kind} of {name}", v, where) for v in bounds)
    if low > high or (kind.startswith("log") and low <= 0):
        rule = "go up" + (" from above 0" if kind.startswith("log") else "")
        raise InputError(f"{kind} of {name} must {rule}, not {bounds[0]} to {bounds[1]}", where)
    if kind.endswith("integer") and (low.denominator != 1 or high.denominator != 1):
        raise InputError(f"{kind} of {name} must have whole ends", where)
    step = None
    if "step" in data:
        beside = document.position((*path, "step"))
        step = _number(f"step of {name}", data["step"], beside)
        if step <= 0:
            raise InputError(f"step of {name} must be above 0, not {data['step']}", beside)
    return Distribution(kind, (_plain(low), _plain(high)), step)


def _number(name: str, value: Any, place: Position | None) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} must be a number, not {short(value)}", place)
    return Fraction(str(value))  # as written: 0.1 is a tenth


def _few(name: str, count: Fraction | float, place: Position | None) -> None:
    if count > MAX_VALUES:
        raise InputError(f"{name} must have at most {MAX_VALUES} values", place)


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
