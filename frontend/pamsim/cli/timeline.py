"""`pamsim timeline`: who worked when in a step, and whom it waited for."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import click

from pamsim.cli.output import console, note, print_json
from pamsim.errors import EXIT_OK, InputError


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
    """Say what the step of RESULT (result.json or its directory) waited for, and who was busy."""  # fmt: skip
    from pamsim.report.timeline import busy, trace_events, waited_for

    document = _read(result)
    if out is not None:
        _write(out, trace_events(document), force)
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
    file = path / "result.json" if path.is_dir() else path
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"result must be a readable file, not {str(file)!r} ({error.strerror})"
        ) from error
    except ValueError as error:
        raise InputError(f"result must be JSON, not {file.name} ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("timeline"), list):
        raise InputError(f"result must be one of `pamsim run`, not {str(file)!r}")
    return document


def _write(path: Path, document: dict[str, Any], force: bool) -> None:
    """Aside, then in place. Raises InputError where the place cannot be used."""
    if path.exists() and not force:
        raise InputError(f"output file must be new, not {str(path)!r}", None, "--force replaces it")
    try:
        descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file)
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"output file must be writable, not {str(path)!r} ({error.strerror})"
        ) from error
