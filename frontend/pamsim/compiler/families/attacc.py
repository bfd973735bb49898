"""Attention on AttAcc: heads to channels, a program for every distinct list of heads."""

from __future__ import annotations

import hashlib
from itertools import groupby

from pamsim.compiler.attacc_program import channel_program
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
from pamsim.layout.attacc import HEAD_PARALLEL, LANES, HeadSegment, place_heads
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pim_isa import encode, load


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step by AttAcc's head-parallel mapping.

    first_row: rows below it are taken; those of the weights and reserves if None. Channels with the
    same list of heads share a program. Raises CapacityError when weights and KV cache do not fit,
    InputError for what AttAcc cannot do.
    """
    tier, step = share.tier, share.step
    device = system.tier(tier).device
    _check(model, share, system, device)
    if first_row is None:
        first_row = reserved_rows(model, system, tier)
    table = place_heads(model, step, system, tier, Room(len(share.layers), first_row))
    group_size = model.group_size
    programs: dict[object, ChannelProgram] = {}
    for channel, segments in groupby(table.heads, key=lambda s: s.channel):
        heads = tuple(segments)
        appends = tuple(
            bool(device.pim.extra["kv_append"]) and share.append[s.request] for s in heads
        )
        shape = tuple(
            (s.tokens, s.key_row, append) for s, append in zip(heads, appends, strict=True)
        )
        binding = _bind(heads, appends, channel, group_size)
        known = programs.get(shape)
        if known is None:
            _check_numbers(len(heads), group_size)
            program = channel_program(heads, table.shape, group_size, appends)
            binary = encode(program)
            known = ChannelProgram(program, binary, hashlib.sha256(binary).hexdigest(), ())
        programs[shape] = ChannelProgram(
            known.program, known.binary, known.sha256, (*known.bindings, binding)
        )
    found = tuple(programs.values())
    return CompiledStep(
        tier=tier,
        device=device,
        layers=len(share.layers),
        table=table,
        tiling=Tiling(
            queries=1,
            tokens=max(step.contexts),
            parts=1,
            part_columns=-(-model.head_dim // LANES),
            passes=group_size,
        ),
        programs=found,
        variants=program_variants((p.program for p in found), device.templates),
        idle_channels=table.channels - sum(len(p.bindings) for p in found),
    )


def _bind(
    heads: tuple[HeadSegment, ...], appends: tuple[bool, ...], channel: int, group_size: int
) -> ChannelBinding:
    """What the program's local numbers mean on a channel; sources without an append stay unused."""
    queries = tuple(
        QueryBinding(s.request, s.kv_head * group_size + member, part=0, whole=True)
        for s in heads
        for member in range(group_size)
    )
    sources = tuple(
        AppendBinding(s.request, s.kv_head, value)
        for s, append in zip(heads, appends, strict=True)
        if append
        for value in (False, True)
    )
    return ChannelBinding(channel, queries, sources, heads, (tuple(range(len(heads))), ()))


def _check(model: ModelSpec, share: TierShare, system: SystemSpec, device: DeviceSpec) -> None:
    name = device.name
    if system.layout != HEAD_PARALLEL:
        raise InputError(
            f"layout of {name} must be {HEAD_PARALLEL}, not {system.layout}",
            None,
            did_you_mean(system.layout, (HEAD_PARALLEL,)),
        )
    constants, organisation = load(device.family).constants, device.organisation
    has = (organisation.chips, organisation.ranks, organisation.bank_groups, organisation.banks)
    should = (2, constants["ranks"], constants["bank_groups"], constants["group_banks"])
    if has != should:
        raise InputError(
            f"organisation of {name} must have {should} pseudo-channels, ranks, bank groups and "
            f"banks, as the instruction set has them, not {has}"
        )
    for broken, what, should_be in (
        (model.mla is not None, "attention of", "of whole heads, not latent (MLA)"),
        (model.softcap is not None, "scores of", "without soft-capping"),
        (model.kv_bits != 16, "kv_dtype of", f"of 16 bits, not {model.kv_dtype}"),
    ):
        if broken:
            raise InputError(f"{what} {model.name} on {name} must be {should_be}")
    if any(share.divided):
        raise InputError(
            f"requests on {name} must lie there whole, not in several tiers: its softmax unit "
            "gives no partial results"
        )


def _check_numbers(heads: int, group_size: int) -> None:
    most = load("attacc").spec("WRG").field("query").maximum + 1
    if heads * group_size > most:
        raise InputError(
            f"query heads of one channel must be at most {most}, which is what an instruction can "
            f"name, not {heads * group_size}",
            None,
            "a smaller batch or more devices",
        )
