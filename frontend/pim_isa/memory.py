"""The rows of a bank group that a program or its proof has touched."""

from __future__ import annotations

import numpy as np

from pim_isa.errors import IsaError


class GroupMemory:
    """Rows of the banks of one group, sparse: float16 [rows held, banks, columns, lanes].

    What was never written reads as NaN, so that a program which uses it cannot go unnoticed.
    """

    def __init__(self, banks: int, columns: int, lanes: int, rows: int) -> None:
        self.banks, self.columns, self.lanes, self.rows = banks, columns, lanes, rows
        self._place = np.full(rows, -1, dtype=np.int32)
        self._held = 0
        self._data = np.empty((0, banks, columns, lanes), dtype=np.float16)

    def write(
        self, bank: np.ndarray, row: np.ndarray, column: np.ndarray, vectors: np.ndarray
    ) -> None:
        """Writes vectors [n, width] (width a multiple of the lanes) at bank, row, first column [n].

        Raises IsaError if one reaches beyond its row or the bank.
        """
        vectors = np.asarray(vectors, dtype=np.float16)
        columns = vectors.shape[1] // self.lanes
        if columns * self.lanes != vectors.shape[1]:
            raise IsaError(f"vector must fill columns of {self.lanes}, not {vectors.shape[1]}")
        bank, row, column = (np.asarray(x, dtype=np.int64) for x in (bank, row, column))
        if len(row) == 0:
            return
        self._check(bank, row, column, columns)
        self._hold(row)
        blocks = vectors.reshape(-1, columns, self.lanes)
        place = self._place[row]
        self._data[place[:, None], bank[:, None], column[:, None] + np.arange(columns)] = blocks

    def read(
        self, bank: np.ndarray, row: np.ndarray, column: np.ndarray, columns: int
    ) -> np.ndarray:
        """float16 [n, columns x lanes] from bank, row, first column [n]. Raises IsaError."""
        bank, row, column = (np.asarray(x, dtype=np.int64) for x in (bank, row, column))
        self._check(bank, row, column, columns)
        place = self._place[row]
        values = np.full((len(row), columns, self.lanes), np.nan, dtype=np.float16)
        known = place >= 0
        values[known] = self._data[
            place[known, None], bank[known, None], column[known, None] + np.arange(columns)
        ]
        return values.reshape(len(row), columns * self.lanes)

    def block(self, rows: np.ndarray, column: int, columns: int) -> np.ndarray:
        """float32 [rows, banks, columns, lanes]: the same columns of whole rows in every bank."""
        place = self._place[rows]
        if (place < 0).any():
            self._hold(rows)
            place = self._place[rows]
        if columns == self.columns:
            return self._data[place].astype(np.float32)
        return self._data[place, :, column : column + columns].astype(np.float32)

    def _check(self, bank: np.ndarray, row: np.ndarray, column: np.ndarray, columns: int) -> None:
        for name, values, limit in (
            ("bank", bank, self.banks),
            ("row", row, self.rows),
            ("column", column, self.columns - columns + 1),
        ):
            if len(values) and not (values.min() >= 0 and values.max() < limit):
                raise IsaError(
                    f"{name} must be between 0 and {limit - 1}, not {values.min()}..{values.max()}"
                )

    def _hold(self, rows: np.ndarray) -> None:
        new = np.unique(rows[self._place[rows] < 0])
        needed = self._held + len(new)
        if needed > len(self._data):
            grown = np.full(
                (max(needed, 2 * len(self._data), 16), *self._data.shape[1:]),
                np.nan,
                dtype=np.float16,
            )
            grown[: self._held] = self._data[: self._held]
            self._data = grown
        self._place[new] = np.arange(self._held, needed)
        self._held = needed
