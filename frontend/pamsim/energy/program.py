"""Energy of one program on one channel: its commands, what crosses the pins, standby, refresh."""

from __future__ import annotations

from collections.abc import Iterable

from pamsim.config.spec import DeviceSpec
from pamsim.energy.account import command_terms
from pamsim.energy.background import ACTIVE, PRECHARGED, PS_PER_SECOND, standby_node
from pamsim.energy.commands import EnergyFamily, energy_family, pins_by_command
from pamsim.energy.table import Lookup
from pamsim.energy.term import EnergyAccount, EnergyTerm
from pamsim.energy.units import bits, ns
from pamsim.sim.run import ChannelRun

TIER = "channel"  # what a term without a system belongs to


def program_account(run: ChannelRun, device: DeviceSpec) -> EnergyAccount:
    """Every term of a run of one program on one channel, or what is missing.

    Energy of buffers that MACs read is part of a model's account only.
    """
    family = energy_family(device)
    if family is None:
        return EnergyAccount((), (f"{device.name}: what commands of {device.family} do",))
    lookup = Lookup(device.name, device.energy)
    counts = run.result.counts
    terms = [
        *command_terms(TIER, device, counts, 1, lookup),
        *_pins(run, device, family, lookup),
        *_standby(run, device, lookup),
    ]
    if lookup.missing:
        return EnergyAccount((), tuple(lookup.missing))
    return EnergyAccount(tuple(term for term in terms if term.count))


def _pins(
    run: ChannelRun, device: DeviceSpec, family: EnergyFamily, lookup: Lookup
) -> Iterable[EnergyTerm]:
    """What crosses the pins, where commands are not charged for it."""
    moving = (*family.READS_OUT, *family.WRITES_IN)
    columns = sum(run.result.counts.get(name, 0) for name in moving)
    if columns and not pins_by_command(device):
        yield EnergyTerm(
            TIER,
            "pins",
            lookup.value("interposer_pj_per_bit"),
            "bit",
            "device",
            bits(columns * device.organisation.column_bytes),
            lookup.source("interposer_pj_per_bit"),
        )


def _standby(run: ChannelRun, device: DeviceSpec, lookup: Lookup) -> Iterable[EnergyTerm]:
    """Power x time by state; where states are kept of other parts than the constants are of, each
    part bears its share."""
    residency, rate = run.result.residency, run.description.ticks_per_second
    node, nodes = standby_node(device, lookup)
    for name, constant, ticks in (
        ("background_active", ACTIVE, int(residency.active.sum())),
        ("background_refreshing", ACTIVE, int(residency.refreshing.sum())),
        ("background_precharged", PRECHARGED, int(residency.precharged.sum())),
    ):
        yield EnergyTerm(
            TIER,
            name,
            lookup.value(constant),
            f"ns of a {node}",
            node,
            ns(ticks * nodes * PS_PER_SECOND // (rate * len(residency.active))),
            lookup.source(constant),
        )
