"""What was compiled and run of a step: one entry per shard, class of layers and tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pamsim.compiler import CompiledPart
from pamsim.sim import simulate
from pamsim.sim.engines import EMBEDDED
from pamsim.sim.run import ChannelRun
from pamsim.sim.simulate import Progress
from pamsim.system.clock import ticks_to_ps


@dataclass(frozen=True)
class PartRun:
    """What one tier was given to do in some layers of a shard, and what its channels did."""

    part: CompiledPart
    runs: tuple[ChannelRun, ...]

    @property
    def tier(self) -> str:
        return self.part.share.tier

    @property
    def layer_ps(self) -> int:
        """Attention of one layer: until the slowest channel has finished."""
        return max(
            (ticks_to_ps(r.result.ticks, r.description.ticks_per_second) for r in self.runs),
            default=0,
        )

    @property
    def attention_ps(self) -> int:
        """Attention of all its layers, in one instance."""
        return self.layer_ps * len(self.part.share.layers)


def simulate_parts(
    parts: Sequence[CompiledPart],
    *,
    threads: int | None = None,
    log: bool = False,
    engine: str = EMBEDDED,
    progress: Progress | None = None,
) -> tuple[PartRun, ...]:
    """Runs every part; what several parts have in common runs once. Options as of `simulate`."""
    known: dict[object, dict[str, ChannelRun]] = {}  # programs that ran, by device
    total, done = sum(len(p.step.programs) for p in parts), 0
    found = []
    for part in parts:
        ran = known.setdefault(part.step.device.name, {})
        new = tuple(p for p in part.step.programs if p.sha256 not in ran)

        def advance(now: int, _all: int, before: int = done) -> None:
            if progress:
                progress(before + now, total)

        for run in simulate(
            replace(part.step, programs=new), threads=threads, log=log, engine=engine,
            progress=advance if progress else None,
        ):  # fmt: skip
            ran[run.program.sha256] = run
        done += len(part.step.programs)
        runs = tuple(
            replace(
                ran[program.sha256],
                program=program,
                layers=part.step.layers,
                copies=part.shard.copies,
            )
            for program in part.step.programs
        )
        found.append(PartRun(part, runs))
    return tuple(found)
