"""Attention on AttAcc: heads to channels, a program for every distinct list of heads."""

from __future__ import annotations

from functools import partial
from itertools import groupby

from pamsim.compiler.attacc_program import channel_program
from pamsim.compiler.compiled import CompiledStep, Tiling
from pamsim.compiler.distinct import DistinctPrograms
from pamsim.compiler.fits import check_device
from pamsim.compiler.whole_heads import bind_heads, check_whole_heads, heads_shape
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.errors import InputError
from pamsim.layout.attacc import HEAD_PARALLEL, LANES, attacc_shape
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.layout.whole_heads import place_heads
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pim_isa import load


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step by AttAcc's head-parallel mapping.

    first_row: rows below it are taken; those of the weights and reserves if None. Channels with the
    same list of heads share a program. Raises CapacityError when weights and KV cache do not fit,
    InputError for what AttAcc cannot do.
    """
    device = system.tier(share.tier).device
    _check(model, share, system, device)
    if first_row is None:
        first_row = reserved_rows(model, system, share.tier)
    shape = attacc_shape(model, device.organisation)
    room = Room(len(share.layers), first_row)
    table = place_heads(HEAD_PARALLEL, shape, model, share.step, system, share.tier, room)
    group_size, appended = model.group_size, bool(device.pim.extra["kv_append"])
    tiling = Tiling(
        queries=1,
        tokens=max(share.step.contexts),
        parts=1,
        part_columns=-(-model.head_dim // LANES),
        passes=group_size,
    )
    programs = DistinctPrograms()
    for channel, segments in groupby(table.heads, key=lambda s: s.channel):
        heads = tuple(segments)
        appends = tuple(appended and share.append[s.request] for s in heads)
        programs.add(
            heads_shape(heads, appends),
            partial(channel_program, heads, shape, group_size, appends),
            bind_heads(heads, appends, channel, group_size, streams=2),
        )
    return programs.step(share, device, table, tiling)


def _check(model: ModelSpec, share: TierShare, system: SystemSpec, device: DeviceSpec) -> None:
    why = "its softmax unit gives no partial results"
    check_whole_heads(model, share, system, device, HEAD_PARALLEL, why)
    if model.softcap is not None:
        raise InputError(f"scores of {model.name} on {device.name} must be without soft-capping")
    constants, organisation = load(device.family).constants, device.organisation
    check_device(
        device,
        pseudo_channels_of_a_channel=(organisation.chips, 2),
        ranks_of_a_channel=(organisation.ranks, constants["ranks"]),
        bank_groups_of_a_rank=(organisation.bank_groups, constants["bank_groups"]),
        banks_of_a_group=(organisation.banks, constants["group_banks"]),
    )
