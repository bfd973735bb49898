"""A bank group of a DDR-PIM rank: 32 processing units, four banks in each of eight chips.

Unit u is at bank u div 8 of chip u mod 8. Each method is the pseudo-code of the instruction in
tables/ddr_pim.toml, over all units and queries at once; what works on scores in place is in
`softmax`. The order of FP32 additions is the stated one and no other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pim_isa.arithmetic import exponential, to_fp16
from pim_isa.errors import IsaError
from pim_isa.memory import GroupMemory
from pim_isa.semantics.hbm_pim.banks import LockstepBanks
from pim_isa.semantics.hbm_pim.die import Event, LogicDie
from pim_isa.table import InstructionTable, load

CHIPS = load("ddr_pim").constants["chips"]
EMPTY, PARTIAL, SCORE, PROBABILITY = range(4)  # what a slot of the PU buffer holds


class Group(LockstepBanks):
    """One bank group: open rows, PU buffers and maxima, sums and outputs of its units."""

    def __init__(
        self, table: InstructionTable, stream: int, memory: GroupMemory, die: LogicDie
    ) -> None:
        slots, held = table.constants["max_slots"], table.spec("CFG").field("queries").maximum
        super().__init__(table.constants["banks"], held, die)
        self.stream, self.memory, self.lanes = stream, memory, table.constants["lanes"]
        self.units = units = self.banks * CHIPS
        width = table.constants["row_columns"] * self.lanes
        self.part = self.vector = 0
        self.striped = False
        self.mask = np.arange(units)  # units that masked instructions work on
        self.query = np.full((held, CHIPS, width), np.nan, dtype=np.float32)
        self.score = np.full((units, held, slots), np.nan, dtype=np.float32)
        self.kind = np.zeros((units, slots), dtype=np.uint8)
        self.maximum = np.full((units, held), np.nan, dtype=np.float32)
        self.total = np.full((units, held), np.nan, dtype=np.float32)
        self.output = np.full((units, held, width), np.nan, dtype=np.float32)
        self.chip_output = np.full((CHIPS, held, width), np.nan, dtype=np.float32)
        self.chip_maximum = np.full((CHIPS, held), np.nan, dtype=np.float32)
        self.chip_total = np.full((CHIPS, held), np.nan, dtype=np.float32)
        self.visits: list[dict[str, Any]] = []  # dot products whose sum over the chips is to come

    # --- control and rows

    def configure(self, queries: int, part: int, vector: int, striped: int) -> None:
        """CFG."""
        self.n, self.part, self.vector, self.striped = queries, part, vector, bool(striped)
        self.select()

    def set_mask(self, units: int) -> None:
        """MASK."""
        self.mask = np.flatnonzero([units >> u & 1 for u in range(self.units)])

    def chosen(self, masked: int) -> np.ndarray:
        """Units that an instruction works on, ascending."""
        return self.mask if masked else np.arange(self.units)

    def append(
        self, bank: int, row: int, column: int, columns: int, chip: int, source: int
    ) -> None:
        """APP. The controller opens the row of a closed bank for the write."""
        vector = self._appended(bank, row, columns, columns * self.lanes, source)
        if vector is not None:
            self._write([bank * CHIPS + chip], row, column, vector[None])

    def append_whole(self, bank: int, row: int, column: int, columns: int, source: int) -> None:
        """APPW."""
        vector = self._appended(bank, row, columns, columns * self.lanes * CHIPS, source)
        if vector is not None:
            bursts = vector.reshape(columns, CHIPS, self.lanes).transpose(1, 0, 2)
            units = [bank * CHIPS + chip for chip in range(CHIPS)]
            self._write(units, row, column, bursts.reshape(CHIPS, -1))

    def _appended(
        self, bank: int, row: int, columns: int, elements: int, source: int
    ) -> np.ndarray | None:
        self.open_for_append(bank, row)
        vector = self.appended(source)
        if vector is None:
            return None
        if len(vector) != elements:
            raise IsaError(
                f"source {source} must be {elements} elements, which fill {columns} columns, "
                f"not {len(vector)}"
            )
        return vector

    def _write(self, units: list[int], row: int, column: int, vectors: np.ndarray) -> None:
        rows, columns = (np.full(len(units), x, dtype=np.int64) for x in (row, column))
        self.memory.write(np.array(units), rows, columns, vectors)

    def record(self, kind: str, **details: Any) -> None:
        """Keeps an event, if asked for. `units` in details become its mask, a bit for each place
        that a token can lie in: a unit, or a bank where vectors are striped."""
        if not (self.die.record and self.active):
            return
        if "units" in details:
            units = details.pop("units")
            places = np.unique(units // CHIPS) if self.striped else units
            details["mask"] = sum(1 << int(place) for place in places)
        queries = tuple(-1 if q is None else q for q in self.held[: self.n])
        self.die.events.append(Event(self.stream, kind, queries, **details))

    # --- K phase

    def write_query(self, slot: int, query: int, offset: int) -> None:
        """WRQ."""
        width = self.part * self.lanes
        each = self.lanes * CHIPS if self.striped else self.lanes
        part = self.hold(slot, query, offset * each, (offset + self.part) * each)
        if part is None:
            self.query[slot] = np.nan
            return
        if self.striped:
            part = part.reshape(self.part, CHIPS, self.lanes).transpose(1, 0, 2)
        self.query[slot, :, :width] = part.reshape(-1, width)

    def dot(
        self, row: int, column: int, slots: int, base: int, masked: int, accumulate: int, last: int
    ) -> None:
        """MACK."""
        self.visit("MACK", row)
        units = self.chosen(masked)
        where = np.ix_(units, np.arange(base, base + slots))
        if not self.active:
            self.kind[where] = EMPTY
            return
        if accumulate and (self.kind[where] != PARTIAL).any():
            raise IsaError("MACK must accumulate onto partial scores (accumulate = 1, last = 0)")
        k = self._vectors(row, column, slots)[units]  # [units, slots, part, lanes]
        q = self.query[: self.n, :, : self.part * self.lanes]
        q = q.reshape(self.n, CHIPS, 1, self.part, self.lanes)[:, units % CHIPS]
        products = k * q  # [queries, units, slots, part, lanes]
        pairs = products[..., 0::2] + products[..., 1::2]  # tree4
        columns = pairs[..., 0] + pairs[..., 1]
        result = columns[..., 0].copy()
        for c in range(1, self.part):
            result += columns[..., c]
        result = result.swapaxes(0, 1)
        index = np.ix_(units, np.arange(self.n), np.arange(base, base + slots))
        if accumulate:
            result = result + self.score[index]
        if last and self.die.arithmetic.score_dtype == "fp16":
            result, count = to_fp16(result, self.die.arithmetic.saturate)
            self.die.saturations.scores += count
        self.score[index] = result
        self.kind[where] = SCORE if last else PARTIAL
        details = {
            "rows": np.array([row]),
            "bases": np.array([base]),
            "column": column,
            "slots": slots,
        }
        if self.striped:
            self.visits.append(details | {"units": units})
            return
        scores = np.full((1, self.units, self.n, slots), np.nan, dtype=np.float32)
        scores[0, units] = result
        self.record("dot", units=units, scores=scores if last else None, **details)

    def _vectors(self, row: int, column: int, slots: int) -> np.ndarray:
        """float32 [units, slots, part, lanes]."""
        span = (slots - 1) * self.vector + self.part
        block = self.memory.block(np.array([row]), column, span)[0]
        if self.part == self.vector:
            return block.reshape(self.units, slots, self.part, self.lanes)
        pick = np.arange(slots)[:, None] * self.vector + np.arange(self.part)
        return block[:, pick]

    # --- V phase

    def clear(self) -> None:
        """CLRO."""
        self.output[:, : self.n] = 0
        self.record("clear")

    def weigh(self, row: int, column: int, slots: int, base: int, masked: int) -> None:
        """MACV."""
        self.visit("MACV", row)
        units, width = self.chosen(masked), self.part * self.lanes
        if not self.active:
            self.output[:, : self.n] = np.nan
            return
        if (self.kind[np.ix_(units, np.arange(base, base + slots))] != PROBABILITY).any():
            raise IsaError("MACV must work on exponentials (EXP)")
        v = self._vectors(row, column, slots)[units].reshape(len(units), slots, width)
        for i in range(slots):
            weight = self.score[units, : self.n, base + i]
            self.output[units, : self.n, :width] += weight[:, :, None] * v[:, None, i]
        self.record(
            "weigh", rows=np.array([row]), bases=np.array([base]), column=column, slots=slots,
            units=units,
        )  # fmt: skip

    # --- reduction

    def reduce_group(self) -> None:
        """REDG."""
        if not self.active:
            self.chip_output[:] = np.nan
            return
        n, width = self.n, self.part * self.lanes
        saturate, counts = self.die.arithmetic.saturate, self.die.saturations
        maximum = self.maximum[:, :n].reshape(self.banks, CHIPS, n)
        total = self.total[:, :n].reshape(self.banks, CHIPS, n)
        if np.isnan(maximum).any() or np.isnan(total).any():
            raise IsaError("REDG must come after MAX and SUM of the held queries")
        used = maximum > -np.inf
        output = self.output[:, :n, :width].reshape(self.banks, CHIPS, n, width)
        output = np.where(used[..., None], output, np.float32(0))
        if np.isnan(output).any():
            raise IsaError("REDG must find outputs: MACV used memory never written, or none began")
        top = maximum.max(axis=0)
        safe = np.where(top > -np.inf, top, np.float32(0)).astype(np.float64)
        difference = np.where(used, maximum, np.float32(-np.inf)).astype(np.float64) - safe
        weight = exponential(difference, "fp16")
        output, clipped = to_fp16(output, saturate)
        counts.outputs += clipped
        merged = np.zeros((CHIPS, n, width), dtype=np.float32)
        merged_total = np.zeros((CHIPS, n), dtype=np.float32)
        for b in range(self.banks):
            merged = merged + weight[b][..., None] * output[b]
            merged_total = merged_total + weight[b] * total[b]
        merged, clipped = to_fp16(merged, saturate)
        counts.group_outputs += clipped
        self.chip_output[:, :n, :width] = merged
        self.chip_maximum[:, :n], self.chip_total[:, :n] = top, merged_total
        self.record("reduce")

    def reduce_buffer(self, slot: int, query: int) -> None:
        """REDL."""
        if self.die.wanted is not None and query not in self.die.wanted:
            return
        output = self.chip_output[:, slot, : self.part * self.lanes]
        maximum, total = self.chip_maximum[:, slot], self.chip_total[:, slot]
        if np.isnan(output).any() or np.isnan(maximum).any():
            raise IsaError(f"REDL must come after the REDG of query {query}")
        if self.striped:
            if (maximum != maximum[0]).any() or (total != total[0]).any():
                raise IsaError("REDL must find the same m and l in every chip (SUMX before MAX)")
            parts = output.reshape(CHIPS, self.part, self.lanes).transpose(1, 0, 2)
            self.die.merge(self.stream, query, parts.reshape(-1), maximum[0], total[0])
        else:
            for chip in range(CHIPS):
                self.die.merge(self.stream, query, output[chip], maximum[chip], total[chip])
        self.record("merge", slot=slot, query=query)

    def read_result(self, query: int, normalise: int) -> None:
        """RDR."""
        elements = self.part * self.lanes * (CHIPS if self.striped else 1)
        self.die.read(self.stream, query, bool(normalise), elements)
