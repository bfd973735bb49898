"""Quantities that people write ("14 ns", "6.4 Gbps", "64 KiB") as exact numbers of one unit.

The only place that knows unit names. Values are Fractions: 350 ns at 1.3 GHz is 455 CK, not
455.0000000001.
"""

from __future__ import annotations

import re
from fractions import Fraction

from pamsim.errors import InputError, nearest

_SI = {
    "f": -15,
    "p": -12,
    "n": -9,
    "u": -6,
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
}


def shown_bytes(size: int) -> str:
    """A size as people read it: GiB from one GiB on, else MiB."""
    return f"{size / 2**30:.2f} GiB" if abs(size) >= 1 << 30 else f"{size / 2**20:.2f} MiB"


def _scaled(unit: str, prefixes: str, canonical: str) -> dict[str, Fraction]:
    """`unit` under each prefix ("-" is none) as multiples of the canonical prefix."""
    return {
        f"{'' if p == '-' else p}{unit}": Fraction(10)
        ** (_SI["" if p == "-" else p] - _SI[canonical])
        for p in prefixes
    }


_BINARY = {f"{p}iB": Fraction(1024) ** n for n, p in enumerate("KMGT", start=1)}
_DECIMAL = _scaled("B", "-kMGT", "")
_RATE = _scaled("bps", "kMG", "") | _scaled("b/s", "-kMG", "")

# dimension -> unit -> how many of the dimension's first unit
DIMENSIONS: dict[str, dict[str, Fraction]] = {
    "time": _scaled("s", "pnum-", "p"),
    "clock cycles": {"CK": Fraction(1)},
    "unit cycles": {"cycle": Fraction(1)},
    "frequency": _scaled("Hz", "-kMG", ""),
    "data rate": {"bit/s": Fraction(1), **_RATE, "MT/s": Fraction(10**6), "GT/s": Fraction(10**9)},
    "size": {**_DECIMAL, **_BINARY},
    "width": {"bit": Fraction(1)},
    "bandwidth": {f"{u}/s": f for u, f in (_DECIMAL | _BINARY).items()},
    "compute rate": {"flop/s": Fraction(1), **_scaled("FLOPS", "MGTP", "")},
    "energy": _scaled("J", "pfnu", "p"),
    "energy per bit": _scaled("J/bit", "pfn", "p"),
    "energy per byte": _scaled("J/B", "pfn", "p"),
    "energy per operation": _scaled("J/flop", "pfn", "p"),
    "power": _scaled("W", "mu-", "m"),
    "number": {"1": Fraction(1)},
}

_QUANTITY = re.compile(
    r"([-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][-+]?\d{1,2})?)\s*([A-Za-z].*)?"
)


def canonical_unit(dimension: str) -> str:
    """The unit that values of `dimension` are counted in."""
    return next(iter(DIMENSIONS[dimension]))


def exact(value: int | float) -> Fraction:
    """The number as it was written: 0.1 is 1/10. Raises InputError beyond 30 digits."""
    if not -1e30 < value < 1e30:
        raise InputError(f"number must be below 1e30, not {str(value)[:40]}")
    if isinstance(value, int):
        return Fraction(value)
    return Fraction(repr(value)) if abs(value) > 1e-30 else Fraction(0)


def split_quantity(text: str) -> tuple[int | float, str] | None:
    """("14 ns") -> (14, "ns"); None when `text` is not a number with an optional unit."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        return None
    digits = match[1]
    number = int(digits) if re.fullmatch(r"[-+]?\d+", digits) else float(digits)
    return number, (match[2] or "").strip()


def convert(value: int | float, unit: str, dimension: str) -> Fraction:
    """`value` `unit` in the canonical unit of `dimension`. Raises InputError for another unit."""
    units = DIMENSIONS[dimension]
    if unit not in units:
        raise InputError(
            f"unit must be one of {dimension} ({', '.join(units)}), not {unit[:40]!r}",
            hint=nearest(unit[:40], units),
        )
    return exact(value) * units[unit]


def parse_quantity(text: str, dimension: str) -> Fraction:
    """A quantity in the canonical unit of `dimension`. Raises InputError."""
    parts = split_quantity(text)
    if parts is None:
        raise InputError(f"quantity must be a number with a unit of {dimension}, not {text[:40]!r}")
    value, unit = parts
    return convert(value, unit or canonical_unit(dimension), dimension)


def number(value: Fraction) -> int | float:
    """The plain number: an int where it is one."""
    return value.numerator if value.denominator == 1 else float(value)
