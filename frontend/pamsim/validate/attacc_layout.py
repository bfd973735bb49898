"""The layout proof of AttAcc's head-parallel mapping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.attacc import GROUP_BANKS, LANES, PARTITIONS, AttAccShape
from pamsim.layout.table import BlockTable
from pamsim.layout.whole_heads import HeadSegment, HeadTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.layout import LayoutVerdict
from pamsim.validate.whole_heads_layout import prove_head_layout
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class StoredPlaces:
    """Where some elements of each of n tokens' vectors lie: int64 [n] each."""

    value: bool  # of V, not of K
    elements: slice  # of the padded vector
    bank: np.ndarray  # of the channel, 0..63
    row: np.ndarray
    column: np.ndarray  # first


def stored_places(
    segment: HeadSegment, shape: AttAccShape, tokens: np.ndarray
) -> Iterator[StoredPlaces]:
    """The places of tokens [n] in layer 0 (docs/attacc-commands.md, Organisation)."""
    local, partition = np.divmod(tokens, PARTITIONS)
    width = shape.part * LANES
    for quarter in range(GROUP_BANKS):
        bank = partition * GROUP_BANKS + quarter
        row = segment.key_row + local // shape.row_slots
        column = local % shape.row_slots * shape.part
        whole = slice(quarter * width, (quarter + 1) * width)
        yield StoredPlaces(False, whole, bank, row, column)
        for chunk in range(shape.part):
            start = quarter * width + chunk * LANES
            first = segment.value_row + chunk * shape.chunk_rows(segment.tokens)
            row = first + local // shape.columns
            part = slice(start, start + LANES)
            yield StoredPlaces(True, part, bank, row, local % shape.columns)


def prove_layout(
    table: BlockTable,
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    *,
    tier: str = "hbm",
    layers: int | None = None,
) -> LayoutVerdict:
    """As pamsim.validate.prove_layout."""
    assert isinstance(table, HeadTable)
    places = _Places(table.shape)
    return prove_head_layout(table, model, step, system, tier, layers or model.layers, places)


class _Places:
    """HeadPlaces of AttAcc."""

    banks, groups = PARTITIONS * GROUP_BANKS, 2  # groups: a pseudo-channel has half the partitions

    def __init__(self, shape: AttAccShape) -> None:
        self.shape, self.elements = shape, shape.vector_columns * LANES

    def first_of_key(
        self, head: HeadSegment, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = next(stored_places(head, self.shape, tokens))
        return first.bank, first.row, first.column

    def overwritten(self, heads: list[HeadSegment]) -> int:
        cells = []
        for s in heads:
            for p in stored_places(s, self.shape, np.arange(s.tokens)):
                for c in range(1 if p.value else self.shape.part):
                    cells.append((p.bank << 32) + p.row * self.shape.columns + p.column + c)
        every = np.concatenate(cells)
        return (len(every) - len(np.unique(every))) * LANES

    def end_row(self, head: HeadSegment) -> int:
        value = head.value_row + self.shape.part * self.shape.chunk_rows(head.tokens)
        return max(head.key_row + self.shape.key_rows(head.tokens), value)

    def accesses(self, tokens: int) -> tuple[int, int]:
        local = -(-tokens // PARTITIONS)
        return 2 * local * self.shape.part, self.shape.rows(tokens)
