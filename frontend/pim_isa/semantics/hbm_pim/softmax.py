"""What the PUs of HBM-PIM do with scores in place: scales, soft cap, maximum, exponential, sum.

Each function is the pseudo-code of an instruction in tables/hbm_pim.toml on one bank group.
"""

from __future__ import annotations

import numpy as np

from pim_isa.arithmetic import exponential, soft_cap, sum_in_order, to_fp16
from pim_isa.errors import IsaError
from pim_isa.semantics.hbm_pim.group import EMPTY, PARTIAL, PROBABILITY, SCORE, WEIGHT, Group

_MADE_BY = {
    PARTIAL: "finished dot products (MACK with last = 0)",
    SCORE: "scores (MACK with last = 1)",
    PROBABILITY: "exponentials (EXP)",
}


def scale_scores(
    group: Group, row: int, column: int, columns: int, base: int, mask: int, slots: int, lane: int
) -> None:
    """SCLK at the open row."""
    group.visit("SCLK", row)
    scale_visits(group, "SCLK", np.array([row]), np.array([base]), column, mask, slots, lane)


def scale_weights(
    group: Group, row: int, column: int, columns: int, base: int, mask: int, slots: int, lane: int
) -> None:
    """SCLV at the open row."""
    group.visit("SCLV", row)
    scale_visits(group, "SCLV", np.array([row]), np.array([base]), column, mask, slots, lane)


def scale_visits(
    group: Group,
    name: str,
    rows: np.ndarray,
    bases: np.ndarray,
    column: int,
    mask: int,
    slots: int,
    lane: int,
) -> None:
    """SCLK or SCLV in rows [visits], on slots from bases [visits] on, which do not overlap."""
    n, banks = group.n, group.selection[mask]
    target = (bases[:, None] + np.arange(slots)).ravel()
    where = np.ix_(banks, target)
    if not group.active:
        group.kind[where] = EMPTY
        return
    kind = PARTIAL if name == "SCLK" else PROBABILITY
    if (group.kind[where] != kind).any():
        raise IsaError(f"{name} must work on {_MADE_BY[kind]}")
    columns = -(-(lane + slots) // group.lanes)
    block = group.memory.block(rows, column, columns)  # [visits, banks, columns, lanes]
    scales = block.reshape(len(rows), group.banks, -1)[:, banks, lane : lane + slots]
    index = np.ix_(banks, np.arange(n), target)
    result = group.score[index] * scales.transpose(1, 0, 2).reshape(len(banks), 1, len(target))
    if name == "SCLK" and group.die.arithmetic.score_dtype == "fp16":
        result, count = to_fp16(result, group.die.arithmetic.saturate)
        group.die.saturations.scores += count
    group.score[index] = result
    group.kind[where] = SCORE if name == "SCLK" else WEIGHT
    if group.die.record:
        group.record(
            "scale" if name == "SCLK" else "weight", rows=rows, bases=bases, column=column,
            lane=lane, slots=slots, mask=mask,
            scores=_stored(group, mask, result, slots) if name == "SCLK" else None,
        )  # fmt: skip


def cap_scores(group: Group, slots: int, base: int, mask: int, cap: int) -> None:
    """CAP."""
    n, banks = group.n, group.selection[mask]
    if not group.active:
        return
    _slots(group, "CAP", base, slots, banks, SCORE)
    limit = np.uint16(cap).view(np.float16).astype(np.float64)
    scores = group.score[banks, :n, base : base + slots].astype(np.float64)
    result = soft_cap(scores, float(limit), group.die.arithmetic.score_dtype)
    group.score[banks, :n, base : base + slots] = result
    stored = _stored(group, mask, result, slots)
    group.record("cap", bases=np.array([base]), slots=slots, mask=mask, scores=stored)


def row_maximum(group: Group, slots: int, base: int, mask: int, first: int) -> None:
    """MAX."""
    n, banks = group.n, group.selection[mask]
    if not group.active:
        group.maximum[:, :n] = np.nan
        return
    _slots(group, "MAX", base, slots, banks, SCORE)
    if first:
        group.maximum[:, :n] = -np.inf
    values = group.score[banks, :n, base : base + slots]
    if np.isnan(values).any():
        raise IsaError("MAX must work on numbers: a score used memory never written")
    if len(banks):
        group.maximum[banks, :n] = np.maximum(group.maximum[banks, :n], values.max(axis=-1))
    group.record("max", bases=np.array([base]), slots=slots, mask=mask, first=bool(first))


def exponentials(group: Group, slots: int, base: int, mask: int) -> None:
    """EXP."""
    n, banks = group.n, group.selection[mask]
    if not group.active:
        group.kind[:, base : base + slots] = EMPTY
        return
    _slots(group, "EXP", base, slots, banks, SCORE)
    maximum = group.maximum[banks, :n, None].astype(np.float64)
    if np.isnan(maximum).any() or np.isneginf(maximum).any():
        raise IsaError("EXP must come after the MAX of its banks")
    score = group.score[banks, :n, base : base + slots].astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf, where scores do not saturate
        value = exponential(score - maximum, group.die.arithmetic.probability_dtype)
    group.score[:, :n, base : base + slots] = 0
    group.score[banks, :n, base : base + slots] = value
    group.kind[:, base : base + slots] = PROBABILITY
    group.record("exp", bases=np.array([base]), slots=slots, mask=mask)


def add(group: Group, slots: int, base: int, mask: int, first: int) -> None:
    """SUM."""
    n, banks = group.n, group.selection[mask]
    if not group.active:
        group.total[:, :n] = np.nan
        return
    _slots(group, "SUM", base, slots, banks, PROBABILITY)
    if first:
        group.total[:, :n] = 0
    if len(banks):
        values = group.score[banks, :n, base : base + slots]
        group.total[banks, :n] = group.total[banks, :n] + sum_in_order(values)
    group.record("sum", bases=np.array([base]), slots=slots, mask=mask, first=bool(first))


def _slots(group: Group, name: str, base: int, slots: int, banks: np.ndarray, kind: int) -> None:
    if (group.kind[banks, base : base + slots] != kind).any():
        raise IsaError(
            f"{name} must work on {_MADE_BY[kind]} in slots {base} to {base + slots - 1}"
        )


def _stored(group: Group, mask: int, scores: np.ndarray, slots: int) -> np.ndarray:
    """Scores [banks of the mask, queries, visits x slots] as an event has them."""
    visits = scores.shape[2] // slots
    stored = np.full((visits, group.banks, group.n, slots), np.nan, dtype=np.float32)
    each = scores.reshape(len(scores), group.n, visits, slots).transpose(2, 0, 1, 3)
    stored[:, group.selection[mask]] = each
    return stored
