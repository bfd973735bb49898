"""Text files that users write: read whole, as UTF-8, with a byte order mark or without."""

from __future__ import annotations

import codecs
from pathlib import Path

from pamsim.errors import InputError, Position

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_text(path: Path, name: str, most_bytes: int, thing: str = "file") -> str:
    """The text of a file; `name` is the file's in messages, `thing` what it should be.

    Raises InputError where it cannot be read, is longer than most_bytes, or is not UTF-8.
    """
    return decoded(read_bytes(path, name, most_bytes, thing), name, thing)


def read_bytes(path: Path, name: str, most_bytes: int, thing: str = "file") -> bytes:
    """As read_text, of a file's bytes. Reads no more than most_bytes, also of endless devices."""
    try:
        with path.open("rb") as file:
            raw = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{thing} must be readable: {reason}", Position(name)) from None
    if len(raw) > most_bytes:
        raise InputError(f"{thing} must be at most {most_bytes} B, not longer", Position(name))
    return raw


def decoded(raw: bytes, name: str, thing: str = "file") -> str:
    """The text that the bytes of a file are. Raises InputError with the place of what is none."""
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            raise InputError(f"{thing} must be UTF-8, not {encoding}", Position(name))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise InputError(
            f"{thing} must be UTF-8, not a byte 0x{raw[error.start]:02x}",
            Position(name, line, column),
        ) from None
