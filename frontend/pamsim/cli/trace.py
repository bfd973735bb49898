"""`pamsim trace`: the DRAM commands of a channel, as text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import click

from pamsim.cli.options import Inputs, input_options
from pamsim.cli.output import Progress, note
from pamsim.cli.simulate import given
from pamsim.errors import EXIT_OK, InputError, did_you_mean


@click.command("trace")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@input_options(required=False)
@click.option(
    "--channel",
    metavar="N",
    type=click.IntRange(0),
    default=None,
    help="Which channel.  [default: the first that has work]",
)
@click.option(
    "--program",
    metavar="SHA",
    default=None,
    help="The channel that runs this program first, by the beginning of its hash.",
)
@click.option(
    "--layer",
    metavar="N",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Whose rows to name.",
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=None, help="Stop after N commands."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    show_default="stdout",
    help="File to write.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(
    directory: Path | None,
    inputs: Inputs | None,
    channel: int | None,
    program: str | None,
    layer: int,
    limit: int | None,
    output: Path,
    quiet: bool,
) -> int:
    """Write every command that a channel issues in one layer, one a line with its tick.

    Programs are those of DIRECTORY (from `pamsim compile`) or of --model.
    """
    from pamsim.cli import compiled as files
    from pamsim.cli import pipeline
    from pamsim.sim import write_trace

    given(directory, inputs)
    if channel is not None and program is not None:
        raise click.UsageError("give --channel or --program, not both")
    with Progress(quiet) as progress:
        if directory is not None:
            job, compiled = files.read_compiled(directory, quiet, progress)
        else:
            assert inputs is not None
            job = pipeline.load(inputs, quiet)
            compiled = pipeline.compile_job(job, progress)
        first = {p.sha256: p.bindings[0].channel for p in compiled.programs}
        if channel is None:
            channel = first[_named(program, list(first))]
        progress.phase("tracing")

        def write(out: TextIO) -> int:
            return write_trace(
                out,
                compiled,
                channel=channel or 0,
                layer=layer,
                limit=limit,
                engine=job.inputs.engine,
            )

        if str(output) == "-":
            write(sys.stdout)
        else:
            count = _to_file(output, write)
            if not quiet:
                note(f"{count} commands in {output}")
    return EXIT_OK


def _named(start: str | None, known: list[str]) -> str:
    """The program whose hash begins so; the first where none is asked for."""
    if start is None:
        return known[0]
    found = [sha for sha in known if sha.startswith(start.lower())]
    if len(found) != 1:
        what = "one program" if found else "a program of this step"
        raise InputError(
            f"program must be the beginning of the hash of {what}, not {start[:70]!r}",
            hint=did_you_mean(start, [sha[:12] for sha in known]),
        )
    return found[0]


def _to_file(path: Path, write: Callable[[TextIO], int]) -> int:
    aside = path.with_name(f".{path.name}.partial")
    try:
        with aside.open("w", encoding="utf-8") as out:
            count = write(out)
        aside.replace(path)
    except OSError as error:
        raise InputError(
            f"output must be a writable file, not {str(path)!r} ({error.strerror})"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return count
