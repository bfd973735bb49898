"""`pamsim run`: one decode step from model to proved result."""

from __future__ import annotations

import datetime

import click

from pamsim.cli.options import Conduct, Inputs, conduct_options, input_options, validate_option
from pamsim.cli.output import Progress
from pamsim.errors import EXIT_OK, EXIT_VIOLATION


@click.command("run")
@input_options()
@validate_option
@conduct_options()
def command(inputs: Inputs, validate: str, conduct: Conduct) -> int:
    """Compile, simulate, prove and summarise one decode step.

    Writes result.json and manifest.json to a directory of their own. Exit code 4 when a proof finds
    a violation; the result is written all the same.
    """
    from pamsim.cli import evaluate, pipeline
    from pamsim.report.directory import OutputDirectory
    from pamsim.report.validation import violated

    started = datetime.datetime.now(datetime.UTC)
    job = pipeline.load(inputs, conduct.quiet)
    path, replace = evaluate.place(job, "run", conduct)
    with OutputDirectory(path, replace) as directory:
        with Progress(conduct.quiet) as progress:
            compiled = pipeline.compile_job(job, progress)
            document = evaluate.evaluate(job, compiled, conduct, validate, progress)
        document = evaluate.finish(directory, document, job, conduct, validate, started)
    evaluate.show(document, conduct, path)
    return EXIT_VIOLATION if violated(document["validation"]) else EXIT_OK
