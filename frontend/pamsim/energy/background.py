"""Background and idle refresh: power by state and time, each pseudo-channel counted once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pamsim.config.spec import DeviceSpec, SystemSpec, TierSpec
from pamsim.energy.activity import StepActivity, TierActivity
from pamsim.energy.table import Lookup
from pamsim.energy.term import EnergyTerm
from pamsim.energy.units import ns
from pamsim.sim.run import ChannelRun

PS_PER_SECOND = 10**12
SCOPE = "pseudo-channel"
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
    """Standby power of every pseudo-channel of a tier over the step, and refresh where none ran.

    Ayna's active standby grows with the number of open banks: the power of one open bank, and a
    fifteenth of what fifteen more add for each further one. A refreshing pseudo-channel draws the
    former; REFab's constant is what it draws above that.
    """
    organisation = spec.device.organisation
    pseudo_channels = organisation.pseudo_channels * organisation.ranks
    active, precharged, refreshing, extra_banks, simulated = _residency_ps(runs)
    attention = spec.channels * pseudo_channels * tier.attention_ps
    waiting = attention - simulated  # finished early, or no program
    all_instances = system.instances * activity.latency_ps
    rest = spec.channels * pseudo_channels * (all_instances - tier.attention_ps)
    streams_weights = spec.name == system.weights_tier and (
        system.host.memory_bytes_per_second is None
    )

    def term(name: str, constant: str, duration_ps: int) -> EnergyTerm:
        return EnergyTerm(
            spec.name, name, lookup.value(constant), f"ns of a {SCOPE}", SCOPE, ns(duration_ps),
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
    yield EnergyTerm(
        spec.name,
        "refresh_unsimulated",
        lookup.value("refresh_all_bank_pj"),
        "REFab",
        SCOPE,
        (waiting + rest) // refresh_interval_ps(spec.device),
        lookup.source("refresh_all_bank_pj"),
    )


def refresh_interval_ps(device: DeviceSpec) -> int:
    """nREFI of a device in picoseconds."""
    ticks = device.timing_ck["nREFI"] * device.ticks_per_ck
    return ticks * PS_PER_SECOND // device.ticks_per_second


def _residency_ps(runs: Sequence[ChannelRun]) -> tuple[int, int, int, int, int]:
    """Pseudo-channel picoseconds (active, precharged, refreshing), those of further open banks, and
    all pseudo-channel time that was simulated; every channel and layer counted."""
    totals = [0, 0, 0, 0, 0]
    for run in runs:
        multiplicity = run.channels * run.layers
        residency, rate = run.result.residency, run.description.ticks_per_second
        active = int(residency.active.sum())
        ticks = (
            active,
            int(residency.precharged.sum()),
            int(residency.refreshing.sum()),
            max(0, int(residency.open_bank_ticks.sum()) - active),
            run.result.ticks * len(residency.active),
        )
        for i, t in enumerate(ticks):
            totals[i] += t * multiplicity * PS_PER_SECOND // rate
    return totals[0], totals[1], totals[2], totals[3], totals[4]
