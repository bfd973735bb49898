"""Proof 2: the layout is right.

Every K and V element of the step has exactly one place, inside the rows that are free for it, in
every layer, and what is written through the block table is read back through the segments.

Layers are copies of layer 0 moved by `rows_per_layer`, so layer 0 is taken cell by cell, and that
layers do not meet is shown on row intervals. Memory stays that of one channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.table import BLOCK_TOKENS, PLACE_FIELDS, BlockTable, Segment
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
) -> LayoutVerdict:
    """Checks every place of a placement. Never raises for a wrong table: the verdict says it."""
    faults: list[str] = []
    organisation = system.tier(tier).device.organisation
    for name, has, should in (
        ("channels", table.channels, system.tier(tier).channels),
        ("groups", table.groups, organisation.groups_per_channel),
        ("banks", table.banks, organisation.banks),
        ("rows", table.rows, organisation.rows),
        ("layers", table.layers, model.layers),
    ):
        if has != should:
            faults.append(f"{name} of the table must be {should}, not {has}")
    vector_bytes = table.vector_columns * organisation.column_bytes
    if vector_bytes < model.head_dim * model.dtype_bytes:
        faults.append(f"a vector must have {model.head_dim * model.dtype_bytes} bytes of columns")
    if table.slots_per_row * table.vector_columns > organisation.columns:
        faults.append(f"a row must hold {table.slots_per_row} vectors")

    sound = [s for s in table.segments if _is_sound(s, table, step, model, faults)]
    missing, duplicates = _tokens(sound, step, model, faults)
    lost, overwritten = _read_back(sound, table, faults)
    missing, duplicates = missing * 2 + lost, duplicates * 2 + overwritten  # K and V
    free = _stack(sound, table, faults)

    slots = np.array([_slots(s, table) for s in sound] or [0])
    rows = -(-slots // table.slots_per_row)
    accesses = int(2 * slots.sum()) * table.vector_columns * model.layers
    misses = int(2 * rows.sum()) * model.layers
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
    elements = context * model.kv_heads * 2 * model.head_dim * model.layers
    each = model.head_dim * model.layers
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


def _rows(s: Segment, table: BlockTable) -> int:
    return -(-_slots(s, table) // table.slots_per_row)


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


def _read_back(segments: list[Segment], table: BlockTable, faults: list[str]) -> tuple[int, int]:
    """Writes a tag per vector and reads it back: (not read back, overwritten) vectors of layer 0.

    K is written through BlockTable.places, V through the segments; both are read by the rule of
    Segment's docstring, after everything of the channel has been written.
    """
    keys, places = replace(table, segments=tuple(segments)).places(0)
    field = {n: (places >> np.uint64(low)).astype(np.int64) & (1 << bits) - 1
             for n, (low, bits) in PLACE_FIELDS.items()}  # fmt: skip
    order = np.argsort(field["channel"], kind="stable")
    bounds = np.searchsorted(field["channel"][order], np.arange(table.channels + 1))
    by_channel: dict[int, list[Segment]] = {}
    for s in segments:
        by_channel.setdefault(s.channel, []).append(s)
    lost = overwritten = 0
    for channel, held in by_channel.items():
        here = order[bounds[channel] : bounds[channel + 1]]
        tags = _Cells(table)
        last_block = {
            (s.request, s.kv_head, int(s.blocks[-1])): s.tokens % BLOCK_TOKENS for s in held
        }
        sizes = np.array(
            [last_block.get((r, h, b)) or BLOCK_TOKENS for r, h, b in keys[here].tolist()],
            dtype=np.int64,
        )
        block, within = _ragged(sizes)
        at = here[block]
        slot = field["row"][at] * table.slots_per_row + field["column"][at] // table.vector_columns
        bank_step = field["bank"][at] + within
        cell = tags.cell(
            field["group"][at], bank_step % table.banks, slot + bank_step // table.banks
        )
        tag = _tag(keys[at, 0], keys[at, 1], keys[at, 2] * BLOCK_TOKENS + within, value=False)
        tags.write(cell, tag)
        reads = []
        for s in held:
            local = np.arange(s.tokens)
            token = s.blocks[local // BLOCK_TOKENS] * BLOCK_TOKENS + local % BLOCK_TOKENS
            group = np.full(s.tokens, s.group)
            for value, row in ((False, s.k_row), (True, s.v_row)):
                slot = row * table.slots_per_row + local // table.banks
                cell = tags.cell(group, local % table.banks, slot)
                tag = _tag(np.full(s.tokens, s.request), np.full(s.tokens, s.kv_head), token, value)
                if value:
                    tags.write(cell, tag)
                reads.append((s, cell, tag))
        overwritten += tags.settle()
        for s, cell, tag in reads:
            wrong = tags.read(cell) != tag
            if wrong.any():
                lost += int(wrong.sum())
                faults.append(
                    f"token of request {s.request}, KV head {s.kv_head} is not read back from "
                    f"channel {s.channel}, group {s.group}"
                )
    return lost, overwritten


class _Cells:
    """The vectors of one channel by place, sparse."""

    def __init__(self, table: BlockTable) -> None:
        self.table = table
        self._cell = np.empty(0, dtype=np.int64)
        self._tag = np.empty(0, dtype=np.int64)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []

    def cell(self, group: np.ndarray, bank: np.ndarray, slot: np.ndarray) -> np.ndarray:
        slots = (1 << 15) * self.table.slots_per_row + BLOCK_TOKENS
        return (group * self.table.banks + bank) * slots + slot

    def write(self, cell: np.ndarray, tag: np.ndarray) -> None:
        self._pending.append((cell, tag))

    def settle(self) -> int:
        """Ends writing, the last write of a cell wins; how many writes were overwritten."""
        cells = np.concatenate([cell for cell, _ in self._pending])
        tags = np.concatenate([tag for _, tag in self._pending])
        self._cell, last = np.unique(cells[::-1], return_index=True)
        self._tag = tags[::-1][last]
        return len(cells) - len(self._cell)

    def read(self, cell: np.ndarray) -> np.ndarray:
        """The tags held, -1 where nothing was written."""
        at = np.minimum(np.searchsorted(self._cell, cell), len(self._cell) - 1)
        return np.where(self._cell[at] == cell, self._tag[at], -1)


def _tag(request: np.ndarray, kv_head: np.ndarray, token: np.ndarray, value: bool) -> np.ndarray:
    """A number that only this vector has (tokens < 2^28, heads < 2^12)."""
    return ((request << 12 | kv_head) << 28 | token) << 1 | int(value)


def _ragged(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For runs of the given sizes: the run of every element, and its place in the run."""
    run = np.repeat(np.arange(len(sizes)), sizes)
    start = np.cumsum(sizes) - sizes
    return run, np.arange(len(run)) - start[run]


def _stack(segments: list[Segment], table: BlockTable, faults: list[str]) -> int:
    """Row intervals of every group over all layers; rows left in the fullest bank."""
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for s in segments:
        rows = _rows(s, table)
        groups.setdefault((s.channel, s.group), []).extend(
            [(s.k_row, s.k_row + rows), (s.v_row, s.v_row + rows)]
        )
    free = table.rows - table.first_row
    for (channel, group), intervals in groups.items():
        where = f"channel {channel}, group {group}"
        step = int(table.rows_per_layer[channel, group])
        start, end = (np.array(x, dtype=np.int64) for x in zip(*intervals, strict=True))
        low, high = int(start.min()), int(end.max())
        if step < 0 or low < table.first_row:
            faults.append(f"rows of {where} must begin at {table.first_row}, not {low}")
        top = high + (table.layers - 1) * step
        free = min(free, table.rows - top)
        if top > table.rows:
            faults.append(f"rows of {where} must end below {table.rows}, not at {top}")
        if table.layers > 1 and high - low > step:  # layers interleave: look at each
            moved = np.arange(table.layers)[:, None] * step
            start, end = (start + moved).ravel(), (end + moved).ravel()
        order = np.argsort(start, kind="stable")
        if (start[order][1:] < end[order][:-1]).any():
            at = int(np.argmax(start[order][1:] < end[order][:-1]))
            faults.append(f"row {int(start[order][at + 1])} of {where} holds two things")
    return free
