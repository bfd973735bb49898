"""Fields of a config.json, each read by one rule; what is wrong with them is collected."""

from __future__ import annotations

import json
from typing import Any

from pamsim.errors import InputError, PamsimError, nearest
from pamsim.model.architectures import LIMITS, WIDTH_LIMIT
from pamsim.model.document import JsonDocument

_REQUIRED = object()


def shown(value: Any) -> str:
    """A value as the file has it, short."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."


class Fields:
    """The fields of one JSON object: the file's, or that of its key `inside`.

    `aliases` maps a field to what this file may call it instead. `defaults` are values that the
    library takes for a field that is left out; `defaulted` names the ones it took.
    """

    def __init__(self, document: JsonDocument, inside: str = "") -> None:
        self.document = document
        self.path: tuple[str, ...] = (inside,) if inside else ()
        self.data: dict[str, Any] = document.data[inside] if inside else document.data
        self.aliases: dict[str, str] = {}
        self.defaults: dict[str, int] = {}
        self.defaulted: list[str] = []
        self.faults: list[PamsimError] = []

    def name(self, field: str) -> str:
        """What the file calls the field."""
        alias = self.aliases.get(field, field)
        return field if alias not in self.data and field in self.data else alias

    def given(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self.data.get(self.name(field)) is not None

    def fault(self, message: str, field: str, hint: str = "") -> None:
        self.faults.append(InputError(message, self.document.position(*self.path, field), hint))

    def missing(self, field: str) -> None:
        where = self.document.position(*self.path)
        hint = nearest(field, self.data)
        self.faults.append(InputError(f"{field} must be given", where, hint))

    def count(self, field: str, default: Any = _REQUIRED, null: Any = _REQUIRED) -> int | None:
        """A positive integer within its limit, else None and a fault.

        `default` stands for a field that is left out, `null` for one that is null.
        """
        name = self.name(field)
        if name not in self.data:
            if default is not _REQUIRED:
                return default if default is None else int(default)
            if field in self.defaults:
                self.defaulted.append(field)
                return self.defaults[field]
            self.missing(name)
            return None
        value = self.data[name]
        if value is None and null is not _REQUIRED:
            return null if null is None else int(null)
        if not isinstance(value, int) or isinstance(value, bool):
            self.fault(f"{name} must be an integer, not {shown(value)}", name)
            return None
        limit = LIMITS.get(field, WIDTH_LIMIT)
        if not 1 <= value <= limit:
            self.fault(f"{name} must be between 1 and {limit}, not {value}", name)
            return None
        return value

    def number(self, field: str, default: float | None) -> float | None:
        """A positive number, or null; `default` where left out."""
        value = self.data.get(field, default)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            self.fault(f"{field} must be null or a positive number, not {shown(value)}", field)
            return None
        return float(value)

    def flag(self, field: str, default: bool) -> bool:
        value = self.data.get(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(f"{field} must be true or false, not {shown(value)}", field)
            return default
        return value
