"""`pamsim simulate PROGRAM --device NAME`: one program, text or binary, on one channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pamsim.cli.options import Conduct
from pamsim.cli.output import print_json
from pamsim.cli.program_file import placed, read_program
from pamsim.errors import EXIT_OK, EXIT_VIOLATION

if TYPE_CHECKING:
    from pamsim.config.spec import DeviceSpec
    from pamsim.sim.run import ChannelRun

SHOWN = 6  # stall causes of a stream


def simulate_program(
    path: Path, device_name: str, overrides: Sequence[str], engine: str, conduct: Conduct
) -> int:
    """Runs it and shows ticks, commands, stalls, energy and the timing proof's verdict.

    Exit code 4 when a command breaks the device's timing.
    """
    from pamsim.config import load_device
    from pamsim.report.proofs import prove_timing
    from pamsim.sim.program import run_program

    device = load_device(device_name, overrides)
    program = read_program(path)
    with placed(path):
        run = run_program(program, device, engine=engine)
    document = _document(path, run, device)
    verdict = prove_timing(run, device)
    document["timing"] = {
        "verdict": verdict.verdict,
        "violations": verdict.violations,
        "first": verdict.first,
        "commands_checked": verdict.commands_checked,
        "rules": len(verdict.rules),
        "notes": list(verdict.notes),
    }
    if conduct.json:
        print_json(document)
    elif not conduct.quiet:
        _show(document)
    return EXIT_VIOLATION if verdict.verdict == "violated" else EXIT_OK


def _document(path: Path, run: ChannelRun, device: DeviceSpec) -> dict[str, Any]:
    from pamsim.energy.program import program_account
    from pamsim.report.stalls import stall_classes, stall_rules

    result, rate = run.result, run.description.ticks_per_second
    account = program_account(run, device)
    energy = None
    if account.total_pj is not None:
        energy = {
            "total": account.total_pj,
            "terms": [
                {
                    "name": term.name,
                    "unit_energy_pj": term.unit_energy_pj,
                    "per": term.per,
                    "count": term.count,
                    "pj": term.pj,
                    "source": term.source,
                }
                for term in account.terms
            ],
        }
    return {
        "program": path.name,
        "program_sha": run.program.sha256,
        "family": device.family,
        "device": device.name,
        "ticks": result.ticks,
        "ticks_per_second": rate,
        "latency_ns": result.ticks * 1e9 / rate,
        "commands": dict(sorted(result.counts.items())),
        "residency_ticks": {
            "active": int(result.residency.active.sum()),
            "precharged": int(result.residency.precharged.sum()),
            "refreshing": int(result.residency.refreshing.sum()),
        },
        "residency_nodes": len(result.residency.active),
        "residency_level": result.residency.level,
        "stalls": stall_classes(run),
        "stall_rules": stall_rules(run),
        "energy_pj": energy,
        "energy_missing": list(account.missing),
        "warnings": list(device.warnings),
    }


def _show(document: dict[str, Any]) -> None:
    from pamsim.report import words

    commands = ", ".join(f"{name} {count:,}" for name, count in document["commands"].items())
    lines = [
        f"{document['program']} on {document['device']}: {document['ticks']:,} ticks, "
        f"{words.duration(document['latency_ns'])}",
        f"Commands: {commands or 'none'}",
    ]
    for number, classes in enumerate(document["stalls"] or ()):
        causes = {name: ticks for name, ticks in classes.items() if name != "timing"}
        causes |= document["stall_rules"][number]
        largest = sorted(causes.items(), key=lambda cause: -cause[1])[:SHOWN]
        told = "; ".join(f"{name} {ticks:,}" for name, ticks in largest if ticks)
        lines.append(f"Ticks of stream {number}: {told}")
    if document["energy_pj"] is None:
        lines.append(f"Energy unknown; missing: {', '.join(document['energy_missing'])}")
    else:
        lines.append(f"Energy {words.energy(document['energy_pj']['total'])}")
    timing = document["timing"]
    lines.append(
        f"Timing {timing['verdict']}: {timing['commands_checked']:,} commands, "
        f"{timing['rules']} rules"
    )
    lines += [f"  {text}" for text in (timing["first"], *timing["notes"]) if text]
    for line in lines:
        click.echo(line)
