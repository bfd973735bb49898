"""Files that commands write: complete or not at all, and never over another by accident."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from pamsim.errors import InputError

T = TypeVar("T")


def write_file(path: Path, send: Callable[[BinaryIO], T], force: bool) -> T:
    """What `send` returns, which writes the file; written aside, then renamed.

    A pipe or a device is written as it is. Raises InputError where the file is there (unless
    `force`), is a directory, or cannot be written.
    """
    try:
        if path.is_dir():
            raise InputError(f"output must be a file, not the directory {str(path)!r}")
        if path.exists() and not path.is_file():
            with path.open("wb") as out:
                return send(out)
        if path.exists() and not force:
            raise InputError(
                f"output must be a new file, not {str(path)!r}, which is there",
                hint="choose another, or let --force replace it",
            )
        aside = path.with_name(f".{path.name}.partial")
        try:
            with aside.open("wb") as out:
                result = send(out)
            aside.replace(path)
            return result
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"output must be a writable file, not {str(path)!r} ({error.strerror})"
        ) from error
