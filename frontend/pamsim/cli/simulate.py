"""`pamsim simulate`: programs run cycle by cycle, without proofs."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from pamsim.cli.options import Conduct, Inputs, conduct_options, input_options
from pamsim.cli.output import Progress
from pamsim.errors import EXIT_OK


@click.command("simulate")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@input_options(required=False)
@conduct_options()
def command(directory: Path | None, inputs: Inputs | None, conduct: Conduct) -> int:
    """Run the programs of DIRECTORY (from `pamsim compile`), or of --model, cycle by cycle.

    Writes and shows a result like `pamsim run`, with every proof NOT CHECKED.
    """
    from pamsim.cli import compiled as files
    from pamsim.cli import evaluate, pipeline
    from pamsim.report.directory import OutputDirectory

    started = datetime.datetime.now(datetime.UTC)
    given(directory, inputs)
    with Progress(conduct.quiet) as progress:
        if directory is not None:
            job, compiled = files.read_compiled(directory, conduct.quiet, progress)
        else:
            assert inputs is not None
            job = pipeline.load(inputs, conduct.quiet)
            compiled = None
        path, replace = evaluate.place(job, "simulate", conduct)
        with OutputDirectory(path, replace) as output:
            if compiled is None:
                compiled = pipeline.compile_job(job, progress)
            document = evaluate.evaluate(job, compiled, conduct, "off", progress)
            document = evaluate.finish(output, document, job, conduct, "off", started)
    evaluate.show(document, conduct, path)
    return EXIT_OK


def given(directory: Path | None, inputs: Inputs | None) -> None:
    """Raises click.UsageError unless exactly one of the two was given."""
    if (directory is None) == (inputs is None):
        raise click.UsageError("give a DIRECTORY of compiled programs or a --model, one of the two")
