"""Layouts by name. A new one is a module with a class, and a line here."""

from __future__ import annotations

from pamsim.errors import InputError, did_you_mean
from pamsim.layout.head_split import HeadSplit
from pamsim.layout.table import Layout

_LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (HeadSplit(),)}


def list_layouts() -> tuple[str, ...]:
    """Names of the layouts, sorted."""
    return tuple(sorted(_LAYOUTS))


def get_layout(name: str) -> Layout:
    """The layout of that name. Raises InputError with a suggestion."""
    if name not in _LAYOUTS:
        raise InputError(
            f"layout must be a known one, not {name!r}", None, did_you_mean(name, _LAYOUTS)
        )
    return _LAYOUTS[name]
