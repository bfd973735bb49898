"""The formats by name, by the suffix of a file to write, and by the first bytes of one to read."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from pamsim.errors import InputError, Position
from pamsim.traces import binary, perfetto, ram2bin, requests, text
from pamsim.traces.binary_reader import BinaryTrace
from pamsim.traces.ram2bin_reader import Ram2binTrace
from pamsim.traces.requests import Requests, RequestTrace
from pamsim.traces.text import TextTrace
from pamsim.traces.trace import WHOLE, Cut, Trace

OpenTrace = Trace | RequestTrace

FORMATS = {  # name -> suffixes
    "text": (".txt", ".trace"),
    "binary": (".pamtrace",),
    "rw": (".rw",),
    "ldst": (".ldst",),
    "ram2bin": (".ram2bin",),
    "perfetto": (".json",),
}
_LONGEST_MAGIC = len(text.MAGIC)


@dataclass(frozen=True)
class Written:
    """What a written file holds."""

    commands: int
    requests: Requests | None = None  # of `rw` and `ldst`


def format_of(path: Path) -> str:
    """The format that a file's suffix names, else text."""
    found = (name for name, suffixes in FORMATS.items() if path.suffix.lower() in suffixes)
    return next(found, "text")


def write(
    out: BinaryIO, trace: Trace, form: str, cut: Cut = WHOLE, *, ticks: bool = False
) -> Written:
    """Writes a trace in that format. ticks: of Perfetto, see write_perfetto. Raises InputError."""
    if form == "binary":
        return Written(binary.write_binary(out, trace, cut))
    if form == "ram2bin":
        return Written(ram2bin.write_ram2bin(out, trace, cut))
    with _as_text(out) as lines:
        if form == "perfetto":
            return Written(perfetto.write_perfetto(lines, trace, cut, ticks=ticks))
        if form == "text":
            return Written(text.write_text(lines, trace, cut))
        found = requests.write_requests(lines, trace, form, cut)
        return Written(found.reads + found.writes, found)


@contextmanager
def open_trace(source: Path | BinaryIO) -> Iterator[OpenTrace]:
    """A trace in any format that can be read, known by its first bytes.

    source: a file's path, or what to read from (a pipe: all but the binary format wait in a
    temporary file). Raises InputError where the file cannot be read or is no trace.
    """
    if isinstance(source, Path):
        with _opened(source) as file:
            yield from _from_stream(file, str(source))
    else:
        yield from _from_stream(source, "-")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(
            f"trace must be a readable file, not {str(path)!r} ({error.strerror})"
        ) from error


def _from_stream(source: BinaryIO, name: str) -> Iterator[OpenTrace]:
    if source.seekable():
        yield _reader(source, name)
        return
    taken = source.read(len(binary.MAGIC))
    if taken == binary.MAGIC:
        yield BinaryTrace(source, name, taken)
        return
    with tempfile.TemporaryFile() as spooled:
        spooled.write(taken)
        shutil.copyfileobj(source, spooled)
        spooled.seek(0)
        yield _reader(spooled, name)


def _reader(file: BinaryIO, name: str) -> OpenTrace:
    first = file.read(_LONGEST_MAGIC)
    file.seek(0)
    if first.startswith(binary.MAGIC):
        return BinaryTrace(file, name)
    if first.startswith(ram2bin.MAGIC):
        return Ram2binTrace(file, name)
    if first.startswith(text.MAGIC):
        return TextTrace(file, name)
    if first.startswith((b"R ", b"W ")):
        return RequestTrace(file, name, "rw")
    if first.startswith((b"LD ", b"ST ")):
        return RequestTrace(file, name, "ldst")
    known = "text, binary, rw, ldst or ram2bin"
    hint = "Perfetto's JSON is written, not read" if first.startswith(b"{") else ""
    raise InputError(
        f"trace must begin as one in {known} does, "
        f"not {first[:8].hex(' ') or 'nothing'}, at byte 0",
        Position(name),
        hint,
    )


@contextmanager
def _as_text(out: BinaryIO) -> Iterator[TextIO]:
    lines = io.TextIOWrapper(out, encoding="utf-8", newline="\n")
    try:
        yield lines
        lines.flush()
    finally:
        lines.detach()
