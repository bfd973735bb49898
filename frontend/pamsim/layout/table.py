"""The block table: where every KV token of a step lies, and the interface that layouts share.

A block is 16 consecutive tokens of one (request, layer, KV head). Layers of a model have the same
shape, so the places of layer i are those of layer 0 with `i x rows_per_layer[channel, group]` added
to the row: a table holds layer 0 and says how layers stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep

BLOCK_TOKENS = 16

# A place, packed into 64 bits: the first token of the block, K part (V: see Segment.v_row).
#   bits 0..4 first column, 5..19 row, 20..21 bank, 22..25 group, 26..41 channel (of the tier)
PLACE_FIELDS = {
    "column": (0, 5),
    "row": (5, 15),
    "bank": (20, 2),
    "group": (22, 4),
    "channel": (26, 16),
}


@dataclass(frozen=True)
class Segment:
    """The tokens of one (request, KV head) that one bank group holds, in layer 0.

    Local token i (0 <= i < tokens) is in bank i mod banks, slot i div banks; slot s is in row
    k_row + s div slots_per_row (K; V from v_row), at column (s mod slots_per_row) x vector_columns.
    Local token i is token blocks[i div 16] x 16 + i mod 16 of the request: `blocks` lists the
    request's blocks that lie here, ascending; only the request's last block can be partial.
    """

    request: int
    kv_head: int
    channel: int  # of the tier, counted over all devices
    group: int  # ((pseudo_channel x sids) + sid) x bank_groups + bank_group
    tokens: int
    k_row: int
    v_row: int
    blocks: np.ndarray  # int64 [ceil(tokens / 16)]


@dataclass(frozen=True)
class BlockTable:
    """Layer 0 of a placement; `rows_per_layer` int64 [channels, groups] leads to other layers."""

    layout: str
    layers: int
    channels: int
    groups: int  # per channel
    banks: int  # per group
    vector_columns: int  # 32-byte columns of one K or V vector, padded to whole columns
    slots_per_row: int
    segments: tuple[Segment, ...]
    rows_per_layer: np.ndarray
    first_row: int  # rows below it belong to the weights
    rows: int  # of a bank

    def places(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and packed places of every block of a layer.

        Returns (keys int64 [n, 3] of request, KV head, block; places uint64 [n]).
        """
        keys, places = [], []
        for s in self.segments:
            base = int(self.rows_per_layer[s.channel, s.group]) * layer
            first = np.arange(len(s.blocks), dtype=np.int64) * BLOCK_TOKENS
            slot = first // self.banks
            row = base + s.k_row + slot // self.slots_per_row
            column = slot % self.slots_per_row * self.vector_columns
            packed = (
                column | row << 5 | (first % self.banks) << 20 | s.group << 22 | s.channel << 26
            )
            keys.append(
                np.column_stack(
                    [np.full(len(first), s.request), np.full(len(first), s.kv_head), s.blocks]
                )
            )
            places.append(packed.astype(np.uint64))
        if not keys:
            return np.empty((0, 3), np.int64), np.empty(0, np.uint64)
        return np.concatenate(keys), np.concatenate(places)


class Layout(Protocol):
    """Places the KV cache of a step on a tier. Raises CapacityError when it does not fit."""

    name: str

    def place(
        self, model: ModelSpec, step: DecodeStep, system: SystemSpec, tier: str
    ) -> BlockTable: ...
