"""`pamsim validate`: the three proofs."""

from __future__ import annotations

from pathlib import Path

import click

from pamsim.cli.options import (
    VALIDATE,
    Conduct,
    Inputs,
    conduct_options,
    input_options,
)
from pamsim.cli.output import Progress, console, print_json
from pamsim.cli.simulate import given
from pamsim.errors import EXIT_OK, EXIT_VIOLATION


@click.command("validate")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@input_options(required=False)
@click.option(
    "--validate",
    type=click.Choice(VALIDATE[:2]),
    default="full",
    show_default=True,
    help="How much the functional proof takes: every pair, or a pair of every program.",
)
@click.option(
    "--trace",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    default=None,
    help="Instead, hold the commands of a binary trace against its device's timing.",
)
@conduct_options(directory=False)
def command(
    directory: Path | None,
    inputs: Inputs | None,
    validate: str,
    trace: Path | None,
    conduct: Conduct,
) -> int:
    """Prove the programs of DIRECTORY (from `pamsim compile`), or of --model.

    Programs compute attention, every KV element has its place, commands keep the device's timing.
    Exit code 4 when one does not hold.
    """
    from pamsim.cli import compiled as files
    from pamsim.cli import pipeline
    from pamsim.report.validation import violated

    if trace is not None:
        from pamsim.cli.trace_proof import prove_trace

        if directory is not None or inputs is not None:
            raise click.UsageError("give --trace without a DIRECTORY and a --model")
        return prove_trace(trace, conduct)
    given(directory, inputs)
    with Progress(conduct.quiet) as progress:
        if directory is not None:
            job, compiled = files.read_compiled(directory, conduct.quiet, progress)
        else:
            assert inputs is not None
            job = pipeline.load(inputs, conduct.quiet)
            compiled = pipeline.compile_job(job, progress)
        runs = pipeline.simulate_job(job, compiled, conduct.threads, progress, log=True)
        proofs = pipeline.prove(job, runs, validate, progress)
    if conduct.json:
        print_json({"model": job.model.name, "system": job.system.name, "validation": proofs})
    elif not conduct.quiet:
        from pamsim.report.summary import print_proofs

        print_proofs(proofs, console())
    return EXIT_VIOLATION if violated(proofs) else EXIT_OK
