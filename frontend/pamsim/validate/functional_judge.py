"""What is said of one (request, KV head): the statements of docs/functional-proof.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pamsim.model.spec import ModelSpec
from pamsim.validate import functional_bound as bounds
from pamsim.validate.functional_data import PairData, draw
from pamsim.validate.functional_latent import draw_latent, projected
from pamsim.validate.functional_quantise import stored_format
from pamsim.validate.functional_run import PairOutcome, PairRunner
from pim_isa import Arithmetic

Pair = tuple[int, int]  # request, KV head


@dataclass(frozen=True)
class PairResult:
    error: float | None  # None: the pair gave no number
    bound: float | None
    reference: str
    max_abs_value: float
    score_max: float
    saturated: int
    clipped: int
    fault: str

    @property
    def share(self) -> float:
        """Error as a share of the bound; a pair with a fault comes first."""
        if self.fault or self.error is None or self.bound is None:
            return float("inf")
        return self.error / self.bound


@dataclass(frozen=True)
class Roundings:
    """What the bound of a pair is made of."""

    columns: int  # added up for a score
    additions: int  # of exponentials, and of weighted values, in one tile
    merges: int
    arithmetic: Arithmetic


def roundings_of(runner: PairRunner, pair: Pair) -> Roundings:
    """Those of a pair on the devices of one tier."""
    tiling, table = runner.compiled.tiling, runner.compiled.table
    scaled = runner.form.scaled
    segments = runner.segments(*pair)
    merges = bounds.merge_count(
        [-(-s.tokens // table.banks) for s in segments],
        tiling.tokens,
        len({s.channel for s in segments}),
    )
    return Roundings(
        columns=table.key_columns * runner.form.pack + scaled,
        additions=tiling.tokens + scaled,  # the product with a scaled exponential rounds too
        merges=runner.partials * merges,
        arithmetic=runner.arithmetic,
    )


def judge(by: Roundings, pair: Pair, data: PairData, outcome: PairOutcome) -> PairResult:
    """All statements of docs/functional-proof.md about one pair."""
    ref = bounds.reference(data)
    faults = list(outcome.faults)
    error: float | None = None
    bound: float | None = None
    name = "dense attention in float64"
    if not faults and not np.isfinite(outcome.output).all():
        faults.append("output is not finite")
    if not faults:
        output = outcome.output.astype(np.float64)
        stored = outcome.scores.astype(np.float64)
        values = bounds.value_bound(stored, ref.largest, by.additions, by.merges, by.arithmetic)
        rounding = bounds.rounding_bound(ref.largest, by.additions, by.merges)
        faults += _check_scores(by, ref, stored)
        if not bounds.within_hull(output, ref, rounding):
            faults.append("output leaves the hull of V")
        own = np.abs(output - bounds.softmax_mean(stored, data.value)).max(axis=1)
        if (own > values).any():
            faults.append(
                f"error against the softmax of the stored scores must be at most "
                f"{values[np.argmax(own - values)]:.3g}, not {own.max():.3g}"
            )
        if ref.score_max <= bounds.SCORE_LIMIT:
            if data.latent is None:
                limits = bounds.attention_bound(ref, by.columns, values, by.arithmetic)
            else:
                moved = (values - rounding) / ref.largest
                moved += 1.001 * bounds.score_bound(ref, by.columns, by.arithmetic)
                output, limits = projected(output, moved * ref.largest_value, rounding, data.latent)
            errors = np.abs(output - ref.output).max(axis=1)
            if (errors > limits).any():
                faults.append(
                    f"error against dense attention must be at most "
                    f"{limits[np.argmax(errors - limits)]:.3g}, not {errors.max():.3g}"
                )
        else:
            errors, limits, name = own, values, "float64 softmax of the stored scores"
        head = int(np.argmax(errors / limits))
        error, bound = float(errors[head]), float(limits[head])
    return PairResult(
        error,
        bound,
        name,
        ref.largest_value if "dense" in name else ref.largest,
        ref.score_max,
        outcome.saturations.total,
        data.clipped,
        f"request {pair[0]}, KV head {pair[1]}: {faults[0]}" if faults else "",
    )


def _check_scores(by: Roundings, ref: bounds.Reference, stored: np.ndarray) -> list[str]:
    """Every stored score is q.k, capped, up to its rounding; beyond the FP16 range it saturates."""
    expected = bounds.expected_scores(ref, by.arithmetic)
    tolerance = bounds.score_tolerance(ref, by.columns, by.arithmetic)
    wrong = ~(np.abs(stored - expected) <= tolerance)
    if not wrong.any():
        return []
    head, token = np.argwhere(wrong)[0]
    return [
        f"score of token {token} with head {head} of the group must be "
        f"{expected[head, token]:.6g} +- {tolerance[head, token]:.2g}, "
        f"not {stored[head, token]:.6g}"
    ]


def draw_pair(model: ModelSpec, pair: Pair, tokens: int, seed: int, scores: str) -> PairData:
    """The numbers of a pair of so many tokens, deterministic in all arguments."""
    request, kv_head = pair
    common: dict[str, Any] = {
        "seed": seed,
        "request": request,
        "heads": model.group_size,
        "tokens": tokens,
        "dtype": model.dtype,
        "scores": scores,
        "form": stored_format(model),
        "softcap": model.softcap,
    }
    if model.mla:
        return draw_latent(model.mla, scale=model.attention_scale, **common)
    return draw(kv_head=kv_head, head_dim=model.head_dim, scale=model.softmax_scale, **common)
