"""`--set KEY=VALUE`: changes to any field of a system or device, and the names that documents name.

`tiers.hbm.device.timing.nRCDRD=20` sets a constant's value (its unit stays, its source says that
it was set); `tiers.hbm.device=hbm3-6400` names another description. Names are put in place first,
so the order of the options does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pamsim.config.documents import REFERENCES, Tree, compose, load_tree, locate
from pamsim.config.reader import DataPath, Document, resolve_scalar
from pamsim.errors import InputError, PamsimError, Position, did_you_mean

SET_SOURCE = "set by the user"
_MAX_LENGTH = 500
_MAX_SHOWN = 3


@dataclass(frozen=True)
class Override:
    """One parsed option."""

    text: str
    path: tuple[str, ...]
    value: bool | int | float | str | None

    @property
    def place(self) -> Position:
        return Position(f"--set {self.text}")


def parse_override(text: str) -> Override:
    """`KEY=VALUE`; VALUE as a plain YAML scalar. Raises InputError."""
    key, equals, value = text.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise InputError(f"option --set must be KEY=VALUE, not {text[:60]!r}")
    if len(text) > _MAX_LENGTH:
        raise InputError(
            f"option --set must have at most {_MAX_LENGTH} characters, not {len(text)}",
            Position(f"--set {text[:60]}..."),
        )
    shown = text if len(text) <= 80 else text[:77] + "..."
    return Override(shown, path, resolve_scalar(value.strip(), Position(f"--set {shown}")))


# Path of a document -> the keys it may have there, and whether each holds a constant.
KeysAt = Callable[[tuple[str, ...]], Mapping[str, bool]]


def expand(tree: Tree, texts: Sequence[str], keys_at: KeysAt) -> dict[str, object]:
    """Applies the options to `tree` and replaces every name by the document it names.

    Returns what was set, path -> value. Raises InputError.
    """
    overrides = [parse_override(text) for text in texts]
    references = REFERENCES[tree.kind]
    naming = [o for o in overrides if any(_matches(o.path, p) for p, _ in references)]
    for pattern, kind in references:  # outer names before the names inside what they name
        for override in naming:
            if _matches(override.path, pattern):
                _apply(tree, override, keys_at)
        for path in list(_places(tree.data, pattern)):
            _expand_one(tree, path, kind)
    for override in overrides:
        if override not in naming:
            _apply(tree, override, keys_at)
    return {".".join(o.path): o.value for o in overrides}


def names_description(kind: str, path: tuple[str, ...]) -> bool:
    """Whether the value at `path` of a `kind` names another description ("hbm3-6400")."""
    return any(_matches(path, pattern) for pattern, _ in REFERENCES[kind])


def _matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(
        b in ("*", a) for a, b in zip(path, pattern, strict=True)
    )


def _places(data: Any, pattern: tuple[str, ...], at: DataPath = ()) -> Iterable[DataPath]:
    if not pattern:
        yield at
    elif isinstance(data, dict):
        for key in list(data) if pattern[0] == "*" else [pattern[0]]:
            if key in data:
                yield from _places(data[key], pattern[1:], (*at, key))


def _expand_one(tree: Tree, path: DataPath, kind: str) -> None:
    value: Any = tree.data
    for part in path:
        value = value[part]
    place = tree.position(path)
    if isinstance(value, str):
        beside = None if place is None or place.file.startswith("--set") else tree.path
        tree.graft(path, load_tree(kind, locate(kind, value, beside, place)))
    elif isinstance(value, dict) and "extends" in value:
        inside = len(path)
        values = {p[inside:]: q for p, q in tree.values.items() if p[:inside] == path}
        keys = {p[inside:]: q for p, q in tree.keys.items() if p[:inside] == path}
        tree.graft(path, compose(kind, tree.path, Document(value, values, keys)))


def _apply(tree: Tree, override: Override, keys_at: KeysAt) -> None:
    """Puts one value in its place. Raises InputError for a key that cannot be there."""
    node: Any = tree.data
    for depth, part in enumerate(override.path[:-1]):
        if not isinstance(node, dict) or part not in node:
            raise _unknown(tree, override, depth, node if isinstance(node, dict) else ())
        node = node[part]
    last, value = override.path[-1], override.value
    allowed = dict(keys_at(override.path[:-1]))
    if not isinstance(node, dict) or not (last in node or last in allowed):
        known = {*allowed, *(node if isinstance(node, dict) else ())}
        raise _unknown(tree, override, len(override.path) - 1, known)
    old = node.get(last)
    if isinstance(old, dict) and "value" in old:
        keep_unit = "unit" in old and not isinstance(value, str)
        node[last] = {"value": value, **({"unit": old["unit"]} if keep_unit else {})}
        node[last]["source"] = SET_SOURCE
    elif isinstance(old, dict):
        hint = f"it has {', '.join(sorted(old)[:8])}" if old else ""
        raise InputError(
            f"{'.'.join(override.path)} must be set one value at a time", override.place, hint
        )
    elif isinstance(old, list):
        raise InputError(
            f"{'.'.join(override.path)} must be changed in a file that extends {tree.path.stem}, "
            "as it is a list",
            override.place,
        )
    elif old is None and allowed.get(last):
        node[last] = {"value": value, "source": SET_SOURCE}
    else:
        node[last] = value
    for places in (tree.values, tree.keys):
        for known_path in [p for p in places if p[: len(override.path)] == override.path]:
            del places[known_path]
        places[override.path] = override.place


def _unknown(tree: Tree, override: Override, depth: int, known: Iterable[str]) -> PamsimError:
    above = ".".join(override.path[:depth]) or f"the {tree.kind}"
    elsewhere = [repr(".".join(path)) for path in _ending_in(tree.data, override.path)]
    hint = " or ".join(elsewhere[:_MAX_SHOWN])
    if elsewhere:
        hint = f"did you mean {hint}{', ...' if len(elsewhere) > _MAX_SHOWN else ''}?"
    return InputError(
        f"{above} must have the key {override.path[depth][:60]!r} to set it",
        override.place,
        hint or did_you_mean(override.path[depth], known),
    )


def _ending_in(data: Any, end: tuple[str, ...], at: DataPath = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the values that a key may be short for: `nFAW` for `device.timing.nFAW`."""
    if at[-len(end) :] == end:
        yield tuple(str(part) for part in at)
    elif isinstance(data, dict) and "value" not in data:
        for key, child in data.items():
            yield from _ending_in(child, end, (*at, key))
