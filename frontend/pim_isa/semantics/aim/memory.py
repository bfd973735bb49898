"""The rows of a channel's banks that a program has touched, in BF16."""

from __future__ import annotations

import numpy as np

from pim_isa.errors import IsaError


class Banks:
    """Rows of the 16 banks, sparse: float32 [banks, columns, lanes] a row, every number a BF16.

    What was never written reads as NaN, so that a program which uses it cannot go unnoticed.
    """

    def __init__(self, banks: int, columns: int, lanes: int, rows: int) -> None:
        self.shape, self.rows = (banks, columns, lanes), rows
        self._rows: dict[int, np.ndarray] = {}

    def row(self, row: int) -> np.ndarray:
        """A row in all banks, float32 [banks, columns, lanes]; may be written. Raises IsaError."""
        if not 0 <= row < self.rows:
            raise IsaError(f"row must be between 0 and {self.rows - 1}, not {row}")
        held = self._rows.get(row)
        if held is None:
            held = self._rows[row] = np.full(self.shape, np.nan, dtype=np.float32)
        return held

    def share(self, other: Banks) -> None:
        """The rows of `other` are those of these banks too."""
        self._rows = other._rows
