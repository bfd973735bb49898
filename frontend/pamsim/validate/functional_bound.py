"""The float64 reference of the functional proof, and how far the device may be from it.

docs/functional-proof.md derives the bound. In short, for one query and max|V| = 1, with
u = 2^-11 (FP16) and e = 2^-24 (FP32):

    scores      D = |folding the scale| (measured in float64) + (columns + 4) e sum|q k|
                    + half a unit in the last place of the largest score
    exp         2u for P and the bank's weight, 2 e a merge: both change weights, as D does
    subnormals  2 x 2 x 2^-25 x tokens / L, with L = sum exp(s - max s) >= 1
    P.V         u at each FP16 hand-over: PU to bank group, bank group to logic die, result
    FP32        2 (T + 3 merges + 8) e

A change of every weight by at most a factor e^+-d moves a weighted mean by at most d x max|V|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pamsim.validate.functional_data import FP16_MAX, PairData
from pamsim.validate.functional_latent import unabsorbed_output, unabsorbed_scores
from pamsim.validate.functional_quantise import Stored
from pim_isa import Arithmetic

U16 = 2.0**-11  # unit roundoff of FP16
U32 = 2.0**-24  # of FP32
TINY16 = 2.0**-25  # half the spacing of FP16's subnormals
SCORE_LIMIT = 16.0  # the bound against dense attention is stated up to here
CHUNK = 16384  # tokens at a time


@dataclass(frozen=True)
class Reference:
    """Dense attention of one pair in float64, and what the bounds need.

    output float64 [heads, output elements]; scores float64 [heads, tokens], exact, capped; folded:
    q.k with the query as the device gets it, not capped; magnitudes: sum|q k| of it. softcap: the
    cap as the device has it. low and high float64 [V elements]: the extremes of V as stored.
    largest_value: max |V| as the model has it.
    """

    output: np.ndarray
    scores: np.ndarray
    folded: np.ndarray
    magnitudes: np.ndarray
    softcap: float | None
    low: np.ndarray
    high: np.ndarray
    largest_value: float

    @property
    def largest(self) -> float:
        """max |V| as stored."""
        return float(max(self.high.max(), -self.low.min()))

    @property
    def score_max(self) -> float:
        return float(np.abs(self.scores).max())


def reference(data: PairData) -> Reference:
    """Float64 softmax attention on the same tokens; with MLA not absorbed."""
    heads, tokens = len(data.query), data.tokens
    scores, folded, magnitudes = (np.empty((heads, tokens)) for _ in range(3))
    query = data.query.astype(np.float64) * data.scale
    device_query = data.folded.astype(np.float64)
    low, high = (np.full(data.value.elements.shape[1], x) for x in (np.inf, -np.inf))
    for start in range(0, tokens, CHUNK):
        part = slice(start, start + CHUNK)
        value = data.value.numbers(part).astype(np.float64)
        low, high = np.minimum(low, value.min(axis=0)), np.maximum(high, value.max(axis=0))
        key = data.key.numbers(part).astype(np.float64)
        # einsum, not BLAS: the same digits on any number of threads.
        if data.latent is None:
            scores[:, part] = np.einsum("hd,td->ht", query, key)
        else:
            scores[:, part] = unabsorbed_scores(query, key, data.latent)
        folded[:, part] = np.einsum("hd,td->ht", device_query, key)
        magnitudes[:, part] = np.einsum("hd,td->ht", np.abs(device_query), np.abs(key))
    largest = float(max(high.max(), -low.min()))
    if data.softcap is not None:
        scores = capped(scores, data.softcap)
    if data.latent is None:
        output = softmax_mean(scores, data.value)
    else:
        output, largest = unabsorbed_output(scores, data.value, data.latent)
    softcap = None if data.softcap is None else float(np.float16(data.softcap))
    return Reference(output, scores, folded, magnitudes, softcap, low, high, largest)


def capped(scores: np.ndarray, softcap: float) -> np.ndarray:
    """cap x tanh(score / cap)."""
    return softcap * np.tanh(scores / softcap)


def softmax_mean(scores: np.ndarray, value: Stored) -> np.ndarray:
    """Softmax of float64 scores [heads, tokens] times value [tokens, dim]: float64 [heads, dim]."""
    weight = np.exp(scores - scores.max(axis=1, keepdims=True))
    total = np.zeros((len(scores), value.elements.shape[1]))
    for start in range(0, len(value), CHUNK):
        part = slice(start, start + CHUNK)
        numbers = value.numbers(part).astype(np.float64)
        total += np.einsum("ht,td->hd", weight[:, part], numbers)
    return total / weight.sum(axis=1, keepdims=True)


def half_ulp(magnitude: np.ndarray | float, arithmetic: Arithmetic) -> np.ndarray:
    """Half the spacing of stored scores at a magnitude (float64)."""
    bits, smallest = (11, TINY16) if arithmetic.score_dtype == "fp16" else (24, 2.0**-150)
    _, exponent = np.frexp(np.abs(magnitude))  # |x| = f x 2^exponent, 0.5 <= f < 1
    spacing = np.ldexp(1.0, exponent - 1 - bits)
    return np.where(np.asarray(magnitude) == 0, smallest, np.maximum(spacing, smallest))


def expected_scores(ref: Reference, arithmetic: Arithmetic) -> np.ndarray:
    """What the stored scores round: `folded`, saturated where it leaves the range, capped."""
    expected = ref.folded
    if arithmetic.score_dtype == "fp16" and arithmetic.saturate:
        expected = np.clip(expected, -FP16_MAX, FP16_MAX)
    return expected if ref.softcap is None else capped(expected, ref.softcap)


def score_tolerance(ref: Reference, columns: int, arithmetic: Arithmetic) -> np.ndarray:
    """How far each stored score may be from `expected_scores`, float64 [heads, tokens].

    columns: 16-element columns of a query, and one more where a scale multiplies the sum.
    """
    sums = (columns + 4) * U32 * 1.001 * ref.magnitudes
    stored = sums + half_ulp(np.abs(ref.folded) + sums, arithmetic)
    if ref.softcap is None:
        return stored
    # tanh has a slope of at most 1; what it gives is rounded once more.
    final = np.abs(expected_scores(ref, arithmetic)) + stored
    return stored + half_ulp(np.minimum(final, ref.softcap), arithmetic)


def value_bound(
    scores: np.ndarray, largest: float, tile_tokens: int, merges: int, arithmetic: Arithmetic
) -> np.ndarray:
    """P.V bound, float64 [heads]: the device's output against the softmax of its stored scores
    [heads, tokens], where max |V| = `largest`."""
    tokens = scores.shape[1]
    total = np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1)
    weights = 2 * merges * U32 + U16  # the bank's weight is always FP16
    subnormal = 2 * TINY16 * tokens / total
    if arithmetic.probability_dtype == "fp16":
        weights += U16
        subnormal *= 2
    else:
        weights += 2 * U32  # P, and its product with V
    # Products of errors: below 1 % of the sum, as every term is below 2^-7.
    return 1.01 * largest * (weights + subnormal) + rounding_bound(largest, tile_tokens, merges)


def rounding_bound(largest: float, tile_tokens: int, merges: int) -> float:
    """The part of the P.V bound that is not a change of weights: how far from V's hull at most."""
    hand_over = 3 * U16
    fp32 = 2 * (tile_tokens + 3 * merges + 8) * U32
    return 1.01 * (largest * (hand_over + fp32) + 3 * TINY16)


def attention_bound(
    ref: Reference, columns: int, values: np.ndarray, arithmetic: Arithmetic
) -> np.ndarray:
    """Bound against dense attention, float64 [heads]: P.V bound `values` and the scores' part."""
    return values + ref.largest * score_bound(ref, columns, arithmetic) * 1.001


def score_bound(ref: Reference, columns: int, arithmetic: Arithmetic) -> np.ndarray:
    """D: how far a stored score may be from the exact one, float64 [heads]."""
    own = ref.folded if ref.softcap is None else capped(ref.folded, ref.softcap)
    folding = np.abs(own - ref.scores).max(axis=1)
    return folding + score_tolerance(ref, columns, arithmetic).max(axis=1)


def within_hull(output: np.ndarray, ref: Reference, tolerance: float) -> bool:
    """Every output element lies between the extremes of V in its dimension, up to `tolerance`."""
    return bool(((output >= ref.low - tolerance) & (output <= ref.high + tolerance)).all())


def merge_count(slots_per_segment: list[int], tile_tokens: int, channels: int) -> int:
    """Merges that an accumulator takes: one a segment and tile, and one a channel."""
    return sum(math.ceil(slots / tile_tokens) for slots in slots_per_segment) + channels
