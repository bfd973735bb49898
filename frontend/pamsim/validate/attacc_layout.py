"""The layout proof of AttAcc's head-parallel mapping: every KV element has exactly one place.

Layers are copies of layer 0 moved by `rows_per_layer`, so layer 0 is taken cell by cell. Channels
that hold the same heads at the same rows are taken once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.attacc import GROUP_BANKS, LANES, PARTITIONS, HeadSegment, AttAccShape, HeadTable
from pamsim.layout.table import PLACE_FIELDS, BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.layout import LayoutVerdict
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class StoredPlaces:
    """Where some elements of each of n tokens' vectors lie: int64 [n] each."""

    value: bool  # of V, not of K
    elements: slice  # of the padded vector
    bank: np.ndarray  # of the channel, 0..63
    row: np.ndarray
    column: np.ndarray  # first


def stored_places(
    segment: HeadSegment, shape: AttAccShape, tokens: np.ndarray
) -> Iterator[StoredPlaces]:
    """The places of tokens [n] in layer 0 (docs/attacc-commands.md, Organisation)."""
    local, partition = np.divmod(tokens, PARTITIONS)
    width = shape.part * LANES
    for quarter in range(GROUP_BANKS):
        bank = partition * GROUP_BANKS + quarter
        row = segment.key_row + local // shape.row_slots
        column = local % shape.row_slots * shape.part
        whole = slice(quarter * width, (quarter + 1) * width)
        yield StoredPlaces(False, whole, bank, row, column)
        for chunk in range(shape.part):
            start = quarter * width + chunk * LANES
            first = segment.value_row + chunk * shape.chunk_rows(segment.tokens)
            row = first + local // shape.columns
            part = slice(start, start + LANES)
            yield StoredPlaces(True, part, bank, row, local % shape.columns)


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
    organisation, faults = spec.device.organisation, list[str]()
    if shape.vector_columns * LANES < model.head_dim:
        faults.append(f"a vector must have room for {model.head_dim} elements")
    for name, has, should in (
        ("channels", table.channels, spec.channels),
        ("rows", table.rows, organisation.rows),
        ("layers", table.layers, layers),
    ):
        if has != should:
            faults.append(f"{name} of the table must be {should}, not {has}")
    times = {(r, h): 0 for r, c in enumerate(step.contexts) if c for h in range(model.kv_heads)}
    by_channel: dict[int, list[HeadSegment]] = defaultdict(list)
    lost = extra = 0
    for s in table.heads:
        known = (s.request, s.kv_head) in times and 0 <= s.channel < table.channels
        if not known or s.tokens != step.contexts[s.request]:
            faults.append(f"request {s.request}, KV head {s.kv_head} must hold all its tokens")
            continue
        times[s.request, s.kv_head] += 1
        by_channel[s.channel].append(s)
    for (request, kv_head), count in times.items():
        if count != 1:
            faults.append(f"request {request}, KV head {kv_head} must have 1 place, not {count}")
            tokens = step.contexts[request]
            lost, extra = lost + tokens * (count == 0), extra + tokens * max(0, count - 1)
    overwritten, seen = 0, dict[object, int]()
    for channel, heads in by_channel.items():
        key = tuple((s.tokens, s.key_row, s.value_row) for s in heads)
        if key not in seen:
            seen[key] = _overwritten(heads, shape)
            if seen[key]:
                faults.append(f"{seen[key]} columns of channel {channel} hold two things")
        overwritten += seen[key]
    faults += _place_faults(table)
    free = _rows_free(table, by_channel, layers, faults)
    accesses, misses = _accesses(table)
    bank = np.zeros((max(1, len(by_channel)), PARTITIONS), np.int64)
    for channel, heads in enumerate(by_channel.values()):
        for s in heads:
            bank[channel] += (s.tokens + np.arange(PARTITIONS)[::-1]) // PARTITIONS
    group = bank.reshape(len(bank), 2, -1).sum(axis=1)  # both pseudo-channels
    needed = sum(step.contexts) * model.kv_elements_per_token_layer
    each = model.kv_elements_per_token_layer // model.kv_heads
    return LayoutVerdict(
        verdict="violated" if faults else "passed",
        kv_elements=needed * layers,
        duplicates=(extra * each + overwritten * LANES) * layers,
        missing=lost * each * layers,
        bytes_needed=needed * model.kv_bits // 8 * layers,
        bytes_fetched=accesses * layers * PARTITIONS * GROUP_BANKS * 2 * LANES,
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


def _overwritten(heads: list[HeadSegment], shape: AttAccShape) -> int:
    """Columns of a channel that more than one thing lies in."""
    cells = []
    for s in heads:
        for p in stored_places(s, shape, np.arange(s.tokens)):
            columns = shape.part if not p.value else 1
            for c in range(columns):
                cells.append((p.bank << 32) + p.row * shape.columns + p.column + c)
    every = np.concatenate(cells)
    return len(every) - len(np.unique(every))


def _place_faults(table: HeadTable) -> list[str]:
    """The block table names the place of each block's first token."""
    keys, places = table.places(0)
    field = {
        n: (places >> np.uint64(low)).astype(np.int64) & ((1 << bits) - 1)
        for n, (low, bits) in PLACE_FIELDS.items()
    }
    start = 0
    for s in table.heads:
        stop = start + len(s.blocks)
        token = np.arange(len(s.blocks)) * PARTITIONS
        first = next(stored_places(s, table.shape, token))
        right = (
            (keys[start:stop] == np.column_stack([np.full((len(token), 2), (s.request, s.kv_head)),
                                                  s.blocks])).all()
            and (field["row"][start:stop] == first.row).all()
            and (field["column"][start:stop] == first.column).all()
            and (field["channel"][start:stop] == s.channel).all()
        )  # fmt: skip
        if not right:
            return [f"blocks of request {s.request}, KV head {s.kv_head} must be where K lies"]
        start = stop
    return []


def _rows_free(
    table: HeadTable, by_channel: dict[int, list[HeadSegment]], layers: int, faults: list[str]
) -> int:
    """Rows left in the fullest channel; a fault where layers or heads leave their rows."""
    free = table.rows - table.first_row
    for channel, heads in by_channel.items():
        step = int(table.rows_per_layer[channel].max())
        low = min(min(s.key_row, s.value_row) for s in heads)
        high = max(
            max(
                s.key_row + table.shape.key_rows(s.tokens),
                s.value_row + table.shape.part * table.shape.chunk_rows(s.tokens),
            )
            for s in heads
        )
        if low < table.first_row:
            faults.append(f"rows of channel {channel} must begin at {table.first_row}, not {low}")
        if high - low > step and layers > 1:
            faults.append(f"layers of channel {channel} must be {high - low} rows apart")
        top = high + (layers - 1) * step
        if top > table.rows:
            faults.append(f"rows of channel {channel} must end below {table.rows}, not at {top}")
        free = min(free, table.rows - top)
    return free


def _accesses(table: HeadTable) -> tuple[int, int]:
    """Column accesses of all banks of a channel, and those that open a row, of one pass."""
    accesses = misses = 0
    for s in table.heads:
        local = -(-s.tokens // PARTITIONS)
        accesses += 2 * local * table.shape.part
        misses += table.shape.rows(s.tokens)
    return accesses, misses
