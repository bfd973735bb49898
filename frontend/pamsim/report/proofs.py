"""The proofs of a step that was compiled and run: which there are, and in what order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.report.validation import validation_entry
from pamsim.sim import count_commands
from pamsim.sim.run import ChannelRun
from pamsim.system import PartRun
from pamsim.validate.asked import asked_sequences, issued_as_asked
from pamsim.validate.parts import prove_functions, prove_layouts
from pamsim.validate.timing import TimingVerdict, check_log, check_sequence, combine

SEQUENCE_RULE = "as asked"  # every stream issues what it asks for, in its order

Phase = Callable[[str], None]
Advance = Callable[[int, int], None]


def prove_step(
    system: SystemSpec,
    runs: Sequence[PartRun],
    *,
    mode: str,
    seed: int,
    phase: Phase = lambda text: None,
    advance: Advance = lambda done, total: None,
) -> dict[str, Any]:
    """The `validation` part of a result, by the proofs that `mode` asks for.

    mode: "full", "default" or "off". Runs must have logs unless it is off.
    """
    if mode == "off" or not runs:  # no device computes: there is nothing to prove
        return validation_entry(None, None, None)
    phase("proving the layout")
    parts = [r.part for r in runs]
    layout = prove_layouts(parts, system)
    phase("proving the commands' timing")
    logs = {(r.part.step.device.name, run.program.sha256): (run, r.part.step.device)
            for r in runs for run in r.runs}  # fmt: skip
    verdicts = []
    for number, (run, device) in enumerate(logs.values()):
        advance(number, len(logs))
        verdicts.append(prove_timing(run, device))
    timing = combine(verdicts)
    phase("proving that the programs compute attention")
    functional = prove_functions(parts, seed=seed, mode="full" if mode == "full" else "default")
    gc.collect()
    return validation_entry(functional, layout, timing, len(logs))


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
            for name, count in count_commands(run.program.program, names).items()
            if not name.startswith(("ACT", "PRE"))
        },
        refresh=device.templates.refresh is not None,
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
