"""The layout proof of AiM's mapping."""

from __future__ import annotations

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.aim import BANKS, LANES, AimShape
from pamsim.layout.table import BlockTable
from pamsim.layout.whole_heads import HeadSegment, HeadTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.layout import LayoutVerdict
from pamsim.validate.whole_heads_layout import prove_head_layout
from pamsim.workload.step import DecodeStep

BANK_GROUPS = 4

Places = tuple[np.ndarray, np.ndarray, np.ndarray]  # bank, row, first column: int64 [n]


def key_places(segment: HeadSegment, shape: AimShape, tokens: np.ndarray) -> Places:
    """Of the K vectors of tokens [n] in layer 0 (docs/aim-commands.md, Mapping)."""
    slot, bank = np.divmod(tokens, BANKS)
    row, inside = np.divmod(slot, shape.row_slots)
    return bank, segment.key_row + row, inside * shape.vector_columns


def value_places(
    segment: HeadSegment, shape: AimShape, tokens: np.ndarray, element: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bank, row, column, lane of one element of V of tokens [n] in layer 0."""
    part, bank = divmod(element, BANKS)
    block, inside = np.divmod(tokens, shape.columns * LANES)
    column, lane = np.divmod(inside, LANES)
    row = segment.value_row + block * shape.block_rows + part
    return np.full(len(tokens), bank), row, column, lane


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
    places = _Places(table.shape, model.head_dim)
    return prove_head_layout(table, model, step, system, tier, layers or model.layers, places)


class _Places:
    """HeadPlaces of AiM; a vector has `used` elements."""

    banks, groups = BANKS, BANK_GROUPS

    def __init__(self, shape: AimShape, used: int) -> None:
        self.shape, self.used, self.elements = shape, used, shape.vector_columns * LANES

    def first_of_key(self, head: HeadSegment, tokens: np.ndarray) -> Places:
        return key_places(head, self.shape, tokens)

    def overwritten(self, heads: list[HeadSegment]) -> int:
        """K in whole columns; V's columns hold 16 tokens that follow on one another."""
        cells = []
        for s in heads:
            tokens = np.arange(s.tokens)
            bank, row, first = key_places(s, self.shape, tokens)
            columns = first[:, None] + np.arange(self.shape.vector_columns)
            cells.append(self.cell(bank[:, None], row[:, None], columns, 0).ravel())
            lanes = value_places(s, self.shape, tokens, 0)[3]
            for element in range(self.used):
                places = value_places(s, self.shape, tokens[lanes == 0], element)
                cells.append(self.cell(*places))
            block = tokens // LANES
            if len(np.unique(block * LANES + lanes)) != s.tokens:
                return s.tokens
        every = np.concatenate(cells)
        return (len(every) - len(np.unique(every))) * LANES

    def cell(
        self, bank: np.ndarray, row: np.ndarray, column: np.ndarray, lane: np.ndarray | int
    ) -> np.ndarray:
        return np.asarray(((row * BANKS + bank) * self.shape.columns + column) * LANES + lane)

    def end_row(self, head: HeadSegment) -> int:
        value = head.value_row + self.shape.block_rows * self.shape.blocks(head.tokens)
        return max(head.key_row + self.shape.key_rows(head.tokens), value)

    def accesses(self, tokens: int) -> tuple[int, int]:
        values = -(-tokens // LANES) * self.shape.block_rows
        keys = self.shape.slots(tokens) * self.shape.vector_columns
        return keys + values, self.shape.rows(tokens)
