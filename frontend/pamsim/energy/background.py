"""Background and idle refresh: power by state and time, each node of a channel counted once.

A node is what the device's standby constants are of: a channel, a pseudo-channel, a rank, a die.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pamsim.config.spec import DeviceSpec, SystemSpec, TierSpec
from pamsim.energy.activity import StepActivity, TierActivity
from pamsim.energy.table import Lookup
from pamsim.energy.term import EnergyTerm
from pamsim.energy.units import ns
from pamsim.sim.run import ChannelRun

PS_PER_SECOND = 10**12
PRECHARGED = "background_precharged_mw"
ACTIVE = "background_active_1_bank_mw"
ACTIVE_16 = "background_active_16_banks_mw"


def background_terms(
    spec: TierSpec,
    runs: Sequence[ChannelRun],
    system: SystemSpec,
    activity: StepActivity,
    tier: TierActivity,
    lookup: Lookup,
) -> Iterable[EnergyTerm]:
    """Standby power of every node of a tier over the step, and refresh where none ran.

    Ayna's active standby grows with the number of open banks: the power of one open bank, and a
    fifteenth of what fifteen more add for each further one. A refreshing node draws the former;
    REFab's constant is what it draws above that.
    """
    node, nodes = standby_node(spec.device, lookup)
    active, precharged, refreshing, extra_banks, simulated = _residency_ps(runs, nodes)
    attention = spec.channels * nodes * tier.attention_ps
    waiting = attention - simulated  # finished early, or no program
    all_instances = system.instances * activity.latency_ps
    rest = spec.channels * nodes * (all_instances - tier.attention_ps)
    streams_weights = spec.name == system.weights_tier and (
        system.host.memory_bytes_per_second is None
    )

    def term(name: str, constant: str, duration_ps: int) -> EnergyTerm:
        return EnergyTerm(
            spec.name, name, lookup.value(constant), f"ns of a {node}", node, ns(duration_ps),
            lookup.source(constant),
        )  # fmt: skip

    yield term("background_active", ACTIVE, active)
    yield term("background_refreshing", ACTIVE, refreshing)
    yield term("background_precharged", PRECHARGED, precharged)
    yield term("background_waiting", PRECHARGED, waiting)
    yield term("background_rest_of_step", ACTIVE if streams_weights else PRECHARGED, rest)
    yield EnergyTerm(
        spec.name,
        "background_open_banks",
        (lookup.value(ACTIVE_16) - lookup.value(ACTIVE)) / 15,
        "ns of a further open bank",
        "bank",
        ns(extra_banks),
        lookup.source(ACTIVE_16, ACTIVE),
    )
    if spec.device.templates.refresh is not None:
        yield EnergyTerm(
            spec.name,
            "refresh_unsimulated",
            lookup.value("refresh_all_bank_pj"),
            "REFab",
            node,
            (waiting + rest) // refresh_interval_ps(spec.device),
            lookup.source("refresh_all_bank_pj"),
        )


def standby_node(device: DeviceSpec, lookup: Lookup) -> tuple[str, int]:
    """What the standby constants are of, by their scope, and how many of it a channel has."""
    found = lookup.find(PRECHARGED)
    scope = found.scope if found else ""
    organisation = device.organisation
    if scope == "pseudo_channel":
        return "pseudo-channel", organisation.pseudo_channels
    if scope == "rank":
        return scope, organisation.ranks
    if scope == "device":  # of a flash package
        return "die", organisation.dies
    return "channel", 1


def refresh_interval_ps(device: DeviceSpec) -> int:
    """nREFI of a device in picoseconds."""
    ticks = device.timing_ck["nREFI"] * device.ticks_per_ck
    return ticks * PS_PER_SECOND // device.ticks_per_second


def _residency_ps(runs: Sequence[ChannelRun], nodes: int) -> tuple[int, int, int, int, int]:
    """Node picoseconds (active, precharged, refreshing), those of further open banks, and all node
    time that was simulated; every channel and layer counted.

    Where the engine keeps states of other parts than the `nodes` of a channel, each part bears its
    share of them.
    """
    totals = [0, 0, 0, 0, 0]
    for run in runs:
        multiplicity = run.channels * run.layers
        residency, rate = run.result.residency, run.description.ticks_per_second
        parts = len(residency.active)
        active, precharged, refreshing = (
            int(state.sum()) * nodes
            for state in (residency.active, residency.precharged, residency.refreshing)
        )
        further = max(0, int(residency.open_bank_ticks.sum()) * parts - active)
        ticks = (active, precharged, refreshing, further, run.result.ticks * nodes * parts)
        for i, t in enumerate(ticks):
            totals[i] += t * multiplicity * PS_PER_SECOND // (rate * parts)
    return totals[0], totals[1], totals[2], totals[3], totals[4]
