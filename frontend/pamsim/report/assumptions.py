"""What a result rests on that no source states: assumed constants, and the model's own rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pamsim.config.spec import Constant, SystemSpec

# How the timeline and the energy account read what is silent elsewhere; the modules say more.
RULES = (
    "a step is one after the other in every layer: projections, broadcast, attention, reduction, "
    "return, output projection and feed-forward; no layer or request overlaps another "
    "[pamsim.system.step]",
    "normalisation, activation functions, the embedding look-up and the host's own control take "
    "no time [pamsim.system.roofline]",
    "tokens take experts uniformly and independently: E x (1 - (1 - k / E)^batch) of E experts are "
    "expected to be read [pamsim.system.roofline]",
    "a query goes once to each device that holds its tokens; parts of a pair in several devices "
    "are merged in the lowest-numbered one [pamsim.system.exchange]",
    "the channels of a tier start a layer together, with all banks closed and refresh starting "
    "anew [pamsim.sim]",
    "host and PIM commands share a pseudo-channel without a mode switch [docs/hbm-pim-commands.md]",
    "a number beyond the FP16 range saturates at +-65504 where it becomes FP16, and is counted "
    "[pim_isa.arithmetic]",
    "P.V keeps its outputs in registers and reads one probability a column from the PU buffer; the "
    "write of a score by q.K is not charged [pamsim.energy.mac_buffers]",
    "masked banks of a MAC are charged like working ones [pamsim.energy.account]",
    "outside attention the weights' tier is charged as having rows open, and refreshes at nREFI "
    "[pamsim.energy.background]",
)


def assumptions(system: SystemSpec) -> list[dict[str, Any]]:
    """Assumed constants, each once, with value, unit and range; then the rules."""
    entries = []
    seen: set[tuple[str, str]] = set()
    for owner, constant in _constants(system):
        if constant.assumed and (owner, constant.name) not in seen:
            seen.add((owner, constant.name))
            entries.append(_entry(owner, constant))
    return entries + [
        {"of": "model", "name": "rule", "value": None, "unit": None, "range": None, "source": rule}
        for rule in RULES
    ]


def _constants(system: SystemSpec) -> Iterable[tuple[str, Constant]]:
    yield from ((system.name, c) for c in system.constants)
    yield from ((system.host.name, c) for c in system.host.constants)
    if (between := system.interconnect) is not None:
        yield from ((between.name, c) for c in between.constants)
    for tier in system.tiers:
        device, link = tier.device, tier.link
        yield from ((device.name, c) for c in device.constants)
        yield from ((device.name, c) for c in device.energy.constants)
        yield from ((link.name, c) for c in link.constants)


def _entry(owner: str, constant: Constant) -> dict[str, Any]:
    return {
        "of": owner,
        "name": constant.name,
        "value": constant.value,
        "unit": constant.unit,
        "range": list(constant.range) if constant.range else None,
        "source": constant.source,
    }
