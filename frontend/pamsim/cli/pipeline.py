"""From options to a result: load, compile, simulate, prove. Heavy imports happen in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pamsim.cli.options import Inputs
from pamsim.cli.output import Progress, note
from pamsim.errors import InputError

if TYPE_CHECKING:
    from pamsim.compiler.compiled import CompiledStep
    from pamsim.config.spec import SystemSpec
    from pamsim.model.spec import ModelSpec
    from pamsim.sim.run import ChannelRun
    from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class Job:
    """A decode step ready to be compiled."""

    inputs: Inputs
    model: ModelSpec
    system: SystemSpec
    step: DecodeStep

    @property
    def tier(self) -> str:
        """The tier that holds the KV cache: the only one, today."""
        return self.system.tiers[0].name


def load(inputs: Inputs, quiet: bool) -> Job:
    """Reads model, system and workload, finds the engine.

    Raises InputError(s) with every fault of each.
    """
    from pamsim.config import load_system
    from pamsim.model import load_model
    from pamsim.sim import engine_build, must_compile
    from pamsim.workload import context_warning, make_step

    if must_compile(inputs.engine) and not quiet:
        note("compiling the bridge to Ramulator, once")
    engine_build(inputs.engine)  # an engine that is not there is told before the work begins
    model = load_model(inputs.model)
    system = load_system(inputs.system, inputs.overrides)
    if len(system.tiers) != 1:
        raise InputError(f"tiers must be one, not {len(system.tiers)}, in this version")
    step = make_step(inputs.context, inputs.batch)
    if (warning := context_warning(model, step)) and not quiet:
        note(f"warning: {warning}")
    return Job(inputs, model, system, step)


def compile_job(job: Job, progress: Progress) -> CompiledStep:
    """The programs of a step. Raises CapacityError when it does not fit."""
    from pamsim.compiler import compile_step

    progress.phase("compiling")
    return compile_step(job.model, job.step, job.system, job.tier)


def simulate_job(
    job: Job, compiled: CompiledStep, threads: int, progress: Progress, log: bool
) -> tuple[ChannelRun, ...]:
    """Every distinct program, run to its end."""
    from pamsim.sim import simulate

    programs = len(compiled.programs)
    progress.phase(f"simulating {programs} distinct program{'s' * (programs != 1)}")
    return simulate(
        compiled,
        threads=threads,
        log=log,
        engine=job.inputs.engine,
        progress=progress.advance,
    )


def prove(
    job: Job,
    compiled: CompiledStep,
    runs: tuple[ChannelRun, ...],
    mode: str,
    progress: Progress,
) -> dict[str, Any]:
    """The `validation` part of a result, by the proofs that `mode` asks for."""
    from pamsim.report.proofs import prove_step

    return prove_step(
        job.model,
        job.system,
        job.step,
        compiled,
        runs,
        mode=mode,
        seed=job.inputs.seed,
        phase=progress.phase,
        advance=progress.advance,
    )


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    from pamsim.report.manifest import versions

    return versions()
