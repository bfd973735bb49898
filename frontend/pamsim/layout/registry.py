"""Layouts by name. A new one is a module, and a line here."""

from __future__ import annotations

from pamsim.config.spec import SystemSpec
from pamsim.errors import InputErrors
from pamsim.layout.head_fused import HEAD_FUSED
from pamsim.layout.head_split import HEAD_SPLIT
from pamsim.layout.naive import NAIVE
from pamsim.layout.names import unknown
from pamsim.layout.spread import list_spreads
from pamsim.layout.table import Layout
from pamsim.layout.token_major import TOKEN_MAJOR

_LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (HEAD_SPLIT, HEAD_FUSED, TOKEN_MAJOR, NAIVE)
}


def list_layouts() -> tuple[str, ...]:
    """Names of the layouts, sorted."""
    return tuple(sorted(_LAYOUTS))


def get_layout(name: str) -> Layout:
    """The layout of that name. Raises KeyError for another."""
    return _LAYOUTS[name]


def layout_of(system: SystemSpec) -> Layout:
    """The layout that a system names. Raises InputError(s) where layout or spread is unknown."""
    faults = [
        unknown(system, what, name, known)
        for what, name, known in (
            ("layout", system.layout, list_layouts()),
            ("spread", system.spread, list_spreads()),
        )
        if name not in known
    ]
    if faults:
        raise faults[0] if len(faults) == 1 else InputErrors(faults)
    return get_layout(system.layout)
