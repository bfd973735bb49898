"""Energy as a list of terms, each a constant with its source times a count."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class EnergyTerm:
    """pj = unit_energy_pj x count.

    per:    what is counted ("bit", "bank activate", "ns of a pseudo-channel", ...)
    scope:  the unit of the machine that the constant is for
    commands: where the count comes from command counts, how many of `per` each command stands for;
              then count = sum over channels of commands x multiplicity x this
    """

    tier: str
    name: str
    unit_energy_pj: float
    per: str
    scope: str
    count: int | float
    source: str
    commands: tuple[tuple[str, int], ...] = ()

    @property
    def pj(self) -> float:
        return self.unit_energy_pj * self.count


@dataclass(frozen=True)
class EnergyAccount:
    """All terms of a step, or the constants that are missing; never a partial sum."""

    terms: tuple[EnergyTerm, ...]
    missing: tuple[str, ...] = ()

    @property
    def total_pj(self) -> float | None:
        """Sum of the terms; None when a constant is missing."""
        return None if self.missing else math.fsum(t.pj for t in self.terms)
