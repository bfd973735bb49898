"""A trace that can be read piece by piece, and which part of it is wanted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pamsim.traces.header import TraceHeader
from pyramulator.description import Description, RowUse

PIECE = 1 << 16  # commands worked on at a time
NOT_NAMED = -1  # a level, row or column that the command does not name: all of them, or none


@dataclass(frozen=True)
class Cut:
    """The part of a trace from tick `first` to tick `last`, both included, less `skip` commands."""

    first: int = 0
    last: int | None = None
    skip: int = 0  # commands of the trace, counted from its start
    limit: int | None = None  # at most so many


WHOLE = Cut()


@dataclass(frozen=True)
class TraceEnd:
    """What is known once a trace was read."""

    commands: int
    ticks: int  # at which the run ended; the last command's tick where `whole` is false
    whole: bool  # from the run's first command to its end


class Trace(ABC):
    """One channel's commands in order of time.

    Readers give `_pieces`, and set `end` when they have come to the end of the file or run.
    """

    def __init__(self, header: TraceHeader) -> None:
        self.header = header
        self.end = TraceEnd(0, 0, False)

    def pieces(self, cut: Cut = WHOLE) -> Iterator[np.ndarray]:
        """LOG records [n] in normal form, n <= PIECE; once. `end` holds after the last.

        Raises InputError where the file is not as it must be.
        """
        given, last_tick = 0, 0
        for number, piece in self._pieces(cut):
            wanted = piece[max(0, cut.skip - number) :]
            first = int(np.searchsorted(wanted["tick"], cut.first))
            last = len(wanted)
            if cut.last is not None:
                last = int(np.searchsorted(wanted["tick"], cut.last, side="right"))
            if cut.limit is not None:
                last = min(last, first + cut.limit - given)
            if last > first:
                given, last_tick = given + last - first, int(wanted["tick"][last - 1])
                yield wanted[first:last]
            beyond = cut.last is not None and len(piece) and int(piece["tick"][-1]) > cut.last
            if beyond or given == cut.limit:
                self.end = TraceEnd(given, last_tick, False)
                return
        if cut != WHOLE or not self.end.whole:
            self.end = TraceEnd(given, last_tick, False)

    @abstractmethod
    def _pieces(self, cut: Cut) -> Iterator[tuple[int, np.ndarray]]:
        """Pieces with the number of their first command; may leave out what `cut` does not want."""


def records(piece: np.ndarray) -> Iterator[tuple[int, int, int, list[int]]]:
    """(tick, command, source, address) of LOG [n], in plain numbers."""
    fields = (piece[name].tolist() for name in ("tick", "command", "source", "address"))
    return zip(*fields, strict=True)


def normal_form(log: np.ndarray, description: Description, row_offset: np.ndarray) -> np.ndarray:
    """A log's records as a trace has them, LOG [n] of their own.

    Rows and columns that a command does not name are NOT_NAMED. row_offset: int64 [streams], added
    to the rows of each stream's commands; refresh names no row.
    """
    trace = log.copy()
    uses = [command.row_use for command in description.commands]
    rowed = np.array([use in (RowUse.ACCESS, RowUse.OPEN) for use in uses])[log["command"]]
    columned = np.array([use is RowUse.ACCESS for use in uses])[log["command"]]
    row, column = len(description.levels) - 2, len(description.levels) - 1
    offset = np.append(row_offset, 0)[log["source"]]  # -1, refresh, is the last
    address = trace["address"]
    address[:, row] = np.where(rowed, address[:, row] + offset, NOT_NAMED)
    address[:, column] = np.where(columned, address[:, column], NOT_NAMED)
    return trace
