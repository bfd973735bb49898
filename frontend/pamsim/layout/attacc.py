"""`head-parallel`: AttAcc's mapping, a whole (request, KV head) in one channel.

A channel's banks form 16 partitions of 4 (docs/attacc-commands.md). Token t is local token t div 16
of partition t mod 16, and each of its four banks holds a quarter of the vector, padded to whole
columns. K lies token after token, `part` columns each; a row holds a power of two of tokens. V lies
by the columns of a quarter: all tokens' first columns, then in further rows all their second ones.
Source: scale-snu/attacc_simulator @c600051, pim_ramulator_src/trace_gen/gen_trace_attacc_bank.py,
which leaves open which tokens a partition holds.
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

HEAD_PARALLEL = "head-parallel"
PARTITIONS = 16
GROUP_BANKS = 4
LANES = 16  # FP16 elements of a bank's column


@dataclass(frozen=True)
class HeadShape:
    """How a vector and a row are divided. part: columns that a bank holds of one vector."""

    part: int
    columns: int  # of a row

    @property
    def row_tokens(self) -> int:
        """K tokens of a row."""
        return 1 << ((self.columns // self.part).bit_length() - 1)

    @property
    def vector_columns(self) -> int:
        """Columns of a vector over its four banks, padding included."""
        return GROUP_BANKS * self.part

    def key_rows(self, tokens: int) -> int:
        return -(-_local(tokens) // self.row_tokens)

    def chunk_rows(self, tokens: int) -> int:
        """Rows of one of the `part` columns of V."""
        return -(-_local(tokens) // self.columns)

    def rows(self, tokens: int) -> int:
        return self.key_rows(tokens) + self.part * self.chunk_rows(tokens)


def head_shape(model: ModelSpec, organisation: Organisation) -> HeadShape:
    """Raises InputError when a quarter of a vector does not fit a row."""
    columns = organisation.columns
    part = -(-model.head_dim // (GROUP_BANKS * LANES))
    if part > columns:
        raise InputError(
            f"head_dim of {model.name} must be at most {columns * GROUP_BANKS * LANES}, "
            f"a row of four banks, not {model.head_dim}"
        )
    return HeadShape(part, columns)


@dataclass(frozen=True)
class HeadSegment(Segment):
    """A (request, KV head): all its tokens, in the rows from `key_row` and `value_row` on."""

    key_row: int = 0
    value_row: int = 0


@dataclass(frozen=True)
class HeadTable(BlockTable):
    """Layer 0 of the placement; every segment is a HeadSegment and lies in all groups."""

    shape: HeadShape = HeadShape(1, 1)

    @property
    def heads(self) -> tuple[HeadSegment, ...]:
        return tuple(s for s in self.segments if isinstance(s, HeadSegment))

    def places(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys and packed places of every block of a layer, as BlockTable's.

        A block is 16 tokens, one in each partition: the place is that of its first, in its first
        bank.
        """
        keys = [np.empty((0, 3), np.int64)]
        packed = [np.empty(0, np.uint64)]
        for s in self.heads:
            block = np.arange(len(s.blocks), dtype=np.int64)
            row = s.key_row + int(self.rows_per_layer[s.channel, 0]) * layer
            fields = {
                "column": block % self.shape.row_tokens * self.shape.part,
                "row": row + block // self.shape.row_tokens,
                "bank": np.int64(0),
                "group": np.int64(0),
                "channel": np.int64(s.channel),
            }
            place = np.zeros(len(block), np.uint64)
            for name, (low, _) in PLACE_FIELDS.items():
                place |= np.asarray(fields[name]).astype(np.uint64) << np.uint64(low)
            keys.append(np.column_stack([np.full((len(block), 2), (s.request, s.kv_head)), block]))
            packed.append(place)
        return np.concatenate(keys), np.concatenate(packed)


def place_heads(
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    tier: str,
    room: Room | None = None,
) -> HeadTable:
    """Places the KV cache of a step: heads to channels in rounds, longest first.

    room: layers and rows that the step has; all of the model's above the weights if None. Each head
    goes to the channel with the fewest tokens so far. Raises CapacityError when it does not fit,
    InputError when the head dimension cannot be used.
    """
    if room is None:
        room = Room(model.layers, reserved_rows(model, system, tier))
    spec = system.tier(tier)
    organisation = spec.device.organisation
    check_total(model, step, system, tier, room)
    shape = head_shape(model, organisation)
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
            segment = _segment(request, kv_head, channel, step.contexts, row, shape)
            segments.append(segment)
            row += shape.rows(segment.tokens)
        rows_per_layer[channel] = row - room.first_row
    check_groups(model, system, tier, rows_per_layer, room)
    return HeadTable(
        layout=HEAD_PARALLEL,
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
    request: int, kv_head: int, channel: int, contexts: Sequence[int], row: int, shape: HeadShape
) -> HeadSegment:
    tokens = contexts[request]
    return HeadSegment(
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


def _local(tokens: int) -> int:
    """Tokens of the fullest partition."""
    return -(-tokens // PARTITIONS)
