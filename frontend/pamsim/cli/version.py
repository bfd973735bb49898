"""`pamsim version`."""

from __future__ import annotations

import click

from pamsim.cli.output import print_json
from pamsim.errors import EXIT_OK


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> int:
    """Print the version."""
    from importlib.metadata import version

    if as_json:
        from pamsim.report.document import SCHEMA_VERSION

        print_json({"pamsim": version("pamsim"), "result_schema": SCHEMA_VERSION})
    else:
        click.echo(f"pamsim {version('pamsim')}")
    return EXIT_OK
