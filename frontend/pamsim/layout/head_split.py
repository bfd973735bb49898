"""`head-split`: a row holds K vectors of one head, other rows its V vectors; both token-major.

With head dimension 128 and rows of 1 KiB four K vectors of one (request, KV head) fill a row of a
bank, and four V vectors a row elsewhere in the same bank, so that P.V needs no transfer and an
append is one run of columns for K and one for V in one bank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pamsim.config.spec import Organisation, SystemSpec
from pamsim.errors import InputError, did_you_mean
from pamsim.layout.capacity import check_groups, check_total, reserved_rows
from pamsim.layout.spread import Shares, spread
from pamsim.layout.stack import Piece, stack
from pamsim.layout.table import BLOCK_TOKENS, BlockTable, Segment
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep

SPREADS = ("spread",)


class HeadSplit:
    """The layout; see the module. Implements `Layout`."""

    name = "head-split"

    def place(
        self, model: ModelSpec, step: DecodeStep, system: SystemSpec, tier: str
    ) -> BlockTable:
        """Places the KV cache of a step on a tier.

        Segments come by channel, group and row. Channels that hold the same pattern of pairs get
        the same rows in the same groups. Raises CapacityError when it does not fit, InputError when
        a vector does not fit a row.
        """
        spec = system.tier(tier)
        organisation = spec.device.organisation
        if system.spread not in SPREADS:
            raise InputError(
                f"spread must be a known rule, not {system.spread!r}",
                None,
                did_you_mean(system.spread, SPREADS),
            )
        vector_columns = columns_of_vector(model, organisation)
        slots_per_row = organisation.columns // vector_columns
        first_row = reserved_rows(model, system, tier)
        check_total(model, step, system, tier)
        shares = spread(
            step.contexts,
            model.kv_heads,
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
                (organisation.rows - first_row) // model.layers,
                organisation.banks * slots_per_row,
            )
            for piece in pieces:
                segments.append(_segment(shares, piece, channel))
                rows_per_layer[channel, piece.group] += 2 * (piece.v_row - piece.k_row)
        check_groups(model, step, system, tier, rows_per_layer, first_row)
        return BlockTable(
            layout=self.name,
            layers=model.layers,
            channels=spec.channels,
            groups=organisation.groups_per_channel,
            banks=organisation.banks,
            vector_columns=vector_columns,
            slots_per_row=slots_per_row,
            segments=tuple(segments),
            rows_per_layer=rows_per_layer,
            first_row=first_row,
            rows=organisation.rows,
        )


def columns_of_vector(model: ModelSpec, organisation: Organisation) -> int:
    """Columns of one K or V vector, padded to whole columns. Raises InputError above a row."""
    columns = -(-model.head_dim * model.dtype_bytes // organisation.column_bytes)
    if columns > organisation.columns:
        raise InputError(
            f"head_dim of {model.name} must be at most "
            f"{organisation.row_bytes // model.dtype_bytes}, a row of {organisation.row_bytes} B, "
            f"not {model.head_dim}"
        )
    return columns


def group_order(organisation: Organisation) -> tuple[int, ...]:
    """The groups of a channel in filling order: pseudo-channels alternate, then SIDs."""
    return tuple(
        (pseudo_channel * organisation.sids + sid) * organisation.bank_groups + bank_group
        for bank_group in range(organisation.bank_groups)
        for sid in range(organisation.sids)
        for pseudo_channel in range(organisation.pseudo_channels)
    )


def _by_channel(shares: Shares) -> list[tuple[int, np.ndarray]]:
    """(channel, its share numbers), ascending; shares come in channel order already."""
    starts = np.flatnonzero(np.diff(shares.channel, prepend=-1))
    return [
        (int(shares.channel[numbers[0]]), numbers)
        for numbers in np.split(np.arange(len(shares)), starts[1:])
    ]


def _canonical(
    shares: Shares, numbers: np.ndarray, contexts: Sequence[int]
) -> list[tuple[int, int]]:
    """(tokens, share number) of a channel's shares: an order that only their shape decides.

    Longest first; shares of one pair side by side where they are equally long.
    """
    columns = (shares.tokens, shares.last, shares.request, shares.kv_head)
    values = zip(numbers.tolist(), *(column[numbers].tolist() for column in columns), strict=True)
    own = [
        (-tokens, last, number, (request, head)) for number, tokens, last, request, head in values
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
    return [(-negative, number) for negative, _, number, _ in own]


def _segment(shares: Shares, piece: Piece, channel: int) -> Segment:
    number = piece.share
    request, parts = int(shares.request[number]), int(shares.parts[number])
    first = int(shares.part[number]) + piece.first_block * parts
    blocks = -(-piece.tokens // BLOCK_TOKENS)
    return Segment(
        request=request,
        kv_head=int(shares.kv_head[number]),
        channel=channel,
        group=piece.group,
        tokens=piece.tokens,
        k_row=piece.k_row,
        v_row=piece.v_row,
        blocks=first + parts * np.arange(blocks, dtype=np.int64),
    )
