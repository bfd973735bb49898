"""Pages of a drive: K and V of a head's tokens packed into flash pages, round over the planes.

A page holds vectors of K, or of V, of one layer and KV head: as many as fit, in whole blocks of 16
tokens. The two pages of the same tokens, a *tile*, are rows of one plane that follow on one
another. The tiles of a drive go round over its channels, then over the planes of a channel; a pair
of (request, KV head) begins where the one before it ended (PAM, arXiv 2602.11521, section 6.1:
ordinary interleaving), or one place further where its own end would fall on few planes: the last
pages of equally long pairs are programmed in the same step, and a plane programs one at a time.
Pairs go round over the drives. Vector i of a page is of place i mod 8, slot i div 8: a place is a
processing unit of the channel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pamsim.config.spec import DeviceSpec, TierSpec
from pamsim.config.units import shown_bytes
from pamsim.errors import CapacityError, InputError
from pamsim.layout.capacity import Room
from pamsim.layout.region import BLOCK_TOKENS, Region, Segment
from pamsim.layout.table import BlockTable
from pamsim.model.spec import ModelSpec
from pim_isa import load

FAMILY = "ssd_pim"
LAYOUT = "pages"
PLACES = load(FAMILY).constants["units"]
LANES = load(FAMILY).constants["lanes"]
COLUMN_BYTES = 2 * LANES  # FP16
PAGES = 2  # of a tile: K, then V


@dataclass(frozen=True)
class PageShape:
    """What a page holds: vectors of so many 32 B columns each."""

    vectors: int
    vector_columns: int

    @property
    def slots(self) -> int:
        """Slots of every place that a full page fills."""
        return self.vectors // PLACES


def page_shape(model: ModelSpec, device: DeviceSpec) -> PageShape:
    """Raises InputError when a page cannot hold the vectors of a block of tokens."""
    columns = -(-model.head_dim * 2 // COLUMN_BYTES)
    page = device.organisation.row_bytes
    vectors = page // (columns * COLUMN_BYTES) // BLOCK_TOKENS * BLOCK_TOKENS
    if not vectors:
        raise InputError(
            f"page of {device.name} must hold {BLOCK_TOKENS} vectors of {columns * COLUMN_BYTES} B "
            f"({shown_bytes(BLOCK_TOKENS * columns * COLUMN_BYTES)}), the K of a block of tokens, "
            f"not be {page} B"
        )
    return PageShape(vectors, columns)


@dataclass(frozen=True)
class Tile:
    """The pages of some tokens of a pair: page `page` of the pair, on a plane of a channel."""

    request: int
    kv_head: int
    page: int
    plane: int
    slot: int  # of the plane: its K is row first_row + 2 x slot, its V the next one
    tokens: int


def place_tiles(
    model: ModelSpec, contexts: Sequence[int], tier: TierSpec, shape: PageShape
) -> dict[int, list[Tile]]:
    """Channel of the tier -> its tiles, in the order in which they go round.

    contexts: tokens of each request in the tier.
    """
    device = tier.device
    channels, planes = device.organisation.channels_per_device, planes_of(device)
    counter = [0] * tier.devices
    tiles: dict[int, list[Tile]] = defaultdict(list)
    pair = 0
    for request, context in enumerate(contexts):
        for kv_head in range(model.kv_heads if context else 0):
            drive = pair % tier.devices
            pair += 1
            for page, start in enumerate(range(0, context, shape.vectors)):
                turn, channel = divmod(counter[drive], channels)
                counter[drive] += 1
                tiles[drive * channels + channel].append(
                    Tile(
                        request, kv_head, page, turn % planes, turn // planes,
                        min(shape.vectors, context - start),
                    )
                )  # fmt: skip
            pages = -(-context // shape.vectors)
            # An odd step visits every plane; one place left free is at most 1 in a round.
            counter[drive] += pages % 2 == 0 and pages >= channels * planes
    return dict(sorted(tiles.items()))


def planes_of(device: DeviceSpec) -> int:
    """Planes of a channel."""
    return device.organisation.dies * device.organisation.planes


def usable_rows(device: DeviceSpec) -> int:
    """Pages of a plane that can hold data: all but the over-provision."""
    spare = int(device.pim.extra["over_provision_percent"])
    return device.organisation.rows * 100 // (100 + spare)


def page_table(
    tiles: dict[int, list[Tile]], tier: TierSpec, room: Room, shape: PageShape
) -> BlockTable:
    """The table of placed tiles. Raises CapacityError when a plane has too few pages."""
    planes = planes_of(tier.device)
    rows_per_layer = np.zeros((tier.channels, planes), np.int64)
    segments: list[Segment] = []
    for channel, own in tiles.items():
        by_plane: dict[tuple[int, int, int], list[Tile]] = defaultdict(list)
        for tile in own:
            by_plane[tile.plane, tile.request, tile.kv_head].append(tile)
            rows = PAGES * (tile.slot + 1)
            rows_per_layer[channel, tile.plane] = max(rows_per_layer[channel, tile.plane], rows)
        held = [_segment(channel, same, room.first_row, shape) for same in by_plane.values()]
        segments += sorted(held, key=lambda s: (s.group, s.key[0].first_row))
    _check_rows(tier, room, rows_per_layer)
    return BlockTable(
        layout=LAYOUT,
        layers=room.layers,
        channels=tier.channels,
        groups=planes,
        banks=PLACES,
        key_columns=shape.vector_columns,
        value_columns=shape.vector_columns,
        segments=tuple(segments),
        rows_per_layer=rows_per_layer,
        first_row=room.first_row,
        rows=tier.device.organisation.rows,
    )


def _segment(channel: int, tiles: list[Tile], first_row: int, shape: PageShape) -> Segment:
    """The tiles of one pair in one plane, which lie in slots that follow on one another."""
    first, columns = tiles[0], shape.vector_columns
    row = first_row + PAGES * first.slot
    key, value = (
        Region(row + i, shape.slots, columns, 0, columns, block_step=PAGES) for i in range(PAGES)
    )
    each = shape.vectors // BLOCK_TOKENS
    blocks = [
        np.arange(-(-t.tokens // BLOCK_TOKENS), dtype=np.int64) + each * t.page for t in tiles
    ]
    return Segment(
        request=first.request,
        kv_head=first.kv_head,
        channel=channel,
        group=first.plane,
        tokens=sum(t.tokens for t in tiles),
        key=(key,),
        value=(value,),
        blocks=np.concatenate(blocks),
    )


def _check_rows(tier: TierSpec, room: Room, rows_per_layer: np.ndarray) -> None:
    usable = usable_rows(tier.device)
    need = rows_per_layer * room.layers + room.first_row
    if need.max(initial=0) <= usable:
        return
    page = tier.device.organisation.row_bytes
    over = int(np.maximum(need - usable, 0).sum()) * page
    channel, plane = np.unravel_index(int(need.argmax()), need.shape)
    raise CapacityError(
        f"KV pages must fit the {usable} that a plane of {tier.device.name} has beside its "
        f"over-provision, not need {int(need.max())} in plane {plane} of channel {channel}: "
        f"{shown_bytes(over)} too much in tier {tier.name!r}",
        None,
        "a smaller batch, shorter contexts or more drives",
    )
