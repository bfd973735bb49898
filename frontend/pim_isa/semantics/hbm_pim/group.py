"""A bank group of HBM-PIM: four processing units and a reduction unit.

What works on scores in place is in `softmax`. Each method is the pseudo-code of the instruction in
tables/hbm_pim.toml, over all banks and queries at once. The order of FP32 additions is the stated
one and no other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pim_isa.arithmetic import exponential, to_fp16, tree16
from pim_isa.errors import IsaError
from pim_isa.formats import BY_CODE
from pim_isa.memory import GroupMemory
from pim_isa.semantics.hbm_pim.banks import LockstepBanks
from pim_isa.semantics.hbm_pim.die import Event, LogicDie
from pim_isa.table import InstructionTable

# What a slot of the PU buffer holds. WEIGHT: an exponential times the scale of its V.
EMPTY, PARTIAL, SCORE, PROBABILITY, WEIGHT = range(5)


class Group(LockstepBanks):
    """One bank group: open rows, PU buffers and maxima, sums and outputs of its banks."""

    def __init__(
        self, table: InstructionTable, stream: int, memory: GroupMemory, die: LogicDie
    ) -> None:
        banks, slots = table.constants["banks"], table.constants["max_slots"]
        held = table.spec("CFG").field("queries").maximum
        super().__init__(banks, held, die)
        self.stream, self.memory = stream, memory
        self.lanes = table.constants["lanes"]
        width = table.constants["query_columns"] * self.lanes
        self.part = self.vector = 0
        self.format = BY_CODE[0]
        self.query = np.full((held, width), np.nan, dtype=np.float32)
        self.score = np.full((banks, held, slots), np.nan, dtype=np.float32)
        self.kind = np.zeros((banks, slots), dtype=np.uint8)
        self.maximum = np.full((banks, held), np.nan, dtype=np.float32)
        self.total = np.full((banks, held), np.nan, dtype=np.float32)
        self.output = np.full((banks, held, width), np.nan, dtype=np.float32)
        self.group_output = np.full((held, width), np.nan, dtype=np.float32)
        self.group_maximum = np.full(held, np.nan, dtype=np.float32)
        self.group_total = np.full(held, np.nan, dtype=np.float32)
        self.selection: dict[int, np.ndarray] = {
            mask: np.flatnonzero([mask >> b & 1 for b in range(banks)])
            for mask in range(1 << banks)
        }

    # --- control and rows

    def configure(
        self, queries: int, part: int, vector: int, form: int, _extra_cycles: int
    ) -> None:
        """CFG."""
        self.n, self.part, self.vector, self.format = queries, part, vector, BY_CODE[form]
        self.select()

    @property
    def wide(self) -> int:
        """Columns of a query or of outputs that a part of a vector faces."""
        return self.part * self.format.pack

    def append(self, bank: int, row: int, column: int, columns: int, source: int) -> None:
        """APP. The controller opens the row of a closed bank for the write."""
        self.open_for_append(bank, row)
        vector = self.appended(source)
        if vector is None:
            return
        if len(vector) != columns * self.lanes:
            raise IsaError(
                f"source {source} must be {len(vector) // self.lanes} columns, not {columns}"
            )
        self.memory.write(np.array([bank]), np.array([row]), np.array([column]), vector[None])

    def record(self, kind: str, **details: Any) -> None:
        if self.die.record and self.active:
            queries = tuple(-1 if q is None else q for q in self.held[: self.n])
            self.die.events.append(Event(self.stream, kind, queries, **details))

    # --- K phase

    def write_query(self, slot: int, query: int, offset: int) -> None:
        """WRQ."""
        start, stop = offset * self.lanes, (offset + self.wide) * self.lanes
        part = self.hold(slot, query, start, stop)
        if part is None:
            self.query[slot] = np.nan
        else:
            self.query[slot, : len(part)] = part

    def dot(
        self, row: int, column: int, slots: int, base: int, mask: int, accumulate: int, last: int
    ) -> None:
        """MACK at the open row."""
        self.visit("MACK", row)
        self.dots(np.array([row]), np.array([base]), column, slots, mask, accumulate, last)

    def dots(
        self,
        rows: np.ndarray,
        bases: np.ndarray,
        column: int,
        slots: int,
        mask: int,
        accumulate: int,
        last: int,
    ) -> None:
        """MACK in rows [visits], scores from bases [visits] on, which do not overlap."""
        banks = self.selection[mask]
        target = (bases[:, None] + np.arange(slots)).ravel()
        where = np.ix_(banks, target)
        if not self.active:
            self.kind[where] = EMPTY
            return
        if accumulate and (self.kind[where] != PARTIAL).any():
            raise IsaError("MACK must accumulate onto partial scores (accumulate = 1, last = 0)")
        k = self._vectors(rows, column, slots)
        n, wide, visits = self.n, self.wide, len(rows)
        stored = np.empty((visits, self.banks, n, slots), dtype=np.float32)
        for j in range(n):
            q = self.query[j, : wide * self.lanes].reshape(wide, self.lanes)
            sums = tree16((k * q).reshape(-1)).reshape(-1, wide)
            total = sums[:, 0].copy()
            for c in range(1, wide):
                total += sums[:, c]
            stored[:, :, j] = total.reshape(visits, self.banks, slots)
        result = stored.transpose(1, 2, 0, 3).reshape(self.banks, n, visits * slots)[banks]
        index = np.ix_(banks, np.arange(n), target)
        if accumulate:
            result = result + self.score[index]
        if last and self.die.arithmetic.score_dtype == "fp16":
            result, count = to_fp16(result, self.die.arithmetic.saturate)
            self.die.saturations.scores += count
        self.score[index] = result
        self.kind[where] = SCORE if last else PARTIAL
        if self.die.record:
            stored[:, banks] = result.reshape(len(banks), n, visits, slots).transpose(2, 0, 1, 3)
            self.record(
                "dot", rows=rows, bases=bases, column=column, slots=slots, mask=mask,
                scores=stored if last else None,
            )  # fmt: skip

    def _vectors(self, rows: np.ndarray, column: int, slots: int) -> np.ndarray:
        """Elements of vectors, float32 [visits, banks, slots, wide, lanes]."""
        span = (slots - 1) * self.vector + self.part
        block = self.memory.block(rows, column, span, self.format)
        if self.part != self.vector:
            pick = np.arange(slots)[:, None] * self.vector + np.arange(self.part)
            block = block[:, :, pick]
        return block.reshape(len(rows), self.banks, slots, self.wide, self.lanes)

    # --- V phase

    def clear(self) -> None:
        """CLRO."""
        self.output[:, : self.n] = 0
        self.record("clear")

    def weigh(self, row: int, column: int, slots: int, base: int, mask: int, first: int) -> None:
        """MACV at the open row."""
        self.visit("MACV", row)
        self.weighs(np.array([row]), np.array([base]), column, slots, mask, first)

    def weighs(
        self,
        rows: np.ndarray,
        bases: np.ndarray,
        column: int,
        slots: int,
        mask: int,
        first: int,
    ) -> None:
        """MACV in rows [visits] with exponentials from bases [visits] on, visit after visit."""
        n, banks, width = self.n, self.selection[mask], self.wide * self.lanes
        if not self.active:
            self.output[:, :n] = np.nan
            return
        if first:
            self.clear()
        if not len(banks):
            return
        source = (bases[:, None] + np.arange(slots)).ravel()
        kind, maker = (WEIGHT, "SCLV") if self.format.scaled else (PROBABILITY, "EXP")
        if (self.kind[np.ix_(banks, source)] != kind).any():
            what = "scaled exponentials" if self.format.scaled else "exponentials"
            raise IsaError(f"MACV must work on {what} ({maker})")
        v = self._vectors(rows, column, slots)
        if len(banks) < self.banks:
            v = v[:, banks]
        # [visits x slots, banks, width]: a reduction over the first axis adds row after row.
        v = np.ascontiguousarray(v.transpose(0, 2, 1, 3, 4)).reshape(-1, len(banks), width)
        terms = np.empty((len(source) + 1, len(banks), width), dtype=np.float32)
        for j in range(n):
            weight = np.ascontiguousarray(self.score[banks, j][:, source].T)
            terms[0] = self.output[banks, j, :width]
            np.multiply(v, weight[:, :, None], out=terms[1:])
            self.output[banks, j, :width] = np.add.reduce(terms, axis=0)
        self.record("weigh", rows=rows, bases=bases, column=column, slots=slots, mask=mask)

    # --- reduction

    def reduce_group(self) -> None:
        """REDG."""
        if not self.active:
            self.group_output[:] = np.nan
            return
        n, width = self.n, self.wide * self.lanes
        saturate, counts = self.die.arithmetic.saturate, self.die.saturations
        maximum, total = self.maximum[:, :n], self.total[:, :n]
        if np.isnan(maximum).any() or np.isnan(total).any():
            raise IsaError("REDG must come after MAX and SUM of the held queries")
        used = maximum > -np.inf  # [banks, n]
        output = np.where(used[:, :, None], self.output[:, :n, :width], np.float32(0))
        if np.isnan(output).any():
            raise IsaError("REDG must find outputs: MACV used memory never written, or none began")
        top = maximum.max(axis=0)
        safe = np.where(top > -np.inf, top, np.float32(0)).astype(np.float64)
        difference = np.where(used, maximum, np.float32(-np.inf)).astype(np.float64) - safe
        weight = exponential(difference, "fp16")
        output, clipped = to_fp16(output, saturate)
        counts.outputs += clipped
        merged = np.zeros((n, width), dtype=np.float32)
        merged_total = np.zeros(n, dtype=np.float32)
        for b in range(self.banks):
            merged = merged + weight[b][:, None] * output[b]
            merged_total = merged_total + weight[b] * total[b]
        merged, clipped = to_fp16(merged, saturate)
        counts.group_outputs += clipped
        self.group_output[:n, :width] = merged
        self.group_maximum[:n], self.group_total[:n] = top, merged_total
        self.record("reduce")

    def reduce_die(self, slot: int, query: int) -> None:
        """REDL."""
        if self.die.wanted is not None and query not in self.die.wanted:
            return
        output = self.group_output[slot, : self.wide * self.lanes]
        if np.isnan(output).any() or np.isnan(self.group_maximum[slot]):
            raise IsaError(f"REDL must come after the REDG of query {query}")
        maximum, total = self.group_maximum[slot], self.group_total[slot]
        self.die.merge(self.stream, query, output, maximum, total)
        self.record("merge", slot=slot, query=query)

    def read_result(self, query: int, normalise: int) -> None:
        """RDR."""
        self.die.read(self.stream, query, bool(normalise), self.wide * self.lanes)
