"""Writes every vector of a placement to its columns and reads it back: part of the layout proof."""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod

import numpy as np

from pamsim.layout.region import SCALES_PER_COLUMN
from pamsim.layout.table import BLOCK_TOKENS, PLACE_FIELDS, BlockTable, Region, Segment
from pamsim.model.spec import ModelSpec

Array = np.ndarray | int
Address = tuple[Array, Array, Array, Array]  # group, bank, row, column

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
    field = {n: (places >> np.uint64(low) & np.uint64((1 << bits) - 1)).astype(np.int64)
             for n, (low, bits) in PLACE_FIELDS.items()}  # fmt: skip
    by_channel: dict[int, list[tuple[Segment, slice]]] = {}
    start = 0
    for s in segments:
        blocks = slice(start, start := start + len(s.blocks))
        by_channel.setdefault(s.channel, []).append((s, blocks))
    lost, overwritten = (np.zeros(len(stored_elements(model)), np.int64) for _ in range(2))
    for channel, held in by_channel.items():
        cells = _Cells([(s, stored_regions(s, model)) for s, _ in held], table)
        reads: list[tuple[Segment, int, np.ndarray, np.ndarray]] = []
        writes: list[tuple[int, np.ndarray, np.ndarray]] = []
        for s, blocks in held:
            for piece, region in enumerate(stored_regions(s, model)):
                cell, tag = _vectors(cells, s, region, piece)
                reads.append((s, piece, cell, tag))
                if piece == 0:
                    at = {name: values[blocks] for name, values in field.items()}
                    place = at["group"], at["bank"], at["row"], at["column"]
                    first = cells.at(place, region.vector_columns)
                    request, kv_head, block = keys[blocks].T
                    cell, tag = cell.copy(), tag.copy()
                    cell[::BLOCK_TOKENS] = np.where(at["channel"][:, None] == channel, first, 0)
                    tag[::BLOCK_TOKENS] = _tag(request, kv_head, block * BLOCK_TOKENS, piece)
                cells.write(cell, tag)
                writes.append((piece, cell, tag))
                if region.scale_column is not None:
                    cell, tag = _scales(cells, s, region, piece)
                    cells.write(cell, tag)
                    reads.append((s, piece, cell, tag))
        for piece, cell, tag in writes:
            overwritten[piece] += cells.differ(cell, tag)
        for s, piece, cell, tag in reads:
            if wrong := cells.differ(cell, tag):
                lost[piece] += wrong
                faults.append(
                    f"token of request {s.request}, KV head {s.kv_head} is not read back from "
                    f"channel {s.channel}, group {s.group}"
                )
    return list(zip(lost.tolist(), overwritten.tolist(), strict=True))


def _vectors(
    cells: _Cells, s: Segment, region: Region, piece: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cells and tags of a region's vectors, by local token."""
    local = np.arange(s.tokens)
    slot, bank = local // cells.banks, local % cells.banks
    token = s.blocks[local // BLOCK_TOKENS] * BLOCK_TOKENS + local % BLOCK_TOKENS
    place = s.group, bank, region.row(slot), region.column_of(slot)
    return cells.at(place, region.vector_columns), _tag(s.request, s.kv_head, token, piece)


def _scales(cells: _Cells, s: Segment, region: Region, piece: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells and tags of the scales of a region's rows, by row and bank."""
    rows = region.row_count(-(-s.tokens // cells.banks))
    number, bank = np.divmod(np.arange(rows * cells.banks), cells.banks)
    column = np.full(len(bank), region.scale_column)
    place = s.group, bank, region.row(number * region.slots_per_row), column
    token = (
        s.blocks[0] * BLOCK_TOKENS + number * cells.banks + bank
    )  # its own for each row and bank
    tag = _tag(s.request, s.kv_head, token, piece + _SCALES)
    return cells.at(place, region.scale_columns), tag


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
        inside: np.ndarray | bool = True
        cell: Array = 0
        numbers = group, bank, row - self.first_row, column // self.grain
        for level, (number, size) in enumerate(zip(numbers, self.shape, strict=True)):
            number = np.atleast_1d(number)[:, None] + (within if level == 3 else 0)
            inside = inside & (number >= 0) & (number < size)
            cell = cell * size + number
        return np.where(inside, cell + 1, 0)

    def write(self, cell: np.ndarray, tag: np.ndarray) -> None:
        """The last write of a cell stays."""
        self._tags[cell] = tag[:, None]
        self._tags[0] = -1

    def differ(self, cell: np.ndarray, tag: np.ndarray) -> int:
        """Vectors of which a cell does not hold the tag."""
        return int((self._tags[cell] != tag[:, None]).any(axis=1).sum())


def _tag(request: Array, kv_head: Array, token: np.ndarray, piece: int) -> np.ndarray:
    """A number that only this piece of a vector has (tokens < 2^28, heads < 2^12, pieces < 8)."""
    return ((request << 12 | kv_head) << 28 | token) << 3 | piece
