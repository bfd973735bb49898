"""PAMattention on HBM-PIM: a decode step to the distinct channel programs of a tier."""

from __future__ import annotations

import hashlib
from itertools import groupby

from pamsim.compiler.channel import bind, channel_program, channel_work
from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep
from pamsim.compiler.emit import BANKS, ROW_COLUMNS
from pamsim.compiler.tiling import choose_tiling
from pamsim.compiler.variants import program_variants
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.errors import InputError
from pamsim.layout import layout_of
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pim_isa import Program, encode


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step, by the system's layout.

    first_row: rows below it are taken; those of the weights and reserves if None.

    Channels with the same pattern share a program; programs come by their first channel. Raises
    CapacityError when weights and KV cache do not fit, InputError when layout or head dimension
    cannot be used.
    """
    tier, step = share.tier, share.step
    device = system.tier(tier).device
    _check_device(device)
    if first_row is None:
        first_row = reserved_rows(model, system, tier)
    room = Room(len(share.layers), first_row)
    table = layout_of(system).place(model, step, system, tier, room)
    tiling = choose_tiling(model, device, table.tile_slots)
    binaries: dict[object, tuple[Program, bytes]] = {}
    by_binary: dict[bytes, tuple[Program, list[ChannelBinding]]] = {}
    for channel, segments in groupby(table.segments, key=lambda s: s.channel):
        work = channel_work(tuple(segments), share)
        shape = work.shape
        if shape not in binaries:
            program = channel_program(work, tiling, device.organisation, model.group_size)
            binaries[shape] = program, encode(program)
        program, binary = binaries[shape]
        binding = bind(work, channel, model.group_size, tiling.parts)
        by_binary.setdefault(binary, (program, []))[1].append(binding)
    programs = tuple(
        ChannelProgram(program, binary, hashlib.sha256(binary).hexdigest(), tuple(bindings))
        for binary, (program, bindings) in by_binary.items()
    )
    return CompiledStep(
        tier=tier,
        device=device,
        layers=room.layers,
        table=table,
        tiling=tiling,
        programs=programs,
        variants=program_variants((p.program for p in programs), device.templates),
        idle_channels=table.channels - sum(len(p.bindings) for p in programs),
    )


def _check_device(device: DeviceSpec) -> None:
    for what, has, should in (
        ("banks of a group", device.organisation.banks, BANKS),
        ("columns of a row", device.organisation.columns, ROW_COLUMNS),
    ):
        if has != should:
            raise InputError(
                f"{what} of {device.name} must be {should}, as the instruction set has them, "
                f"not {has}"
            )
