"""Layouts in which a channel holds all tokens of a (request, KV head).

Tokens go round over 16 places of the channel (banks, or groups of banks), one after the other; what
lies in the same row and columns of all places is a slot. K lies slot after slot from a first row
on, V in rows of its own behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.capacity import Room, check_groups, check_total, reserved_rows
from pamsim.layout.region import BLOCK_TOKENS, Segment
from pamsim.layout.table import PLACE_FIELDS, BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep


class HeadShape(Protocol):
    """How a family divides vectors and rows."""

    @property
    def vector_columns(self) -> int:
        """Columns of a vector over all banks of its place, padding included."""
        ...

    @property
    def slot_columns(self) -> int:
        """Columns of a bank that a slot of K takes."""
        ...

    @property
    def row_slots(self) -> int:
        """Slots of K in a row."""
        ...

    def key_rows(self, tokens: int) -> int:
        """Rows that K of so many tokens takes."""
        ...

    def rows(self, tokens: int) -> int:
        """Rows that K and V take."""
        ...


Shape = TypeVar("Shape", bound=HeadShape)


@dataclass(frozen=True)
class HeadSegment(Segment):
    """A (request, KV head): all its tokens, in the rows from `key_row` and `value_row` on.

    It lies in all banks of its channel; `group`, `key` and `value` say nothing.
    """

    key_row: int
    value_row: int


@dataclass(frozen=True)
class HeadTable(BlockTable, Generic[Shape]):
    """Layer 0 of the placement; every segment is a HeadSegment."""

    shape: Shape

    @property
    def heads(self) -> tuple[HeadSegment, ...]:
        return tuple(s for s in self.segments if isinstance(s, HeadSegment))

    def places(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and packed places of every block of a layer, as BlockTable's.

        A block is 16 tokens, one in each place: its own is that of its first token, in bank 0.
        """
        keys = [np.empty((0, 3), np.int64)]
        packed = [np.empty(0, np.uint64)]
        for s in self.heads:
            slot = np.arange(len(s.blocks), dtype=np.int64)
            row = s.key_row + int(self.rows_per_layer[s.channel, 0]) * layer
            fields = {
                "column": slot % self.shape.row_slots * self.shape.slot_columns,
                "row": row + slot // self.shape.row_slots,
                "channel": np.full_like(slot, s.channel),
            }
            place = np.zeros(len(slot), np.uint64)
            for name, numbers in fields.items():
                place |= numbers.astype(np.uint64) << np.uint64(PLACE_FIELDS[name][0])
            keys.append(np.column_stack([np.full((len(slot), 2), (s.request, s.kv_head)), slot]))
            packed.append(place)
        return np.concatenate(keys), np.concatenate(packed)


def place_heads(
    layout: str,
    shape: Shape,
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    tier: str,
    room: Room | None = None,
) -> HeadTable[Shape]:
    """Places the KV cache of a step: each head to the channel with the fewest tokens so far, the
    longest first.

    room: layers and rows that the step has; all of the model's above the weights if None. Raises
    CapacityError when it does not fit.
    """
    if room is None:
        room = Room(model.layers, reserved_rows(model, system, tier))
    spec = system.tier(tier)
    organisation = spec.device.organisation
    check_total(model, step, system, tier, room)
    rows_per_layer = np.zeros((spec.channels, organisation.groups_per_channel), np.int64)
    segments: list[Segment] = []
    for channel, heads in enumerate(_by_channel(model, step, spec.channels)):
        row = room.first_row
        for request, kv_head in heads:
            tokens = step.contexts[request]
            segments.append(
                HeadSegment(
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
            )
            row += shape.rows(tokens)
        rows_per_layer[channel] = row - room.first_row
    check_groups(model, system, tier, rows_per_layer, room)
    return HeadTable(
        layout=layout,
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


def _by_channel(model: ModelSpec, step: DecodeStep, channels: int) -> list[list[tuple[int, int]]]:
    """The (request, KV head) of every channel."""
    held: list[list[tuple[int, int]]] = [[] for _ in range(channels)]
    tokens = np.zeros(channels, np.int64)
    present = [r for r in range(step.batch) if step.contexts[r]]
    for request in sorted(present, key=lambda r: -step.contexts[r]):
        for kv_head in range(model.kv_heads):
            channel = int(np.argmin(tokens))
            held[channel].append((request, kv_head))
            tokens[channel] += step.contexts[request]
    return held
