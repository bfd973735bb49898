"""`pamsim check`: every sum of a result, recomputed from its parts."""

from __future__ import annotations

from pathlib import Path

import click

from pamsim.cli.output import print_json
from pamsim.errors import EXIT_OK, EXIT_VIOLATION


@click.command("check")
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the faults as one JSON document.")
def command(result: Path, as_json: bool) -> int:
    """Recompute every sum of RESULT (result.json or its directory) from its parts.

    Timeline, rates, energy, command counts, stalls, verdicts, and the hashes of the directory's
    files. Exit code 4 when something does not add up.
    """
    from pamsim.report.check import check_result

    faults = check_result(result)
    if as_json:
        print_json({"result": result.name, "faults": faults})
    else:
        for fault in faults:
            click.echo(fault)
        if not faults:
            click.echo(f"{result}: every sum and hash is right")
    return EXIT_VIOLATION if faults else EXIT_OK
