"""The layout proof of AiM's mapping: every KV element has exactly one place.

Layers are copies of layer 0 moved by `rows_per_layer`, so layer 0 is taken column by column.
Channels that hold the same heads at the same rows are taken once.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.aim import BANKS, LANES, HeadSegment, AimShape, HeadTable
from pamsim.layout.table import PLACE_FIELDS, BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.layout import LayoutVerdict
from pamsim.workload.step import DecodeStep

Places = tuple[np.ndarray, np.ndarray, np.ndarray]  # bank, row, first column: int64 [n]


def key_places(segment: HeadSegment, shape: AimShape, tokens: np.ndarray) -> Places:
    """Of the K vectors of tokens [n] in layer 0 (docs/aim-commands.md, Mapping)."""
    slot, bank = np.divmod(tokens, BANKS)
    row, inside = np.divmod(slot, shape.row_slots)
    return bank, segment.key_row + row, inside * shape.vector_columns


def value_places(
    segment: HeadSegment, shape: AimShape, tokens: np.ndarray, element: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bank, row, column, lane of one element of V of tokens [n] in layer 0."""
    part, bank = divmod(element, BANKS)
    block, inside = np.divmod(tokens, shape.columns * LANES)
    column, lane = np.divmod(inside, LANES)
    row = segment.value_row + block * shape.block_rows + part
    return np.full(len(tokens), bank), row, column, lane


def prove_layout(
    table: BlockTable,
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    *,
    tier: str = "hbm",
    layers: int | None = None,
) -> LayoutVerdict:
    """As pamsim.validate.prove_layout."""
    assert isinstance(table, HeadTable)
    layers, shape = layers or model.layers, table.shape
    spec = system.tier(tier)
    faults = list[str]()
    if shape.vector_columns * LANES < model.head_dim:
        faults.append(f"a vector must have room for {model.head_dim} elements")
    for name, has, should in (
        ("channels", table.channels, spec.channels),
        ("rows", table.rows, spec.device.organisation.rows),
        ("layers", table.layers, layers),
    ):
        if has != should:
            faults.append(f"{name} of the table must be {should}, not {has}")
    times = {(r, h): 0 for r, c in enumerate(step.contexts) if c for h in range(model.kv_heads)}
    by_channel: dict[int, list[HeadSegment]] = defaultdict(list)
    for s in table.heads:
        known = (s.request, s.kv_head) in times and 0 <= s.channel < table.channels
        if not known or s.tokens != step.contexts[s.request]:
            faults.append(f"request {s.request}, KV head {s.kv_head} must hold all its tokens")
            continue
        times[s.request, s.kv_head] += 1
        by_channel[s.channel].append(s)
    lost = extra = 0
    for (request, kv_head), count in times.items():
        if count != 1:
            faults.append(f"request {request}, KV head {kv_head} must have 1 place, not {count}")
            tokens = step.contexts[request]
            lost, extra = lost + tokens * (count == 0), extra + tokens * max(0, count - 1)
    overwritten, seen = 0, dict[object, int]()
    for channel, heads in by_channel.items():
        key = tuple((s.tokens, s.key_row, s.value_row) for s in heads)
        if key not in seen:
            seen[key] = _overwritten(heads, shape, model.head_dim)
            if seen[key]:
                faults.append(f"{seen[key]} elements of channel {channel} share a place")
        overwritten += seen[key]
    faults += _place_faults(table)
    free = _rows_free(table, by_channel, layers, faults)
    accesses, misses = _accesses(table)
    bank = np.zeros((max(1, len(by_channel)), BANKS), np.int64)
    for number, heads in enumerate(by_channel.values()):
        for s in heads:
            bank[number] += (s.tokens + np.arange(BANKS)[::-1]) // BANKS
    group = bank.reshape(len(bank), table.groups, -1).sum(axis=2)
    needed = sum(step.contexts) * model.kv_elements_per_token_layer
    each = model.kv_elements_per_token_layer // model.kv_heads
    return LayoutVerdict(
        verdict="violated" if faults else "passed",
        kv_elements=needed * layers,
        duplicates=(extra * each + overwritten) * layers,
        missing=lost * each * layers,
        bytes_needed=needed * model.kv_bits // 8 * layers,
        bytes_fetched=accesses * layers * BANKS * 2 * LANES,
        column_accesses=accesses * layers,
        row_hits=(accesses - misses) * layers,
        groups_used=int((group > 0).sum()),
        tokens_per_group_max=int(group.max()),
        tokens_per_group_mean=float(group[group > 0].mean()) if group.any() else 0.0,
        tokens_per_bank_max=int(bank.max()),
        tokens_per_bank_mean=float(bank.mean()),
        rows_free=free,
        coverage=f"every place of layer 0, row intervals of all {table.layers} layers",
        first_fault=faults[0] if faults else "",
    )


def _overwritten(heads: list[HeadSegment], shape: AimShape, elements: int) -> int:
    """Elements of a channel that lie where another one does; K in whole columns."""
    cells = []
    for s in heads:
        tokens = np.arange(s.tokens)
        bank, row, first = key_places(s, shape, tokens)
        columns = first[:, None] + np.arange(shape.vector_columns)
        cells.append(_cell(shape, bank[:, None], row[:, None], columns, 0).ravel())
        lanes = value_places(s, shape, tokens, 0)[3]
        for element in range(elements):
            places = value_places(s, shape, tokens[lanes == 0], element)
            cells.append(_cell(shape, *places))
        block = tokens // LANES
        if len(np.unique(block * LANES + lanes)) != s.tokens:
            return s.tokens
    every = np.concatenate(cells)
    return (len(every) - len(np.unique(every))) * LANES


def _cell(
    shape: AimShape, bank: np.ndarray, row: np.ndarray, column: np.ndarray, lane: np.ndarray | int
) -> np.ndarray:
    return np.asarray(((row * BANKS + bank) * shape.columns + column) * LANES + lane)


def _place_faults(table: HeadTable) -> list[str]:
    """The block table names the place of each block's first token."""
    keys, places = table.places(0)
    field = {
        n: (places >> np.uint64(low)).astype(np.int64) & ((1 << bits) - 1)
        for n, (low, bits) in PLACE_FIELDS.items()
    }
    start = 0
    for s in table.heads:
        part = slice(start, start + len(s.blocks))
        bank, row, column = key_places(s, table.shape, s.blocks * BANKS)
        right = (
            (keys[part, :2] == (s.request, s.kv_head)).all()
            and (keys[part, 2] == s.blocks).all()
            and (field["row"][part] == row).all()
            and (field["column"][part] == column).all()
            and (field["bank"][part] == bank).all()
            and (field["channel"][part] == s.channel).all()
        )
        if not right:
            return [f"blocks of request {s.request}, KV head {s.kv_head} must be where K lies"]
        start = part.stop
    return []


def _rows_free(
    table: HeadTable, by_channel: dict[int, list[HeadSegment]], layers: int, faults: list[str]
) -> int:
    """Rows left in the fullest channel; a fault where layers or heads leave their rows."""
    free = table.rows - table.first_row
    for channel, heads in by_channel.items():
        step = int(table.rows_per_layer[channel].max())
        low = min(min(s.key_row, s.value_row) for s in heads)
        high = max(_end(s, table.shape) for s in heads)
        top = high + (layers - 1) * step
        if low < table.first_row:
            faults.append(f"rows of channel {channel} must begin at {table.first_row}, not {low}")
        if high - low > step and layers > 1:
            faults.append(f"layers of channel {channel} must be {high - low} rows apart")
        if top > table.rows:
            faults.append(f"rows of channel {channel} must end below {table.rows}, not at {top}")
        free = min(free, table.rows - top)
    return free


def _end(s: HeadSegment, shape: AimShape) -> int:
    value = s.value_row + shape.block_rows * shape.blocks(s.tokens)
    return max(s.key_row + shape.key_rows(s.tokens), value)


def _accesses(table: HeadTable) -> tuple[int, int]:
    """Column accesses of all banks of a channel, and those that open a row, of one pass."""
    accesses = misses = 0
    for s in table.heads:
        values = -(-s.tokens // LANES) * table.shape.block_rows
        accesses += table.shape.slots(s.tokens) * table.shape.vector_columns + values
        misses += table.shape.rows(s.tokens)
    return accesses, misses
