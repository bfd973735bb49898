"""Proof 2: the layout is right.

Every K and V element of the step has exactly one place, inside the rows that are free for it, in
every layer, and what is written through the block table is read back through the segments.

Layers are copies of layer 0 moved by `rows_per_layer`, so layer 0 is taken cell by cell, and that
layers do not meet is shown on row intervals. Memory stays that of one channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Literal

import numpy as np

from pamsim.config.spec import Organisation, SystemSpec
from pamsim.layout.table import BLOCK_TOKENS, PLACE_FIELDS, BlockTable, Region, Segment
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class LayoutVerdict:
    """The outcome of the proof, over all layers of the step.

    kv_elements: elements that need a place. duplicates: elements with more than one place, or that
    another one overwrites. missing: elements without a place, or not read back from it. bytes: of
    one pass over K and V; fetched counts whole columns of all banks that work in lockstep. row_hits
    of column_accesses find their row open (a bank group's access counts once). tokens per bank and
    bank group are K tokens of a layer; the mean is over those that hold any.
    """

    verdict: Literal["passed", "violated"]
    kv_elements: int
    duplicates: int
    missing: int
    bytes_needed: int
    bytes_fetched: int
    column_accesses: int
    row_hits: int
    groups_used: int
    tokens_per_group_max: int
    tokens_per_group_mean: float
    tokens_per_bank_max: int
    tokens_per_bank_mean: float
    rows_free: int  # of the fullest bank, after the last layer
    coverage: str
    first_fault: str = ""

    @property
    def over_fetch(self) -> float:
        """Bytes fetched per byte needed."""
        return self.bytes_fetched / self.bytes_needed

    @property
    def row_hit_rate(self) -> float:
        return self.row_hits / self.column_accesses


def prove_layout(
    table: BlockTable,
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    *,
    tier: str = "hbm",
    layers: int | None = None,
) -> LayoutVerdict:
    """Checks every place of a placement. Never raises for a wrong table: the verdict says it.

    layers: that it places; all of the model's if None.
    """
    faults: list[str] = []
    layers = layers or model.layers
    organisation = system.tier(tier).device.organisation
    for name, has, should in (
        ("channels", table.channels, system.tier(tier).channels),
        ("groups", table.groups, organisation.groups_per_channel),
        ("banks", table.banks, organisation.banks),
        ("rows", table.rows, organisation.rows),
        ("layers", table.layers, layers),
    ):
        if has != should:
            faults.append(f"{name} of the table must be {should}, not {has}")
    sound = [s for s in table.segments if _is_sound(s, table, step, model, faults)]
    vector_bytes = model.head_dim * model.dtype_bytes
    for regions in {held for s in sound for held in (s.key, s.value)}:
        _check_regions(regions, vector_bytes, organisation, faults)
    missing, duplicates = _tokens(sound, step, model, faults)
    lost, overwritten = _read_back(sound, table, model.mla is not None, faults)
    missing, duplicates = missing * 2 + lost, duplicates * 2 + overwritten  # K and V
    free = _stack(sound, table, faults)

    accesses = misses = 0
    for s in sound:
        for region in (*s.key, *s.value):
            accesses += _slots(s, table) * region.vector_columns * layers
            misses += region.row_count(_slots(s, table)) * layers
    group_tokens: dict[tuple[int, int], int] = {}
    bank_tokens: dict[tuple[int, int], np.ndarray] = {}
    for s in sound:
        key = s.channel, s.group
        group_tokens[key] = group_tokens.get(key, 0) + s.tokens
        per_bank = (s.tokens + np.arange(table.banks)[::-1]) // table.banks
        bank_tokens[key] = bank_tokens.get(key, 0) + per_bank
    per_group = np.array(list(group_tokens.values()) or [0])
    per_bank = np.concatenate(list(bank_tokens.values()) or [np.zeros(1, np.int64)])
    context = sum(step.contexts)
    elements = context * model.kv_heads * 2 * model.head_dim * layers
    each = model.head_dim * layers
    return LayoutVerdict(
        verdict="violated" if faults else "passed",
        kv_elements=elements,
        duplicates=duplicates * each,
        missing=missing * each,
        bytes_needed=elements * model.dtype_bytes,
        bytes_fetched=accesses * organisation.column_bytes * table.banks,
        column_accesses=accesses,
        row_hits=accesses - misses,
        groups_used=len(group_tokens),
        tokens_per_group_max=int(per_group.max()),
        tokens_per_group_mean=float(per_group.mean()),
        tokens_per_bank_max=int(per_bank.max()),
        tokens_per_bank_mean=float(per_bank.mean()),
        rows_free=free,
        coverage=f"every place of layer 0, row intervals of all {table.layers} layers",
        first_fault=faults[0] if faults else "",
    )


def _slots(s: Segment, table: BlockTable) -> int:
    return -(-s.tokens // table.banks)


def _check_regions(
    regions: tuple[Region, ...], vector_bytes: int, organisation: Organisation, faults: list[str]
) -> None:
    """A vector has room in its regions, and their vectors do not meet in a row."""
    if sum(r.vector_columns for r in regions) * organisation.column_bytes < vector_bytes:
        faults.append(f"a vector must have {vector_bytes} bytes of columns")
    for region in regions:
        slots = region.slots_per_row
        if slots < 1 or region.column < 0 or region.end_column > organisation.columns:
            faults.append(f"a row must hold {slots} vectors")
        if slots > 1 and region.slot_columns < region.vector_columns:
            faults.append(f"vectors in a row must be {region.vector_columns} columns apart")
        if region.block_rows < 1 or region.block_step < region.block_rows:
            faults.append(f"blocks of {region.block_rows} rows must not meet")


def _is_sound(
    s: Segment, table: BlockTable, step: DecodeStep, model: ModelSpec, faults: list[str]
) -> bool:
    """The segment names something that exists; else a fault, and its tokens count as missing."""
    what = f"segment of request {s.request}, KV head {s.kv_head}"
    for name, value, limit in (
        ("request", s.request, step.batch),
        ("KV head", s.kv_head, model.kv_heads),
        ("channel", s.channel, table.channels),
        ("group", s.group, table.groups),
    ):
        if not 0 <= value < limit:
            faults.append(f"{name} of {what} must be between 0 and {limit - 1}, not {value}")
            return False
    if s.tokens < 1 or len(s.blocks) != -(-s.tokens // BLOCK_TOKENS):
        faults.append(f"{what} must have a block for every {BLOCK_TOKENS} of its {s.tokens} tokens")
        return False
    blocks = -(-step.contexts[s.request] // BLOCK_TOKENS)
    if (np.diff(s.blocks) <= 0).any() or s.blocks[0] < 0 or s.blocks[-1] >= blocks:
        faults.append(f"blocks of {what} must ascend within 0 to {blocks - 1}")
        return False
    last = step.contexts[s.request] - int(s.blocks[-1]) * BLOCK_TOKENS
    if s.tokens != (len(s.blocks) - 1) * BLOCK_TOKENS + min(last, BLOCK_TOKENS):
        faults.append(f"{what} must hold whole blocks, not {s.tokens} tokens")
        return False
    return True


def _tokens(
    segments: list[Segment], step: DecodeStep, model: ModelSpec, faults: list[str]
) -> tuple[int, int]:
    """Tokens (of a layer, all KV heads) without a place, and with more than one."""
    by_pair: dict[tuple[int, int], list[Segment]] = {}
    for s in segments:
        by_pair.setdefault((s.request, s.kv_head), []).append(s)
    missing = duplicates = 0
    for request, context in enumerate(step.contexts):
        size = np.full(-(-context // BLOCK_TOKENS), BLOCK_TOKENS)
        size[-1] = context - (len(size) - 1) * BLOCK_TOKENS
        for kv_head in range(model.kv_heads):
            times = np.zeros(len(size), dtype=np.int64)
            for s in by_pair.get((request, kv_head), ()):
                times[s.blocks] += 1
            for wrong, name in ((times == 0, "no place"), (times > 1, "two places")):
                if wrong.any():
                    token = int(np.argmax(wrong)) * BLOCK_TOKENS
                    faults.append(
                        f"token {token} of request {request}, KV head {kv_head} has {name}"
                    )
            missing += int(size[times == 0].sum())
            duplicates += int(size[times > 1].sum())
    return missing, duplicates


def _read_back(
    segments: list[Segment], table: BlockTable, shared: bool, faults: list[str]
) -> tuple[int, int]:
    """Writes a tag per vector and reads it back: (not read back, overwritten) vectors of layer 0.

    The first K of every block is written where BlockTable.places has it, what remains of K and V by
    the rule of Segment's docstring; all is read by that rule, after everything of the channel has
    been written. shared: a region that is K's and V's holds one vector for both (MLA).
    """
    keys, places = replace(table, segments=tuple(segments)).places(0)
    field = {n: (places >> np.uint64(low) & np.uint64((1 << bits) - 1)).astype(np.int64)
             for n, (low, bits) in PLACE_FIELDS.items()}  # fmt: skip
    by_channel: dict[int, list[tuple[Segment, slice]]] = {}
    start = 0
    for s in segments:
        blocks = slice(start, start := start + len(s.blocks))
        by_channel.setdefault(s.channel, []).append((s, blocks))
    lost = overwritten = 0
    for channel, held in by_channel.items():
        cells = _Cells([s for s, _ in held], table)
        reads: list[tuple[Segment, np.ndarray, np.ndarray]] = []
        writes: list[tuple[np.ndarray, np.ndarray]] = []
        for s, blocks in held:
            local = np.arange(s.tokens)
            slot, bank = local // table.banks, local % table.banks
            token = s.blocks[local // BLOCK_TOKENS] * BLOCK_TOKENS + local % BLOCK_TOKENS
            for piece, region in enumerate(s.regions if shared else s.key + s.value):
                row, column = region.row(slot), region.column_of(slot)
                cell = cells.at(s.group, bank, row, column, region)
                tag = _tag(s.request, s.kv_head, token, piece)
                reads.append((s, cell, tag))
                if piece == 0:
                    at = {name: values[blocks] for name, values in field.items()}
                    first = cells.at(at["group"], at["bank"], at["row"], at["column"], region)
                    request, kv_head, block = keys[blocks].T
                    cell, tag = cell.copy(), tag.copy()
                    cell[::BLOCK_TOKENS] = np.where(at["channel"][:, None] == channel, first, 0)
                    tag[::BLOCK_TOKENS] = _tag(request, kv_head, block * BLOCK_TOKENS, piece)
                cells.write(cell, tag)
                writes.append((cell, tag))
        overwritten += sum(int(cells.differ(cell, tag).sum()) for cell, tag in writes)
        for s, cell, tag in reads:
            if wrong := int(cells.differ(cell, tag).sum()):
                lost += wrong
                faults.append(
                    f"token of request {s.request}, KV head {s.kv_head} is not read back from "
                    f"channel {s.channel}, group {s.group}"
                )
    return lost, overwritten


class _Cells:
    """The columns of one channel's rows, as many together as all vectors allow; 0 is no cell."""

    def __init__(self, segments: list[Segment], table: BlockTable) -> None:
        regions = [(r, r.row_count(_slots(s, table))) for s in segments for r in s.regions]
        self.grain = gcd(
            *(n for r, _ in regions for n in (r.column, r.slot_columns, r.vector_columns))
        )
        self.first_row = min(r.first_row for r, _ in regions)
        last = max(r.row((rows - 1) * r.slots_per_row) for r, rows in regions)
        columns = max(r.end_column for r, _ in regions) // self.grain
        self.shape = table.groups, table.banks, last + 1 - self.first_row, columns
        self._tags = np.full(1 + prod(self.shape), -1, dtype=np.int64)

    def at(
        self,
        group: np.ndarray | int,
        bank: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        region: Region,
    ) -> np.ndarray:
        """int64 [vectors, cells of one]."""
        within = np.arange(region.vector_columns // self.grain)
        place = (
            np.broadcast_to(group, bank.shape)[:, None],
            bank[:, None],
            row[:, None] - self.first_row,
            column[:, None] // self.grain + within,
        )
        inside: np.ndarray | bool = True
        cell: np.ndarray | int = 0
        for number, size in zip(place, self.shape, strict=True):
            inside = inside & (number >= 0) & (number < size)
            cell = cell * size + number
        return np.where(inside, cell + 1, 0)

    def write(self, cell: np.ndarray, tag: np.ndarray) -> None:
        """The last write of a cell stays."""
        self._tags[cell] = tag[:, None]
        self._tags[0] = -1

    def differ(self, cell: np.ndarray, tag: np.ndarray) -> np.ndarray:
        """Vectors of which a cell does not hold the tag."""
        return (self._tags[cell] != tag[:, None]).any(axis=1)


def _tag(
    request: np.ndarray | int, kv_head: np.ndarray | int, token: np.ndarray, piece: int
) -> np.ndarray:
    """A number that only this piece of a vector has (tokens < 2^28, heads < 2^12, pieces < 4)."""
    return ((request << 12 | kv_head) << 28 | token) << 2 | piece


def _stack(segments: list[Segment], table: BlockTable, faults: list[str]) -> int:
    """Rows of every group over all layers; rows left in the fullest bank."""
    groups: dict[tuple[int, int], list[Segment]] = {}
    for s in segments:
        groups.setdefault((s.channel, s.group), []).append(s)
    free = table.rows - table.first_row
    for (channel, group), held in groups.items():
        where = f"channel {channel}, group {group}"
        step = int(table.rows_per_layer[channel, group])
        rows = np.unique(np.concatenate([_rows(r, s, table) for s in held for r in s.regions]))
        low, high = int(rows[0]), int(rows[-1]) + 1
        if step < 0 or low < table.first_row:
            faults.append(f"rows of {where} must begin at {table.first_row}, not {low}")
        top = high + (table.layers - 1) * step
        free = min(free, table.rows - top)
        if top > table.rows:
            faults.append(f"rows of {where} must end below {table.rows}, not at {top}")
        if table.layers > 1 and high - low > step:  # layers interleave: look at each
            moved = np.arange(table.layers)[:, None] * step
            taken, times = np.unique(rows + moved, return_counts=True)
            if (times > 1).any():
                row = int(taken[times > 1][0])
                faults.append(f"row {row} of {where} holds two layers")
    return free


def _rows(region: Region, segment: Segment, table: BlockTable) -> np.ndarray:
    count = region.row_count(_slots(segment, table))
    return region.row(np.arange(count, dtype=np.int64) * region.slots_per_row)
