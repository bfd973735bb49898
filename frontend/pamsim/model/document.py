"""JSON to plain data, with the place of every value.

Refused, with file:line:column: what is not JSON (comments, trailing commas, NaN, Infinity),
duplicate keys, several values, nesting beyond `MAX_DEPTH`, files beyond `MAX_BYTES`, numbers beyond
`MAX_DIGITS` characters, text that is not UTF-8. A byte order mark and any line ending are accepted.
"""

from __future__ import annotations

import bisect
import math
import re
from dataclasses import dataclass, field
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any

from pamsim.errors import InputError, Position
from pamsim.textfile import read_text

MAX_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_DIGITS = 40

DataPath = tuple[str | int, ...]

_STRINGS = JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[-+.\w]+")
_NOT_JSON = {
    **dict.fromkeys("/#", "JSON has no comments"),
    "'": "JSON has double quotes only",
}
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class JsonDocument:
    """Plain data, and where each value and key stands in the file `name`."""

    name: str
    data: Any
    values: dict[DataPath, Position] = field(default_factory=dict, compare=False)
    keys: dict[DataPath, Position] = field(default_factory=dict, compare=False)

    def position(self, *path: str | int) -> Position:
        """Place of the value at `path`, or of the nearest thing above it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return Position(self.name)


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self.text, self.name, self.at = text, name, 0
        # Lines end at \n, \r\n or a lone \r.
        self.starts = [0, *(m.end() for m in re.finditer(r"\r\n|\n|\r", text))]
        self.values: dict[DataPath, Position] = {}
        self.keys: dict[DataPath, Position] = {}

    def place(self, at: int) -> Position:
        line = bisect.bisect_right(self.starts, at)
        return Position(self.name, line, at - self.starts[line - 1] + 1)

    def space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def here(self) -> str:
        """What stands at the current place, for a message."""
        if self.at >= len(self.text):
            return "the end of the file"
        word = _WORD.match(self.text, self.at)
        return repr((word.group() if word else self.text[self.at])[:MAX_DIGITS])

    def fail(self, rule: str) -> InputError:
        hint = _NOT_JSON.get(self.text[self.at : self.at + 1], "")
        if self.text.startswith(("}", "]"), self.at) and self.text[: self.at].rstrip()[-1:] == ",":
            hint = "JSON has no comma before a closing bracket"
        return InputError(
            f"file must be JSON with {rule}, not {self.here()}", self.place(self.at), hint
        )

    def value(self, path: DataPath) -> Any:
        self.space()
        where = self.values[path] = self.place(self.at)
        if len(path) > MAX_DEPTH:
            raise InputError(f"nesting must be at most {MAX_DEPTH} deep", where)
        first = self.text[self.at : self.at + 1]
        if first == "{":
            return self.mapping(path)
        if first == "[":
            return self.sequence(path)
        if first == '"':
            return self.string()
        word = _WORD.match(self.text, self.at)
        if word and word.group() in _LITERALS:
            self.at = word.end()
            return _LITERALS[word.group()]
        number = _NUMBER.match(self.text, self.at)
        if not number or (word and word.end() != number.end()):
            raise self.fail("a value here")
        if len(number.group()) > MAX_DIGITS:
            length = len(number.group())
            raise InputError(
                f"number must have at most {MAX_DIGITS} characters, not {length}", where
            )
        self.at = number.end()
        if number.group(1) is None and number.group(2) is None:
            return int(number.group())
        value = float(number.group())
        if math.isinf(value):
            raise InputError(f"number must be finite, not {number.group()}", where)
        return value

    def string(self) -> str:
        try:
            value, self.at = _STRINGS.raw_decode(self.text, self.at)
        except JSONDecodeError as error:
            message = error.msg.removesuffix(" at").removesuffix(" starting").lower()
            raise InputError(f"file must be JSON: {message}", self.place(error.pos)) from None
        return str(value)

    def sequence(self, path: DataPath) -> list[Any]:
        items: list[Any] = []
        self.at += 1
        self.space()
        if self.text.startswith("]", self.at):
            self.at += 1
            return items
        while True:
            items.append(self.value((*path, len(items))))
            if self.after_item("]"):
                return items

    def mapping(self, path: DataPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        self.at += 1
        self.space()
        if self.text.startswith("}", self.at):
            self.at += 1
            return items
        while True:
            self.space()
            where = self.place(self.at)
            if not self.text.startswith('"', self.at):
                raise self.fail("a key in double quotes here")
            key = self.string()
            if key in items:
                first = self.keys[(*path, key)]
                hint = f"first in line {first.line}"
                raise InputError(f"key must be unique, not {key[:60]!r} again", where, hint)
            self.keys[(*path, key)] = where
            self.space()
            if not self.text.startswith(":", self.at):
                raise self.fail("':' after a key")
            self.at += 1
            items[key] = self.value((*path, key))
            if self.after_item("}"):
                return items

    def after_item(self, close: str) -> bool:
        """Steps over ',' (False) or the closing bracket (True)."""
        self.space()
        if self.text.startswith(close, self.at):
            self.at += 1
            return True
        if not self.text.startswith(",", self.at):
            raise self.fail(f"',' or {close!r} here")
        self.at += 1
        return False


def parse_json(text: str, name: str) -> JsonDocument:
    """The one value in `text`; `name` is the file's in messages. Raises InputError."""
    reader = _Reader(text, name)
    data = reader.value(())
    reader.space()
    if reader.at < len(text):
        raise reader.fail("one value only")
    return JsonDocument(name, data, reader.values, reader.keys)


def read_json(path: Path, name: str | None = None) -> JsonDocument:
    """The value in the file at `path`. Raises InputError, also when it cannot be read."""
    shown = name or str(path)
    return parse_json(read_text(path, shown, MAX_BYTES), shown)
