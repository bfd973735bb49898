"""The one base error: `<thing> must be <rule>, not <value> [file:line:column] (hint)`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

EXIT_OK = 0
EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_POINTS_FAILED = 3
EXIT_VIOLATION = 4
EXIT_INPUT = 5
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Position:
    """A place in a file the user wrote; line and column count from 1, 0 where unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


class PamsimError(Exception):
    """An error for people: what, where, what to do. `exit_code` is the process's."""

    exit_code = EXIT_INPUT

    def __init__(self, message: str, position: Position | None = None, hint: str = "") -> None:
        self.message, self.position, self.hint = message, position, hint
        place = f" [{position}]" if position else ""
        tail = f" ({hint})" if hint else ""
        super().__init__(f"{message}{place}{tail}")


class InputError(PamsimError):
    """A model, system, workload or option that cannot be used."""


class InputErrors(InputError):
    """Several faults of one document, all found in one pass."""

    def __init__(self, errors: Iterable[PamsimError]) -> None:
        self.errors = tuple(errors)
        PamsimError.__init__(self, "\n".join(str(e) for e in self.errors))


class CapacityError(InputError):
    """Something does not fit; says what, and by how much."""


class ViolationError(PamsimError):
    """A proof found a fault in what pamsim itself made."""

    exit_code = EXIT_VIOLATION


def short(value: object) -> str:
    """A value of a YAML file as it would stand there, at most 60 characters."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, float):
        return f"{value:.15g}"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint such as `did you mean 'nCCDL'?`, or the list when nothing is near and it is short."""
    known = sorted(known)
    near = nearest(name, known)
    return near or (f"known: {', '.join(known)}" if 0 < len(known) <= 12 else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint of a message that lists what is known itself; empty when nothing is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""
