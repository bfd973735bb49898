"""What the rest of pamsim sees of a configuration: frozen and resolved, with all sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pamsim.config.family import CommandFamily
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


@dataclass(frozen=True)
class Organisation:
    """The tree of one channel and what a device (stack) is made of."""

    channels_per_device: int
    pseudo_channels: int
    sids: int
    bank_groups: int  # per SID
    banks: int  # per bank group
    rows: int  # per bank
    row_bytes: int  # per bank
    column_bytes: int  # bytes a column command moves per bank
    dq_bits: int = 32  # data pins of a pseudo-channel

    @property
    def columns(self) -> int:
        """Columns in a row."""
        return self.row_bytes // self.column_bytes

    @property
    def groups_per_channel(self) -> int:
        return self.pseudo_channels * self.sids * self.bank_groups

    @property
    def channel_bytes(self) -> int:
        return self.groups_per_channel * self.banks * self.rows * self.row_bytes


@dataclass(frozen=True)
class PimUnit:
    """The processing and reduction units of an HBM-PIM device (PAM section 5.2)."""

    lanes: int  # FP16 multipliers of a PU
    clock_hz: int
    buffer_bytes: int  # of a PU, for one query group member if buffer_per_query
    buffer_per_query: bool  # `hbm3-pam-gqa`: the buffer is buffer_bytes x (query heads per KV head)
    exponential_lanes: int
    exponential_latency_cycles: int
    maximum_latency_cycles: int
    sum_latency_cycles: int
    reduction_lanes: int
    logic_die_reduction_units: int  # per device
    min_tile_tokens: int  # T >= this many tokens a bank
    score_dtype: Literal["fp16", "fp32"]
    probability_dtype: Literal["fp16", "fp32"]
    reduction_compare_cycles: int = 1
    reduction_buffer_bytes: int = 512  # of an RU
    logic_die_merge_elements: int = 128  # elements of O that one logic-die merge takes

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
    family: str  # instruction set and checker rules: "hbm_pim"
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
    """A tier of one instance: `devices` equal devices behind one link to the host."""

    name: str  # "hbm"
    device: DeviceSpec
    devices: int
    link: LinkSpec

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
    layout: str  # "head-split"
    spread: str  # "spread"
    spread_min_bank_tokens: int  # a pair is not spread so far that a bank holds fewer of its tokens
    instances: int = 1
    constants: tuple[Constant, ...] = ()
    overrides: dict[str, object] = field(default_factory=dict)  # --set, resolved
    path: str = ""

    def tier(self, name: str) -> TierSpec:
        return next(t for t in self.tiers if t.name == name)


@dataclass(frozen=True)
class ProgramVariants:
    """The operand values a program uses: which operand-dependent commands its Description needs."""

    queries: tuple[int, ...]  # n of MACbg_qn
    elements: tuple[int, ...]  # e of MAX_e, EXP_e, SUM_e, each a multiple of 16
    reduced_elements: tuple[int, ...]  # e of REDBG_e, each a multiple of 16


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
