"""Latent attention (MLA) in the functional proof: numbers, and the reference without absorption.

The devices see one latent vector c and one rope part a token, and queries with W_UK absorbed
(DeepSeek-V2, arXiv 2405.04434, section 2.1.2). The reference builds every head's own keys [W_UK c,
k_rope] and values W_UV c and attends with those.

Projections are multiples of 2^-12 below 2^3 and latent vectors FP16 numbers below 2^3, multiples of
2^-24: sums of up to 2^11 products are below 2^17, multiples of 2^-36 and so exact in float64. That
leaves the digits of the two large products to no order of additions, so they may be BLAS's.
"""

from __future__ import annotations

import math

import numpy as np

from pamsim.model.parts import MlaSpec
from pamsim.validate.functional_data import (
    CHUNK,
    QUERY_SCALE,
    SCORES,
    PairData,
    Projections,
    convert,
    fold,
    pattern_of,
)
from pamsim.validate.functional_quantise import FP16, Stored, concatenate, quantise
from pim_isa.formats import Format

GRID = 2.0**-12
LIMIT = 8.0


def draw_latent(
    mla: MlaSpec,
    *,
    seed: int,
    request: int,
    heads: int,
    tokens: int,
    dtype: str,
    scores: str = "random",
    form: Format = FP16,
    scale: float,
    softcap: float | None = None,
) -> PairData:
    """As `draw` of functional_data. A pattern of scores lies in the rope parts alone."""
    if scores not in SCORES:
        raise ValueError(f"scores must be one of {SCORES}, not {scores!r}")
    rng = np.random.default_rng([seed, request, 0])
    size, shape = (0.0, None) if scores == "random" else pattern_of(scores, rng, tokens)
    up_key, up_value = (
        np.rint(
            _limited(rng.standard_normal((heads, dim, mla.kv_rank)) / math.sqrt(mla.kv_rank)) / GRID
        )
        * GRID
        for dim in (mla.nope_dim, mla.value_dim)
    )
    spread = QUERY_SCALE / (scale * math.sqrt(mla.query_dim))
    query = spread * rng.standard_normal((heads, mla.query_dim), dtype=np.float32)
    if shape is not None:
        query[:] = [0.0] * mla.nope_dim + [size] * mla.rope_dim
    half_query, clipped = convert(query, dtype)
    nope = half_query[:, : mla.nope_dim].astype(np.float64)
    absorbed = np.einsum("hd,hdr->hr", nope, up_key)
    whole_query = np.concatenate([absorbed, half_query[:, mla.nope_dim :]], axis=1)
    parts: list[Stored] = []
    for start in range(0, tokens, CHUNK):
        part = slice(start, min(start + CHUNK, tokens))
        numbers = rng.standard_normal((part.stop - start, mla.key_dim), dtype=np.float32)
        if shape is not None:
            numbers[:, mla.kv_rank :] = (shape[part] / (scale * mla.rope_dim * size))[:, None]
        numbers[:, : mla.kv_rank] = _limited(numbers[:, : mla.kv_rank])
        half, count = convert(numbers, dtype)
        stored, more = quantise(half, form)
        parts.append(stored)
        clipped += count + more
    key = concatenate(parts)
    return PairData(
        half_query,
        fold(whole_query, scale),
        key,
        Stored(form, key.elements[:, : mla.kv_rank], None),
        clipped,
        scale,
        softcap,
        Projections(up_key, up_value),
        key_dims=(mla.kv_rank, mla.rope_dim),
        value_dims=(mla.kv_rank,),
    )


def _limited(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -LIMIT + GRID, LIMIT - GRID)


def project(latent: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """One head's keys or values of latent vectors [tokens, rank]: float64, exact."""
    return latent @ projection.T


def unabsorbed_scores(query: np.ndarray, key: np.ndarray, latent: Projections) -> np.ndarray:
    """q.k of every head's own keys, float64 [heads, tokens].

    query: float64 [heads, nope + rope elements], scale folded in. key: [tokens, rank + rope].
    """
    _, nope, rank = latent.key.shape
    scores = np.empty((len(query), len(key)))
    for head, projection in enumerate(latent.key):
        own = project(key[:, :rank], projection)
        scores[head] = np.einsum("d,td->t", query[head, :nope], own)
        scores[head] += np.einsum("d,td->t", query[head, nope:], key[:, rank:])
    return scores


def unabsorbed_output(
    scores: np.ndarray, value: Stored, latent: Projections
) -> tuple[np.ndarray, float]:
    """Softmax of scores [heads, tokens] times every head's own values: float64 [heads, elements],
    and the largest |V| of all heads."""
    weight = np.exp(scores - scores.max(axis=1, keepdims=True))
    output = np.zeros((len(scores), latent.value.shape[1]))
    largest = 0.0
    for start in range(0, len(value), CHUNK):
        part = slice(start, start + CHUNK)
        vectors = value.numbers(part).astype(np.float64)
        for head, projection in enumerate(latent.value):
            own = project(vectors, projection)
            largest = max(largest, float(np.abs(own).max()))
            output[head] += np.einsum("t,td->d", weight[head, part], own)
    return output / weight.sum(axis=1, keepdims=True), largest


def projected(
    output: np.ndarray, moved: np.ndarray, rounding: float, latent: Projections
) -> tuple[np.ndarray, np.ndarray]:
    """What the host makes of the devices' outputs [heads, latent elements]: W_UV O, float64 [heads,
    elements], and its bound [heads].

    moved: the part of the bound that changes of weights make, which projection leaves as it is, as
    it is a mean of the projected V too; rounding: how far an element of O is off besides.
    """
    values = np.einsum("hr,hdr->hd", output, latent.value)
    return values, moved + rounding * np.abs(latent.value).sum(axis=2).max(axis=1)
