"""Families that lie outside the packages: folders named by the environment.

PAMSIM_DEVICES holds folders, separated as in PATH. Each may have

    tables/FAMILY.toml      its instruction table
    semantics/FAMILY.py     what the instructions do
    device/NAME.yaml        its devices
    timing/FAMILY.py        its checker rules
    energy/FAMILY.py, compiler/FAMILY.py, functional/FAMILY.py

and is looked at after the packages' own.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PAMSIM_DEVICES"


def folders(part: str) -> tuple[Path, ...]:
    """The folders of a part ("tables", "semantics", ...) that there are, in order."""
    given = (Path(name) / part for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name)
    return tuple(folder.resolve() for folder in given if folder.is_dir())
