"""The logic die of HBM-PIM: buffers, accumulators and results of one channel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pim_isa.arithmetic import Arithmetic, Saturations, exponential, to_fp16
from pim_isa.errors import IsaError


@dataclass
class Accumulator:
    """(O, m, l) of a query on the logic die, FP32."""

    output: np.ndarray
    maximum: np.float32
    total: np.float32
    round: int = -1  # of the last merge
    streams: set[int] = field(default_factory=set)  # that merged in that round
    reader: tuple[int, int] | None = None  # round and stream that read it last


@dataclass(frozen=True)
class Partial:
    """An unnormalised result: O float32 [part x lanes], m and l float32."""

    output: np.ndarray
    maximum: np.float32
    total: np.float32


@dataclass(frozen=True)
class ScoreRecord:
    """Scores as one MACK stored them, in every visited row.

    queries: query number per held slot, -1 for none. rows int64 [visits]. scores float32
    [visits, banks, queries, slots]; banks outside the mask are meaningless.
    """

    stream: int
    queries: tuple[int, ...]
    rows: np.ndarray
    column: int
    vector: int
    mask: int
    scores: np.ndarray


@dataclass
class LogicDie:
    """Query buffer, append buffer, accumulators and results of one channel.

    queries: query number -> float16 [head dimension, padded to whole columns]. appends: source
    number -> float16 vector. wanted: the queries to compute, or None for all; the work on others is
    left out, and what it would have left behind is poisoned.
    """

    arithmetic: Arithmetic
    queries: dict[int, np.ndarray]
    appends: dict[int, np.ndarray]
    wanted: frozenset[int] | None = None
    record_scores: bool = False
    round: int = 0
    accumulators: dict[int, Accumulator] = field(default_factory=dict)
    results: dict[int, np.ndarray | Partial] = field(default_factory=dict)
    saturations: Saturations = field(default_factory=Saturations)
    records: list[ScoreRecord] = field(default_factory=list)

    def merge(
        self, stream: int, query: int, output: np.ndarray, maximum: np.float32, total: np.float32
    ) -> None:
        """REDL."""
        a = self.accumulators.get(query)
        if a is None:
            zero = np.zeros_like(output)
            a = Accumulator(zero, np.float32(-np.inf), np.float32(0))
            self.accumulators[query] = a
        if a.round != self.round:
            a.round, a.streams = self.round, set()
        a.streams.add(stream)
        if a.reader and a.reader[0] == self.round and a.reader[1] != stream:
            raise _race(query, stream)
        if len(a.output) != len(output):
            raise IsaError(
                f"accumulator {query} must be merged with {len(a.output)} elements, "
                f"not {len(output)}"
            )
        if maximum == -np.inf:
            return
        top = max(a.maximum, maximum)
        both = np.array([a.maximum, maximum], dtype=np.float64)
        old, new = exponential(both - np.float64(top), "fp32")
        a.output = old * a.output + new * output
        a.total = old * a.total + new * total
        a.maximum = top

    def read(self, stream: int, query: int, normalise: bool, elements: int) -> None:
        """RDR."""
        if self.wanted is not None and query not in self.wanted:
            return
        a = self.accumulators.get(query)
        if a is None:
            raise IsaError(f"result of query {query} must be merged before it is read")
        if len(a.output) != elements:
            raise IsaError(
                f"result of query {query} must be {len(a.output)} elements, not {elements}"
            )
        others = a.streams - {stream} if a.round == self.round else set()
        if others:
            raise _race(query, min(others))
        a.reader = self.round, stream
        if not normalise:
            self.results[query] = Partial(a.output.copy(), a.maximum, a.total)
            return
        if a.total == 0:
            self.results[query] = np.zeros(elements, dtype=np.float16)
            return
        rounded, count = to_fp16(a.output / a.total, self.arithmetic.saturate)
        self.saturations.results += count
        self.results[query] = rounded.astype(np.float16)


def _race(query: int, stream: int) -> IsaError:
    return IsaError(
        f"result of query {query} must be read behind a barrier after stream {stream} "
        "merged into it"
    )
