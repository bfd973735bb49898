"""Finding descriptions by name or path, and composing them: `extends`, and files named by files.

A system names a host, links and devices; a device names its energy table. Each name is replaced by
the document it names, so that one tree of plain data holds everything, and every value in it still
knows its file, line and column.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ramulator_configs
from pamsim.config.reader import DataPath, Document, read
from pamsim.errors import InputError, Position, did_you_mean, short
from pim_isa.plugins import folders

KINDS = ("device", "energy", "host", "link", "system")
ROOT = Path(ramulator_configs.__file__).parent
_MAX_BASES = 16

# kind -> where its documents name others: path ("*" is any key) and the kind that is named there
REFERENCES: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "system": (
        (("host",), "host"),
        (("tiers", "*", "device"), "device"),
        (("tiers", "*", "link"), "link"),
        (("interconnect",), "link"),
        (("tiers", "*", "device", "energy"), "energy"),
    ),
    "device": ((("energy",), "energy"),),
    "energy": (),
    "host": (),
    "link": (),
}


def list_configs(kind: str) -> tuple[str, ...]:
    """Names of the descriptions of a kind ("device", "energy", "host", "link", "system")."""
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    return tuple(sorted(_named(kind)))


def _named(kind: str, part: str = "") -> dict[str, Path]:
    """Name -> file of a kind, or of its bases; the package's own before those of others."""
    found: dict[str, Path] = {}
    for folder in (ROOT / kind, *folders(kind)):
        for path in (folder / part).glob("*.yaml"):
            found.setdefault(path.stem, path)
    return found


def locate(
    kind: str, reference: str, beside: Path | None = None, place: Position | None = None
) -> Path:
    """The file of a name or path. A path is taken as it is or, inside a file, beside that file.

    Raises InputError with the nearest name where there is none.
    """
    if "/" in reference or reference.endswith((".yaml", ".yml")):
        path = Path(reference)
        if not path.is_absolute() and beside is not None:
            path = beside.parent / path
        if _is(Path.is_file, path):
            return path
        what = "the directory " if _is(Path.is_dir, path) else ""
        raise InputError(
            f"{kind} must be an existing file, not {what}{reference[:100]!r}",
            place,
            _near_file(path, beside),
        )
    known = _named(kind)
    found = known.get(reference)
    if found is None and beside is not None:
        found = _named(kind, "base").get(reference)
    if found is None:
        other = next((k for k in KINDS if reference in _named(k)), "")
        hint = f"it names a {other}" if other else did_you_mean(reference[:100], known)
        raise InputError(
            f"{kind} must be a known name or a YAML file, not {reference[:100]!r}", place, hint
        )
    return found


def _is(test: Callable[[Path], bool], path: Path) -> bool:
    """Also for what cannot be a path: NUL in it, a name that is too long."""
    try:
        return test(path)
    except (OSError, ValueError):
        return False


def _near_file(path: Path, beside: Path | None) -> str:
    """A hint at a YAML file with a name like that of `path`, but not at the one that names it."""
    try:
        files = {p.stem: p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml")}
    except (OSError, ValueError):
        return ""
    for same in (path, beside or path):
        files.pop(same.stem, None)
    near = difflib.get_close_matches(path.stem, files, n=1)
    return f"did you mean {files[near[0]]!r}?" if near else ""


def shown(path: Path) -> str:
    """The file's name in messages: packaged files by their place in the package."""
    if path.is_relative_to(ROOT):
        return str(Path("ramulator_configs") / path.relative_to(ROOT))
    return str(path)


def real_path(name: str) -> Path:
    """The file that is `shown` by that name."""
    return ROOT.parent / name if is_packaged(name) else Path(name)


def is_packaged(name: str) -> bool:
    """Whether the file that is `shown` by that name is the package's own."""
    path = Path(name)
    return path.parts[:1] == ("ramulator_configs",) and not path.exists()


@dataclass
class Tree:
    """A composed document that may be changed: data of its own, and the place of every path."""

    kind: str
    path: Path
    data: dict[str, Any]
    values: dict[DataPath, Position]
    keys: dict[DataPath, Position]

    def position(self, path: DataPath, of_key: bool = False) -> Position | None:
        """Place of the value (or key) at `path`, or of the nearest thing above that has one."""
        return Document(self.data, self.values, self.keys).position(path, of_key)

    def graft(self, at: DataPath, other: Tree) -> None:
        """Puts `other` at `at`, in place of the name that stood there."""
        node = self.data
        for part in at[:-1]:
            node = node[part]  # type: ignore[index]
        node[at[-1]] = other.data  # type: ignore[index]
        self.values.update({(*at, *p): place for p, place in other.values.items()})
        self.keys.update({(*at, *p): place for p, place in other.keys.items()})


def load_tree(kind: str, path: Path, inside: tuple[Path, ...] = ()) -> Tree:
    """The document at `path` with what it extends; names of other documents stay names."""
    return compose(kind, path, read(path, shown(path)), inside)


def compose(kind: str, path: Path, document: Document, inside: tuple[Path, ...] = ()) -> Tree:
    """`document`, read from `path`, laid over what it extends. Raises InputError."""
    if not isinstance(document.data, dict):
        raise InputError(
            f"{kind} must be a mapping of keys to values, not {short(document.data)}",
            document.position(()),
        )
    tree = Tree(kind, path, {}, {}, {})
    for base in _bases(document):
        place = document.position(("extends",))
        base_path = locate(kind, base, path, place)
        if base_path.resolve() in (path.resolve(), *inside):
            raise InputError(f"extends must not lead back to {base!r}", place)
        if len(inside) >= _MAX_BASES:
            raise InputError(f"extends must be at most {_MAX_BASES} deep, not deeper", place)
        _lay(tree, load_tree(kind, base_path, (*inside, path.resolve())), ())
    _lay(tree, Tree(kind, path, document.data, document.values, document.keys), ())
    tree.data.pop("extends", None)
    return tree


def _bases(document: Document) -> list[str]:
    place = document.position(("extends",))
    bases = document.data.get("extends", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(b, str) for b in bases):
        raise InputError(f"extends must be a name or a list of names, not {short(bases)}", place)
    if len(bases) > _MAX_BASES:
        raise InputError(
            f"extends must name at most {_MAX_BASES} documents, not {len(bases)}", place
        )
    return bases


def _lay(into: Tree, other: Tree, at: DataPath) -> None:
    """Lays `other` over `into`: mappings merge; a constant, a list, a number replaces.

    A list whose key ends in + follows on the list that it is laid over.
    """
    target, source = into.data, other.data
    for part in at:
        target, source = target[part], source[part]  # type: ignore[index]
    _place(into, at, other, at)
    for key, value in source.items():
        path = (*at, key)
        mapping = isinstance(value, dict) and "value" not in value
        longer = target.get(key[:-1]) if isinstance(key, str) and key.endswith("+") else None
        if mapping and isinstance(target.get(key), dict):
            _lay(into, other, path)
        elif isinstance(longer, list) and isinstance(value, list):
            for i, entry in enumerate(value):
                place = (*at, key[:-1], len(longer))
                longer.append(_copied(into, place, other, (*path, i), entry))
        else:
            target[key] = _copied(into, path, other, path, value)


def _copied(into: Tree, to: DataPath, other: Tree, path: DataPath, value: Any) -> Any:
    _place(into, to, other, path)
    if isinstance(value, dict):
        return {k: _copied(into, (*to, k), other, (*path, k), v) for k, v in value.items()}
    if isinstance(value, list):
        return [_copied(into, (*to, i), other, (*path, i), entry) for i, entry in enumerate(value)]
    return value


def _place(into: Tree, to: DataPath, other: Tree, path: DataPath) -> None:
    if path in other.values:
        into.values[to] = other.values[path]
    if path in other.keys:
        into.keys[to] = other.keys[path]
