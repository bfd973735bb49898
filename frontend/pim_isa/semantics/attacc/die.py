"""What the two queues of an AttAcc channel share: buffers, result registers and the softmax unit.

What one queue writes and the other reads has a barrier between the two; `Handover` holds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pim_isa.arithmetic import Arithmetic, Saturations
from pim_isa.errors import IsaError

SLOTS = 2  # heads in flight
PARTITIONS, GROUP_BANKS, LANES, HALVES = 16, 4, 16, 2
BANKS = PARTITIONS * GROUP_BANKS


@dataclass(frozen=True)
class Event:
    """Where the numbers of one result came from, for a proof that follows tokens (OUT).

    score_row, score_column int64 [16, n]: the place that score number i of a partition was read
    from, -1 for none. moved int64 [16, n]: how often it was moved to the softmax buffer. outputs:
    of each MVO (rank, bank, chunk, what its registers had been weighed from).
    """

    query: int
    tokens: int
    score_row: np.ndarray
    score_column: np.ndarray
    moved: np.ndarray
    outputs: tuple[tuple[int, int, int, tuple[Weighed, ...]], ...]
    scores: np.ndarray  # float32 [tokens], as stored, in token order


@dataclass(frozen=True)
class Weighed:
    """One MACV: `tokens` columns from (row, column) on, with exponentials from `first` on."""

    row: int
    column: int
    tokens: int
    first: int
    mask: int


@dataclass
class Handover:
    """Who wrote and who read something last, each with its stretch between two barriers."""

    what: str
    written: tuple[int, int] | None = None
    read: dict[int, int] = field(default_factory=dict)


@dataclass
class Register:
    """A result register of every GEMV unit, and where its numbers came from."""

    values: np.ndarray  # float32 [BANKS, LANES]
    use: Handover
    row: np.ndarray  # int64 [LANES], of scores
    column: np.ndarray
    weighed: list[Weighed] = field(default_factory=list)


@dataclass
class Slot:
    """One head in flight. Arrays of exponentials and scores are [PARTITIONS, local tokens]."""

    number: int
    gemv: Handover
    query: int | None = None
    active: bool = True
    vector: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    score: np.ndarray = field(default_factory=lambda: np.empty((PARTITIONS, 0), np.float32))
    weight: np.ndarray = field(default_factory=lambda: np.empty((PARTITIONS, 0), np.float32))
    given: np.ndarray = field(default_factory=lambda: np.empty((PARTITIONS, 0), np.float32))
    output: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    tokens: int = 0
    row: np.ndarray = field(default_factory=lambda: np.empty((PARTITIONS, 0), np.int64))
    column: np.ndarray = field(default_factory=lambda: np.empty((PARTITIONS, 0), np.int64))
    moved: np.ndarray = field(default_factory=lambda: np.empty((PARTITIONS, 0), np.int64))
    scores: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    outputs: list[tuple[int, int, int, tuple[Weighed, ...]]] = field(default_factory=list)

    def hold(self, count: int) -> None:
        """Makes room for `count` scores in each partition; new ones were never moved."""
        have = self.score.shape[1]
        if count > have:
            wide = ((0, 0), (0, max(count - have, have)))
            self.score = np.pad(self.score, wide, constant_values=np.nan)
            self.row = np.pad(self.row, wide, constant_values=-1)
            self.column = np.pad(self.column, wide, constant_values=-1)
            self.moved = np.pad(self.moved, wide)


@dataclass
class LogicDie:
    """Buffers of one channel, and what has left it.

    queries: query number -> float32 [elements]. appends: source number -> float16 vector. wanted:
    the queries to compute, or None for all; the work on others is left out.
    """

    arithmetic: Arithmetic
    queries: dict[int, np.ndarray]
    appends: dict[int, np.ndarray]
    wanted: frozenset[int] | None = None
    record: bool = False
    # epochs[s, r]: how many barrier-to-barrier stretches of stream r stream s knows to be over
    epochs: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), dtype=np.int64))
    results: dict[int, np.ndarray] = field(default_factory=dict)
    saturations: Saturations = field(default_factory=Saturations)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = [Slot(n, Handover(f"GEMV buffer {n}")) for n in range(SLOTS)]
        self.registers = [_register(n) for n in range(2)]
        self.filling = 0

    def write(self, use: Handover, stream: int) -> None:
        """A stream writes. Raises IsaError where another may still read or write."""
        for other, stretch in (*use.read.items(), *filter(None, (use.written,))):
            self._ordered(use, stream, other, stretch)
        use.written, use.read = (stream, self._now(stream)), {}

    def read(self, use: Handover, stream: int) -> None:
        """A stream reads. Raises IsaError where another may still write."""
        if use.written is not None:
            self._ordered(use, stream, *use.written)
        use.read[stream] = self._now(stream)

    def _now(self, stream: int) -> int:
        return int(self.epochs[stream, stream])

    def _ordered(self, use: Handover, stream: int, other: int, stretch: int) -> None:
        if other != stream and self.epochs[stream, other] <= stretch:
            raise IsaError(f"{use.what} must have a barrier between streams {other} and {stream}")


def _register(number: int) -> Register:
    nowhere = np.full(LANES, -1, np.int64)
    empty = np.zeros((BANKS, LANES), np.float32)
    return Register(empty, Handover(f"result register {number}"), nowhere, nowhere.copy())


def partitions(rank: int, groups: int | Sequence[int]) -> np.ndarray:
    """Partitions of bank groups of a rank: int64 [2] or [2, groups], a row a pseudo-channel."""
    bank_group = np.asarray(groups)
    half = np.arange(HALVES).reshape(-1, *(1,) * bank_group.ndim)
    return (half * 2 + rank) * 4 + bank_group
