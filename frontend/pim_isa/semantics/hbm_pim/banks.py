"""Banks that work in lockstep, and the queries that their units hold: HBM-PIM's and DDR-PIM's."""

from __future__ import annotations

import numpy as np

from pim_isa.errors import IsaError
from pim_isa.semantics.hbm_pim.die import LogicDie

CLOSED = -1


class LockstepBanks:
    """Open rows of a bank group, and which queries its units hold.

    n: queries that CFG says. active: some held query is wanted.
    """

    def __init__(self, banks: int, held: int, die: LogicDie) -> None:
        self.banks, self.die = banks, die
        self.open_row = np.full(banks, CLOSED, dtype=np.int64)
        self.held: list[int | None] = [None] * held  # query number per slot; None: nothing
        self.n = 0
        self.active = True

    def activate_row(self, row: int) -> None:
        """ACT."""
        if (self.open_row != CLOSED).any():
            raise IsaError(f"banks must be closed before ACT row {row}, not {self._rows()}")
        self.open_row[:] = row

    def precharge(self) -> None:
        """PRE."""
        self.open_row[:] = CLOSED

    def precharge_bank(self, bank: int) -> None:
        """PREB."""
        self.open_row[bank] = CLOSED

    def visit(self, name: str, row: int) -> None:
        """Raises IsaError unless the row is open in every bank."""
        if (self.open_row != row).any():
            raise IsaError(f"{name} must find row {row} open in every bank, not {self._rows()}")

    def open_for_append(self, bank: int, row: int) -> None:
        """The controller opens the row of a closed bank for the write."""
        if self.open_row[bank] not in (CLOSED, row):
            raise IsaError(f"bank {bank} must have row {row} open or none, not {self._rows()}")
        self.open_row[bank] = row

    def appended(self, source: int) -> np.ndarray | None:
        """What an append brings; None for work that is left out."""
        vector = self.die.appends.get(source)
        if vector is None and self.die.wanted is None:
            raise IsaError(f"append buffer must hold source {source}")
        return vector

    def hold(self, slot: int, query: int, start: int, stop: int) -> np.ndarray | None:
        """Puts a query into a slot: its elements start to stop - 1; None where it is left out."""
        self.held[slot] = query
        self.select()
        if self.die.wanted is not None and query not in self.die.wanted:
            return None
        vector = self.die.queries.get(query)
        if vector is None:
            raise IsaError(f"query buffer must hold query {query}")
        if stop > len(vector):
            raise IsaError(f"query {query} must have at least {stop} elements, not {len(vector)}")
        return vector[start:stop]

    def select(self) -> None:
        """Sets `active`."""
        wanted = self.die.wanted
        self.active = wanted is None or any(q in wanted for q in self.held[: self.n])

    def _rows(self) -> str:
        return ", ".join("closed" if r == CLOSED else f"row {r}" for r in self.open_row)
