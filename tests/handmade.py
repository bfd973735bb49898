"""A placement and its programs made by hand, independent of pamsim.layout and pamsim.compiler.

One channel program per channel; blocks of a (request, KV head) go round over `spread` groups.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
    QueryBinding,
    Tiling,
)
from pamsim.config import ProgramVariants, load_system
from pamsim.config.spec import SystemSpec
from pamsim.layout.table import BLOCK_TOKENS, BlockTable, Region, Segment
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep
from pim_isa import assemble, check, encode

BANKS, LANES, ROW_COLUMNS = 4, 16, 32


def model(
    query_heads: int, kv_heads: int, head_dim: int, dtype: str = "fp16", layers: int = 2
) -> ModelSpec:
    return ModelSpec(
        name="handmade", architecture="LlamaForCausalLM", layers=layers,
        hidden=query_heads * head_dim, query_heads=query_heads, kv_heads=kv_heads,
        head_dim=head_dim, ffn_hidden=64, ffn_matrices=3, vocabulary=100, max_context=1 << 20,
        dtype=dtype,
    )  # fmt: skip


def system(**pim: object) -> SystemSpec:
    """The default system, with fields of the PIM unit replaced."""
    found = load_system("pam-hbm")
    tier = found.tier("hbm")
    device = replace(tier.device, pim=replace(tier.device.pim, **pim))  # type: ignore[arg-type]
    return replace(found, tiers=(replace(tier, device=device),))


def place(
    shape: ModelSpec, step: DecodeStep, machine: SystemSpec, homes: list[tuple[int, int]]
) -> BlockTable:
    """Puts block b of every pair at homes[(pair + b) mod len(homes)] = (channel, group)."""
    tier = machine.tier("hbm")
    o = tier.device.organisation
    columns = -(-shape.head_dim // LANES)
    per_row = ROW_COLUMNS // columns
    next_row = np.full((tier.channels, o.groups_per_channel), 10, dtype=np.int64)
    segments = []
    for request, context in enumerate(step.contexts):
        blocks = np.arange(-(-context // BLOCK_TOKENS))
        for kv_head in range(shape.kv_heads):
            pair = request * shape.kv_heads + kv_head
            for k, (channel, group) in enumerate(homes):
                mine = blocks[(blocks + pair) % len(homes) == k]
                if not len(mine):
                    continue
                end = min(context, (int(mine[-1]) + 1) * BLOCK_TOKENS)
                tokens = (len(mine) - 1) * BLOCK_TOKENS + end - int(mine[-1]) * BLOCK_TOKENS
                slots = -(-tokens // BANKS)
                rows = -(-slots // per_row)
                row = int(next_row[channel, group])
                key, value = (
                    Region(first, per_row, columns, 0, columns) for first in (row, row + rows)
                )
                segments.append(
                    Segment(request, kv_head, channel, group, tokens, (key,), (value,), mine)
                )
                next_row[channel, group] += 2 * rows
    return BlockTable(
        layout="handmade", layers=shape.layers, channels=tier.channels,
        groups=o.groups_per_channel, banks=o.banks, key_columns=columns, value_columns=columns,
        segments=tuple(segments), rows_per_layer=next_row - 10, first_row=10, rows=o.rows,
    )  # fmt: skip


def compile_table(
    table: BlockTable, shape: ModelSpec, step: DecodeStep, machine: SystemSpec, tile: int = 32
) -> CompiledStep:
    """One query at a time, `tile` slots a tile, one program per channel."""
    channels = sorted({s.channel for s in table.segments})
    spread: dict[tuple[int, int], set[int]] = {}
    for s in table.segments:
        spread.setdefault((s.request, s.kv_head), set()).add(s.channel)
    programs = []
    for channel in channels:
        segments = tuple(s for s in table.segments if s.channel == channel)
        pairs = sorted({(s.request, s.kv_head) for s in segments})
        queries = tuple(
            QueryBinding(r, h * shape.group_size + g, 0, len(spread[r, h]) == 1)
            for r, h in pairs
            for g in range(shape.group_size)
        )
        appends: list[AppendBinding] = []
        streams, held = [], []
        for group in sorted({s.group for s in segments}):
            mine = [k for k, s in enumerate(segments) if s.group == group]
            held.append(tuple(mine))
            streams.append((group, [segments[k] for k in mine]))
        o = machine.tier("hbm").device.organisation
        text = [".family hbm_pim"]
        for number, (group, mine) in enumerate(streams):
            rest, bank_group = divmod(group, o.bank_groups)
            text.append(f".stream pc={rest // o.sids} sid={rest % o.sids} bg={bank_group}")
            for s in mine:
                text += _append(s, step, appends)
            text.append("BAR id=0")
            for s in mine:
                for number_q, q in enumerate(queries):
                    if q.request == s.request and q.query_head // shape.group_size == s.kv_head:
                        text += _attend(s, number_q, tile)
            text.append("BAR id=1")
            if number == 0:
                text += [f"RDR query={k} normalise={int(q.whole)}" for k, q in enumerate(queries)]
        program = assemble("\n".join(text))
        assert check(program) == ()
        binary = encode(program)
        binding = ChannelBinding(channel, queries, tuple(appends), segments, tuple(held))
        programs.append(
            ChannelProgram(program, binary, hashlib.sha256(binary).hexdigest(), (binding,))
        )
    tier = machine.tier("hbm")
    return CompiledStep(
        tier="hbm", device=tier.device, layers=shape.layers, table=table,
        tiling=Tiling(1, tile, 1, table.value_columns, shape.group_size),
        programs=tuple(programs), variants=ProgramVariants(queries=(1,)),
        idle_channels=tier.channels - len(channels),
    )  # fmt: skip


def _append(s: Segment, step: DecodeStep, appends: list[AppendBinding]) -> list[str]:
    """The new token is the last of the request: the last local token where its block lies."""
    if (step.contexts[s.request] - 1) // BLOCK_TOKENS != s.blocks[-1]:
        return []
    slot, bank = divmod(s.tokens - 1, BANKS)
    lines = []
    for value, (region,) in ((False, s.key), (True, s.value)):
        place, columns = slot % region.slots_per_row, region.vector_columns
        lines += [
            f"APP bank={bank} row={region.first_row + slot // region.slots_per_row} "
            f"column={place * columns} columns={columns} source={len(appends)}",
            f"PREB bank={bank}",
        ]
        appends.append(AppendBinding(s.request, s.kv_head, value))
    return lines


def _attend(s: Segment, query: int, tile: int) -> list[str]:
    (key,), (value,) = s.key, s.value
    columns, per_row = key.vector_columns, key.slots_per_row
    tile = tile // per_row * per_row or per_row
    lines = [f"CFG queries=1 part={columns} vector={columns}"]
    slots = -(-s.tokens // BANKS)
    for start in range(0, slots, tile):
        valid = min(s.tokens - start * BANKS, tile * BANKS)
        whole, tail = divmod(valid, BANKS)
        spans = [(0, whole, 15)] * (whole > 0) + [(whole, 1, (1 << tail) - 1)] * (tail > 0)
        lines.append(f"WRQ slot=0 query={query} offset=0")
        lines += _visits(
            "MACK", key.first_row + start // per_row, spans, columns, per_row, "last=1"
        )
        for name, first in (("MAX", True), ("EXP", False), ("SUM", True)):
            for k, (base, count, mask) in enumerate(spans):
                flag = " first=1" if first and k == 0 else ""
                lines.append(f"{name} slots={count} base={base} mask={mask}{flag}")
        lines.append("CLRO")
        lines += _visits("MACV", value.first_row + start // per_row, spans, columns, per_row, "")
        lines += ["REDG", f"REDL slot=0 query={query}"]
    return lines


def _visits(
    name: str, row: int, spans: list[tuple[int, int, int]], columns: int, per_row: int, flags: str
) -> list[str]:
    lines = []
    for base, count, mask in spans:
        rows, rest = divmod(count, per_row) if base % per_row == 0 else (0, count)
        at, column = row + base // per_row, base % per_row * columns
        if rows:
            lines += [
                f"LOOP count={rows} row_step=1 base_step={per_row}",
                f"ACT row={at}",
                f"{name} row={at} column=0 slots={per_row} base={base} mask={mask} {flags}",
                "PRE",
                "END",
            ]
        if rest:
            here = base + rows * per_row
            lines += [
                f"ACT row={at + rows}",
                f"{name} row={at + rows} column={column} slots={rest} base={here} "
                f"mask={mask} {flags}",
                "PRE",
            ]
    return lines
