"""`pamsim timeline`: who worked when in a step, and whom it waited for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pamsim.cli.output import console, note, print_json
from pamsim.cli.output_file import write_file
from pamsim.errors import EXIT_OK, InputError, Position


@click.command("timeline")
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=None,
    help="Write a Chrome trace (ui.perfetto.dev) there instead.",
)
@click.option("--force", is_flag=True, help="Replace FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON document.")
def command(result: Path, out: Path | None, force: bool, as_json: bool) -> int:
    """Say what the step of RESULT, a file or directory of `run`, waited for, and who was busy."""
    from pamsim.report.timeline import busy, trace_events, waited_for

    document = _read(result)
    if out is not None:
        text = json.dumps(trace_events(document)).encode()
        write_file(out, lambda file: file.write(text), force)
        note(f"timeline in {out}")
        return EXIT_OK
    waits, works = waited_for(document), busy(document)
    if as_json:
        print_json(
            {
                "latency_ns": document["latency_ns"],
                "waited_for": [
                    {"task": task, "resource": resource, "ns": ns}
                    for (task, resource), ns in waits.items()
                ],
                "busy_ns": works,
            }
        )
        return EXIT_OK
    _print(document, waits, works)
    return EXIT_OK


def _print(
    document: dict[str, Any], waits: dict[tuple[str, str], float], works: dict[str, float]
) -> None:
    from rich.table import Table

    from pamsim.report import words

    whole = document["latency_ns"]
    for title, rows in (
        (
            f"The step takes {words.duration(whole)} and waits for",
            [(words.TASKS.get(task, task), resource, ns) for (task, resource), ns in waits.items()],
        ),
        ("Busy", [("", resource, ns) for resource, ns in works.items()]),
    ):
        table = Table(
            title=title, title_justify="left", box=None, show_header=False, pad_edge=False
        )
        for what, resource, ns in rows:
            table.add_row(what, resource, words.duration(ns), f"{ns / whole:.1%}")
        console().print(table)


def _read(path: Path) -> dict[str, Any]:
    """A result with a timeline. Raises InputError."""
    from pamsim.report.read import read_result, result_file, structure_faults

    document = read_result(path)
    for fault in structure_faults(document):
        raise InputError(
            f"result must be as `pamsim run` writes it, not with {fault}",
            Position(str(result_file(path))),
        )
    return document
