"""`pamsim trace`: the DRAM commands of a channel, in any of the trace formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pamsim.cli.options import Decorator, Inputs, input_options
from pamsim.cli.output import Progress
from pamsim.cli.simulate import given
from pamsim.cli.trace_file import cut_of, cut_options, deliver, output_options
from pamsim.errors import EXIT_OK, InputError, did_you_mean

WRITE = "write"


class TraceGroup(click.Group):
    """`pamsim trace ...` is `pamsim trace write ...` unless it names another sub-command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [WRITE, *args]
        return super().parse_args(ctx, args)


@click.group("trace", cls=TraceGroup)
def command() -> None:
    """Command traces: write, show, convert."""


def run_options(function: Any) -> Any:
    """--channel, --program, --layer, --tier."""
    options: tuple[Decorator, ...] = (
        click.option("--channel", metavar="N", type=click.IntRange(0), default=None,
                     help="Which channel.  [default: the first that has work]"),
        click.option("--program", metavar="SHA", default=None,
                     help="The channel that runs this program first, by the beginning of its "
                     "hash."),
        click.option("--layer", metavar="N", type=click.IntRange(0), default=0,
                     show_default=True, help="Whose rows to name."),
        click.option("--tier", metavar="NAME", default=None,
                     help="Of which tier.  [default: the first that holds KV tokens]"),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@command.command(
    WRITE,
    epilog="`pamsim trace show FILE` prints a trace that was written, `pamsim trace convert FILE` "
    "writes it in another format. Formats: docs/traces.md.",
)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@input_options(required=False)
@run_options
@cut_options
@output_options
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def write_command(
    directory: Path | None,
    inputs: Inputs | None,
    channel: int | None,
    program: str | None,
    layer: int,
    tier: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Write every command that a channel issues in one layer; as text one a line with its tick.

    Programs are those of DIRECTORY (from `pamsim compile`) or of --model.
    """
    from pamsim.cli import compiled as files
    from pamsim.cli import pipeline
    from pamsim.sim import ChannelTrace

    given(directory, inputs)
    if channel is not None and program is not None:
        raise click.UsageError("give --channel or --program, not both")
    cut = cut_of(options)
    with Progress(quiet) as progress:
        if directory is not None:
            job, parts = files.read_compiled(directory, quiet, progress)
        else:
            assert inputs is not None
            job = pipeline.load(inputs, quiet)
            pipeline.must_attend(job)
            parts = pipeline.compile_job(job, progress)
        given_inputs = _as_given(job.inputs, layer)
        compiled, layer = pipeline.part_of(parts, layer, tier)
        first = {p.sha256: p.bindings[0].channel for p in compiled.programs}
        if channel is None:
            channel = first[_named(program, list(first))]
        progress.phase("tracing")
        trace = ChannelTrace(
            compiled,
            channel=channel,
            layer=layer,
            engine=job.inputs.engine,
            inputs=given_inputs,
        )
        deliver(trace, cut, options, quiet)
    return EXIT_OK


def _as_given(inputs: Inputs, layer: int) -> dict[str, str]:
    """What the trace comes from, for its header; `layer` is of the model."""
    found = {"model": inputs.model, "system": inputs.system, "context": inputs.context}
    found["layer"] = str(layer)
    if inputs.batch is not None:
        found["batch"] = str(inputs.batch)
    if inputs.kv_dtype is not None:
        found["kv_dtype"] = inputs.kv_dtype
    if inputs.overrides:
        found["set"] = "\n".join(inputs.overrides)
    return found


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


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@cut_options
@click.option("--skip", metavar="N", type=click.IntRange(0), default=0,
              help="Leave out the trace's first N commands.")  # fmt: skip
@click.option("--header", is_flag=True, help="Print what the trace says of itself, as JSON.")
def show(file: Path, header: bool, **options: Any) -> int:
    """Print FILE (- for stdin), a trace in any format that can be read, as text."""
    from pamsim.cli.trace_file import opened, print_header, print_requests, to_stdout
    from pamsim.traces import RequestTrace, write

    cut = cut_of(options)
    with opened(file) as trace:
        if isinstance(trace, RequestTrace):
            if header:
                raise InputError("reads and writes have no header to show")
            print_requests(trace, cut)
        elif header:
            print_header(trace)
        else:
            to_stdout(lambda out: write(out, trace, "text", cut))
    return EXIT_OK


@command.command("convert")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@cut_options
@click.option("--skip", metavar="N", type=click.IntRange(0), default=0,
              help="Leave out the trace's first N commands.")  # fmt: skip
@output_options
@click.option("--quiet", "-q", is_flag=True, help="Do not say what was written.")
def convert(file: Path, quiet: bool, **options: Any) -> int:
    """Write FILE (- for stdin), a trace in any format that can be read, in another format."""
    from pamsim.cli.trace_file import opened
    from pamsim.traces import RequestTrace

    cut = cut_of(options)
    with opened(file) as trace:
        if isinstance(trace, RequestTrace):
            raise InputError(
                "a trace to convert must hold commands and their ticks, not reads and writes alone"
            )
        deliver(trace, cut, options, quiet)
    return EXIT_OK
