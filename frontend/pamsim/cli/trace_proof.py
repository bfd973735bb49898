"""`pamsim validate --trace`: the timing proof of a trace from its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamsim.cli.options import Conduct
from pamsim.cli.output import Progress, console, print_json
from pamsim.cli.trace_file import opened
from pamsim.errors import EXIT_OK, EXIT_VIOLATION, InputError

if TYPE_CHECKING:
    from pamsim.config import DeviceSpec
    from pamsim.traces import TraceHeader


def prove_trace(file: Path, conduct: Conduct) -> int:
    """Holds a whole trace's commands against the rules of the device that its header names."""
    from pamsim.report.validation import validation_entry, violated
    from pamsim.traces import Trace
    from pamsim.validate.timing import Checker

    with Progress(conduct.quiet) as progress, opened(file) as trace:
        if not isinstance(trace, Trace):
            raise InputError("a trace to prove must hold commands and ticks, not reads and writes")
        header = trace.header
        device = _device(header)
        progress.phase("proving the commands' timing")
        checker = Checker(device, header.levels, [command.name for command in header.commands])
        for piece in trace.pieces():
            checker.feed(piece)
        if not trace.end.whole:
            raise InputError(
                "a trace to prove must be whole, to the end of its run, not a part",
                hint="write it in the binary format without --from, --to and --limit",
            )
        proofs = validation_entry(None, None, checker.finish(trace.end.ticks), 1)
    if conduct.json:
        about: dict[str, Any] = {"device": device.name, "sources": header.sources}
        print_json({**about, "validation": proofs})
    elif not conduct.quiet:
        from pamsim.report.summary import print_proofs

        print_proofs(proofs, console())
    return EXIT_VIOLATION if violated(proofs) else EXIT_OK


def _device(header: TraceHeader) -> DeviceSpec:
    """The device as it is described now; InputError where it is not the trace's any more."""
    from pamsim.config import load_device, load_system

    inputs = header.inputs
    if "system" in inputs and header.tier:
        system = load_system(inputs["system"], inputs.get("set", "").splitlines())
        found = [tier.device for tier in system.tiers if tier.name == header.tier]
        if not found:
            raise InputError(f"system {inputs['system']} must have the trace's tier {header.tier}")
        device = found[0]
    else:
        device = load_device(header.device)
    now = (device.name, device.timing_ck, device.ticks_per_second, device.ticks_per_ck)
    then = (header.device, header.timing_ck, header.ticks_per_second, header.ticks_per_ck)
    if now != then:
        raise InputError(
            f"a trace to prove must be of {device.name} as it is described now, not of another "
            "name or timing",
            hint="write the trace again",
        )
    return device
