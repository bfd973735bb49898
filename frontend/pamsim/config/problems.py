"""Pydantic's findings as errors for people: all at once, each with its path and place."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pamsim.config.documents import Tree
from pamsim.config.quantity import ConstantModel
from pamsim.config.reader import DataPath
from pamsim.errors import InputError, InputErrors, PamsimError, did_you_mean, short

_MAX_SHOWN = 25
M = TypeVar("M", bound=BaseModel)

# pydantic's error type -> the rule, filled in from its context
_RULES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "rule": "{rule}",
}

# what the branches of a union ask for together -> in one word
_ANY_OF = {
    frozenset({"a whole number", "a number"}): "a number",
    frozenset({"a whole number", "a number", "true or false", "text"}): "one value",
}


def validate(model: type[M], tree: Tree, more: list[PamsimError]) -> M:
    """The checked document. Raises InputError(s) with all its faults and `more`, in file order."""
    details: list[ErrorDetails] = []
    try:
        checked = model.model_validate(tree.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise_all([*_explain(model, tree, details), *more])
    return checked


def raise_all(problems: list[PamsimError]) -> None:
    """Raises the one problem, or all of them in the order of their places. Nothing when empty."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    ordered = sorted(
        problems,
        key=lambda p: (
            (p.position.file, p.position.line, p.position.column) if p.position else ("",)
        ),
    )
    left_out = len(ordered) - _MAX_SHOWN
    if left_out > 0:
        ordered = [*ordered[:_MAX_SHOWN], InputError(f"and {left_out} more faults")]
    raise InputErrors(ordered)


def dotted(path: DataPath) -> str:
    """A path for people: `timing_constraints[3].latency`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "document"


def _explain(model: type[BaseModel], tree: Tree, details: list[ErrorDetails]) -> list[PamsimError]:
    found: dict[tuple[DataPath, str], list[str]] = {}
    problems: list[PamsimError] = []
    for detail in details:
        path, exists = _in_document(tree.data, detail["loc"], detail["type"])
        if detail["type"] == "missing":
            problems.append(InputError(f"{dotted(path)} must be given", tree.position(path[:-1])))
        elif detail["type"] == "extra_forbidden":
            known = keys_at(model, tuple(str(p) for p in path[:-1]))
            above = dotted(path[:-1])
            problems.append(
                InputError(
                    f"key of {above} must be a known one, not {short(path[-1])}",
                    tree.position(path, of_key=True),
                    did_you_mean(str(path[-1]), known),
                )
            )
        else:
            template = _RULES.get(detail["type"])
            rule = template.format(**detail.get("ctx", {})) if template else detail["msg"]
            found.setdefault((path, "found" if exists else ""), []).append(rule)
    for (path, _), rules in found.items():
        value = _value_at(tree.data, path)
        if isinstance(value, dict) and "value" in value:
            value = _written(value)
        rule = _ANY_OF.get(frozenset(rules)) or " or ".join(dict.fromkeys(rules))
        shown = "" if rule.startswith("given") else f", not {short(value)}"
        problems.append(InputError(f"{dotted(path)} must be {rule}{shown}", tree.position(path)))
    return problems


def _written(constant: dict[str, Any]) -> Any:
    value, unit = constant["value"], constant.get("unit")
    return f"{value} {unit}" if unit and unit != "1" else value


def _in_document(data: Any, loc: tuple[int | str, ...], kind: str) -> tuple[DataPath, bool]:
    """The part of pydantic's location that is in the document; the rest names a union's branch."""
    path: DataPath = ()
    for part in loc:
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if not inside:
            return ((*path, part), False) if kind == "missing" else (path, True)
        data = data[part]
        path = (*path, part)
    return path, True


def _value_at(data: Any, path: DataPath) -> Any:
    for part in path:
        data = data[part]
    return data


def keys_at(model: type[BaseModel], path: tuple[str, ...]) -> Mapping[str, bool]:
    """Key -> whether it holds a constant, for the section at `path` of `model`; empty when free."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(part)
            current = _unwrapped(info.annotation) if info else None
        elif get_origin(current) is dict:
            current = _unwrapped(get_args(current)[1])
        else:
            return {}
    if not (isinstance(current, type) and issubclass(current, BaseModel)):
        return {}
    return {
        name: _unwrapped(info.annotation) is ConstantModel
        for name, info in current.model_fields.items()
    }


def _unwrapped(annotation: Any) -> Any:
    """The type behind Annotated and Optional."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        return _unwrapped(inner[0]) if len(inner) == 1 else annotation
    if origin is list:
        return _unwrapped(get_args(annotation)[0])
    return annotation
