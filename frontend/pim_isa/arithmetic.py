"""The numbers of a PIM unit: formats, rounding, order of additions, saturation.

Operands are FP16, or K and V elements of a packed format (`pim_isa.formats`) against FP16 queries
and exponentials. Such a product has at most 22 significant bits and is exact in FP32. An INT8 or
INT4 V is weighed with exponential x scale, 22 bits in FP32; that product is rounded. Every FP32
operation rounds to nearest, ties to even; there is no fused multiply-add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

FP16_MAX = 65504.0


@dataclass(frozen=True)
class Arithmetic:
    """How a device stores scores and exponentials, and whether a conversion to FP16 saturates."""

    score_dtype: Literal["fp16", "fp32"] = "fp16"
    probability_dtype: Literal["fp16", "fp32"] = "fp16"
    saturate: bool = True


@dataclass
class Saturations:
    """How many numbers a conversion to FP16 clipped to +-65504 (or made infinite), by place."""

    scores: int = 0
    outputs: int = 0  # O of a PU, handed to its bank group
    group_outputs: int = 0  # O of a bank group, handed to the logic die
    results: int = 0

    @property
    def total(self) -> int:
        return self.scores + self.outputs + self.group_outputs + self.results


def to_fp16(values: np.ndarray, saturate: bool) -> tuple[np.ndarray, int]:
    """FP32 values rounded to FP16 numbers, still as float32, and how many left the FP16 range.

    Only a magnitude that rounds beyond 65504 (65520 and more) counts as out of range.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    out = np.isinf(rounded)
    count = int(np.count_nonzero(out))
    result = rounded.astype(np.float32)
    if count and saturate:
        result[out] = np.copysign(np.float32(FP16_MAX), values[out])
    return result, count


def tree16(products: np.ndarray) -> np.ndarray:
    """Sums of 16 neighbours by the adder tree: float32 [n x 16] -> float32 [n].

    Four levels, each adds element 2i to element 2i + 1.
    """
    sums = products
    for _ in range(4):
        sums = sums[0::2] + sums[1::2]
    return sums


def exponential(difference: np.ndarray, dtype: Literal["fp16", "fp32"]) -> np.ndarray:
    """exp of float64 differences, rounded once to FP16 (subnormals kept) or FP32; as float32.

    A float64 exponential is off by less than 2^-52 of itself, so the FP16 result is the correctly
    rounded one unless exp(x) lies that near to a tie. exp(-inf) is 0.
    """
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        exact = np.exp(difference)
        if dtype == "fp16":
            return exact.astype(np.float16).astype(np.float32)
        return exact.astype(np.float32)


def soft_cap(scores: np.ndarray, cap: float, dtype: Literal["fp16", "fp32"]) -> np.ndarray:
    """cap x tanh(score / cap) of float64 scores, rounded once to FP16 or FP32; as float32."""
    exact = cap * np.tanh(scores / cap)
    return exact.astype(np.float16 if dtype == "fp16" else np.float32).astype(np.float32)


def sum_in_order(values: np.ndarray) -> np.ndarray:
    """FP32 sum along the last axis, first to last: ((v0 + v1) + v2) + ..."""
    return np.add.accumulate(values, axis=-1, dtype=np.float32)[..., -1]
