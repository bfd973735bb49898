"""Random and Latin-hypercube samples with a seed."""

from __future__ import annotations

import numpy as np

METHODS = ("random", "latin-hypercube")


def quantiles(method: str, count: int, dimensions: int, seed: int) -> np.ndarray:
    """float64 of shape (count, dimensions), each in [0, 1).

    latin-hypercube: in every dimension exactly one value in each of `count` equal parts (McKay,
    Beckman and Conover, Technometrics 21(2), 1979). The same on every machine for a seed.
    """
    bits = np.random.PCG64(np.random.SeedSequence(seed))
    columns = []
    for _ in range(dimensions):
        column = _uniform(bits, count)
        if method == "latin-hypercube":
            order = np.argsort(_uniform(bits, count), kind="stable")
            # The sum may round up to the next part's first value.
            column = np.minimum((order + column) / count, np.nextafter((order + 1) / count, 0))
        columns.append(column)
    return np.stack(columns, axis=1) if columns else np.empty((count, 0))


def _uniform(bits: np.random.PCG64, count: int) -> np.ndarray:
    """By raw output, which numpy never changes: 53 bits each."""
    raw = np.asarray(bits.random_raw(count), np.uint64)
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53)
