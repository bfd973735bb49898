"""The distinct programs of a tier: channels that do the same run one program."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable

from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep, Tiling
from pamsim.compiler.variants import program_variants
from pamsim.config.spec import DeviceSpec
from pamsim.layout.table import BlockTable
from pamsim.placement.share import TierShare
from pim_isa import Program, encode


class DistinctPrograms:
    """Collects the channels of a tier, ascending; programs come by their first channel."""

    def __init__(self) -> None:
        self._encoded: dict[Hashable, tuple[Program, bytes]] = {}
        self._channels: dict[bytes, tuple[Program, list[ChannelBinding]]] = {}

    def add(self, shape: Hashable, make: Callable[[], Program], binding: ChannelBinding) -> None:
        """A channel. shape: equal for channels that run the same program; `make` makes it."""
        if shape not in self._encoded:
            program = make()
            self._encoded[shape] = program, encode(program)
        program, binary = self._encoded[shape]
        self._channels.setdefault(binary, (program, []))[1].append(binding)

    def step(
        self,
        share: TierShare,
        device: DeviceSpec,
        table: BlockTable,
        tiling: Tiling,
        *,
        held: TierShare | None = None,
        outside_ps: int = 0,
    ) -> CompiledStep:
        """The compiled step; held, outside_ps: as of CompiledStep."""
        programs = tuple(
            ChannelProgram(program, binary, hashlib.sha256(binary).hexdigest(), tuple(bindings))
            for binary, (program, bindings) in self._channels.items()
        )
        return CompiledStep(
            tier=share.tier,
            device=device,
            layers=len(share.layers),
            table=table,
            tiling=tiling,
            programs=programs,
            variants=program_variants((p.program for p in programs), device.templates),
            idle_channels=table.channels - sum(len(p.bindings) for p in programs),
            held=held,
            outside_ps=outside_ps,
        )
