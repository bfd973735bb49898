"""Writes every vector of a placement to its columns and reads it back: part of the layout proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd, prod

import numpy as np

from pamsim.layout.region import SCALES_PER_COLUMN
from pamsim.layout.table import BLOCK_TOKENS, PLACE_FIELDS, BlockTable, Region, Segment
from pamsim.model.spec import ModelSpec

Address = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # group, bank, row, column

_SCALES = 4  # added to a piece's number in the tag of its scales


def stored_elements(model: ModelSpec) -> tuple[int, ...]:
    """Elements of each vector stored of a token and KV head: K and V, or latent and rope part."""
    if model.mla:
        return model.mla.kv_rank, model.mla.rope_dim
    return model.head_dim, model.value_dim


def stored_regions(segment: Segment, model: ModelSpec) -> tuple[Region, ...]:
    """The regions of those vectors; with latent attention V is the latent vector of K."""
    return segment.key if model.mla else segment.key + segment.value


def region_columns(region: Region, slots: int) -> int:
    """Columns of the first `slots` slots of a region, their scales included."""
    rows, left = divmod(slots, region.slots_per_row)
    columns = slots * region.vector_columns
    if region.scale_column is not None:
        columns += rows * region.scale_columns + -(-left // SCALES_PER_COLUMN)
    return columns


def read_back(
    segments: list[Segment], table: BlockTable, model: ModelSpec, faults: list[str]
) -> list[tuple[int, int]]:
    """Writes a tag per vector and reads it: (not read back, overwritten) vectors of layer 0, for
    each of the vectors of `stored_regions`.

    The first K of every block is written where BlockTable.places has it, what remains by the rule
    of Segment's docstring; all is read by that rule, after everything of the channel has been
    written. Scales are written row by row, with a tag of their own.
    """
    keys, places = replace(table, segments=tuple(segments)).places(0)
    starts = np.cumsum([0, *(len(s.blocks) for s in segments)])
    by_channel: dict[int, list[int]] = {}
    for number, s in enumerate(segments):
        by_channel.setdefault(s.channel, []).append(number)
    lost, overwritten = (np.zeros(len(stored_elements(model)), np.int64) for _ in range(2))
    for channel, numbers in by_channel.items():
        own = [segments[n] for n in numbers]
        cells = _Cells([(s, stored_regions(s, model)) for s in own], table)
        reads: list[_Tags] = []
        writes: list[_Tags] = []
        for held in _held(own, starts[numbers], model):
            tags = _vectors(cells, held)
            reads.append(tags)
            if held.piece == 0:
                tags = _by_places(cells, held, tags, channel, keys, places)
            writes.append(tags)
            if held.region.scale_column is not None:
                scales = _scales(cells, held)
                reads.append(scales)
                writes.append(scales)
        for tags in writes:
            cells.write(tags)
        for tags in writes:
            overwritten[tags.piece] += np.count_nonzero(cells.differ(tags))
        for tags in reads:
            wrong = cells.differ(tags)
            lost[tags.piece] += np.count_nonzero(wrong)
            for number in np.unique(tags.segment[wrong]):
                s = own[number]
                faults.append(
                    f"token of request {s.request}, KV head {s.kv_head} is not read back from "
                    f"channel {s.channel}, group {s.group}"
                )
    return list(zip(lost.tolist(), overwritten.tolist(), strict=True))


@dataclass(frozen=True)
class _Held:
    """Vectors of a channel that are alike but for their place: a row for every segment.

    numbers: the segments; request, kv_head, group, tokens: int64 [segments]; block_start: where
    their blocks begin in `blocks` (of the channel) and block_key: in the keys of the table. first:
    first row of each, block_step: of each; region: all else, which is the same.
    """

    piece: int
    region: Region
    numbers: np.ndarray
    request: np.ndarray
    kv_head: np.ndarray
    group: np.ndarray
    tokens: np.ndarray
    first_row: np.ndarray
    block_step: np.ndarray
    block_key: np.ndarray
    blocks: np.ndarray  # of all segments, one after the other


def _held(segments: list[Segment], block_keys: np.ndarray, model: ModelSpec) -> Iterator[_Held]:
    """What a channel holds, by piece and shape of the region."""
    alike: dict[tuple[int, Region], list[tuple[int, Region]]] = {}
    for number, s in enumerate(segments):
        for piece, region in enumerate(stored_regions(s, model)):
            shape = replace(region, first_row=0, block_step=region.block_rows)
            alike.setdefault((piece, shape), []).append((number, region))
    for (piece, shape), members in alike.items():
        own = [segments[n] for n, _ in members]
        numbers = np.array([n for n, _ in members])
        yield _Held(
            piece=piece,
            region=shape,
            numbers=numbers,
            request=np.array([s.request for s in own]),
            kv_head=np.array([s.kv_head for s in own]),
            group=np.array([s.group for s in own]),
            tokens=np.array([s.tokens for s in own]),
            first_row=np.array([region.first_row for _, region in members]),
            block_step=np.array([region.block_step for _, region in members]),
            block_key=block_keys[numbers],
            blocks=np.concatenate([s.blocks for s in own]),
        )


@dataclass(frozen=True)
class _Tags:
    """Cells int64 [vectors, cells of one], tag and segment number of each int64 [vectors]."""

    piece: int
    cell: np.ndarray
    tag: np.ndarray
    segment: np.ndarray


def _vectors(cells: _Cells, held: _Held) -> _Tags:
    """The vectors by local token, segment after segment."""
    of, local = _ragged(held.tokens)
    slot, bank = local // cells.banks, local % cells.banks
    blocks = -(-held.tokens // BLOCK_TOKENS)
    block = (np.cumsum(blocks) - blocks)[of] + local // BLOCK_TOKENS
    token = held.blocks[block] * BLOCK_TOKENS + local % BLOCK_TOKENS
    place = held.group[of], bank, _row(held, of, slot), held.region.column_of(slot)
    cell = cells.at(place, held.region.vector_columns)
    tag = _tag(held.request[of], held.kv_head[of], token, held.piece)
    return _Tags(held.piece, cell, tag, held.numbers[of])


def _by_places(
    cells: _Cells, held: _Held, tags: _Tags, channel: int, keys: np.ndarray, places: np.ndarray
) -> _Tags:
    """The same vectors, the first of every block where the table's places have it."""
    _, local = _ragged(held.tokens)
    of, within = _ragged(-(-held.tokens // BLOCK_TOKENS))
    number = held.block_key[of] + within
    at = {
        name: (places[number] >> np.uint64(low) & np.uint64((1 << bits) - 1)).astype(np.int64)
        for name, (low, bits) in PLACE_FIELDS.items()
    }
    place = at["group"], at["bank"], at["row"], at["column"]
    first = cells.at(place, held.region.vector_columns)
    request, kv_head, block = keys[number].T
    cell, tag = tags.cell.copy(), tags.tag.copy()
    begins = local % BLOCK_TOKENS == 0
    cell[begins] = np.where(at["channel"][:, None] == channel, first, 0)
    tag[begins] = _tag(request, kv_head, block * BLOCK_TOKENS, held.piece)
    return replace(tags, cell=cell, tag=tag)


def _scales(cells: _Cells, held: _Held) -> _Tags:
    """The scales by row and bank, segment after segment."""
    slots = -(-held.tokens // cells.banks)
    of, local = _ragged(-(-slots // held.region.slots_per_row) * cells.banks)
    row, bank = np.divmod(local, cells.banks)
    column = np.full(len(of), held.region.scale_column)
    place = held.group[of], bank, _row(held, of, row * held.region.slots_per_row), column
    first_block = np.cumsum(-(-held.tokens // BLOCK_TOKENS)) + (-held.tokens // BLOCK_TOKENS)
    token = held.blocks[first_block[of]] * BLOCK_TOKENS + local  # its own for each row and bank
    tag = _tag(held.request[of], held.kv_head[of], token, held.piece + _SCALES)
    cell = cells.at(place, held.region.scale_columns)
    return _Tags(held.piece, cell, tag, held.numbers[of])


def _row(held: _Held, of: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """Rows of slots, each of the segment `of`: the rule of Region.row."""
    block, row = np.divmod(slot // held.region.slots_per_row, held.region.block_rows)
    return held.first_row[of] + block * held.block_step[of] + row


def _ragged(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For runs of the given sizes: the run of every element, and its place in the run."""
    run = np.repeat(np.arange(len(sizes)), sizes)
    start = np.cumsum(sizes) - sizes
    return run, np.arange(len(run)) - start[run]


class _Cells:
    """The columns of one channel's rows, as many together as all vectors allow; 0 is no cell."""

    def __init__(self, held: list[tuple[Segment, tuple[Region, ...]]], table: BlockTable) -> None:
        self.banks = table.banks
        regions = {region for _, own in held for region in own}
        self.grain = gcd(
            *(n for r in regions for n in (r.column, r.slot_columns, r.vector_columns))
        )
        if any(r.scale_column is not None for r in regions):
            self.grain = 1
        self.first_row = min(r.first_row for r in regions)
        last = max(r.row(-(-s.tokens // table.banks) - 1) for s, own in held for r in own)
        end = max(max(r.end_column, (r.scale_column or 0) + r.scale_columns) for r in regions)
        rows = last + 1 - self.first_row
        self.shape = table.groups, table.banks, rows, -(-end // self.grain)
        self._tags = np.full(1 + prod(self.shape), -1, dtype=np.int64)

    def at(self, place: Address, columns: int) -> np.ndarray:
        """Cells of as many vectors of so many columns: int64 [vectors, cells of one]."""
        group, bank, row, column = place
        within = np.arange(columns // self.grain)
        inside = np.ones((len(row), 1), np.bool_)
        cell = np.zeros((len(row), 1), np.int64)
        numbers = group, bank, row - self.first_row, column // self.grain
        for number, size in zip(numbers[:3], self.shape, strict=False):
            inside &= ((number >= 0) & (number < size))[:, None]
            cell = cell * size + number[:, None]
        last = numbers[3][:, None] + within
        return np.where(
            inside & (last >= 0) & (last < self.shape[3]), cell * self.shape[3] + last + 1, 0
        )

    def write(self, tags: _Tags) -> None:
        """The last write of a cell stays."""
        self._tags[tags.cell] = tags.tag[:, None]
        self._tags[0] = -1

    def differ(self, tags: _Tags) -> np.ndarray:
        """Which vectors have a cell that does not hold the tag: bool [vectors]."""
        return (self._tags[tags.cell] != tags.tag[:, None]).any(axis=1)


def _tag(request: np.ndarray, kv_head: np.ndarray, token: np.ndarray, piece: int) -> np.ndarray:
    """A number that only this piece of a vector has (tokens < 2^28, heads < 2^12, pieces < 8)."""
    return ((request << 12 | kv_head) << 28 | token) << 3 | piece
