"""What a layout costs: row hits, balance, over-fetch and capacity of a compiled step.

Row hits are counted in the programs, the rest in the block table. All is of one layer, capacity of
all layers of the step.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from pamsim.compiler.compiled import CompiledStep
from pamsim.layout.table import BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.sim import count_commands
from pamsim.validate.layout_cells import region_columns
from pamsim.workload.step import DecodeStep

# Commands that a channel's program asks for, and the rows that it opens for them.
_READS, _READ_ROWS = ("MACbg_", "SCbg_"), "ACTbg"
_WRITES, _WRITTEN_ROWS = "WR", "PREpb"  # an append closes what its first write opened


@dataclass(frozen=True)
class Accesses:
    """Column accesses of a kind, and rows opened for them; a bank group's access counts once."""

    columns: int
    rows: int

    @property
    def hit_rate(self) -> float:
        """Share of the accesses that find their row open: all but the first after an activate."""
        return 1 - self.rows / self.columns if self.columns else 1.0

    @property
    def columns_per_row(self) -> float:
        """Columns an activate is used for."""
        return self.columns / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Load:
    """The fullest of all units of a tier, and their mean; idle ones count."""

    largest: int
    mean: float

    @property
    def imbalance(self) -> float:
        """Largest / mean: 1 where all have the same."""
        return self.largest / self.mean if self.mean else 1.0


@dataclass(frozen=True)
class LayoutReport:
    """Figures of a layout for one step on one tier.

    reads: attention's columns of K, V and scales, over all passes; writes: of the appended token.
    tokens, bytes: K tokens of all heads that a "bank", "group" or "channel" holds, and bytes that
    it delivers in one pass over K and V. needed, fetched: bytes of that pass; fetched counts whole
    columns of all banks of a group. Rows are a bank group's, counted over a channel and all layers.
    """

    layout: str
    reads: Accesses
    writes: Accesses
    bytes_needed: int
    bytes_fetched: int
    tokens: dict[str, Load]
    bytes: dict[str, Load]
    rows_used_max: int
    rows_used_mean: float
    rows_free_min: int
    bytes_taken: int
    bytes_lost: int  # of bytes_taken, those that hold neither K nor V

    @property
    def over_fetch(self) -> float:
        """Bytes fetched per byte needed."""
        return self.bytes_fetched / self.bytes_needed

    def document(self) -> dict[str, Any]:
        """All figures, for JSON."""

        def loads(by_unit: dict[str, Load]) -> dict[str, Any]:
            return {
                unit: {"max": load.largest, "mean": load.mean, "max_over_mean": load.imbalance}
                for unit, load in by_unit.items()
            }

        def accesses(kind: Accesses) -> dict[str, Any]:
            return {
                "columns": kind.columns,
                "rows": kind.rows,
                "hit_rate": kind.hit_rate,
                "columns_per_activate": kind.columns_per_row,
            }

        return {
            "layout": self.layout,
            "reads": accesses(self.reads),
            "writes": accesses(self.writes),
            "bytes_needed": self.bytes_needed,
            "bytes_fetched": self.bytes_fetched,
            "over_fetch": self.over_fetch,
            "balance_tokens": loads(self.tokens),
            "balance_bytes": loads(self.bytes),
            "capacity": {
                "channel_rows_used_max": self.rows_used_max,
                "channel_rows_used_mean": self.rows_used_mean,
                "channel_rows_free_min": self.rows_free_min,
                "bytes_taken": self.bytes_taken,
                "bytes_lost": self.bytes_lost,
            },
        }


def layout_report(compiled: CompiledStep, model: ModelSpec, step: DecodeStep) -> LayoutReport:
    """The figures of a compiled step on an HBM-PIM tier."""
    table, organisation = compiled.table, compiled.device.organisation
    counts: Counter[str] = Counter()
    for program in compiled.programs:
        for name, count in count_commands(program.program).items():
            kind = "read" if name.startswith(_READS) else name
            counts[kind] += count * len(program.bindings)
    each = organisation.column_bytes * organisation.banks // table.banks  # of a place
    tokens, fetched = _held(table, each)
    of_layer = sum(step.contexts) * model.kv_bytes_per_token_layer
    read = sum(step.contexts) * model.kv_heads * (model.head_dim + model.value_dim)
    used = table.rows_per_layer.sum(axis=1) * table.layers
    taken = int(used.sum()) * organisation.banks * organisation.row_bytes
    return LayoutReport(
        layout=table.layout,
        reads=Accesses(counts["read"], counts[_READ_ROWS]),
        writes=Accesses(counts[_WRITES], counts[_WRITTEN_ROWS]),
        bytes_needed=-(-read * model.kv_bits // 8),
        bytes_fetched=int(fetched.sum()),
        tokens=_loads(tokens),
        bytes=_loads(fetched),
        rows_used_max=int(used.max()),
        rows_used_mean=float(used.mean()),
        rows_free_min=table.groups * (table.rows - table.first_row) - int(used.max()),
        bytes_taken=taken,
        bytes_lost=taken - of_layer * table.layers,
    )


def _held(table: BlockTable, column_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """K tokens in each bank, and bytes it delivers: int64 [channels, groups, banks]."""
    shape = table.channels, table.groups, table.banks
    tokens, fetched = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for s in table.segments:
        per_bank = (s.tokens + np.arange(table.banks)[::-1]) // table.banks
        tokens[s.channel, s.group] += per_bank
        slots = int(per_bank[0])  # of every bank: they work in lockstep
        columns = sum(region_columns(region, slots) for region in s.key + s.value)
        fetched[s.channel, s.group] += columns * column_bytes
    return tokens, fetched


def _loads(held: np.ndarray) -> dict[str, Load]:
    by_unit = {"bank": held, "group": held.sum(axis=2), "channel": held.sum(axis=(1, 2))}
    return {unit: Load(int(n.max()), float(n.mean())) for unit, n in by_unit.items()}
