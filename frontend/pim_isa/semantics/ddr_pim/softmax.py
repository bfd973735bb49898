"""What the units of a DDR-PIM bank group do with scores in place.

Each function is the pseudo-code of an instruction in tables/ddr_pim.toml on one bank group.
"""

from __future__ import annotations

import numpy as np

from pim_isa.arithmetic import exponential, sum_in_order, to_fp16
from pim_isa.errors import IsaError
from pim_isa.semantics.ddr_pim.group import CHIPS, EMPTY, PARTIAL, PROBABILITY, SCORE, Group

_MADE_BY = {
    PARTIAL: "finished dot products (MACK with last = 0)",
    SCORE: "scores (MACK with last = 1, or SUMX where vectors are striped)",
    PROBABILITY: "exponentials (EXP)",
}


def sum_over_chips(group: Group, slots: int, base: int, masked: int) -> None:
    """SUMX."""
    if not group.striped:
        raise IsaError("SUMX must work on striped vectors (CFG striped = 1)")
    units, arithmetic = group.chosen(masked), group.die.arithmetic
    visits, group.visits = group.visits, []
    if not group.active:
        group.kind[units, base : base + slots] = EMPTY
        return
    banks = np.unique(units // CHIPS)
    if len(units) != len(banks) * CHIPS:
        raise IsaError("SUMX must work on all chips of a bank")
    _slots(group, "SUMX", base, slots, units, PARTIAL)
    parts = group.score[units, : group.n, base : base + slots]
    parts = parts.reshape(len(banks), CHIPS, group.n, slots)
    while parts.shape[1] > 1:  # neighbours, three times
        parts = parts[:, 0::2] + parts[:, 1::2]
    sums = parts[:, 0]
    if arithmetic.score_dtype == "fp16":
        sums, count = to_fp16(sums, arithmetic.saturate)
        group.die.saturations.scores += count
    group.score[units, : group.n, base : base + slots] = np.repeat(sums, CHIPS, axis=0)
    group.kind[units, base : base + slots] = SCORE
    for visit in visits:
        first, count = int(visit["bases"][0]), visit["slots"]
        inside = base <= first and first + count <= base + slots
        scores = group.score[0::CHIPS, : group.n, first : first + count][None].copy()
        if inside and np.isin(visit["units"], units).all():
            group.record("dot", scores=scores, **visit)
        else:
            group.visits.append(visit)


def row_maximum(group: Group, slots: int, base: int, masked: int, first: int) -> None:
    """MAX."""
    n, units = group.n, group.chosen(masked)
    if not group.active:
        group.maximum[:, :n] = np.nan
        return
    _slots(group, "MAX", base, slots, units, SCORE)
    if first:
        group.maximum[:, :n] = -np.inf
    values = group.score[units, :n, base : base + slots]
    if np.isnan(values).any():
        raise IsaError("MAX must work on numbers: a score used memory never written")
    group.maximum[units, :n] = np.maximum(group.maximum[units, :n], values.max(axis=-1))
    group.record("max", bases=np.array([base]), slots=slots, units=units, first=bool(first))


def exponentials(group: Group, slots: int, base: int, masked: int) -> None:
    """EXP."""
    n, units = group.n, group.chosen(masked)
    if not group.active:
        group.kind[:, base : base + slots] = EMPTY
        return
    _slots(group, "EXP", base, slots, units, SCORE)
    maximum = group.maximum[units, :n, None].astype(np.float64)
    if np.isnan(maximum).any() or np.isneginf(maximum).any():
        raise IsaError("EXP must come after the MAX of its units")
    score = group.score[units, :n, base : base + slots].astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf, where scores do not saturate
        value = exponential(score - maximum, group.die.arithmetic.probability_dtype)
    group.score[:, :n, base : base + slots] = 0
    group.score[units, :n, base : base + slots] = value
    group.kind[:, base : base + slots] = PROBABILITY
    group.record("exp", bases=np.array([base]), slots=slots, units=units)


def add(group: Group, slots: int, base: int, masked: int, first: int) -> None:
    """SUM."""
    n, units = group.n, group.chosen(masked)
    if not group.active:
        group.total[:, :n] = np.nan
        return
    _slots(group, "SUM", base, slots, units, PROBABILITY)
    if first:
        group.total[:, :n] = 0
    values = group.score[units, :n, base : base + slots]
    group.total[units, :n] = group.total[units, :n] + sum_in_order(values)
    group.record("sum", bases=np.array([base]), slots=slots, units=units, first=bool(first))


def _slots(group: Group, name: str, base: int, slots: int, units: np.ndarray, kind: int) -> None:
    if (group.kind[units, base : base + slots] != kind).any():
        raise IsaError(
            f"{name} must work on {_MADE_BY[kind]} in slots {base} to {base + slots - 1}"
        )
