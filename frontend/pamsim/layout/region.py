"""Regions and segments: which rows and columns of a bank group's banks hold which tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

BLOCK_TOKENS = 16
SCALES_PER_COLUMN = 16  # FP16 numbers in 32 bytes

Slot = TypeVar("Slot", int, np.ndarray)


@dataclass(frozen=True)
class Region:
    """Where one piece of a segment's K or V vectors lies, in every bank of the group, in layer 0.

    A row holds the vectors of `slots_per_row` slots from `column` on, one every `slot_columns`
    columns, each `vector_columns` wide. Rows that follow on one another come in blocks of
    `block_rows`; a block begins `block_step` rows after the one before. Where vectors have scales
    (INT8, INT4), those of a row, FP16 numbers slot by slot, fill columns from `scale_column` on.
    """

    first_row: int
    slots_per_row: int
    slot_columns: int
    column: int
    vector_columns: int
    block_rows: int = 1
    block_step: int = 1
    scale_column: int | None = None

    @property
    def block_slots(self) -> int:
        """Slots of a block of rows."""
        return self.slots_per_row * self.block_rows

    @property
    def end_column(self) -> int:
        """One past the last column that a full row uses."""
        return self.column + (self.slots_per_row - 1) * self.slot_columns + self.vector_columns

    @property
    def scale_columns(self) -> int:
        """Columns of a row that hold scales."""
        return 0 if self.scale_column is None else -(-self.slots_per_row // SCALES_PER_COLUMN)

    def row(self, slot: Slot) -> Slot:
        """The row of a slot, or of each of an array of slots."""
        row = slot // self.slots_per_row
        block = row // self.block_rows
        return self.first_row + block * self.block_step + row % self.block_rows

    def column_of(self, slot: Slot) -> Slot:
        """The first column of a slot, or of each of an array of slots."""
        return self.column + slot % self.slots_per_row * self.slot_columns

    def scale_place(self, slot: int) -> tuple[int, int]:
        """Column of a slot's scale, and which FP16 number of it. ValueError where none has one."""
        if self.scale_column is None:
            raise ValueError("region must hold scales")
        columns, lane = divmod(slot % self.slots_per_row, SCALES_PER_COLUMN)
        return self.scale_column + columns, lane

    def row_count(self, slots: int) -> int:
        """Rows that the first `slots` slots touch."""
        return -(-slots // self.slots_per_row)


@dataclass(frozen=True)
class Segment:
    """The tokens of one (request, KV head) that one bank group holds, in layer 0.

    Local token i (0 <= i < tokens) is in bank i mod banks, slot i div banks. Its K vector lies in
    the regions of `key`, piece after piece, its V vector in those of `value`; pieces of K that are
    part of V too (the latent vector of MLA) are the same region in both. Local token i is token
    blocks[i div 16] x 16 + i mod 16 of the request: `blocks` lists the request's blocks that lie
    here, ascending; only the request's last block can be partial.
    """

    request: int
    kv_head: int
    channel: int  # of the tier, counted over all devices
    group: int  # ((pseudo_channel x sids) + sid or rank) x bank_groups + bank_group
    tokens: int
    key: tuple[Region, ...]
    value: tuple[Region, ...]
    blocks: np.ndarray  # int64 [ceil(tokens / 16)]

    @property
    def regions(self) -> tuple[Region, ...]:
        """Every region once: those of K, then those of V that are not K's."""
        return tuple(dict.fromkeys(self.key + self.value))

    @property
    def place(self) -> tuple[int, int, tuple[Region, ...], tuple[Region, ...]]:
        """Equal for segments that lie the same way in groups of the same number."""
        return self.group, self.tokens, self.key, self.value
