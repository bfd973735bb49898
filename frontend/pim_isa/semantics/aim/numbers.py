"""BF16 numbers, held as float32, and the arithmetic of an AiM unit.

A product of two BF16 numbers has 16 significant bits and is exact in FP32. Sixteen products are
added by a tree and the sum to the MAC register, all in FP32, rounding to nearest, ties to even.
What leaves a unit is rounded to BF16 in the same way. That accumulators are FP32 is an assumption:
publications say BF16 multipliers and a MAC result of 16 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pim_isa.arithmetic import tree16


def to_bf16(values: np.ndarray) -> np.ndarray:
    """The nearest BF16 numbers, ties to even, still float32; beyond the range infinite."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    result = (rounded & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isnan(values), np.float32(np.nan), result)


def words_of(values: np.ndarray) -> np.ndarray:
    """BF16 numbers, any shape, as uint16 words; others are rounded to BF16 first."""
    return (to_bf16(values).view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def numbers_of(words: np.ndarray) -> np.ndarray:
    """uint16 words, any shape, as the float32 numbers they stand for."""
    return (np.asarray(words, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


def accumulate(start: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """start + tree16(left x right), column after column.

    start: float32 [banks]. left, right: float32 [banks, columns, 16]. Returns float32 [banks].
    """
    banks, columns = left.shape[:2]
    sums = tree16((left * right).reshape(-1)).reshape(banks, columns)
    terms = np.concatenate([start[:, None], sums], axis=1, dtype=np.float32)
    return np.add.accumulate(terms, axis=1, dtype=np.float32)[:, -1]


def _gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


_FUNCTIONS: tuple[Callable[[float], float], ...] = (
    lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
    math.tanh,
    _gelu,
    lambda x: max(x, 0.0),
    lambda x: x if x > 0 else 0.01 * x,
)


def activation(function: int, values: np.ndarray) -> np.ndarray:
    """The function of BF16 numbers, float32 [banks], as BF16: computed in float64, rounded once."""
    exact = [_FUNCTIONS[function](x) for x in to_bf16(values).tolist()]
    return to_bf16(np.array(exact, dtype=np.float32))
