"""What the rest of pamsim sees of a configuration: frozen and resolved, with all sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal, NoReturn

from pamsim.config.family import CommandFamily, Operand
from pamsim.errors import InputError, Position
from pyramulator.description import Description


@dataclass(frozen=True)
class Constant:
    """One number of a description. `range` is given where `source` is an assumption."""

    name: str  # dotted path below the file, e.g. "timing.nRCDRD"
    value: int | float | str | bool
    unit: str  # "CK", "ns", "pJ", "pJ/bit", "mA", "Hz", "B", "GB/s", "1", ...
    source: str
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()  # in place of a range where the value is not a number
    scope: str = ""  # what one unit of an energy constant stands for: "bank", "pseudo_channel", ...
    note: str = ""

    @property
    def assumed(self) -> bool:
        return self.source.startswith("assumption")


# Levels of a channel's tree -> the field of Organisation that counts them.
LEVEL_FIELDS = {
    "PseudoChannel": "pseudo_channels",
    "Sid": "sids",
    "Rank": "ranks",
    "Die": "dies",
    "Plane": "planes",
    "BankGroup": "bank_groups",
    "Bank": "banks",
    "Row": "rows",
    "Column": "columns",
}


@dataclass(frozen=True)
class Organisation:
    """The tree of one channel and what a device (stack, DIMM, drive) is made of.

    A level that a family does not have counts 1. `chips` work side by side on one command, each
    with its share of a row and of a column.
    """

    channels_per_device: int
    rows: int  # per bank (pages per plane)
    row_bytes: int  # per bank, of all chips
    column_bytes: int  # bytes a column command moves per bank, of all chips
    pseudo_channels: int = 1
    sids: int = 1
    ranks: int = 1
    dies: int = 1
    planes: int = 1
    bank_groups: int = 1
    banks: int = 1  # per bank group
    chips: int = 1
    dq_bits: int = 32  # data pins of a pseudo-channel, or of a channel that has none

    def count(self, level: str) -> int:
        """Children at a level of a family, e.g. "BankGroup". Raises KeyError for another name."""
        if level == "Channel":
            return 1
        return int(getattr(self, LEVEL_FIELDS[level]))

    @property
    def columns(self) -> int:
        """Columns in a row."""
        return self.row_bytes // self.column_bytes

    @property
    def groups_per_channel(self) -> int:
        """Bank groups, or what a family without them has above its banks."""
        above = (self.pseudo_channels, self.sids, self.ranks, self.dies, self.bank_groups)
        return prod(above)

    @property
    def channel_bytes(self) -> int:
        groups = self.groups_per_channel
        return groups * self.planes * self.banks * self.rows * self.row_bytes


class Extra(dict[str, int | str | bool]):
    """Constants that only a family knows. One that it asks for and a device lacks is the fault of
    the device's description, at `place`."""

    def __init__(
        self,
        values: Iterable[tuple[str, int | str | bool]] = (),
        place: Position | None = None,
    ) -> None:
        super().__init__(values)
        self.place = place

    def __missing__(self, name: str) -> NoReturn:
        raise InputError(f"pim.extra.{name} must be given", self.place)


@dataclass(frozen=True)
class PimUnit:
    """The processing and reduction units of a PIM device (PAM section 5.2).

    What a device does not have counts 0. `extra` holds what only its family knows, by name.
    """

    clock_hz: int
    lanes: int = 0  # FP16 multipliers of a PU
    buffer_bytes: int = 0  # of a PU, for one query group member if buffer_per_query
    buffer_per_query: bool = False  # the buffer is buffer_bytes x (query heads per KV head)
    exponential_lanes: int = 0
    exponential_latency_cycles: int = 0
    maximum_latency_cycles: int = 0
    sum_latency_cycles: int = 0
    reduction_lanes: int = 0
    logic_die_reduction_units: int = 0  # per device
    min_tile_tokens: int = 1  # T >= this many tokens a bank
    score_dtype: Literal["fp16", "fp32"] = "fp16"
    probability_dtype: Literal["fp16", "fp32"] = "fp16"
    reduction_compare_cycles: int = 0
    reduction_buffer_bytes: int = 0  # of an RU
    logic_die_merge_elements: int = 0  # elements of O that one logic-die merge takes
    extra: Mapping[str, int | str | bool] = field(default_factory=Extra, hash=False)

    def buffer_for(self, group_size: int) -> int:
        """Buffer bytes of a PU that serves `group_size` query heads per KV head."""
        return self.buffer_bytes * (group_size if self.buffer_per_query else 1)


@dataclass(frozen=True)
class EnergyTable:
    """Energy constants of a device; a missing one is None and makes energy_pj null."""

    constants: tuple[Constant, ...]

    def get(self, name: str) -> Constant | None:
        return next((c for c in self.constants if c.name == name), None)


@dataclass(frozen=True)
class DeviceSpec:
    """A memory device with PIM: organisation, timing parameters, PIM unit, energy.

    `timing_ck` holds the named parameters in CK (integers). `describe(...)` of pamsim.config makes
    the engine's Description for the operand-dependent commands that a program needs.
    """

    name: str
    family: str  # instruction set, mapping and checker rules, e.g. "hbm_pim"
    organisation: Organisation
    ticks_per_ck: int
    ticks_per_second: int
    timing_ck: dict[str, int]
    pim: PimUnit
    energy: EnergyTable
    constants: tuple[Constant, ...]
    peak_rule: str  # the arithmetic of peak_bytes_per_second, in words
    peak_bytes_per_second: int  # internal, of one device
    external_bytes_per_second: int  # of one device
    templates: CommandFamily  # commands and timing before operands are known
    warnings: tuple[str, ...] = ()  # oddities of published values that were kept
    path: str = ""


@dataclass(frozen=True)
class LinkSpec:
    """A link, one direction: time = latency + bytes / bandwidth."""

    name: str
    bytes_per_second: int
    latency_ps: int
    energy_pj_per_bit: float | None
    constants: tuple[Constant, ...] = ()


@dataclass(frozen=True)
class HostSpec:
    """An NPU by roofline: max(flops / (peak x utilisation), bytes / (bandwidth x utilisation))."""

    name: str
    flops_per_second: int  # dense FP16
    compute_utilisation: float
    memory_utilisation: float
    memory_bytes_per_second: int | None  # None: the external bandwidth of its memory tier
    energy_pj_per_flop: float | None
    constants: tuple[Constant, ...] = ()


@dataclass(frozen=True)
class TierSpec:
    """A tier of one instance: `devices` equal devices behind one link to the host.

    kv_bytes: the most KV cache that it takes over all instances, None for as much as fits.
    """

    name: str  # "hbm"
    device: DeviceSpec
    devices: int
    link: LinkSpec
    kv_bytes: int | None = None
    reserved_bytes: int = 0  # of one instance, kept free of weights and KV cache

    @property
    def channels(self) -> int:
        return self.devices * self.device.organisation.channels_per_device

    @property
    def capacity_bytes(self) -> int:
        return self.channels * self.device.organisation.channel_bytes


@dataclass(frozen=True)
class SystemSpec:
    """One machine: a host and its memory tiers, and the named choices of how it is used."""

    name: str
    host: HostSpec
    tiers: tuple[TierSpec, ...]
    weights_tier: str  # where the weights lie
    layout: str  # of pamsim.layout.list_layouts
    spread: str  # of pamsim.layout.list_spreads
    spread_min_bank_tokens: int  # a pair is not spread so far that a bank holds fewer of its tokens
    instances: int = 1
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    interconnect: LinkSpec | None = None  # between instances, one direction of one of them
    attention: Literal["pim", "host"] = "pim"  # who attends: the memory devices, or the NPU
    placement: Literal["shares", "requests"] = "shares"  # over the tiers: placement.split
    label_cache_bits: float = 0.0  # an element of K, kept in the first tier for every token
    fill_limit: float = 1.0  # of a tier's free bytes, that KV cache takes before the next tier
    constants: tuple[Constant, ...] = ()
    overrides: dict[str, object] = field(default_factory=dict)  # --set, resolved
    path: str = ""
    # Where `layout` and `spread` stand, for errors about them.
    written: dict[str, Position | None] = field(default_factory=dict, compare=False)

    def tier(self, name: str) -> TierSpec:
        return next(t for t in self.tiers if t.name == name)


class ProgramVariants:
    """The operand values a program uses: which operand-dependent commands its Description needs.

    ProgramVariants(queries=(1,), elements=(16, 128)): the names are those that the commands of a
    family are `over` (queries: n of MACbg_qn; elements: e of MAX_e, EXP_e, SUM_e; ...). A command
    with two operands has pairs: visits=((1, 32),) of MACseq_q1_c32.
    """

    __slots__ = ("_values",)

    def __init__(self, **values: Iterable[Operand]) -> None:
        self._values = {name: tuple(sorted(set(v))) for name, v in sorted(values.items())}

    def of(self, over: str) -> tuple[Operand, ...]:
        """The values of one name, ascending; none where the program uses none."""
        return self._values.get(over, ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProgramVariants) and self._values == other._values

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return f"ProgramVariants({', '.join(f'{n}={v}' for n, v in self._values.items())})"


__all__ = [
    "Constant",
    "Description",
    "DeviceSpec",
    "EnergyTable",
    "HostSpec",
    "LinkSpec",
    "Organisation",
    "PimUnit",
    "ProgramVariants",
    "SystemSpec",
    "TierSpec",
]
