"""Layouts that fill rows in one shape: shares to channels, groups and rows, then to segments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pamsim.config.spec import Organisation, SystemSpec, TierSpec
from pamsim.errors import InputError
from pamsim.layout.capacity import Room, check_groups, check_total, reserved_rows
from pamsim.layout.region import BLOCK_TOKENS, SCALES_PER_COLUMN, Region, Segment
from pamsim.layout.spread import Shares, spread_of
from pamsim.layout.stack import Piece, Share, Unit, stack
from pamsim.layout.table import BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep

Regions = tuple[tuple[Region, ...], tuple[Region, ...]]  # of K, of V


@dataclass(frozen=True)
class RowShape:
    """What a layout puts into rows.

    heads: KV heads of a request whose vectors share rows. unit: what rows are handed out in.
    regions(row, rows, head): where K and V of one of those heads lie when they have `rows` rows
    from `row` on.
    """

    heads: int
    unit: Unit
    key_columns: int
    value_columns: int
    regions: Callable[[int, int, int], Regions]
    side_by_side: int = 1  # tokens at the same row and column of a bank: one a chip


@dataclass(frozen=True)
class RowLayout:
    """A layout that is its shape of rows. Implements `Layout`."""

    name: str
    shape: Callable[[ModelSpec, Organisation], RowShape]

    def place(
        self,
        model: ModelSpec,
        step: DecodeStep,
        system: SystemSpec,
        tier: str,
        room: Room | None = None,
    ) -> BlockTable:
        """Places the KV cache of a step on a tier, spread by the system's rule.

        Segments come by channel, group and row. Channels that hold the same pattern of pairs get
        the same rows in the same groups. Raises CapacityError when it does not fit, InputError when
        a vector does not fit a row.
        """
        spec = system.tier(tier)
        organisation = spec.device.organisation
        shape = self.shape(model, organisation)
        room = room or Room(model.layers, reserved_rows(model, system, tier))
        first_row = room.first_row
        check_total(model, step, system, tier, room)
        shares = spread_of(system)(
            step.contexts,
            -(-model.kv_heads // shape.heads),
            spec.channels,
            organisation.groups_per_channel,
            organisation.banks,
            system.spread_min_bank_tokens,
        )
        rows_per_layer = np.zeros((spec.channels, organisation.groups_per_channel), np.int64)
        segments: list[Segment] = []
        order = group_order(organisation)
        for channel, numbers in _by_channel(shares):
            pieces = stack(
                _canonical(shares, numbers, step.contexts),
                order,
                first_row,
                (organisation.rows - first_row) // room.layers,
                shape.unit,
            )
            for piece in pieces:
                segments += _segments(shares, piece, channel, shape, model.kv_heads)
                rows_per_layer[channel, piece.group] += piece.rows
        check_groups(model, system, tier, rows_per_layer, room)
        return make_table(
            self.name,
            spec,
            room,
            segments,
            rows_per_layer,
            shape.key_columns,
            shape.value_columns,
            shape.side_by_side,
        )


def make_table(
    layout: str,
    tier: TierSpec,
    room: Room,
    segments: Iterable[Segment],
    rows_per_layer: np.ndarray,
    key_columns: int,
    value_columns: int,
    side_by_side: int = 1,
) -> BlockTable:
    """The table of a tier. segments: by channel, group and row."""
    organisation = tier.device.organisation
    return BlockTable(
        layout=layout,
        layers=room.layers,
        channels=tier.channels,
        groups=organisation.groups_per_channel,
        banks=organisation.banks * side_by_side,
        key_columns=key_columns,
        value_columns=value_columns,
        segments=tuple(segments),
        rows_per_layer=rows_per_layer,
        first_row=room.first_row,
        rows=organisation.rows,
    )


@dataclass(frozen=True)
class RowFit:
    """Slots of a row, and where the scales of its regions begin."""

    slots: int
    scales: int | None  # first column of the first region's scales; None: vectors have none

    def scale_column(self, region: int) -> int | None:
        """First column of the scales of a row's region of that number."""
        columns = -(-self.slots // SCALES_PER_COLUMN)
        return None if self.scales is None else self.scales + region * columns


def fit_row(model: ModelSpec, organisation: Organisation, columns: int, regions: int) -> RowFit:
    """As many slots as a row has room for, each of `regions` vectors of so many columns; their
    scales, where they have any, take columns of their own behind the vectors."""
    for slots in range(organisation.columns // (columns * regions), 0, -1):
        vectors = slots * columns * regions
        if not model.kv_scaled:
            return RowFit(slots, None)
        if vectors + regions * -(-slots // SCALES_PER_COLUMN) <= organisation.columns:
            return RowFit(slots, vectors)
    raise InputError(
        f"head_dim of {model.name} must leave room for scales of {model.kv_dtype} in a row of "
        f"{organisation.row_bytes} B, not be {model.head_dim}"
    )


def columns_of_vector(model: ModelSpec, organisation: Organisation, vectors: int = 1) -> int:
    """Columns of one K or V vector, padded to whole columns.

    Raises InputError when `vectors` of them do not fit a row, or for latent attention.
    """
    if model.mla:
        raise InputError(
            f"layout of {model.name} must be 'head-split', which can divide the keys of latent "
            "attention (MLA)"
        )
    columns = columns_of(model.head_dim, model, organisation)
    if columns * vectors > organisation.columns:
        most = organisation.columns // vectors * organisation.column_bytes * 8 // model.kv_bits
        whose = "a row" if vectors == 1 else f"{vectors} vectors in a row"
        raise InputError(
            f"head_dim of {model.name} must be at most {most}, {whose} of "
            f"{organisation.row_bytes} B, not {model.head_dim}"
        )
    return columns


def columns_of(elements: int, model: ModelSpec, organisation: Organisation) -> int:
    """Columns that so many elements of K or V take."""
    return -(-elements * model.kv_bits // (8 * organisation.column_bytes))


def group_order(organisation: Organisation) -> tuple[int, ...]:
    """The groups of a channel in filling order: pseudo-channels alternate, then SIDs or ranks."""
    stacked = organisation.sids * organisation.ranks
    return tuple(
        (pseudo_channel * stacked + node) * organisation.bank_groups + bank_group
        for bank_group in range(organisation.bank_groups)
        for node in range(stacked)
        for pseudo_channel in range(organisation.pseudo_channels)
    )


def _by_channel(shares: Shares) -> list[tuple[int, np.ndarray]]:
    """(channel, its share numbers), both ascending."""
    order = np.argsort(shares.channel, kind="stable")
    starts = np.flatnonzero(np.diff(shares.channel[order], prepend=-1))
    return [(int(shares.channel[numbers[0]]), numbers) for numbers in np.split(order, starts[1:])]


def _canonical(shares: Shares, numbers: np.ndarray, contexts: Sequence[int]) -> list[Share]:
    """A channel's shares in an order that only their shape decides.

    Longest first; shares of one pair side by side where they are equally long.
    """
    columns = (shares.tokens, shares.last, shares.request, shares.heads)
    values = zip(numbers.tolist(), *(column[numbers].tolist() for column in columns), strict=True)
    own = [
        (-tokens, last, number, (request, heads)) for number, tokens, last, request, heads in values
    ]
    pairs: dict[tuple[int, int], list[tuple[int, bool]]] = defaultdict(list)
    for negative, last, _, pair in own:
        pairs[pair].append((negative, last))
    shape = {
        pair: (sum(negative for negative, _ in parts), sorted(parts), contexts[pair[0]])
        for pair, parts in pairs.items()
    }
    rank = {pair: i for i, pair in enumerate(sorted(pairs, key=lambda pair: (shape[pair], pair)))}
    own.sort(key=lambda share: (share[0], rank[share[3]], share[1], share[2]))
    group = shares.group
    return [
        Share(-negative, number, None if group is None else int(group[number]))
        for negative, _, number, _ in own
    ]


def _segments(
    shares: Shares, piece: Piece, channel: int, shape: RowShape, kv_heads: int
) -> list[Segment]:
    """A segment for every KV head of the piece."""
    number = piece.share
    request, parts = int(shares.request[number]), int(shares.parts[number])
    first = int(shares.part[number]) + piece.first_block * parts
    blocks = first + parts * np.arange(-(-piece.tokens // BLOCK_TOKENS), dtype=np.int64)
    first_head = int(shares.heads[number]) * shape.heads
    segments = []
    for head in range(min(shape.heads, kv_heads - first_head)):
        key, value = shape.regions(piece.row, piece.rows, head)
        segments.append(
            Segment(
                request=request,
                kv_head=first_head + head,
                channel=channel,
                group=piece.group,
                tokens=piece.tokens,
                key=key,
                value=value,
                blocks=blocks,
            )
        )
    return segments
