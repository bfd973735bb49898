"""The proofs of a step that was compiled and run: which there are, and in what order."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pamsim.compiler.compiled import CompiledStep
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.model.spec import ModelSpec
from pamsim.report.validation import validation_entry
from pamsim.sim import count_commands
from pamsim.sim.run import ChannelRun
from pamsim.validate.asked import asked_sequences, issued_as_asked
from pamsim.validate.functional import prove_function
from pamsim.validate.layout import prove_layout
from pamsim.validate.timing import TimingVerdict, check_log, check_sequence, combine
from pamsim.workload.step import DecodeStep

SEQUENCE_RULE = "as asked"  # every stream issues what it asks for, in its order

Phase = Callable[[str], None]
Advance = Callable[[int, int], None]


def prove_step(
    model: ModelSpec,
    system: SystemSpec,
    step: DecodeStep,
    compiled: CompiledStep,
    runs: tuple[ChannelRun, ...],
    *,
    mode: str,
    seed: int,
    phase: Phase = lambda text: None,
    advance: Advance = lambda done, total: None,
) -> dict[str, Any]:
    """The `validation` part of a result, by the proofs that `mode` asks for.

    mode: "full", "default" or "off". Runs must have logs unless it is off.
    """
    if mode == "off":
        return validation_entry(None, None, None)
    phase("proving the layout")
    layout = prove_layout(compiled.table, model, step, system, tier=compiled.tier)
    phase("proving the commands' timing")
    verdicts = []
    for number, run in enumerate(runs):
        advance(number, len(runs))
        verdicts.append(prove_timing(run, compiled.device))
    timing = combine(verdicts)
    phase("proving that the programs compute attention")
    functional = prove_function(
        compiled,
        model,
        step,
        seed=seed,
        mode="full" if mode == "full" else "default",
    )
    gc.collect()
    return validation_entry(functional, layout, timing, len(runs))


def prove_timing(run: ChannelRun, device: DeviceSpec) -> TimingVerdict:
    """One log: the device's rules, and that every stream issued what it asked for, in order."""
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
