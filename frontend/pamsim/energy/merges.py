"""Merges of (O, m, l) on the logic dies: in a channel (REDLD), between channels and devices.

A merge scales the accumulator by u and the newcomer by w, and adds: two exponentials, and two MACs
for each element of O and for l (REDL in docs/isa/hbm_pim.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pamsim.compiler.compiled import CompiledStep
from pamsim.energy.commands import energy_family
from pamsim.energy.table import Lookup
from pamsim.energy.term import EnergyTerm
from pamsim.sim.run import ChannelRun

SCALED = 2  # the accumulator and the newcomer


def merges_inside(step: CompiledStep, runs: Sequence[ChannelRun]) -> int:
    """Merges inside the channels: one is a command for each column of O and one for m and l, of
    each chip that holds tokens of its own."""
    command = getattr(energy_family(step.device), "MERGE", "REDLD")
    commands = sum(r.result.counts.get(command, 0) * r.channels * r.layers for r in runs)
    chips = step.table.banks // step.device.organisation.banks
    return commands // (step.tiling.output_columns + 1) * chips


def merge_terms(
    tier: str, place: str, merges: int, elements: int, lookup: Lookup
) -> Iterable[EnergyTerm]:
    """`merges` merges of `elements` elements of O; `place` begins the terms' names."""
    if not merges:
        return
    for what, constant, per, each in (
        ("reduction", "mac_pj", "MAC", SCALED * (elements + 1)),
        ("exponential", "exponential_pj", "element", SCALED),
    ):
        yield EnergyTerm(
            tier, f"{place}_{what}", lookup.value(constant), per, "stack", merges * each,
            lookup.source(constant),
        )  # fmt: skip
