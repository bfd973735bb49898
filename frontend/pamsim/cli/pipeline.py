"""From options to a result: load, compile, simulate, prove. Heavy imports happen in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pamsim.cli.options import Inputs
from pamsim.cli.output import Progress, note
from pamsim.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pamsim.compiler import CompiledPart
    from pamsim.compiler.compiled import CompiledStep
    from pamsim.config.spec import SystemSpec
    from pamsim.model.spec import ModelSpec
    from pamsim.system import PartRun
    from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class Job:
    """A decode step ready to be compiled."""

    inputs: Inputs
    model: ModelSpec
    system: SystemSpec
    step: DecodeStep


def load(inputs: Inputs, quiet: bool) -> Job:
    """Reads model, system and workload, finds the engine.

    Raises InputError(s) with every fault of each.
    """
    from pamsim.config import load_system
    from pamsim.model import load_model
    from pamsim.model.spec import with_kv_dtype
    from pamsim.sim import engine_build, must_compile
    from pamsim.workload import context_warning, make_step

    if must_compile(inputs.engine) and not quiet:
        note("compiling the bridge to Ramulator, once")
    engine_build(inputs.engine)  # an engine that is not there is told before the work begins
    model = load_model(inputs.model)
    if inputs.kv_dtype is not None:
        model = with_kv_dtype(model, inputs.kv_dtype)
    system = load_system(inputs.system, inputs.overrides)
    step = make_step(inputs.context, inputs.batch)
    if (warning := context_warning(model, step)) and not quiet:
        note(f"warning: {warning}")
    return Job(inputs, model, system, step)


def compile_job(job: Job, progress: Progress) -> tuple[CompiledPart, ...]:
    """The programs of a step, none where the host attends. Raises CapacityError when it does not
    fit."""
    from pamsim.compiler import compile_parts

    progress.phase("compiling")
    return compile_parts(job.model, job.step, job.system)


def must_attend(job: Job) -> None:
    """Raises InputError where no device attends, so that there are no programs."""
    if job.system.attention == "host":
        raise InputError(
            f"attention of {job.system.name} must be on its devices to have programs, not on the "
            "host",
            hint="--set attention=pim",
        )


def part_of(
    parts: Sequence[CompiledPart], layer: int, tier: str | None = None
) -> tuple[CompiledStep, int]:
    """The compiled step of a layer in a tier (None: the first), and the layer's place in it.

    Raises InputError for a layer or tier that the step does not have.
    """
    layers = {n for p in parts for n in p.shard.layers}
    if layer not in layers:
        raise InputError(f"layer must be between 0 and {max(layers)}, not {layer}")
    tiers = list(dict.fromkeys(p.share.tier for p in parts))
    if tier is not None and tier not in tiers:
        raise InputError(
            f"tier must be one that holds KV tokens ({', '.join(tiers)}), not {tier!r}",
            None,
            did_you_mean(tier, tiers),
        )
    for part in parts:
        numbers = [part.shard.layers[n] for n in part.share.layers]
        if layer in numbers and tier in (None, part.share.tier):
            return part.step, numbers.index(layer)
    raise InputError(f"layer {layer} must have KV tokens in tier {tier!r}")


def simulate_job(
    job: Job, parts: Sequence[CompiledPart], threads: int, progress: Progress, log: bool
) -> tuple[PartRun, ...]:
    """Every distinct program of every part, run to its end."""
    from pamsim.system import simulate_parts

    programs = sum(len(p.step.programs) for p in parts)
    progress.phase(f"simulating {programs} distinct program{'s' * (programs != 1)}")
    return simulate_parts(
        parts,
        threads=threads,
        log=log,
        engine=job.inputs.engine,
        progress=progress.advance,
    )


def prove(
    job: Job,
    runs: Sequence[PartRun],
    mode: str,
    progress: Progress,
) -> dict[str, Any]:
    """The `validation` part of a result, by the proofs that `mode` asks for."""
    from pamsim.report.proofs import prove_step

    return prove_step(
        job.system,
        runs,
        mode=mode,
        seed=job.inputs.seed,
        phase=progress.phase,
        advance=progress.advance,
    )
