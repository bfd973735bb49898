"""The energy of a decode step, term by term.

Commands are charged what their family's page says they do (pamsim.energy.families). A MAC pays the
cells it reads and its PU, not the way to the pins. The way over the interposer is a term of the
bytes that cross the devices' pins, so it is in no command. Background is charged once, from
residency, for the whole step's latency and all channels: while they run attention as simulated; a
channel that has finished or has no program is precharged until the tier has finished; for the rest
of the step the weights' tier has rows open, another tier is precharged. Refresh goes on all the
time. Masked banks of a MAC are charged like the others (an upper bound: only tails are masked).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pamsim.compiler.compiled import CompiledStep
from pamsim.config.spec import DeviceSpec, HostSpec, LinkSpec, SystemSpec, TierSpec
from pamsim.energy.activity import StepActivity, TierActivity, idle
from pamsim.energy.background import background_terms, standby_node
from pamsim.energy.commands import command_work, pins_by_command
from pamsim.energy.mac_buffers import mac_buffer_bytes
from pamsim.energy.merges import merge_terms, merges_inside
from pamsim.energy.table import Lookup
from pamsim.energy.term import EnergyAccount, EnergyTerm
from pamsim.energy.units import bits, pj_per_bit_from_byte
from pamsim.sim.run import ChannelRun

READ_PATH = (
    "cell_read_pj_per_bit",
    "column_to_bank_group_pj_per_bit",
    "bank_group_to_global_io_pj_per_bit",
    "tsv_pj_per_bit",
)
WRITE_PATH = ("cell_write_pj_per_bit", *READ_PATH[1:])
DIE_PATH = ("bank_group_to_global_io_pj_per_bit", "tsv_pj_per_bit")


@dataclass(frozen=True)
class Charge:
    """A term that follows from command counts: constants, and which field of CommandWork counts.

    scope: '' for what the standby constants are of.
    """

    name: str
    field: str
    per: str
    scope: str
    constants: tuple[str, ...]


CHARGES = (
    Charge("activate", "bank_activates", "bank activate", "bank", ("act_pre_pj",)),
    Charge("mac_cell_read", "mac_column_bits", "bit", "bank", ("cell_read_pj_per_bit",)),
    Charge("mac_arithmetic", "macs", "MAC", "processing unit", ("mac_pj",)),
    Charge("buffers", "buffer_bytes", "bit", "processing unit", ("buffer_pj_per_byte",)),
    Charge("maximum", "maximum_elements", "element", "processing unit", ("maximum_pj",)),
    Charge("exponential", "exponential_elements", "element", "processing unit",
           ("exponential_pj",)),
    Charge("sum", "sum_elements", "element", "processing unit", ("sum_pj",)),
    Charge("group_reduction", "group_macs", "MAC", "bank group", ("mac_pj",)),
    Charge("group_reduction_exponential", "group_exponentials", "element", "bank group",
           ("exponential_pj",)),
    Charge("group_reduction_path", "pu_to_group_bits", "bit", "bank group",
           ("column_to_bank_group_pj_per_bit",)),
    Charge("logic_die_path", "group_to_die_bits", "bit", "stack", DIE_PATH),
    Charge("query_load_path", "die_to_group_bits", "bit", "stack", DIE_PATH),
    Charge("query_load_bank_group", "group_to_pu_bits", "bit", "bank group",
           ("column_to_bank_group_pj_per_bit",)),
    Charge("read", "read_bits", "bit", "channel", READ_PATH),
    Charge("write", "write_bits", "bit", "channel", WRITE_PATH),
    Charge("erase", "block_erases", "block erase", "bank", ("erase_pj",)),
    Charge("pins", "pin_bits", "bit", "device", ("interposer_pj_per_bit",)),
    Charge("refresh", "refreshes", "REFab", "", ("refresh_all_bank_pj",)),
    Charge("refresh_per_bank", "bank_refreshes", "REFpb", "bank", ("refresh_per_bank_pj",)),
)  # fmt: skip

# The preset "PU power = 3 x a read": one term in place of a MAC's cell read and arithmetic.
READ_MULTIPLE = "mac_read_multiple"
REPLACED_BY_READ_MULTIPLE = ("mac_cell_read", "mac_arithmetic")


def account(
    compiled: Sequence[CompiledStep],
    runs: Sequence[Sequence[ChannelRun]],
    system: SystemSpec,
    activity: StepActivity,
) -> EnergyAccount:
    """Every term of a step, or the names of the constants that its devices lack.

    compiled, runs: of every part of the step. activity.tiers: one entry per tier that took part;
    the others stand by.
    Terms whose count is 0 are left out. An account with a missing constant has no terms.
    """
    terms: list[EnergyTerm] = []
    missing: list[str] = []
    active = {t.tier: t for t in activity.tiers}
    for tier in system.tiers:
        lookup = Lookup(tier.device.name, tier.device.energy)
        tier_activity = active.get(tier.name, idle(tier.name))
        parts = [
            (step, part_runs)
            for step, part_runs in zip(compiled, runs, strict=True)
            if step.tier == tier.name
        ]
        tier_runs = [run for _, part_runs in parts for run in part_runs]
        if parts:
            step = parts[0][0]  # parts of a tier have its device and tiling
            terms += _command_terms(step, tier_runs, lookup)
            terms += _mac_buffer_terms(step, tier_runs, lookup)
            elements = tier_activity.merged_elements
            inside = merges_inside(step, tier_runs)
            terms += merge_terms(tier.name, "logic_die", inside, elements, lookup)
            terms += merge_terms(tier.name, "cross_channel", tier_activity.merges, elements, lookup)
        terms += merge_terms(
            tier.name, "cross_tier", tier_activity.gathered_merges,
            tier_activity.gathered_elements, lookup,
        )  # fmt: skip
        terms += _pin_terms(tier_activity, system, lookup)
        terms += background_terms(tier, tier_runs, system, activity, tier_activity, lookup)
        terms += _stream_terms("offload", tier, tier_activity.offloaded_bytes, lookup)
        missing += lookup.missing
    weights_device = system.tier(system.weights_tier).device
    lookup = Lookup(weights_device.name, weights_device.energy)
    terms += _host_terms(system, activity, lookup, missing)
    missing += lookup.missing
    terms += _interconnect_terms(system, activity, missing)
    if missing:
        return EnergyAccount((), tuple(dict.fromkeys(missing)))
    return EnergyAccount(tuple(t for t in terms if t.count))


def _command_terms(
    step: CompiledStep, runs: Sequence[ChannelRun], lookup: Lookup
) -> Iterable[EnergyTerm]:
    counts: dict[str, int] = {}
    for run in runs:
        for name, count in run.result.counts.items():
            counts[name] = counts.get(name, 0) + count * run.channels * run.layers
    return command_terms(step.tier, step.device, counts, step.tiling.output_columns, lookup)


def command_terms(
    tier: str, device: DeviceSpec, counts: Mapping[str, int], part_columns: int, lookup: Lookup
) -> Iterable[EnergyTerm]:
    """The terms that follow from how often each command issued."""
    work = {name: command_work(name, device, part_columns) for name in sorted(counts)}
    multiple = lookup.find(READ_MULTIPLE)
    for charge in CHARGES:
        if multiple is not None and charge.name in REPLACED_BY_READ_MULTIPLE:
            continue
        each = tuple((n, w) for n in work if (w := getattr(work[n], charge.field)))
        if not each:
            continue
        unit = lookup.value(*charge.constants)
        if charge.constants == ("buffer_pj_per_byte",):
            unit, each = pj_per_bit_from_byte(unit), tuple((n, bits(w)) for n, w in each)
        yield EnergyTerm(
            tier=tier,
            name=charge.name,
            unit_energy_pj=unit,
            per=charge.per,
            scope=charge.scope or standby_node(device, lookup)[0],
            count=sum(counts[n] * w for n, w in each),
            source=lookup.source(*charge.constants),
            commands=each,
        )
    if multiple is not None:
        each = tuple((n, w.mac_column_bits) for n, w in work.items() if w.mac_column_bits)
        yield EnergyTerm(
            tier=tier,
            name="mac_read_multiple",
            unit_energy_pj=lookup.value(READ_MULTIPLE) * lookup.value("cell_read_pj_per_bit"),
            per="bit",
            scope="bank",
            count=sum(counts[n] * w for n, w in each),
            source=lookup.source(READ_MULTIPLE, "cell_read_pj_per_bit"),
            commands=each,
        )


def _mac_buffer_terms(
    step: CompiledStep, runs: Sequence[ChannelRun], lookup: Lookup
) -> Iterable[EnergyTerm]:
    read = sum(
        run.channels * run.layers * mac_buffer_bytes(run.program.program, step.device, step.tiling)
        for run in runs
    )
    if read:
        yield EnergyTerm(
            step.tier,
            "mac_buffers",
            pj_per_bit_from_byte(lookup.value("buffer_pj_per_byte")),
            "bit",
            "processing unit",
            bits(read),
            lookup.source("buffer_pj_per_byte"),
        )


def _pin_terms(activity: TierActivity, system: SystemSpec, lookup: Lookup) -> Iterable[EnergyTerm]:
    charged = pins_by_command(system.tier(activity.tier).device)
    link = system.tier(activity.tier).link
    for name, crossings in (
        ("query_broadcast", activity.query_bytes),
        ("append_transfer", activity.append_bytes),
        ("result_return", activity.result_bytes),
        # out of one device and into another: the pins of both
        ("between_devices", 2 * activity.between_device_bytes),
    ):
        if not crossings:
            continue
        yield EnergyTerm(
            activity.tier,
            name,
            lookup.value("interposer_pj_per_bit"),
            "bit",
            "stack",
            0 if charged else bits(crossings),
            lookup.source("interposer_pj_per_bit"),
        )
        if link.energy_pj_per_bit is None:
            lookup.missing.append(f"{link.name}: energy")
        elif link.energy_pj_per_bit:
            yield EnergyTerm(
                activity.tier,
                f"{name}_link",
                link.energy_pj_per_bit,
                "bit",
                "link",
                bits(crossings),
                _energy_source(link),
            )


def _stream_terms(what: str, tier: TierSpec, size: int, lookup: Lookup) -> Iterable[EnergyTerm]:
    """Bytes that stream between a tier's banks and the host, rows opened and read to their end.

    Writes cost what reads do: few of the bytes are written.
    """
    if not size:
        return
    opened = -(-size // tier.device.organisation.row_bytes)
    for name, constants, per, scope, count in (
        ("read", READ_PATH, "bit", "channel", bits(size)),
        ("transfer", ("interposer_pj_per_bit",), "bit", "stack", bits(size)),
        ("activate", ("act_pre_pj",), "bank activate", "bank", opened),
    ):
        yield EnergyTerm(
            tier.name, f"{what}_{name}", lookup.value(*constants), per, scope, count,
            lookup.source(*constants),
        )  # fmt: skip
    energy = tier.link.energy_pj_per_bit
    if energy is None:
        lookup.missing.append(f"{tier.link.name}: energy")
    elif energy:
        yield EnergyTerm(
            tier.name, f"{what}_link", energy, "bit", "link", bits(size), _energy_source(tier.link)
        )


def _energy_source(described: LinkSpec | HostSpec) -> str:
    return "; ".join(c.source for c in described.constants if "energy" in c.name)


def _interconnect_terms(
    system: SystemSpec, activity: StepActivity, missing: list[str]
) -> Iterable[EnergyTerm]:
    link = system.interconnect
    if not activity.interconnect_bytes or link is None:
        return
    if link.energy_pj_per_bit is None:
        missing.append(f"{link.name}: energy")
        return
    yield EnergyTerm(
        "interconnect", link.name, link.energy_pj_per_bit, "bit", "link",
        bits(activity.interconnect_bytes), _energy_source(link),
    )  # fmt: skip


def _host_terms(
    system: SystemSpec, activity: StepActivity, lookup: Lookup, missing: list[str]
) -> Iterable[EnergyTerm]:
    host = system.host
    if host.energy_pj_per_flop is None:
        missing.append(f"{host.name}: energy")
    else:
        yield EnergyTerm(
            "host", "arithmetic", host.energy_pj_per_flop, "flop", "host", activity.host_flops,
            _energy_source(host),
        )  # fmt: skip
    if host.memory_bytes_per_second is not None:
        missing.append(f"{host.name}: energy of its own memory")
        return
    tier = system.tier(system.weights_tier)
    yield from _stream_terms("host_memory", tier, activity.host_bytes, lookup)
