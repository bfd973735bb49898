"""Program files of the command line, text or binary; faults in them have the file's name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pamsim.errors import InputError, Position

if TYPE_CHECKING:
    from pim_isa import Program


def read_program(path: Path) -> Program:
    """The program in a file, or - for stdin; a binary is known by how it begins.

    Raises InputError where it cannot be read, with the place of the first fault.
    """
    from pim_isa.binary import MAGIC

    content = read_bytes(path)
    return read_binary(path, content) if content.startswith(MAGIC) else read_assembly(path, content)


def read_bytes(path: Path) -> bytes:
    """What a program file holds. Raises InputError."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"program must be a readable file, not {str(path)!r} ({error.strerror})"
        ) from error


def read_binary(path: Path, content: bytes) -> Program:
    """The program of a binary's bytes. Raises InputError."""
    from pim_isa import decode

    with placed(path):
        return decode(content)


def read_assembly(path: Path, content: bytes) -> Program:
    """The program of a text's bytes. Raises InputError."""
    from pamsim.textfile import decoded
    from pim_isa import assemble

    with placed(path):
        return assemble(decoded(content, str(path), "program"))


@contextmanager
def placed(path: Path) -> Iterator[None]:
    """Errors of the instruction sets, which know no files, with the file's name."""
    from pim_isa import IsaError

    try:
        yield
    except IsaError as error:
        message = error.message
        if error.offset is not None:
            message += f", at byte {error.offset}"
        elif error.stream is not None:
            at = "" if error.index is None else f"instruction {error.index} of "
            message += f", in {at}stream {error.stream}"
        place = Position(str(path), error.line or 0, error.column or 0)
        raise InputError(message, place, error.hint) from error
