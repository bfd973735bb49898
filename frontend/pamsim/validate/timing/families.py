"""The families that the checker has rules for: modules of this package with a `FAMILY`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import pamsim.validate.timing as package
from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing.rule import Family
from pim_isa.plugins import folders

package.__path__.extend(map(str, folders("timing")))


@cache
def _families() -> dict[str, Family]:
    names = (f"{package.__name__}.{m.name}" for m in iter_modules(package.__path__))
    found = (getattr(import_module(name), "FAMILY", None) for name in names)
    return {family.name: family for family in found if isinstance(family, Family)}


def find_family(name: str) -> Family | None:
    """The rules of a family, None where there are none."""
    return _families().get(name)


def rules_on(device: DeviceSpec) -> Family | None:
    """The rules of the device's family as they hold on it, None where there are none."""
    family = find_family(device.family)
    return None if family is None else family.on(family, device)


def family_names() -> tuple[str, ...]:
    """Families with rules, sorted."""
    return tuple(sorted(_families()))
