"""YAML text to plain data, with the place of every value.

YAML 1.2 core: `on` and `off` are text, `1e9` is a number. Refused, with file:line:column: duplicate
keys, keys that are not text, NaN and infinity, tags, several documents, anchors that expand beyond
`MAX_NODES`, nesting beyond `MAX_DEPTH`, files beyond `MAX_BYTES`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pamsim.errors import InputError, PamsimError, Position
from pamsim.textfile import read_text

MAX_BYTES = 1 << 20
MAX_NODES = 50_000
MAX_DEPTH = 32

DataPath = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_MAX_DIGITS = 40


@dataclass(frozen=True)
class Document:
    """Plain data and the place of each path in it. Shared between users: never changed in place."""

    data: Any
    values: dict[DataPath, Position] = field(default_factory=dict, compare=False)
    keys: dict[DataPath, Position] = field(default_factory=dict, compare=False)

    def position(self, path: DataPath, of_key: bool = False) -> Position | None:
        """Place of the value (or key) at `path`, or of the nearest thing above that has one."""
        if of_key and path in self.keys:
            return self.keys[path]
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return None


def resolve_scalar(text: str, position: Position | None = None) -> bool | int | float | str | None:
    """The value of a plain scalar by YAML 1.2 core. Raises InputError for NaN and infinity."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise InputError(
                f"number must have at most {_MAX_DIGITS} digits, not {len(text)}", position
            )
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise InputError(f"number must be finite, not {text[:_MAX_DIGITS]}", position)
        return value
    if _NOT_FINITE.fullmatch(text):
        raise InputError(f"number must be finite, not {text}", position)
    return text


class _Builder:
    """Builds data from the parser's events."""

    def __init__(self, events: Iterator[Any], name: str) -> None:
        self.events, self.name = events, name
        self.values: dict[DataPath, Position] = {}
        self.keys: dict[DataPath, Position] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}  # data, nodes it expands to
        self.nodes = 0

    def place(self, event: Any) -> Position:
        mark = event.start_mark
        return Position(self.name, mark.line + 1, mark.column + 1)

    def build(self, event: Any, path: DataPath) -> Any:
        self.values[path] = where = self.place(event)
        if len(path) > MAX_DEPTH:
            raise InputError(f"nesting must be at most {MAX_DEPTH} deep", where)
        if isinstance(event, AliasEvent):
            return self.alias(event, where)
        self.count(1, where)
        if getattr(event, "tag", None) is not None:
            raise InputError(f"value must be plain, not tagged {str(event.tag)[:40]}", where)
        before = self.nodes
        value: Any
        if isinstance(event, ScalarEvent):
            quoted = event.style is not None
            value = event.value if quoted else resolve_scalar(event.value, where)
        elif isinstance(event, SequenceStartEvent):
            value = self.sequence(path)
        elif isinstance(event, MappingStartEvent):
            value = self.mapping(path)
        else:
            raise InputError(f"file must be YAML 1.2, not {type(event).__name__}", where)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.nodes - before + 1)
        return value

    def count(self, nodes: int, where: Position) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise InputError(f"file must have at most {MAX_NODES} values, anchors expanded", where)

    def alias(self, event: Any, where: Position) -> Any:
        if event.anchor not in self.anchors:
            raise InputError(f"alias must name an anchor above it, not *{event.anchor}", where)
        value, nodes = self.anchors[event.anchor]
        self.count(nodes, where)
        return value

    def sequence(self, path: DataPath) -> list[Any]:
        items: list[Any] = []
        for event in self.events:
            if isinstance(event, SequenceEndEvent):
                break
            items.append(self.build(event, (*path, len(items))))
        return items

    def mapping(self, path: DataPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                break
            where = self.place(event)
            if not isinstance(event, ScalarEvent):
                raise InputError("key must be plain text, not a list, mapping or alias", where)
            key = event.value
            if key in items:
                first = self.keys[(*path, key)]
                raise InputError(
                    f"key must be unique, not {key[:60]!r} again",
                    where,
                    f"first in line {first.line}",
                )
            self.keys[(*path, key)] = where
            self.count(1, where)
            items[key] = self.build(next(self.events), (*path, key))
        return items


def parse(text: str, name: str) -> Document:
    """The one document in `text`; `name` is the file's in messages. Raises InputError."""
    events = _events(text, name)
    builder = _Builder(events, name)
    builder.values[()] = Position(name)  # of a file that holds nothing
    data: Any = None
    seen = False
    for event in events:
        if isinstance(event, DocumentStartEvent):
            if seen:
                raise InputError("file must hold one document, not several", builder.place(event))
            seen = True
            data = builder.build(next(events), ())
    return Document(data, builder.values, builder.keys)


def _events(text: str, name: str) -> Iterator[Any]:
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except PamsimError:
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)
        raise InputError(
            f"file must be YAML 1.2: {error.problem or error.context}", place
        ) from None
    except YAMLError:  # the reader's: a character that YAML does not allow
        raise InputError("file must be text without control characters", Position(name)) from None
    except Exception as error:  # a parser that stumbles is the document's fault to its author
        raise InputError(f"file must be YAML 1.2: {type(error).__name__}", Position(name)) from None


def read(path: Path, name: str | None = None) -> Document:
    """The document in the file at `path`. Raises InputError, also when it cannot be read."""
    shown = name or str(path)
    return _parsed(read_text(path, shown, MAX_BYTES), shown)


@lru_cache(maxsize=128)
def _parsed(text: str, name: str) -> Document:
    return parse(text, name)
