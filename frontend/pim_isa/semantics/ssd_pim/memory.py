"""The pages of a plane, or of the controller's write buffer, that hold something."""

from __future__ import annotations

import numpy as np

from pim_isa.errors import IsaError
from pim_isa.memory import NOT_WRITTEN


class Pages:
    """Pages by row, sparse: uint16 words [columns, lanes]. What was never written reads as NaN."""

    def __init__(self, _banks: int, columns: int, lanes: int, rows: int) -> None:
        self.columns, self.lanes, self.rows = columns, lanes, rows
        self._held: dict[int, np.ndarray] = {}

    def page(self, row: int) -> np.ndarray:
        """uint16 [columns, lanes]; all NaN where the page is erased. Raises IsaError."""
        self._check(row)
        held = self._held.get(row)
        return held if held is not None else self._empty()

    def is_erased(self, row: int) -> bool:
        return row not in self._held

    def write(self, row: np.ndarray, column: np.ndarray, vectors: np.ndarray) -> None:
        """Puts float16 vectors [n, whole columns] at first columns [n] of pages [n]."""
        words = np.ascontiguousarray(vectors, np.float16).view(np.uint16)
        columns = words.shape[1] // self.lanes
        if columns * self.lanes != words.shape[1]:
            raise IsaError(f"vector must fill columns of {self.lanes}, not {words.shape[1]}")
        if len(column) and not 0 <= column.min() <= column.max() + columns <= self.columns:
            raise IsaError(f"column must be between 0 and {self.columns - columns}")
        for number in np.unique(row).tolist():
            self._check(number)
            page = self._held.setdefault(number, self._empty())
            own = row == number
            at = column[own][:, None] + np.arange(columns)
            page[at] = words[own].reshape(-1, columns, self.lanes)

    def program(self, row: int, page: np.ndarray) -> None:
        """Raises IsaError where the page was programmed and not erased since."""
        self._check(row)
        if row in self._held:
            raise IsaError(f"page {row} must be erased before it is programmed")
        self._held[row] = page.copy()

    def erase(self, row: int, pages: int) -> None:
        self._check(row)
        self._check(row + pages - 1)
        for number in range(row, row + pages):
            self._held.pop(number, None)

    def _empty(self) -> np.ndarray:
        return np.full((self.columns, self.lanes), NOT_WRITTEN, np.uint16)

    def _check(self, row: int) -> None:
        if not 0 <= row < self.rows:
            raise IsaError(f"row must be between 0 and {self.rows - 1}, not {row}")
