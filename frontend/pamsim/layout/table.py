"""The block table: where every KV token of a step lies, and the interface that layouts share.

A block is 16 consecutive tokens of one (request, layer, KV head). Layers of a model have the same
shape, so the places of layer i are those of layer 0 with `i x rows_per_layer[channel, group]` added
to the row: a table holds layer 0 and says how layers stack.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import lcm
from typing import Protocol

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.capacity import Room
from pamsim.layout.region import BLOCK_TOKENS, Region, Segment
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep

# A place, packed into 64 bits: K's first column of the block's first token. First bit, bits.
PLACE_FIELDS = {
    "column": (0, 8),
    "row": (8, 24),
    "bank": (32, 6),
    "group": (38, 10),
    "channel": (48, 16),  # of the tier
}


@dataclass(frozen=True)
class BlockTable:
    """Layer 0 of a placement; `rows_per_layer` int64 [channels, groups] leads to other layers."""

    layout: str
    layers: int
    channels: int
    groups: int  # per channel
    banks: int  # places of a group for tokens: its banks, times the chips with a token each
    key_columns: int  # columns of a K vector at one place, every piece padded to whole columns
    value_columns: int
    segments: tuple[Segment, ...]  # by channel, group and row
    rows_per_layer: np.ndarray
    first_row: int  # rows below it belong to the weights
    rows: int  # of a bank

    @property
    def tile_slots(self) -> int:
        """Tiles of a multiple of so many slots begin at a block of rows in every region."""
        regions = {r.block_slots for s in self.segments for r in s.regions}
        return lcm(*regions)

    def places(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and packed places (PLACE_FIELDS) of every block of a layer.

        Returns (keys int64 [n, 3] of request, KV head, block; places uint64 [n]).
        """
        numbers = np.array(
            [
                (s.request, s.kv_head, s.channel, s.group, len(s.blocks), *astuple(s.key[0])[:7])
                for s in self.segments
            ],
            np.int64,
        ).reshape(-1, 12)
        of = np.repeat(np.arange(len(numbers)), numbers[:, 4])
        within = np.arange(len(of)) - (np.cumsum(numbers[:, 4]) - numbers[:, 4])[of]
        request, kv_head, channel, group, _, *region = numbers[of].T
        first_row, slots_per_row, slot_columns, column, _, block_rows, block_step = region
        slot, bank = np.divmod(within * BLOCK_TOKENS, self.banks)
        row, in_row = np.divmod(slot, slots_per_row)
        block, in_block = np.divmod(row, block_rows)
        fields = {
            "column": column + in_row * slot_columns,
            "row": first_row
            + block * block_step
            + in_block
            + self.rows_per_layer[channel, group] * layer,
            "bank": bank,
            "group": group,
            "channel": channel,
        }
        places = np.zeros(len(of), np.uint64)
        for name, (low, _) in PLACE_FIELDS.items():
            places |= fields[name].astype(np.uint64) << np.uint64(low)
        blocks = [s.blocks for s in self.segments]
        keys = np.column_stack([request, kv_head, np.concatenate(blocks or [request])])
        return keys, places


class Layout(Protocol):
    """Places the KV cache of a step on a tier. Raises CapacityError when it does not fit."""

    @property
    def name(self) -> str: ...

    def place(
        self,
        model: ModelSpec,
        step: DecodeStep,
        system: SystemSpec,
        tier: str,
        room: Room | None = None,
    ) -> BlockTable:
        """room: layers and rows that the step has; all of the model's above the weights if None."""
        ...


__all__ = ["BLOCK_TOKENS", "PLACE_FIELDS", "BlockTable", "Layout", "Region", "Segment"]
