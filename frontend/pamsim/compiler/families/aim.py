"""Attention on GDDR6-AiM: heads to channels, a program for every distinct list of heads."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import groupby

from pamsim.compiler.aim_program import channel_program
from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
    QueryBinding,
    Tiling,
)
from pamsim.compiler.variants import program_variants
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.errors import InputError, did_you_mean
from pamsim.layout.aim import TRANSPOSED_VALUE, HeadSegment, HeadTable, place_heads
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pim_isa import encode, load

PS_PER_SECOND = 10**12


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step by CENT's mapping.

    first_row: rows below it are taken; those of the weights and reserves if None. Channels with the
    same list of heads share a program. Raises CapacityError when weights and KV cache do not fit,
    InputError for what AiM cannot do.
    """
    tier, step = share.tier, share.step
    device = system.tier(tier).device
    _check(model, share, system, device)
    if first_row is None:
        first_row = reserved_rows(model, system, tier)
    table = place_heads(model, step, system, tier, Room(len(share.layers), first_row))
    programs: dict[object, ChannelProgram] = {}
    for channel, segments in groupby(table.heads, key=lambda s: s.channel):
        heads = tuple(segments)
        appends = tuple(share.append[s.request] for s in heads)
        shape = tuple((s.tokens, s.key_row, new) for s, new in zip(heads, appends, strict=True))
        known = programs.get(shape)
        if known is None:
            program = channel_program(heads, table.shape, model.group_size, appends)
            binary = encode(program)
            known = ChannelProgram(program, binary, hashlib.sha256(binary).hexdigest(), ())
        binding = _bind(heads, appends, channel, model.group_size)
        programs[shape] = replace(known, bindings=(*known.bindings, binding))
    found = tuple(programs.values())
    columns = table.shape.vector_columns
    return CompiledStep(
        tier=tier,
        device=device,
        layers=len(share.layers),
        table=table,
        tiling=Tiling(1, max(step.contexts), 1, columns, model.group_size),
        programs=found,
        variants=program_variants((p.program for p in found), device.templates),
        idle_channels=table.channels - sum(len(p.bindings) for p in found),
        outside_ps=softmax_ps(table, device, model.group_size),
    )


def softmax_ps(table: HeadTable, device: DeviceSpec, group_size: int) -> int:
    """The softmax of the busiest controller, in closed form (docs/aim-commands.md, Softmax)."""
    extra = device.pim.extra
    units, lanes = int(extra["controller_channels"]), int(extra["softmax_lanes"])
    scores: dict[int, int] = {}
    heads: dict[int, int] = {}
    for s in table.heads:
        controller = s.channel // units
        scores[controller] = scores.get(controller, 0) + s.tokens * group_size
        heads[controller] = heads.get(controller, 0) + group_size
    each = int(extra["exponential_pass_cycles"]) + int(extra["scale_pass_cycles"])
    cycles = max(
        -(-scores[c] // (units * lanes)) * each + heads[c] * int(extra["softmax_head_cycles"])
        for c in scores
    )
    return -(-cycles * PS_PER_SECOND // int(extra["controller_hz"]))


def _bind(
    heads: tuple[HeadSegment, ...], appends: tuple[bool, ...], channel: int, group_size: int
) -> ChannelBinding:
    """What the program's heads stand for on a channel, in the order of their registers."""
    queries = tuple(
        QueryBinding(s.request, s.kv_head * group_size + member, part=0, whole=True)
        for s in heads
        for member in range(group_size)
    )
    sources = tuple(
        AppendBinding(s.request, s.kv_head, value)
        for s, new in zip(heads, appends, strict=True)
        if new
        for value in (False, True)
    )
    return ChannelBinding(channel, queries, sources, heads, (tuple(range(len(heads))),))


def _check(model: ModelSpec, share: TierShare, system: SystemSpec, device: DeviceSpec) -> None:
    if system.layout != TRANSPOSED_VALUE:
        raise InputError(
            f"layout of {device.name} must be {TRANSPOSED_VALUE}, not {system.layout}",
            system.written.get("layout"),
            did_you_mean(system.layout, (TRANSPOSED_VALUE,)),
        )
    constants, organisation = load(device.family).constants, device.organisation
    has = organisation.bank_groups * organisation.banks, organisation.columns
    should = constants["banks"], constants["row_columns"]
    if has != should:
        raise InputError(
            f"{device.name} must have {should} banks and columns, as the instruction set, not {has}"
        )
    for broken, what, should_be in (
        (model.mla is not None, "attention of", "of whole heads, not latent (MLA)"),
        (model.kv_bits != 16, "kv_dtype of", f"of 16 bits, not {model.kv_dtype}"),
    ):
        if broken:
            raise InputError(f"{what} {model.name} on {device.name} must be {should_be}")
    if any(share.divided):
        raise InputError(
            f"requests on {device.name} must lie there whole, not in several tiers: the softmax of "
            "its controller gives no partial results"
        )
