"""`pamsim simulate`: programs run cycle by cycle, without proofs."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from pamsim.cli.options import Conduct, Inputs, conduct_options, input_options
from pamsim.cli.output import Progress
from pamsim.errors import EXIT_OK


@click.command("simulate")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option(
    "--device",
    metavar="NAME|FILE",
    default=None,
    help="Run SOURCE, one program as text or binary, on a channel of this device.",
)
@input_options(required=False)
@conduct_options()
@click.pass_context
def command(
    context: click.Context,
    source: Path | None,
    device: str | None,
    inputs: Inputs | None,
    conduct: Conduct,
) -> int:
    """Run the programs of SOURCE (from `pamsim compile`), or of --model, cycle by cycle.

    Writes and shows a result like `pamsim run`, with every proof NOT CHECKED. With --device SOURCE
    is one program file; --set then changes fields of the device.
    """
    if device is not None:
        from pamsim.cli.simulate_program import simulate_program

        if source is None or inputs is not None:
            raise click.UsageError("give --device a program as SOURCE, and no --model")
        given_options = context.params
        return simulate_program(
            source, device, given_options["overrides"], given_options["engine"], conduct
        )
    directory = source
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
