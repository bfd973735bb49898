"""Time of the system: integer picoseconds. The only place where ticks and rates become time."""

from __future__ import annotations

from fractions import Fraction

PS_PER_SECOND = 10**12
PS_PER_NS = 1000


def ticks_to_ps(ticks: int, ticks_per_second: int) -> int:
    """Picoseconds of `ticks`, rounded up to a whole one."""
    return -(-ticks * PS_PER_SECOND // ticks_per_second)


def rate_to_ps(amount: int, per_second: int | Fraction) -> int:
    """Picoseconds that `amount` (bytes, operations) takes at a rate, rounded up to a whole one."""
    exact = Fraction(amount) * PS_PER_SECOND / Fraction(per_second)
    return -(-exact.numerator // exact.denominator)


def ps_to_ns(ps: int) -> float:
    """Nanoseconds for people and JSON; equal picoseconds give equal floats."""
    return ps / PS_PER_NS
