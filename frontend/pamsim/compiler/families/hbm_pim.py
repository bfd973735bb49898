"""PAMattention on HBM-PIM: a decode step to the distinct channel programs of a tier."""

from __future__ import annotations

from functools import partial
from itertools import groupby

from pamsim.compiler.channel import bind, channel_program, channel_work
from pamsim.compiler.compiled import CompiledStep
from pamsim.compiler.distinct import DistinctPrograms
from pamsim.compiler.emit import BANKS, ROW_COLUMNS
from pamsim.compiler.fits import check_device
from pamsim.compiler.tiling import choose_tiling
from pamsim.config.spec import SystemSpec
from pamsim.errors import InputError
from pamsim.layout import layout_of
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step, by the system's layout.

    first_row: rows below it are taken; those of the weights and reserves if None.

    Channels with the same pattern share a program; programs come by their first channel. Raises
    CapacityError when weights and KV cache do not fit, InputError when layout or head dimension
    cannot be used.
    """
    tier = share.tier
    device = system.tier(tier).device
    organisation = device.organisation
    check_device(
        device,
        banks_of_a_group=(organisation.banks, BANKS),
        columns_of_a_row=(organisation.columns, ROW_COLUMNS),
    )
    peak = device.templates.template(device.templates.peak_commands[-1])
    if peak.scope == "PseudoChannel":
        raise InputError(
            f"{peak.name.partition('_')[0]} of {device.name} must work on one bank group as "
            f"instructions of {device.family} do, not on a whole {peak.scope}",
            None,
            "it runs programs of DRAM commands, with `pamsim simulate --device`",
        )
    if first_row is None:
        first_row = reserved_rows(model, system, tier)
    room = Room(len(share.layers), first_row)
    table = layout_of(system).place(model, share.step, system, tier, room)
    tiling = choose_tiling(model, device, table.tile_slots)
    programs = DistinctPrograms()
    for channel, segments in groupby(table.segments, key=lambda s: s.channel):
        work = channel_work(tuple(segments), share)
        programs.add(
            work.shape,
            partial(channel_program, work, tiling, organisation, model.group_size),
            bind(work, channel, model.group_size, tiling.parts),
        )
    return programs.step(share, device, table, tiling)
