"""Proof 2: the layout is right.

Every K and V element of the step has exactly one place, inside the rows that are free for it, in
every layer, and what is written through the block table is read back through the segments.

Layers are copies of layer 0 moved by `rows_per_layer`, so layer 0 is taken cell by cell, and that
layers do not meet is shown on row intervals. Memory stays that of one channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.table import BLOCK_TOKENS, BlockTable, Region, Segment
from pamsim.model.spec import ModelSpec
from pamsim.validate.layout_cells import (
    read_back,
    region_columns,
    stored_elements,
    stored_regions,
)
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
    family = f"pamsim.validate.families.{system.tier(tier).device.family}"
    own: Any = getattr(import_module(family), "prove_layout", None) if find_spec(family) else None
    if own is not None:
        verdict: LayoutVerdict = own(table, model, step, system, tier=tier, layers=layers)
        return verdict
    organisation = system.tier(tier).device.organisation
    chips = organisation.chips  # of a bank: each may hold tokens of its own, side by side
    side_by_side = chips if table.banks == organisation.banks * chips else 1
    return prove_places(
        table,
        model,
        step,
        {
            "channels": system.tier(tier).channels,
            "groups": organisation.groups_per_channel,
            "banks": organisation.banks * side_by_side,
            "rows": organisation.rows,
            "layers": layers or model.layers,
        },
        column_bytes=organisation.column_bytes // side_by_side,
        columns=organisation.columns,
    )


def prove_places(
    table: BlockTable,
    model: ModelSpec,
    step: DecodeStep,
    expected: Mapping[str, int],
    *,
    column_bytes: int,
    columns: int,
) -> LayoutVerdict:
    """`prove_layout` on a machine whose table has the `expected` numbers, with columns of so many
    bytes in each of its banks, and so many of them in a row."""
    faults: list[str] = []
    layers = expected["layers"]
    for name, should in expected.items():
        has = getattr(table, name)
        if has != should:
            faults.append(f"{name} of the table must be {should}, not {has}")
    sound = [s for s in table.segments if _is_sound(s, table, step, model, faults)]
    sizes = stored_elements(model)
    for regions in {stored_regions(s, model) for s in sound}:
        for region, elements in zip(regions, sizes, strict=True):
            bits = elements * model.kv_bits
            scaled = model.kv_scaled
            _check_region(region, bits, scaled, column_bytes, columns, faults)
    missing, duplicates = (n * sum(sizes) for n in _tokens(sound, step, model, faults))
    for number, (lost, overwritten) in enumerate(read_back(sound, table, model, faults)):
        missing += lost * sizes[number]
        duplicates += overwritten * sizes[number]
    free = _stack(sound, table, faults)

    accesses = misses = 0
    for s in sound:
        for region in (*s.key, *s.value):
            accesses += region_columns(region, _slots(s, table)) * layers
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
    read = context * model.kv_heads * (model.head_dim + model.value_dim)
    return LayoutVerdict(
        verdict="violated" if faults else "passed",
        kv_elements=context * model.kv_elements_per_token_layer * layers,
        duplicates=duplicates * layers,
        missing=missing * layers,
        bytes_needed=-(-read * model.kv_bits // 8) * layers,
        bytes_fetched=accesses * column_bytes * table.banks,
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


def _check_region(
    region: Region,
    bits: int,
    scaled: bool,
    column_bytes: int,
    columns: int,
    faults: list[str],
) -> None:
    """A vector has room in its region, and vectors and scales do not meet in a row."""
    if region.vector_columns * column_bytes * 8 < bits:
        faults.append(f"a vector must have {-(-bits // 8)} bytes of columns")
    slots = region.slots_per_row
    if slots < 1 or region.column < 0 or region.end_column > columns:
        faults.append(f"a row must hold {slots} vectors")
    if slots > 1 and region.slot_columns < region.vector_columns:
        faults.append(f"vectors in a row must be {region.vector_columns} columns apart")
    if region.block_rows < 1 or region.block_step < region.block_rows:
        faults.append(f"blocks of {region.block_rows} rows must not meet")
    if scaled != (region.scale_column is not None):
        faults.append(f"a row must hold {'its' if scaled else 'no'} scales")
    elif (region.scale_column or 0) + region.scale_columns > columns:
        faults.append(f"a row must hold the scales of {slots} vectors")


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
    if len(stored_regions(s, model)) != len(stored_elements(model)) or not s.value:
        faults.append(
            f"{what} must have a region for each of {len(stored_elements(model))} vectors"
        )
        return False
    if model.mla and s.value != s.key[:1]:
        faults.append(f"V of {what} must be the latent vector of its K")
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
        size[-1:] = context - (len(size) - 1) * BLOCK_TOKENS
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
