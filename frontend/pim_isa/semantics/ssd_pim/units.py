"""The processing units of a flash channel in the controller, and their reduction unit.

Vector i of a page is of PU i mod 8, slot i div 8. Each method is the pseudo-code of the instruction
in tables/ssd_pim.toml, over all PUs and queries at once; the order of FP32 additions is the stated
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pim_isa.arithmetic import exponential, sum_in_order, to_fp16, tree16
from pim_isa.errors import IsaError
from pim_isa.semantics.hbm_pim.die import Event
from pim_isa.semantics.ssd_pim.controller import CONTROLLER, ROW_BITS, Controller
from pim_isa.semantics.ssd_pim.memory import Pages
from pim_isa.table import InstructionTable

EMPTY, PARTIAL, SCORE, PROBABILITY = range(4)  # what a slot of the PU buffer holds
_MADE_BY = {
    PARTIAL: "partial scores (MACK with last = 0)",
    SCORE: "scores (MACK with last = 1)",
    PROBABILITY: "exponentials (EXP)",
}


class Units:
    """The controller's stream. score float32 [PUs, queries, slots]; kind int8 [PUs, slots]."""

    def __init__(self, table: InstructionTable, memory: Pages, die: Controller) -> None:
        self.memory, self.die = memory, die
        self.lanes, self.units = table.constants["lanes"], table.constants["units"]
        held = table.spec("CFG").field("queries").maximum
        slots = table.constants["row_columns"] // self.units
        width = table.constants["query_columns"] * self.lanes
        self.n = self.part = self.vector = 0
        self.held: list[int | None] = [None] * held  # query number per slot; None: nothing
        self.query = np.full((held, width), np.nan, np.float32)
        self.score = np.full((self.units, held, slots), np.nan, np.float32)
        self.kind = np.zeros((self.units, slots), np.int8)
        self.maximum = np.full((self.units, held), np.nan, np.float32)
        self.total = np.full((self.units, held), np.nan, np.float32)
        self.output = np.full((self.units, held, width), np.nan, np.float32)
        self.merged = np.full((held, width), np.nan, np.float32)
        self.merged_maximum = np.full(held, np.nan, np.float32)
        self.merged_total = np.full(held, np.nan, np.float32)
        self.active = True  # some held query is wanted
        die.write_buffer = memory

    def configure(self, queries: int, part: int, vector: int) -> None:
        """CFG."""
        self.n, self.part, self.vector = queries, part, vector
        self._activate()

    def _activate(self) -> None:
        wanted = self.die.wanted
        self.active = wanted is None or any(q in wanted for q in self.held[: self.n])

    def append(self, page: int, column: int, columns: int, source: int) -> None:
        """APP."""
        vector = self.die.appends.get(source)
        if vector is None:
            if self.die.wanted is not None:
                return
            raise IsaError(f"append buffer must hold source {source}")
        if len(vector) != columns * self.lanes:
            raise IsaError(
                f"source {source} must be {len(vector) // self.lanes} columns, not {columns}"
            )
        self.memory.write(np.array([page]), np.array([column]), vector[None])
        self.die.appended[page] = int(self.die.epochs[CONTROLLER, CONTROLLER])

    def write_query(self, slot: int, query: int, offset: int) -> None:
        """WRQ."""
        self.held[slot] = query
        self._activate()
        if self.die.wanted is not None and query not in self.die.wanted:
            self.query[slot] = np.nan
            return
        vector = self.die.queries.get(query)
        if vector is None:
            raise IsaError(f"query buffer must hold query {query}")
        start, stop = offset * self.lanes, (offset + self.part) * self.lanes
        if stop > len(vector):
            raise IsaError(f"query {query} must have at least {stop} elements, not {len(vector)}")
        self.query[slot, : stop - start] = vector[start:stop]

    # --- K phase

    def dot(
        self, source: int, row: int, vectors: int, offset: int, accumulate: int, last: int
    ) -> None:
        """MACK."""
        page = self.die.page("MACK", source, row)
        unit, slot = self._places(vectors)
        if not self.active:
            self.kind[unit, slot] = EMPTY
            return
        if accumulate and (self.kind[unit, slot] != PARTIAL).any():
            raise IsaError("MACK must accumulate onto partial scores (accumulate = 1, last = 0)")
        key = self._vectors(page, vectors, offset)  # [vectors, part, lanes]
        result = np.empty((vectors, self.n), np.float32)
        for j in range(self.n):
            query = self.query[j, : self.part * self.lanes].reshape(self.part, self.lanes)
            sums = tree16((key * query).reshape(-1)).reshape(vectors, self.part)
            result[:, j] = sum_in_order(sums)
        if accumulate:
            result = result + self.score[unit, : self.n, slot]
        if last and self.die.arithmetic.score_dtype == "fp16":
            result, count = to_fp16(result, self.die.arithmetic.saturate)
            self.die.saturations.scores += count
        self.score[unit, : self.n, slot] = result
        self.kind[unit, slot] = SCORE if last else PARTIAL
        self._record("dot", vectors, source, row, offset, scores=bool(last))

    def _places(self, vectors: int) -> tuple[np.ndarray, np.ndarray]:
        """PU and slot of each vector of a page."""
        slot, unit = np.divmod(np.arange(vectors), self.units)
        return unit, slot

    def _vectors(self, page: np.ndarray, vectors: int, offset: int) -> np.ndarray:
        """float32 [vectors, part, lanes]."""
        used = page[: vectors * self.vector].view(np.float16).astype(np.float32)
        return used.reshape(vectors, self.vector, self.lanes)[:, offset : offset + self.part]

    # --- scores in place

    def row_maximum(self, vectors: int) -> None:
        """MAX."""
        if not self.active:
            self.maximum[:, : self.n] = np.nan
            return
        scores = self._taken("MAX", vectors, SCORE, -np.inf)
        if np.isnan(scores).any():
            raise IsaError("MAX must work on numbers: a score used a page never written")
        self.maximum[:, : self.n] = scores.max(axis=2)
        self._record("max", vectors)

    def exponentials(self, vectors: int) -> None:
        """EXP."""
        unit, slot = self._places(vectors)
        if not self.active:
            self.kind[unit, slot] = EMPTY
            return
        self._taken("EXP", vectors, SCORE, 0)
        maximum = self.maximum[unit, : self.n].astype(np.float64)
        if np.isnan(maximum).any() or np.isneginf(maximum).any():
            raise IsaError("EXP must come after the MAX of its vectors")
        with np.errstate(invalid="ignore"):  # inf - inf, where scores do not saturate
            difference = self.score[unit, : self.n, slot].astype(np.float64) - maximum
            value = exponential(difference, self.die.arithmetic.probability_dtype)
        self.score[unit, : self.n, slot] = value
        self.kind[unit, slot] = PROBABILITY
        self._record("exp", vectors)

    def add(self, vectors: int) -> None:
        """SUM."""
        if not self.active:
            self.total[:, : self.n] = np.nan
            return
        self.total[:, : self.n] = sum_in_order(self._taken("SUM", vectors, PROBABILITY, 0))
        self._record("sum", vectors)

    def _taken(self, name: str, vectors: int, kind: int, missing: float) -> np.ndarray:
        """What the first slots hold, float32 [PUs, n, slots]; `missing` without a vector."""
        unit, slot = self._places(vectors)
        if (self.kind[unit, slot] != kind).any():
            raise IsaError(f"{name} must work on {_MADE_BY[kind]} of {vectors} vectors")
        shape = self.units, self.n, -(-vectors // self.units)
        values = np.full(shape, missing, np.float32)
        values[unit, :, slot] = self.score[unit, : self.n, slot]
        return values

    # --- V phase

    def clear(self) -> None:
        """CLRO."""
        self.output[:, : self.n] = 0
        self._note("clear")

    def weigh(self, source: int, row: int, vectors: int, offset: int) -> None:
        """MACV."""
        page = self.die.page("MACV", source, row)
        if not self.active:
            self.output[:, : self.n] = np.nan
            return
        weight = self._taken("MACV", vectors, PROBABILITY, 0)
        width = self.part * self.lanes
        value = self._vectors(page, vectors, offset).reshape(vectors, width)
        for first in range(0, vectors, self.units):
            own = value[first : first + self.units]  # slot after slot, the PUs side by side
            share = weight[: len(own), :, first // self.units]
            self.output[: len(own), : self.n, :width] += share[:, :, None] * own[:, None]
        self._record("weigh", vectors, source, row, offset)

    # --- reduction

    def reduce(self) -> None:
        """REDG."""
        if not self.active:
            self.merged[:] = np.nan
            return
        n, width = self.n, self.part * self.lanes
        saturate, counts = self.die.arithmetic.saturate, self.die.saturations
        maximum, total = self.maximum[:, :n], self.total[:, :n]
        if np.isnan(maximum).any() or np.isnan(total).any():
            raise IsaError("REDG must come after MAX and SUM of the held queries")
        used = maximum > -np.inf
        output = np.where(used[..., None], self.output[:, :n, :width], np.float32(0))
        if np.isnan(output).any():
            raise IsaError("REDG must find outputs: MACV used a page never written, or none began")
        top = maximum.max(axis=0)
        difference = np.where(used, maximum, np.float32(-np.inf)).astype(np.float64) - top
        weight = exponential(difference, "fp16")
        output, clipped = to_fp16(output, saturate)
        counts.outputs += clipped
        merged, merged_total = np.zeros((n, width), np.float32), np.zeros(n, np.float32)
        for u in range(self.units):
            merged = merged + weight[u][:, None] * output[u]
            merged_total = merged_total + weight[u] * total[u]
        merged, clipped = to_fp16(merged, saturate)
        counts.group_outputs += clipped
        self.merged[:n, :width] = merged
        self.merged_maximum[:n], self.merged_total[:n] = top, merged_total
        self._note("reduce")

    def merge(self, slot: int, query: int) -> None:
        """REDL."""
        if self.die.wanted is not None and query not in self.die.wanted:
            return
        output = self.merged[slot, : self.part * self.lanes]
        if np.isnan(output).any() or np.isnan(self.merged_maximum[slot]):
            raise IsaError(f"REDL must come after the REDG of query {query}")
        self.die.merge(
            CONTROLLER, query, output, self.merged_maximum[slot], self.merged_total[slot]
        )
        self._note("merge", slot=slot, query=query)

    def read_result(self, query: int, normalise: int) -> None:
        """RDR."""
        self.die.read(CONTROLLER, query, bool(normalise), self.part * self.lanes)

    def free(self, source: int, row: int, pages: int) -> None:
        """FREE."""
        self.die.free(source, row, pages)

    # --- events

    def _note(self, kind: str, **details: Any) -> None:
        if self.die.record and self.active:
            queries = tuple(-1 if q is None else q for q in self.held[: self.n])
            self.die.events.append(Event(CONTROLLER, kind, queries, **details))

    def _record(
        self,
        kind: str,
        vectors: int,
        source: int = 0,
        row: int = 0,
        offset: int = 0,
        scores: bool = False,
    ) -> None:
        """An event for the slots that all PUs fill, and one for the slot that the first PUs fill.

        Rows are source x 2^26 + row; a slot of a PU is `vector` columns wide.
        """
        for base, slots, units in self._runs(vectors):
            stored = None
            if scores:
                stored = self.score[None, :, : self.n, base : base + slots].copy()
            self._note(
                kind,
                rows=np.array([(source << ROW_BITS) + row]),
                bases=np.array([base]),
                column=base * self.vector + offset,
                slots=slots,
                mask=(1 << units) - 1,
                first=base == 0,
                scores=stored,
            )

    def _runs(self, vectors: int) -> Iterator[tuple[int, int, int]]:
        """(first slot, slots, PUs that fill them)."""
        full, rest = divmod(vectors, self.units)
        if full:
            yield 0, full, self.units
        if rest:
            yield full, 1, rest
