"""`pamsim compile`: the programs of a decode step, as files."""

from __future__ import annotations

import datetime
from collections import Counter

import click

from pamsim.cli.options import Conduct, Inputs, conduct_options, input_options
from pamsim.cli.output import Progress, note, print_json
from pamsim.errors import EXIT_OK


@click.command("compile")
@input_options()
@conduct_options()
def command(inputs: Inputs, conduct: Conduct) -> int:
    """Write the programs of a decode step: binaries, text, block table.

    `pamsim simulate DIR` and `pamsim validate DIR` take the directory, with the binaries as they
    then are.
    """
    from pamsim.cli import compiled as files
    from pamsim.cli import evaluate, pipeline
    from pamsim.report.directory import OutputDirectory

    started = datetime.datetime.now(datetime.UTC)
    job = pipeline.load(inputs, conduct.quiet)
    pipeline.must_attend(job)
    path, replace = evaluate.place(job, "compile", conduct)
    with OutputDirectory(path, replace) as directory, Progress(conduct.quiet) as progress:
        compiled = pipeline.compile_job(job, progress)
        progress.phase("writing")
        document = files.write_compiled(directory, job, compiled, started)
    if conduct.json:
        print_json(document)
    elif not conduct.quiet:
        programs = [p for part in document["parts"] for p in part["programs"]]
        channels = Counter[str]()  # of a program, which several parts may have
        for program in programs:
            channels[program["sha256"]] += len(program["channels"])
        for program in {p["sha256"]: p for p in programs}.values():
            count = channels[program["sha256"]]
            click.echo(
                f"{program['sha256'][: files.SHORT]}  {program['instructions']:>6} instructions  "
                f"{program['streams']:>2} streams  {count:>3} channel{'s' * (count != 1)}"
            )
    if not conduct.quiet:
        note(f"programs in {path}")
    return EXIT_OK
