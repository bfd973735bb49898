"""Attention on GDDR6-AiM: heads to channels, a program for every distinct list of heads."""

from __future__ import annotations

from functools import partial
from itertools import groupby

from pamsim.compiler.aim_program import channel_program
from pamsim.compiler.compiled import CompiledStep, Tiling
from pamsim.compiler.distinct import DistinctPrograms
from pamsim.compiler.fits import check_device
from pamsim.compiler.whole_heads import bind_heads, check_whole_heads, heads_shape
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.layout.aim import TRANSPOSED_VALUE, AimShape, aim_shape
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.layout.whole_heads import HeadTable, place_heads
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pim_isa import load

PS_PER_SECOND = 10**12


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step by CENT's mapping.

    first_row: rows below it are taken; those of the weights and reserves if None. Channels with the
    same list of heads share a program. Raises CapacityError when weights and KV cache do not fit,
    InputError for what AiM cannot do.
    """
    device = system.tier(share.tier).device
    _check(model, share, system, device)
    if first_row is None:
        first_row = reserved_rows(model, system, share.tier)
    shape = aim_shape(model, device.organisation)
    room = Room(len(share.layers), first_row)
    table = place_heads(TRANSPOSED_VALUE, shape, model, share.step, system, share.tier, room)
    group_size, tokens = model.group_size, max(share.step.contexts)
    programs = DistinctPrograms()
    for channel, segments in groupby(table.heads, key=lambda s: s.channel):
        heads = tuple(segments)
        appends = tuple(share.append[s.request] for s in heads)
        programs.add(
            heads_shape(heads, appends),
            partial(channel_program, heads, shape, group_size, appends),
            bind_heads(heads, appends, channel, group_size),
        )
    return programs.step(
        share,
        device,
        table,
        Tiling(1, tokens, 1, shape.vector_columns, group_size),
        outside_ps=softmax_ps(table, device, group_size),
    )


def softmax_ps(table: HeadTable[AimShape], device: DeviceSpec, group_size: int) -> int:
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


def _check(model: ModelSpec, share: TierShare, system: SystemSpec, device: DeviceSpec) -> None:
    why = "the softmax of its controller gives no partial results"
    check_whole_heads(model, share, system, device, TRANSPOSED_VALUE, why)
    constants, organisation = load(device.family).constants, device.organisation
    check_device(
        device,
        banks_of_a_channel=(organisation.bank_groups * organisation.banks, constants["banks"]),
        columns_of_a_row=(organisation.columns, constants["row_columns"]),
    )
