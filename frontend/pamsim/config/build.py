"""From a checked device document to `DeviceSpec`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pamsim.config.checks import (
    clock_faults,
    expand_pattern,
    family_faults,
    organisation_faults,
    timing_faults,
    timing_warnings,
)
from pamsim.config.constants import Place, constants_in, own_constants, public
from pamsim.config.documents import Tree, real_path
from pamsim.config.family import (
    ActivateWindow,
    CommandFamily,
    CommandTemplate,
    ConstraintTemplate,
    Duration,
    RefreshTemplate,
)
from pamsim.config.peak import internal_peak
from pamsim.config.problems import raise_all
from pamsim.config.quantity import ConstantModel, canonical, canonical_range
from pamsim.config.reader import DataPath
from pamsim.config.resolver import COLUMNS, describe, smallest_operand
from pamsim.config.schema import CommandModel, DeviceModel, EnergyModel
from pamsim.config.spec import (
    Constant,
    DeviceSpec,
    EnergyTable,
    Extra,
    Organisation,
    PimUnit,
    ProgramVariants,
)
from pamsim.config.timing import measure, range_in_ck, resolve
from pamsim.config.units import canonical_unit
from pamsim.errors import Position

# How an energy constant's name ends -> its dimension: an EnergyTable has one unit per name.
_ENERGY_DIMENSIONS = (
    ("_pj_per_bit", "energy per bit"),
    ("_pj_per_byte", "energy per byte"),
    ("_pj", "energy"),
    ("_mw", "power"),
    ("_multiple", "number"),
)
_SIZES = {"row_bytes": "size", "column_bytes": "size", "dq_bits": "width"}


def build_device(model: DeviceModel, tree: Tree, at: DataPath = ()) -> DeviceSpec:
    """The device at `at` of `tree`, with every check that spans several values.

    Raises InputError, or InputErrors with several faults.
    """

    def place(*path: str | int) -> Position | None:
        return tree.position((*at, *path))

    raise_all([*family_faults(model, place)])
    rate = measure(model.timing["rate"], "data rate", "rate", place)
    period = model.timing.get("tCK")
    period_ps = None if period is None else measure(period, "time", "tCK", place)
    raise_all([*clock_faults(rate, model.transfers_per_ck, period_ps, place)])
    ck_hz = int(rate / model.transfers_per_ck)

    timing, faults = resolve(model, ck_hz, place)
    raise_all(faults)
    sizes = {
        n: _integer(c, _SIZES.get(n, "number")) for n, c in model.organisation if c is not None
    }
    raise_all(
        [
            *timing_faults(timing, place),
            *organisation_faults(model, sizes, timing.get("nBL"), place),
        ]
    )
    organisation = Organisation(**sizes)
    templates = build_family(model, place)
    pins = organisation.dq_bits * organisation.pseudo_channels * organisation.channels_per_device
    root = place()
    spec = DeviceSpec(
        name=model.name,
        family=model.family,
        organisation=organisation,
        ticks_per_ck=model.ticks_per_ck,
        ticks_per_second=ck_hz * model.ticks_per_ck,
        timing_ck=timing,
        pim=_pim(model, place("pim")),
        energy=build_energy(
            model.energy,
            timing.get("nRFC"),
            ck_hz,
            refreshed_banks(organisation) if "nREFIpb" in timing else None,
        ),
        constants=tuple(_device_constants(model, timing, ck_hz)),
        peak_rule="",
        peak_bytes_per_second=0,
        external_bytes_per_second=int(rate * pins / 8),
        templates=templates,
        warnings=timing_warnings(timing),
        path=str(real_path(root.file)) if root else "",
    )
    columns = organisation.columns  # a macro command reads a whole row at its best
    smallest = ProgramVariants(
        **{t.over: (smallest_operand(t, columns),) for t in templates.commands if t.over}
    )
    description = describe(spec, smallest)  # also finds negative latencies and unknown names
    commands = [templates.template(name) for name in templates.peak_commands]
    operands = [smallest_operand(command, columns) for command in commands]
    read = commands[0].values(operands[0]).get(COLUMNS, 1)
    names = [c.instance(operand) for c, operand in zip(commands, operands, strict=True)]
    peak, rule = internal_peak(description, names, organisation, ck_hz, read)
    return replace(spec, peak_rule=rule, peak_bytes_per_second=peak)


def _integer(constant: ConstantModel, dimension: str) -> int:
    return int(canonical(constant, dimension))


_WORDS = ("buffer_per_query", "score_dtype", "probability_dtype")
_PIM_DIMENSIONS = {
    "buffer_bytes": "size",
    "reduction_buffer_bytes": "size",
    "exponential_latency_cycles": "unit cycles",
    "maximum_latency_cycles": "unit cycles",
    "sum_latency_cycles": "unit cycles",
    "reduction_compare_cycles": "unit cycles",
}


def _pim(model: DeviceModel, place: Position | None) -> PimUnit:
    values: dict[str, Any] = {}
    for name, constant in model.pim:
        if not isinstance(constant, ConstantModel) or name == "clock":
            continue
        dimension = _PIM_DIMENSIONS.get(name, "number")
        values[name] = constant.value if name in _WORDS else _integer(constant, dimension)
    extra: dict[str, int | str | bool] = {
        name: c.value if isinstance(c.value, str | bool) else _integer(c, "number")
        for name, c in model.pim.extra.items()
    }
    return PimUnit(
        clock_hz=_integer(model.pim.clock, "frequency"), **values, extra=Extra(extra.items(), place)
    )


def build_family(model: DeviceModel, place: Place) -> CommandFamily:
    """The templates, patterns and groups replaced by the templates they stand for."""
    window, refresh = model.activate_window, model.refresh
    commands = []
    for name, command in model.commands.items():
        fields = command.model_dump(exclude={"completion", "cycles"})
        commands.append(
            CommandTemplate(
                name=name,
                cycles=bus_cycles(model, command),
                completion=str(command.completion),
                position=place("commands", name, "completion"),
                **fields,
            )
        )
    return CommandFamily(
        name=model.family,
        levels=tuple(model.levels),
        bus=model.bus,
        parameters=tuple(model.parameters),
        durations=tuple(
            Duration(name, d.operand, str(d.cycles), place("durations", name, "cycles"))
            for name, d in model.durations.items()
        ),
        commands=tuple(commands),
        constraints=tuple(
            ConstraintTemplate(
                level=row.level,
                preceding=_templates(model, row.preceding),
                following=_templates(model, row.following),
                latency=str(row.latency),
                window=row.window,
                sibling=row.sibling,
                position=place("timing_constraints", i, "latency"),
            )
            for i, row in enumerate(model.timing_constraints)
        ),
        activate_window=None if window is None else ActivateWindow(**window.model_dump()),
        refresh=None if refresh is None else RefreshTemplate(**refresh.model_dump()),
        peak_commands=tuple(model.peak_command),
    )


def bus_cycles(model: DeviceModel, command: CommandModel) -> int:
    """Ticks that a command keeps its bus."""
    if command.cycles is not None or model.bus_cycles is None:
        return command.cycles or 1
    if command.row_use == "open":
        return model.bus_cycles.activate
    return model.bus_cycles.row if command.bus == "row" else model.bus_cycles.column


def _templates(model: DeviceModel, patterns: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for p in patterns for n in expand_pattern(model, p)))


def refreshed_banks(organisation: Organisation) -> int:
    """Banks that one REFab refreshes: those of a pseudo-channel."""
    return organisation.groups_per_channel * organisation.banks // organisation.pseudo_channels


def build_energy(
    model: EnergyModel,
    nrfc: int | None = None,
    ck_hz: int | None = None,
    banks: int | None = None,
) -> EnergyTable:
    """The table in canonical units; with a device's nRFC also `refresh_all_bank_pj`, one REFab.

    banks: that are refreshed one by one; adds `refresh_per_bank_pj`, each one's share of a REFab.
    """
    constants: list[Constant] = []
    for path, constant in constants_in(model.constants):
        name = str(path[0])
        dimension = next(d for end, d in _ENERGY_DIMENSIONS if name.endswith(end))
        value, unit = canonical(constant, dimension), canonical_unit(dimension)
        ends = canonical_range(constant, dimension)
        constants.append(public(name, constant, model.sources, value, unit, ends))
    power = next((c for c in constants if c.name == "refresh_all_bank_mw"), None)
    if power is not None and nrfc and ck_hz:
        constants.append(
            Constant(
                name="refresh_all_bank_pj",
                value=float(power.value) * nrfc / ck_hz * 1e9,  # mW x s = 1e9 pJ
                unit="pJ",
                source=f"derived: refresh_all_bank_mw x nRFC ({power.source})",
                scope=power.scope,
            )
        )
        if banks:
            constants.append(
                Constant(
                    name="refresh_per_bank_pj",
                    value=float(power.value) * nrfc / ck_hz * 1e9 / banks,
                    unit="pJ",
                    source=f"derived: refresh_all_bank_pj / {banks} banks ({power.source})",
                    scope="bank",
                )
            )
    return EnergyTable(tuple(constants))


def _device_constants(model: DeviceModel, timing: dict[str, int], ck_hz: int) -> Iterator[Constant]:
    for constant in own_constants(model):
        name = constant.name.removeprefix("timing.")
        if constant.name.startswith("timing.") and name in timing:
            written = model.timing[name]
            ends = range_in_ck(written, ck_hz)
            yield public(constant.name, written, model.sources, timing[name], "CK", ends)
        else:
            yield constant
