"""The block table: where every KV token of a step lies, and the interface that layouts share.

A block is 16 consecutive tokens of one (request, layer, KV head). Layers of a model have the same
shape, so the places of layer i are those of layer 0 with `i x rows_per_layer[channel, group]` added
to the row: a table holds layer 0 and says how layers stack.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    "row": (8, 20),
    "bank": (28, 6),
    "group": (34, 10),
    "channel": (44, 20),  # of the tier
}


@dataclass(frozen=True)
class BlockTable:
    """Layer 0 of a placement; `rows_per_layer` int64 [channels, groups] leads to other layers."""

    layout: str
    layers: int
    channels: int
    groups: int  # per channel
    banks: int  # places of a group that tokens lie in: its banks, x the chips that hold a token each
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
        keys, places = [], []
        for s in self.segments:
            base = int(self.rows_per_layer[s.channel, s.group]) * layer
            first = np.arange(len(s.blocks), dtype=np.int64) * BLOCK_TOKENS
            slot = first // self.banks
            fields: dict[str, np.ndarray | int] = {
                "column": s.key[0].column_of(slot),
                "row": base + s.key[0].row(slot),
                "bank": first % self.banks,
                "group": s.group,
                "channel": s.channel,
            }
            places.append(_packed(fields, len(first)))
            pair = np.broadcast_to([s.request, s.kv_head], (len(first), 2))
            keys.append(np.column_stack([pair, s.blocks]))
        if not keys:
            return np.empty((0, 3), np.int64), np.empty(0, np.uint64)
        return np.concatenate(keys), np.concatenate(places)


def _packed(fields: dict[str, np.ndarray | int], count: int) -> np.ndarray:
    place = np.zeros(count, np.uint64)
    for name, (low, _) in PLACE_FIELDS.items():
        place |= np.asarray(fields[name]).astype(np.uint64) << np.uint64(low)
    return place


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
