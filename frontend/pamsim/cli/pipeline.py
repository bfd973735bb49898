"""From options to a result: load, compile, simulate, prove. Heavy imports happen in here."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pamsim.cli.options import Inputs
from pamsim.cli.output import Progress, note
from pamsim.errors import InputError

if TYPE_CHECKING:
    from pamsim.compiler.compiled import CompiledStep
    from pamsim.config.spec import DeviceSpec, SystemSpec
    from pamsim.model.spec import ModelSpec
    from pamsim.sim.run import ChannelRun
    from pamsim.validate.timing import TimingVerdict
    from pamsim.workload.step import DecodeStep

SEQUENCE_RULE = "as asked"  # every stream issues what it asks for, in its order


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
    from pamsim.report.validation import validation_entry

    if mode == "off":
        return validation_entry(None, None, None)
    from pamsim.validate.functional import prove_function
    from pamsim.validate.layout import prove_layout
    from pamsim.validate.timing import combine

    progress.phase("proving the layout")
    layout = prove_layout(compiled.table, job.model, job.step, job.system, tier=job.tier)
    progress.phase("proving the commands' timing")
    verdicts = []
    for number, run in enumerate(runs):
        progress.advance(number, len(runs))
        verdicts.append(_timing(run, compiled.device))
    timing = combine(verdicts)
    progress.phase("proving that the programs compute attention")
    functional = prove_function(
        compiled,
        job.model,
        job.step,
        seed=job.inputs.seed,
        mode="full" if mode == "full" else "default",
    )
    gc.collect()
    return validation_entry(functional, layout, timing, len(runs))


def _timing(run: ChannelRun, device: DeviceSpec) -> TimingVerdict:
    """One log: the device's rules, and that every stream issued what it asked for, in order."""
    from dataclasses import replace

    from pamsim.cli.asked import asked_sequences, issued_as_asked
    from pamsim.sim import count_commands
    from pamsim.validate.timing import check_log, check_sequence

    assert run.result.log is not None, "the timing proof needs logs"
    levels, log = run.description.levels, run.result.log
    names = [c.name for c in run.description.commands]
    verdict = check_log(
        device,
        levels,
        names,
        log,
        ticks=run.result.ticks,
        # A row command may come more often than asked: refresh closes rows.
        expected_counts={
            name: count
            for name, count in count_commands(run.program.program).items()
            if not name.startswith(("ACT", "PRE"))
        },
    )
    if verdict.verdict == "unchecked":
        return verdict
    rules = (*verdict.rules, SEQUENCE_RULE)
    asked = asked_sequences(run.stream, run.description)
    if issued_as_asked(asked, log, run.description):
        return replace(verdict, rules=rules)
    faults = check_sequence(device, levels, names, asked, log)  # slower, and says what is wrong
    if not faults:
        return replace(verdict, rules=rules)
    first = f"{SEQUENCE_RULE}: {faults[0].text}"
    return replace(
        verdict,
        verdict="violated",
        violations=verdict.violations + len(faults),
        first=verdict.first or first,
        rules=rules,
        by_rule={**verdict.by_rule, SEQUENCE_RULE: len(faults)},
    )


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    import platform
    from importlib.metadata import version

    return {
        "pamsim": version("pamsim"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }
