"""The layout proof where a channel holds whole heads: every KV element has exactly one place.

Layers are copies of layer 0 moved by `rows_per_layer`, so layer 0 is taken cell by cell. Channels
that hold the same heads at the same rows are taken once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.table import PLACE_FIELDS
from pamsim.layout.whole_heads import HeadSegment, HeadTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.layout import LayoutVerdict
from pamsim.workload.step import DecodeStep

PLACES = 16  # of a channel, over which tokens go round
COLUMN_BYTES = 32  # of a bank

Heads = dict[int, list[HeadSegment]]  # by channel
Table = HeadTable[Any]


class HeadPlaces(Protocol):
    """Where a family keeps the vectors of a head, written from its page in docs."""

    elements: int  # of a vector that the columns have room for
    banks: int  # that work in lockstep
    groups: int  # parts of the 16 places whose balance is told

    def first_of_key(
        self, head: HeadSegment, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bank, row and column where K of tokens [n] begins in layer 0."""
        ...

    def overwritten(self, heads: list[HeadSegment]) -> int:
        """Elements of a channel that lie where another one does."""
        ...

    def end_row(self, head: HeadSegment) -> int:
        """The first row behind a head's."""
        ...

    def accesses(self, tokens: int) -> tuple[int, int]:
        """Column accesses of one pass over K and V of a head, and those that open a row."""
        ...


@dataclass(frozen=True)
class _Found:
    """What is wrong with the heads of a step, and which of them lie where they can."""

    by_channel: Heads
    lost: int  # tokens of a KV head without a place
    extra: int  # and with one too many


def prove_head_layout(
    table: Table,
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    tier: str,
    layers: int,
    places: HeadPlaces,
) -> LayoutVerdict:
    """As pamsim.validate.prove_layout."""
    spec = system.tier(tier)
    faults = list[str]()
    if places.elements < model.head_dim:
        faults.append(f"a vector must have room for {model.head_dim} elements")
    for name, has, should in (
        ("channels", table.channels, spec.channels),
        ("rows", table.rows, spec.device.organisation.rows),
        ("layers", table.layers, layers),
    ):
        if has != should:
            faults.append(f"{name} of the table must be {should}, not {has}")
    found = _find(table, model, step, faults)
    heads = found.by_channel
    overwritten = _overwritten(heads, places, faults)
    faults += _place_faults(table, places)
    free = _rows_free(table, heads, layers, places, faults)
    visits = [places.accesses(s.tokens) for s in table.heads]
    accesses, misses = (sum(n) for n in zip(*visits, strict=True)) if visits else (0, 0)
    bank = np.zeros((max(1, len(heads)), PLACES), np.int64)
    for number, own in enumerate(heads.values()):
        for s in own:
            bank[number] += (s.tokens + np.arange(PLACES)[::-1]) // PLACES
    group = bank.reshape(len(bank), places.groups, -1).sum(axis=2)
    needed = sum(step.contexts) * model.kv_elements_per_token_layer
    each = model.kv_elements_per_token_layer // model.kv_heads
    return LayoutVerdict(
        verdict="violated" if faults else "passed",
        kv_elements=needed * layers,
        duplicates=(found.extra * each + overwritten) * layers,
        missing=found.lost * each * layers,
        bytes_needed=needed * model.kv_bits // 8 * layers,
        bytes_fetched=accesses * layers * places.banks * COLUMN_BYTES,
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


def _find(table: Table, model: ModelSpec, step: DecodeStep, faults: list[str]) -> _Found:
    times = {(r, h): 0 for r, c in enumerate(step.contexts) if c for h in range(model.kv_heads)}
    by_channel: Heads = defaultdict(list)
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
    return _Found(by_channel, lost, extra)


def _overwritten(by_channel: Heads, places: HeadPlaces, faults: list[str]) -> int:
    total, seen = 0, dict[object, int]()
    for channel, heads in by_channel.items():
        key = tuple((s.tokens, s.key_row, s.value_row) for s in heads)
        if key not in seen:
            seen[key] = places.overwritten(heads)
            if seen[key]:
                faults.append(f"{seen[key]} elements of channel {channel} share a place")
        total += seen[key]
    return total


def _place_faults(table: Table, places: HeadPlaces) -> list[str]:
    """The block table names the place of each block's first token."""
    keys, packed = table.places(0)
    field = {
        n: (packed >> np.uint64(low)).astype(np.int64) & ((1 << bits) - 1)
        for n, (low, bits) in PLACE_FIELDS.items()
    }
    start = 0
    for s in table.heads:
        part = slice(start, start + len(s.blocks))
        bank, row, column = places.first_of_key(s, np.arange(len(s.blocks)) * PLACES)
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
    table: Table, by_channel: Heads, layers: int, places: HeadPlaces, faults: list[str]
) -> int:
    """Rows left in the fullest channel; a fault where layers or heads leave their rows."""
    free = table.rows - table.first_row
    for channel, heads in by_channel.items():
        step = int(table.rows_per_layer[channel].max())
        low = min(min(s.key_row, s.value_row) for s in heads)
        high = max(places.end_row(s) for s in heads)
        top = high + (layers - 1) * step
        if low < table.first_row:
            faults.append(f"rows of channel {channel} must begin at {table.first_row}, not {low}")
        if high - low > step and layers > 1:
            faults.append(f"layers of channel {channel} must be {high - low} rows apart")
        if top > table.rows:
            faults.append(f"rows of channel {channel} must end below {table.rows}, not at {top}")
        free = min(free, table.rows - top)
    return free
