"""The one error of the instruction sets: what is wrong and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IsaError(Exception):
    """A table, program, text or binary that cannot be used, or that a machine cannot execute.

    offset: byte offset in a binary. line, column: place in a text, counted from 1.
    stream, index: place in a program. Each is None where it does not apply.
    """

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        line: int | None = None,
        column: int | None = None,
        stream: int | None = None,
        index: int | None = None,
        hint: str = "",
    ) -> None:
        self.message, self.hint = message, hint
        self.offset, self.line, self.column = offset, line, column
        self.stream, self.index = stream, index
        place = ""
        if offset is not None:
            place = f" [byte {offset}]"
        elif line is not None:
            place = f" [{line}:{column}]" if column is not None else f" [{line}]"
        elif stream is not None:
            place = f" [stream {stream}, instruction {index}]"
            if index is None:
                place = f" [stream {stream}]"
        super().__init__(f"{message}{place}" + (f" ({hint})" if hint else ""))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint such as `did you mean 'MACK'?`, or the list when nothing is near and it is short."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not near:
        by_upper = {k.upper(): k for k in known}
        near = [by_upper[m] for m in difflib.get_close_matches(name.upper(), list(by_upper), n=1)]
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= 20 else ""
