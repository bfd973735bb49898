"""HBM2 and HBM2E: the rules of JESD235 where they differ from JESD238's in `hbm3`.

A tick is a CK. An activate takes the row bus for two, every other command its bus for one, and all
start on the rising edge, so nothing is said of edges. The inequalities between stock commands are
those of HBM3, with a device's own parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from pamsim.validate.timing.rule import Check, CommandKind, RowUse, Rule

R = TypeVar("R", bound=Rule)

JESD235 = "JESD235 (HBM DRAM), command and AC timing tables"
ACTIVATE_TICKS = 2


def kinds_on_whole_clocks(kinds: tuple[CommandKind, ...]) -> tuple[CommandKind, ...]:
    """Commands with their ticks on HBM2's buses."""
    return tuple(
        replace(
            kind,
            ticks=ACTIVATE_TICKS if kind.row_use is RowUse.OPEN else 1,
            falling_edge=True,  # every tick is a rising edge
        )
        for kind in kinds
    )


def of_hbm2(rules: tuple[R, ...]) -> tuple[R, ...]:
    """HBM3's rules under HBM2's name; a family's own stay."""
    return tuple(_renamed(rule) for rule in rules)


def checks_of_hbm2(checks: Mapping[Check, Rule]) -> dict[Check, Rule]:
    """As `of_hbm2`, without those of clock edges."""
    edges = (Check.RISING_EDGE, Check.FALLING_PAIR)
    return {check: _renamed(rule) for check, rule in checks.items() if check not in edges}


def _renamed(rule: R) -> R:
    if not rule.name.startswith("HBM3"):
        return rule
    source = JESD235 if rule.source.startswith("JESD238 (HBM3 DRAM), ") else rule.source
    return replace(rule, name=rule.name.replace("HBM3", "HBM2", 1), source=source)
