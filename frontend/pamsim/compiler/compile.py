"""A decode step to the distinct channel programs of a tier."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import groupby

from pamsim.compiler.channel import bind, channel_program, channel_work
from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep
from pamsim.compiler.emit import BANKS, FAMILY
from pamsim.compiler.tiling import choose_tiling
from pamsim.config.spec import DeviceSpec, ProgramVariants, SystemSpec
from pamsim.errors import InputError, did_you_mean
from pamsim.layout import get_layout
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep
from pim_isa import Program, encode, expand_counts, load


def compile_step(
    model: ModelSpec, step: DecodeStep, system: SystemSpec, tier: str = "hbm"
) -> CompiledStep:
    """Compiles one layer of a decode step for one tier, by the system's layout.

    Channels with the same pattern share a program; programs come by their first channel. Raises
    CapacityError when weights and KV cache do not fit, InputError when tier, layout or head
    dimension cannot be used.
    """
    tiers = [t.name for t in system.tiers]
    if tier not in tiers:
        raise InputError(
            f"tier must be one of {system.name}, not {tier!r}", None, did_you_mean(tier, tiers)
        )
    device = system.tier(tier).device
    _check_device(device)
    table = get_layout(system.layout).place(model, step, system, tier)
    tiling = choose_tiling(model, device)
    binaries: dict[object, tuple[Program, bytes]] = {}
    by_binary: dict[bytes, tuple[Program, list[ChannelBinding]]] = {}
    for channel, segments in groupby(table.segments, key=lambda s: s.channel):
        work = channel_work(tuple(segments), step.contexts)
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
        layers=model.layers,
        table=table,
        tiling=tiling,
        programs=programs,
        variants=program_variants(p.program for p in programs),
        idle_channels=table.channels - sum(len(p.bindings) for p in programs),
    )


def program_variants(programs: Iterable[Program]) -> ProgramVariants:
    """The operand values of the commands that programs expand into."""
    names: set[str] = set()
    for program in programs:
        configure = load(program.family).configured_by
        for stream in program.streams:
            state: Mapping[str, int] = {}
            seen = set()
            for instruction in stream.instructions:
                if instruction.mnemonic == configure:
                    state = dict(instruction.operands)
                elif (instruction, tuple(state.values())) not in seen:
                    seen.add((instruction, tuple(state.values())))
                    for command in expand_counts(instruction, state, program.family):
                        names.add(command.command)

    def values(*prefixes: str) -> tuple[int, ...]:
        return tuple(
            sorted({int(n.removeprefix(p)) for n in names for p in prefixes if n.startswith(p)})
        )

    return ProgramVariants(
        queries=values("MACbg_q"),
        elements=values("MAX_", "EXP_", "SUM_"),
        reduced_elements=values("REDBG_"),
    )


def _check_device(device: DeviceSpec) -> None:
    if device.family != FAMILY:
        raise InputError(f"family of {device.name} must be {FAMILY!r}, not {device.family!r}")
    if device.organisation.banks != BANKS:
        raise InputError(
            f"banks of a group of {device.name} must be {BANKS}, as the instruction set has them, "
            f"not {device.organisation.banks}"
        )
