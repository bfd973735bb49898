"""Trace files of the command line: which part of a trace, in which format, to which file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pamsim.cli.options import Decorator
from pamsim.cli.output import note, print_json
from pamsim.cli.output_file import write_file
from pamsim.errors import InputError

if TYPE_CHECKING:
    from pamsim.traces import Cut, OpenTrace, RequestTrace, Trace, Written

FORMATS = ("text", "binary", "rw", "ldst", "ram2bin", "perfetto")


def cut_options(function: Any) -> Any:
    """--from, --to, --limit."""
    tick = click.IntRange(0, 1 << 62)
    options: tuple[Decorator, ...] = (
        click.option("--from", "from_tick", metavar="TICK", type=tick, default=0,
                     help="Leave out commands before this tick."),
        click.option("--to", "to_tick", metavar="TICK", type=tick, default=None,
                     help="Leave out commands after this tick."),
        click.option("--limit", metavar="N", type=click.IntRange(1), default=None,
                     help="Stop after N commands."),
    )  # fmt: skip
    return _with(options, function)


def output_options(function: Any) -> Any:
    """-o, --format, --ticks, --force."""
    options: tuple[Decorator, ...] = (
        click.option("-o", "--output", type=click.Path(path_type=Path, allow_dash=True),
                     default="-", show_default="stdout", help="File to write."),
        click.option("--format", "form", type=click.Choice(FORMATS), default=None,
                     help="Format to write.  [default: by the file's suffix (.txt, .pamtrace, .rw, "
                     ".ldst, .ram2bin, .json), else text]"),
        click.option("--ticks", is_flag=True,
                     help="Of perfetto: show a tick as a microsecond (Perfetto keeps whole "
                     "nanoseconds only)."),
        click.option("--force", is_flag=True, help="Replace the file if it is there."),
    )  # fmt: skip
    return _with(options, function)


def _with(options: tuple[Decorator, ...], function: Any) -> Any:
    for option in reversed(options):
        function = option(function)
    return function


def cut_of(options: dict[str, Any]) -> Cut:
    """The part of a trace that the options name. Raises click.UsageError for one without ticks."""
    from pamsim.traces import Cut

    first, last = options.pop("from_tick"), options.pop("to_tick")
    if last is not None and last < first:
        raise click.UsageError(f"--to must be --from or later, not {last}")
    return Cut(first, last, options.pop("skip", 0), options.pop("limit"))


@contextmanager
def opened(file: Path) -> Iterator[OpenTrace]:
    """The trace in a file, or - for stdin. Raises InputError."""
    from pamsim.traces import open_trace

    with open_trace(sys.stdin.buffer if str(file) == "-" else file) as trace:
        yield trace


def deliver(trace: Trace, cut: Cut, options: dict[str, Any], quiet: bool) -> None:
    """Writes a trace where and how the options of `output_options` say, and says what it wrote.

    Raises InputError where the file is there (without --force) or cannot be written.
    """
    from pamsim.traces import format_of, write

    output: Path = options["output"]
    form = options["form"] or format_of(output)
    if options["ticks"] and form != "perfetto":
        raise click.UsageError("--ticks must come with the format perfetto")

    def send(out: BinaryIO) -> Written:
        return write(out, trace, form, cut, ticks=options["ticks"])

    written = to_stdout(send) if str(output) == "-" else write_file(output, send, options["force"])
    if quiet:
        return
    if str(output) != "-":
        what = "requests" if written.requests else "commands"
        note(f"{written.commands} {what} in {output}")
    if written.requests and written.requests.left_out:
        counts = ", ".join(f"{n} {name}" for name, n in written.requests.left_out.items())
        total = sum(written.requests.left_out.values())
        note(f"left out {total} commands that are no host read or write: {counts}")


def to_stdout(send: Callable[[BinaryIO], Written]) -> Written:
    """Sends bytes to stdout, after what is on its way as text."""
    sys.stdout.flush()
    written = send(sys.stdout.buffer)
    sys.stdout.buffer.flush()
    return written


def print_header(trace: Trace) -> None:
    """What a trace says of itself, and what is known once it was read: commands, ticks, whole."""
    for _ in trace.pieces():
        pass
    end = {"commands_issued": trace.end.commands, "ticks": trace.end.ticks,
           "whole": trace.end.whole}  # fmt: skip
    print_json({**trace.header.to_dict(), **end})


def print_requests(trace: RequestTrace, cut: Cut) -> None:
    """The requests of a file, as they are written. Raises InputError where `cut` names ticks."""
    if cut.first or cut.last is not None:
        raise InputError("requests have no ticks: choose them by --skip and --limit")
    number, end = 0, None if cut.limit is None else cut.skip + cut.limit
    for piece in trace.pieces():
        for request in piece:
            if end is not None and number >= end:
                return
            if number >= cut.skip:
                click.echo(trace.line(request))
            number += 1
