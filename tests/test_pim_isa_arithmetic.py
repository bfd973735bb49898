"""Rounding, saturation, the exponential and the order of additions."""

from __future__ import annotations

import math

import numpy as np

from pim_isa.arithmetic import exponential, sum_in_order, to_fp16, tree16

F32 = np.float32


def test_reductions_keep_the_stated_order() -> None:
    """numpy adds pairwise along a contiguous axis; the machine's sums must be sequential."""
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((300, 64)) * 10.0 ** rng.integers(-3, 4, (300, 64))).astype(F32)
    total = np.zeros(64, F32)
    for row in values:
        total = total + row
    np.testing.assert_array_equal(np.add.reduce(values, axis=0), total)
    np.testing.assert_array_equal(sum_in_order(values.T), total)
    level = [F32(x) for x in values[0][:16]]
    while len(level) > 1:  # element 2i plus element 2i + 1
        level = [F32(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    assert tree16(values[0][:16])[0] == level[0]


def test_conversion_to_fp16() -> None:
    # 65519.996 is the last FP32 number below the tie 65520 that rounds beyond 65504 (IEEE 754).
    values = np.array([65519.996, 65520, -1e9, 2.0**-25, 2.0**-24], F32)
    out, count = to_fp16(values, saturate=True)
    assert out.tolist() == [65504, 65504, -65504, 0, 2.0**-24]
    assert count == 2
    assert np.isinf(to_fp16(values, saturate=False)[0]).sum() == 2


def test_exponential_is_correctly_rounded_and_keeps_subnormals() -> None:
    x = np.array([0, -0.5, -9.7, -12, -16.5, -18, -np.inf])
    got = exponential(x, "fp16").astype(np.float64)
    ulp = np.maximum(2.0**-24, 2.0 ** (np.floor(np.log2(np.maximum(np.exp(x), 1e-30))) - 10))
    assert (np.abs(got - np.exp(x)) <= ulp / 2).all()
    assert got[-1] == 0 and got[-3] == 2.0**-24 * round(math.exp(-16.5) * 2**24)
