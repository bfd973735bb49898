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
    merged: dict[int, int] = field(default_factory=dict)  # stream -> its stretch of the last merge
    read: dict[int, int] = field(default_factory=dict)  # stream -> its stretch of the last read


@dataclass(frozen=True)
class Partial:
    """An unnormalised result: O float32 [part x lanes], m and l float32."""

    output: np.ndarray
    maximum: np.float32
    total: np.float32


@dataclass(frozen=True)
class Event:
    """What a unit did, for a proof that follows tokens through the program.

    kind: "dot" (MACK), "scale" (SCLK), "cap" (CAP), "max" (MAX), "exp" (EXP), "sum" (SUM), "weight"
    (SCLV), "clear" (CLRO or MACV first), "weigh" (MACV), "reduce" (REDG) or "merge" (REDL).
    queries: query number per held slot, -1 for none. rows and bases int64 [visits]; a row visit
    works on `slots` slots from its base on. scores (of a dot with last = 1, a scale or a cap):
    float32 [visits, banks, queries, slots], as stored; banks outside the mask mean nothing.
    """

    stream: int
    kind: str
    queries: tuple[int, ...]
    rows: np.ndarray | None = None
    bases: np.ndarray | None = None
    column: int = 0
    lane: int = 0  # of a scale or weight: of the first slot's scale, in the column
    slots: int = 0
    mask: int = 0
    first: bool = False
    scores: np.ndarray | None = None
    query: int = -1  # of a merge: the accumulator
    slot: int = -1  # of a merge: the held query


@dataclass
class LogicDie:
    """Query buffer, append buffer, accumulators and results of one channel.

    queries: query number -> float16 [head dimension, padded to whole columns]. appends: source
    number -> float16 vector, or uint16 words of a packed format. wanted: the queries to compute, or
    None for all; the work on others is left out, and what it would have left behind is poisoned.
    """

    arithmetic: Arithmetic
    queries: dict[int, np.ndarray]
    appends: dict[int, np.ndarray]
    wanted: frozenset[int] | None = None
    record: bool = False
    # epochs[s, r]: how many barrier-to-barrier stretches of stream r stream s knows to be over;
    # epochs[s, s] is the stretch that s is in.
    epochs: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), dtype=np.int64))
    accumulators: dict[int, Accumulator] = field(default_factory=dict)
    results: dict[int, np.ndarray | Partial] = field(default_factory=dict)
    saturations: Saturations = field(default_factory=Saturations)
    events: list[Event] = field(default_factory=list)

    def merge(
        self, stream: int, query: int, output: np.ndarray, maximum: np.float32, total: np.float32
    ) -> None:
        """REDL."""
        a = self.accumulators.get(query)
        if a is None:
            zero = np.zeros_like(output)
            a = Accumulator(zero, np.float32(-np.inf), np.float32(0))
            self.accumulators[query] = a
        if self._unordered(a.read, stream) is not None:
            raise _race(query, stream)
        a.merged[stream] = int(self.epochs[stream, stream])
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
        other = self._unordered(a.merged, stream)
        if other is not None:
            raise _race(query, other)
        a.read[stream] = int(self.epochs[stream, stream])
        if not normalise:
            self.results[query] = Partial(a.output.copy(), a.maximum, a.total)
            return
        if a.total == 0:
            self.results[query] = np.zeros(elements, dtype=np.float16)
            return
        rounded, count = to_fp16(a.output / a.total, self.arithmetic.saturate)
        self.saturations.results += count
        self.results[query] = rounded.astype(np.float16)

    def _unordered(self, done: dict[int, int], stream: int) -> int | None:
        """A stream whose stretch in `done` no barrier puts before what `stream` does now."""
        for other, stretch in done.items():
            if other != stream and self.epochs[stream, other] <= stretch:
                return other
        return None


def _race(query: int, stream: int) -> IsaError:
    return IsaError(
        f"result of query {query} must be read behind a barrier after stream {stream} "
        "merged into it"
    )
