"""Queries, keys and values for the functional proof: random ones, and scores that are hard."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pamsim.validate.functional_quantise import FP16, Stored, concatenate, quantise
from pim_isa.formats import Format

FP16_MAX = 65504.0
QUERY_SCALE = 2.0  # random q is N(0, 2): scores reach about +-10, most of the range up to 16

CHUNK = 16384  # tokens drawn at a time
PATTERNS = ("huge", "equal", "dominant", "lowest", "alternating", "ascending", "overflow")
_AMPLITUDE = {
    "huge": 30000.0,
    "equal": 7.0,
    "dominant": 40.0,
    "lowest": -60000.0,
    "alternating": 12.0,
    "ascending": 15.0,
    "overflow": 300000.0,  # beyond 65504: the stored scores saturate
}
SCORES = ("random", *PATTERNS)


@dataclass(frozen=True)
class PairData:
    """One (request, KV head): what the step attends with and to.

    query: float16 [heads of the group, query elements], without the softmax scale. folded: float16
    [heads, K elements], scale folded in, as the device gets it. key, value: [tokens, elements], the
    last token is the new one. key_dims, value_dims: elements of the pieces that K and V are stored
    in. clipped: numbers that left the range of FP16 or of the KV dtype. latent: the projections of
    an MLA model, None for another.
    """

    query: np.ndarray
    folded: np.ndarray
    key: Stored
    value: Stored
    clipped: int
    scale: float
    softcap: float | None = None
    latent: Projections | None = None
    key_dims: tuple[int, ...] = ()
    value_dims: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class Projections:
    """What MLA absorbs, float64 [heads, elements, latent elements]: W_UK of nope parts of keys,
    W_UV of values."""

    key: np.ndarray
    value: np.ndarray


def draw(
    *,
    seed: int,
    request: int,
    kv_head: int,
    heads: int,
    head_dim: int,
    tokens: int,
    dtype: str,
    scores: str = "random",
    form: Format = FP16,
    scale: float | None = None,
    softcap: float | None = None,
) -> PairData:
    """Deterministic in all its arguments; dtype "fp16" or "bf16" is that of the model.

    form: that K and V are stored in. scale: of the softmax, 1 / sqrt(head_dim) if None.

    scores: "random", or one of PATTERNS, which sets the scores of the tokens and leaves the values
    random. Raises ValueError for another name.
    """
    if scores not in SCORES:
        raise ValueError(f"scores must be one of {SCORES}, not {scores!r}")
    rng = np.random.default_rng([seed, request, kv_head])
    root = 1.0 / math.sqrt(head_dim)
    spread, along = QUERY_SCALE, root  # along: elements of a K whose score is 1 with q of ones
    if scale is None:
        scale = root
    else:
        spread, along = QUERY_SCALE * root / scale, 1.0 / (scale * head_dim)
    size, shape = (0.0, None) if scores == "random" else pattern_of(scores, rng, tokens)
    query = spread * rng.standard_normal((heads, head_dim), dtype=np.float32)
    if shape is not None:
        query[:] = size
    half_query, clipped = convert(query, dtype)
    held: tuple[list[Stored], list[Stored]] = ([], [])
    for start in range(0, tokens, CHUNK):  # float32 numbers of a chunk only: memory
        part = slice(start, min(start + CHUNK, tokens))
        for parts, pattern in zip(held, (shape, None), strict=True):
            numbers = rng.standard_normal((part.stop - start, head_dim), dtype=np.float32)
            if pattern is not None:
                numbers[:] = (pattern[part] * along / size)[:, None]
            half, count = convert(numbers, dtype)
            stored, more = quantise(half, form)
            parts.append(stored)
            clipped += count + more
    key, value = (concatenate(parts) for parts in held)
    folded = fold(half_query, scale)
    dims = (head_dim,)
    return PairData(
        half_query, folded, key, value, clipped, scale, softcap, None, key_dims=dims,
        value_dims=dims,
    )  # fmt: skip


def fold(query: np.ndarray, scale: float) -> np.ndarray:
    """float16 query x softmax scale, rounded once to float16."""
    return (query.astype(np.float64) * scale).astype(np.float16)


def convert(values: np.ndarray, dtype: str) -> tuple[np.ndarray, int]:
    """float32 drawn in the model's dtype, as float16, and how many were clipped to +-65504.

    bf16 has the significand bits to be exact in FP16; below 2^-14 it rounds to FP16's subnormals.
    """
    if dtype == "bf16":
        values = to_bf16(values)
    out = np.abs(values) > FP16_MAX
    count = int(np.count_nonzero(out))
    if count:
        values = np.clip(values, -FP16_MAX, FP16_MAX)
    return values.astype(np.float16), count


def to_bf16(values: np.ndarray) -> np.ndarray:
    """float32 rounded to the nearest bfloat16 (ties to even), as float32."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def pattern_of(name: str, rng: np.random.Generator, tokens: int) -> tuple[float, np.ndarray]:
    """Size of every element of q, and the scores float32 [tokens].

    q is constant and k is constant along the dimension, so q.k x scale is the score exactly but for
    the rounding of k.
    """
    token = np.arange(tokens)
    if name == "dominant":
        shape = (token == rng.integers(tokens)).astype(np.float32)
    elif name == "alternating":
        shape = np.where(token % 2, -1.0, 1.0)
    elif name in ("ascending", "huge"):
        shape = (token + 1) / tokens * 2 - 1
    elif name == "overflow":
        shape = np.where(token % 3 == 0, 1.0, np.where(token % 3 == 1, -1.0, 0.01))
    else:  # equal, lowest
        shape = np.ones(tokens)
    return (16.0 if name == "overflow" else 1.0), (_AMPLITUDE[name] * shape).astype(np.float32)
