"""The rows of a bank group that a program or its proof has touched."""

from __future__ import annotations

import numpy as np

from pim_isa.errors import IsaError
from pim_isa.formats import FORMATS, Format

NOT_WRITTEN = np.array(np.nan, dtype=np.float16).view(np.uint16)


class GroupMemory:
    """Rows of the banks of one group, sparse: 16-bit words [rows held, banks, columns, lanes].

    What was never written reads as NaN, so that a program which uses it cannot go unnoticed.
    """

    def __init__(self, banks: int, columns: int, lanes: int, rows: int) -> None:
        self.banks, self.columns, self.lanes, self.rows = banks, columns, lanes, rows
        self._place = np.full(rows, -1, dtype=np.int32)
        self._held = 0
        self._words = np.empty((0, banks, columns, lanes), dtype=np.uint16)
        self._written = np.empty((0, banks, columns), dtype=np.bool_)

    def write(
        self, bank: np.ndarray, row: np.ndarray, column: np.ndarray, vectors: np.ndarray
    ) -> None:
        """Writes vectors [n, width] (width a multiple of the lanes) at bank, row, first column [n].

        vectors: FP16 numbers, or uint16 words of a packed format (`pim_isa.formats`). Raises
        IsaError if one reaches beyond its row or the bank.
        """
        vectors = np.asarray(vectors)
        if vectors.dtype != np.uint16:
            vectors = vectors.astype(np.float16).view(np.uint16)
        columns = vectors.shape[1] // self.lanes
        if columns * self.lanes != vectors.shape[1]:
            raise IsaError(f"vector must fill columns of {self.lanes}, not {vectors.shape[1]}")
        bank, row, column = (np.asarray(x, dtype=np.int64) for x in (bank, row, column))
        if len(row) == 0:
            return
        self._check(bank, row, column, columns)
        self._hold(row)
        place = self._place[row][:, None], bank[:, None], column[:, None] + np.arange(columns)
        self._words[place] = vectors.reshape(-1, columns, self.lanes)
        self._written[place] = True

    def read(
        self, bank: np.ndarray, row: np.ndarray, column: np.ndarray, columns: int
    ) -> np.ndarray:
        """float16 [n, columns x lanes] from bank, row, first column [n]. Raises IsaError."""
        bank, row, column = (np.asarray(x, dtype=np.int64) for x in (bank, row, column))
        self._check(bank, row, column, columns)
        place = self._place[row]
        values = np.full((len(row), columns, self.lanes), NOT_WRITTEN, dtype=np.uint16)
        known = place >= 0
        values[known] = self._words[
            place[known, None], bank[known, None], column[known, None] + np.arange(columns)
        ]
        return values.reshape(len(row), columns * self.lanes).view(np.float16)

    def block(
        self, rows: np.ndarray, column: int, columns: int, form: Format = FORMATS["fp16"]
    ) -> np.ndarray:
        """float32 [rows, banks, columns, elements of a column]: the same columns of whole rows in
        every bank."""
        place = self._place[rows]
        if (place < 0).any():
            self._hold(rows)
            place = self._place[rows]
        if columns == self.columns:
            elements = form.decode(self._words[place])
            written = self._written[place]
        else:
            elements = form.decode(self._words[place, :, column : column + columns])
            written = self._written[place, :, column : column + columns]
        if form.pack > 1 and not written.all():  # as FP16, the words say so themselves
            elements[~written] = np.nan
        return elements

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
        if needed > len(self._words):
            size = max(needed, 2 * len(self._words), 16)
            words = np.full((size, *self._words.shape[1:]), NOT_WRITTEN, dtype=np.uint16)
            words[: self._held] = self._words[: self._held]
            written = np.zeros(words.shape[:-1], dtype=np.bool_)
            written[: self._held] = self._written[: self._held]
            self._words, self._written = words, written
        self._place[new] = np.arange(self._held, needed)
        self._held = needed
