"""`transposed-value`: CENT's mapping for GDDR6-AiM, a whole (request, KV head) in one channel.

K: token t lies in bank t mod 16 as slot t div 16; a row holds as many whole vectors as fit. V lies
transposed: element d of every token in bank d mod 16, in row d div 16 of a block of 1,024 tokens,
which lie side by side along the row.
Source: Yufeng98/CENT @8c79786 cent_simulation/TransformerBlock.py, score and output products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pamsim.config.spec import Organisation, SystemSpec
from pamsim.errors import InputError
from pamsim.layout.capacity import Room, check_groups, check_total, reserved_rows
from pamsim.layout.region import BLOCK_TOKENS, Segment
from pamsim.layout.table import PLACE_FIELDS, BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep

TRANSPOSED_VALUE = "transposed-value"
BANKS = 16  # of a channel; as many tokens of K, elements of V, side by side
LANES = 16  # BF16 elements of a column


@dataclass(frozen=True)
class AimShape:
    """How vectors and rows are divided. vector_columns: of a K vector, padded to whole columns."""

    vector_columns: int
    columns: int  # of a row

    @property
    def row_slots(self) -> int:
        """K vectors in a bank's row."""
        return self.columns // self.vector_columns

    @property
    def block_tokens(self) -> int:
        """Tokens of V in a row."""
        return self.columns * LANES

    @property
    def block_rows(self) -> int:
        """Rows of a block of V: one for each 16 elements of a vector."""
        return self.vector_columns

    def slots(self, tokens: int) -> int:
        return -(-tokens // BANKS)

    def key_rows(self, tokens: int) -> int:
        return -(-self.slots(tokens) // self.row_slots)

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_tokens)

    def rows(self, tokens: int) -> int:
        return self.key_rows(tokens) + self.block_rows * self.blocks(tokens)


def aim_shape(model: ModelSpec, organisation: Organisation) -> AimShape:
    """Raises InputError when a vector does not fit a row."""
    columns = organisation.columns
    vector = -(-model.head_dim // LANES)
    if vector > columns:
        raise InputError(
            f"head_dim of {model.name} must be at most {columns * LANES}, a row of a bank, "
            f"not {model.head_dim}"
        )
    return AimShape(vector, columns)


@dataclass(frozen=True)
class AimSegment(Segment):
    """A (request, KV head): all its tokens, in the rows from `key_row` and `value_row` on."""

    key_row: int = 0
    value_row: int = 0


@dataclass(frozen=True)
class AimTable(BlockTable):
    """Layer 0 of the placement; every segment is an AimSegment and lies in all banks."""

    shape: AimShape = AimShape(1, 1)

    @property
    def heads(self) -> tuple[AimSegment, ...]:
        return tuple(s for s in self.segments if isinstance(s, AimSegment))

    def places(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and packed places of every block of a layer, as BlockTable's.

        A block is 16 tokens, one in each bank: the place is that of its first, in bank 0.
        """
        keys = [np.empty((0, 3), np.int64)]
        packed = [np.empty(0, np.uint64)]
        for s in self.heads:
            slot = np.arange(len(s.blocks), dtype=np.int64)
            row = s.key_row + int(self.rows_per_layer[s.channel, 0]) * layer
            fields = {
                "column": slot % self.shape.row_slots * self.shape.vector_columns,
                "row": row + slot // self.shape.row_slots,
                "channel": np.int64(s.channel),
            }
            place = np.zeros(len(slot), np.uint64)
            for name, numbers in fields.items():
                place |= np.asarray(numbers).astype(np.uint64) << np.uint64(PLACE_FIELDS[name][0])
            keys.append(np.column_stack([np.full((len(slot), 2), (s.request, s.kv_head)), slot]))
            packed.append(place)
        return np.concatenate(keys), np.concatenate(packed)


def place_heads(
    model: ModelSpec, step: DecodeStep, system: SystemSpec, tier: str, room: Room | None = None
) -> AimTable:
    """Places the KV cache of a step: each head to the channel with the fewest tokens so far, the
    longest first.

    room: layers and rows that the step has; all of the model's above the weights if None. Raises
    CapacityError when it does not fit, InputError when the head dimension cannot be used.
    """
    if room is None:
        room = Room(model.layers, reserved_rows(model, system, tier))
    spec = system.tier(tier)
    organisation = spec.device.organisation
    check_total(model, step, system, tier, room)
    shape = aim_shape(model, organisation)
    held: list[list[tuple[int, int]]] = [[] for _ in range(spec.channels)]
    tokens = np.zeros(spec.channels, np.int64)
    present = [r for r in range(step.batch) if step.contexts[r]]
    for request in sorted(present, key=lambda r: -step.contexts[r]):
        for kv_head in range(model.kv_heads):
            channel = int(np.argmin(tokens))
            held[channel].append((request, kv_head))
            tokens[channel] += step.contexts[request]
    segments: list[Segment] = []
    rows_per_layer = np.zeros((spec.channels, organisation.groups_per_channel), np.int64)
    for channel, heads in enumerate(held):
        row = room.first_row
        for request, kv_head in heads:
            segments.append(_segment(request, kv_head, channel, step.contexts, row, shape))
            row += shape.rows(step.contexts[request])
        rows_per_layer[channel] = row - room.first_row
    check_groups(model, system, tier, rows_per_layer, room)
    return AimTable(
        layout=TRANSPOSED_VALUE,
        layers=room.layers,
        channels=spec.channels,
        groups=organisation.groups_per_channel,
        banks=organisation.banks,
        key_columns=shape.vector_columns,
        value_columns=shape.vector_columns,
        segments=tuple(segments),
        rows_per_layer=rows_per_layer,
        first_row=room.first_row,
        rows=organisation.rows,
        shape=shape,
    )


def _segment(
    request: int, kv_head: int, channel: int, contexts: Sequence[int], row: int, shape: AimShape
) -> AimSegment:
    tokens = contexts[request]
    return AimSegment(
        request=request,
        kv_head=kv_head,
        channel=channel,
        group=0,
        tokens=tokens,
        key=(),
        value=(),
        blocks=np.arange(-(-tokens // BLOCK_TOKENS), dtype=np.int64),
        key_row=row,
        value_row=row + shape.key_rows(tokens),
    )
