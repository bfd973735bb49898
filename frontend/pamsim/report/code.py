"""Hashes of the code that results follow from: pamsim's own, and of families outside of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pim_isa
import pyramulator
from pamsim.report.text import sha256_bytes
from pim_isa import plugins

# What only starts runs or shows results: its code is left out.
_OUTSIDE = ("pamsim/cli/", "pamsim/batch/")
_CODE = (".py", ".toml")
_PLUGIN_PARTS = ("tables", "semantics", "timing", "energy", "compiler", "functional")


@cache
def code_digest() -> str:
    """SHA-256 of the code and tables in the packages that results follow from."""
    digest = hashlib.sha256()
    for package in (Path(__file__).parent.parent, *_homes(pim_isa, pyramulator)):
        for path in _code_files(package):
            name = f"{package.name}/{path.relative_to(package).as_posix()}"
            if not name.startswith(_OUTSIDE):
                digest.update(f"{name} {sha256_bytes(path.read_bytes())}\n".encode())
    return digest.hexdigest()


def plugin_files(families: Iterable[str] | None = None) -> dict[str, str]:
    """Name -> SHA-256 of the code in folders of PAMSIM_DEVICES; of equal names the first counts.

    families: only folders that have something of one of these; None: every folder. Descriptions are
    not in it: they are in the resolved system.
    """
    wanted = None if families is None else set(families)
    parts = {folder: part for part in _PLUGIN_PARTS for folder in plugins.folders(part)}
    roots = dict.fromkeys(
        folder.parent
        for folder in parts
        if wanted is None or any(path.stem in wanted for path in folder.iterdir())
    )
    files: dict[str, str] = {}
    for folder, part in parts.items():
        if folder.parent in roots:
            for path in _code_files(folder):
                name = f"{part}/{path.relative_to(folder).as_posix()}"
                files.setdefault(name, sha256_bytes(path.read_bytes()))
    return dict(sorted(files.items()))


def _code_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in _CODE)


def _homes(*packages: Any) -> tuple[Path, ...]:
    return tuple(Path(p.__file__).parent for p in packages)
