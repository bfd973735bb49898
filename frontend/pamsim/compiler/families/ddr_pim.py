"""PAMattention on DDR-PIM: a tier's share of a decode step to the distinct channel programs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import groupby

import numpy as np

from pamsim.compiler.channel import bind, channel_work
from pamsim.compiler.compiled import CompiledStep
from pamsim.compiler.ddr_channel import channel_program, writes_groups
from pamsim.compiler.ddr_emit import BANKS, CHIPS
from pamsim.compiler.ddr_tiling import choose_ddr_tiling
from pamsim.compiler.distinct import DistinctPrograms
from pamsim.compiler.fits import check_device
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.errors import InputError
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.layout.ddr import ddr_layout, vector_columns
from pamsim.layout.placing import make_table
from pamsim.layout.table import BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pamsim.workload.step import DecodeStep
from pim_isa import load


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step, by the device's kv_layout.

    first_row: rows below it are taken; those of the weights and reserves if None. `held` of the
    result is the share but for the tokens that wait with the host until eight fill a write
    (`append_mode` grouped). Channels with the same pattern share a program; programs come by their
    first channel. Raises CapacityError when weights and KV cache do not fit, InputError when the
    device cannot run the model.
    """
    device = system.tier(share.tier).device
    _check(model, device)
    if writes_groups(device):
        share = _whole_groups(share)
    if first_row is None:
        first_row = reserved_rows(model, system, share.tier)
    table = _place(model, share, system, Room(len(share.layers), first_row))
    tiling = choose_ddr_tiling(model, device, table.tile_slots)
    programs = DistinctPrograms()
    for channel, segments in groupby(table.segments, key=lambda s: s.channel):
        work = channel_work(tuple(segments), share)
        programs.add(
            work.shape,
            partial(channel_program, work, tiling, device, model.group_size),
            bind(work, channel, model.group_size, tiling.parts),
        )
    return programs.step(share, device, table, tiling, held=share)


def _whole_groups(share: TierShare) -> TierShare:
    """What the devices hold when tokens are written eight at a time: the newest of each request
    wait with the host, which attends over them itself."""
    contexts = tuple(c // CHIPS * CHIPS for c in share.step.contexts)
    waiting = tuple(c % CHIPS > 0 for c in share.step.contexts)
    return replace(
        share,
        step=DecodeStep(contexts),
        divided=tuple(d or w for d, w in zip(share.divided, waiting, strict=True)),
        append=tuple(a and not w for a, w in zip(share.append, waiting, strict=True)),
    )


def _place(model: ModelSpec, share: TierShare, system: SystemSpec, room: Room) -> BlockTable:
    """The table of the requests that have tokens here."""
    layout, tier = ddr_layout(system.tier(share.tier).device), system.tier(share.tier)
    held = [r for r, context in enumerate(share.step.contexts) if context]
    if not held:
        columns = vector_columns(model, tier.device)
        groups = tier.device.organisation.groups_per_channel
        rows = np.zeros((tier.channels, groups), np.int64)
        return make_table(layout.name, tier, room, (), rows, columns, columns)
    step = DecodeStep(tuple(share.step.contexts[r] for r in held))
    table = layout.place(model, step, system, share.tier, room)
    segments = tuple(replace(s, request=held[s.request]) for s in table.segments)
    return replace(table, segments=segments)


def _check(model: ModelSpec, device: DeviceSpec) -> None:
    organisation, constants = device.organisation, load(device.family).constants
    check_device(
        device,
        banks_of_a_group=(organisation.banks, BANKS),
        chips_of_a_rank=(organisation.chips, CHIPS),
        bytes_of_a_column=(organisation.column_bytes, constants["bus_bytes"]),
        columns_of_a_row=(organisation.columns, constants["row_columns"]),
    )
    for what, bad in (
        ("kv_dtype", model.kv_dtype not in ("fp16", "bf16") and model.kv_dtype),
        ("attention", model.mla and "latent (MLA)"),
        ("softcap", model.softcap),
    ):
        if bad:
            raise InputError(
                f"{what} of {model.name} must be what DDR-PIM's units compute (FP16 K and V, no "
                f"cap of the scores), not {bad}"
            )
