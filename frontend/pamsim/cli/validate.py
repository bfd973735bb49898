"""`pamsim validate`: the three proofs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from pamsim.cli.pipeline import Job


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
@click.option(
    "--layout-report",
    is_flag=True,
    help="Instead, show every layout for the step: row hits, balance, over-fetch, capacity.",
)
@conduct_options(directory=False)
def command(
    directory: Path | None,
    inputs: Inputs | None,
    validate: str,
    trace: Path | None,
    layout_report: bool,
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
            compiled = () if layout_report else pipeline.compile_job(job, progress)
        if layout_report:
            return _report_layouts(job, conduct, progress)
        runs = pipeline.simulate_job(job, compiled, conduct.threads, progress, log=True)
        proofs = pipeline.prove(job, runs, validate, progress)
    if conduct.json:
        print_json({"model": job.model.name, "system": job.system.name, "validation": proofs})
    elif not conduct.quiet:
        from pamsim.report.summary import print_proofs

        print_proofs(proofs, console())
    return EXIT_VIOLATION if violated(proofs) else EXIT_OK


def _report_layouts(job: Job, conduct: Conduct, progress: Progress) -> int:
    """Proves the places of every layout and shows what each costs; the programs do not run."""
    from pamsim.report.layouts import layout_documents, print_layouts

    progress.phase("placing by every layout")
    layouts = layout_documents(job.model, job.step, job.system)
    if conduct.json:
        print_json({"model": job.model.name, "system": job.system.name, "layouts": layouts})
    elif not conduct.quiet:
        print_layouts(layouts, console())
    return EXIT_VIOLATION if any(d["verdict"] == "violated" for d in layouts) else EXIT_OK
