"""What a description may hold: pydantic models of the composed documents."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pamsim.config.quantity import (
    Bandwidth,
    Children,
    ComputeRate,
    ConstantModel,
    Count,
    Cycles,
    Dtype,
    Energy,
    EnergyPerBit,
    EnergyPerByte,
    EnergyPerFlop,
    Flag,
    Fraction01,
    Frequency,
    Gibibytes,
    Latency,
    Multiple,
    Power,
    Section,
    Size,
    Width,
    quantity,
)

Name = Annotated[str, Field(min_length=1, max_length=60)]
Expression = Annotated[str, Field(min_length=1, max_length=200)]


class Titled(Section):
    """What every document has."""

    name: Name
    description: str = ""
    sources: dict[str, str] = Field({})


class CommandModel(Section):
    """One command, or with {n}, {e} or {c} in its name one for each operand value."""

    bus: Literal["row", "column"]
    cycles: int | None = Field(None, ge=1, le=64, description="left out: that of `bus_cycles`")
    scope: str
    row_use: Literal["none", "access", "open", "close", "all_closed"]
    opens: str | None = None
    closes: str | None = None
    completion: Expression | int = 0
    falling_edge: bool = False
    auto_precharge: bool = False
    refresh: bool = False
    activates: Literal["none", "one", "window", "staggered", "exempt"] = "none"
    over: str | None = None


class BusCyclesModel(Section):
    """Ticks that commands keep their bus, where they do not say it themselves."""

    activate: int = Field(ge=1, le=64)
    row: int = Field(ge=1, le=64)
    column: int = Field(ge=1, le=64)


class ConstraintModel(Section):
    """A timing constraint; commands by name, `X_*` or `$group`."""

    level: str
    preceding: list[str] = Field(min_length=1)
    following: list[str] = Field(min_length=1)
    latency: Expression | int
    window: int = Field(1, ge=1, le=64)
    sibling: bool = False


class DurationModel(Section):
    """Time of a unit in its own cycles, as an expression."""

    operand: Literal["n", "e"] | None = None
    cycles: Expression | int


class ActivateWindowModel(Section):
    level: str
    latency: Expression
    window: int = Field(ge=1, le=64)


class RefreshModel(Section):
    command: str
    scope: str
    interval: Expression
    in_turn: str | None = None


class OrganisationModel(Section):
    """A family's own levels are given, the others left out."""

    channels_per_device: Children
    pseudo_channels: Children | None = None
    sids: Children | None = None
    ranks: Children | None = None
    dies: Children | None = None
    planes: Children | None = None
    bank_groups: Children | None = None
    banks: Children | None = None
    chips: Children | None = None
    rows: Count
    row_bytes: Size
    column_bytes: Size
    dq_bits: Width


class PimModel(Section):
    """Units that a device does not have are left out; `extra` is for what only its family knows."""

    clock: Frequency
    lanes: Count | None = None
    buffer_bytes: Size | None = None
    buffer_per_query: Flag | None = None
    exponential_lanes: Count | None = None
    exponential_latency_cycles: Cycles | None = None
    maximum_latency_cycles: Cycles | None = None
    sum_latency_cycles: Cycles | None = None
    reduction_lanes: Count | None = None
    reduction_compare_cycles: Cycles | None = None
    reduction_buffer_bytes: Size | None = None
    logic_die_reduction_units: Count | None = None
    logic_die_merge_elements: Count | None = None
    min_tile_tokens: Count | None = None
    score_dtype: Dtype | None = None
    probability_dtype: Dtype | None = None
    extra: dict[str, ConstantModel] = Field({})


class EnergyConstants(Section):
    """All that a PIM device can spend energy on. One that is left out is unknown, not 0."""

    act_pre_pj: Energy | None = None
    cell_read_pj_per_bit: EnergyPerBit | None = None
    cell_write_pj_per_bit: EnergyPerBit | None = None
    column_to_bank_group_pj_per_bit: EnergyPerBit | None = None
    bank_group_to_global_io_pj_per_bit: EnergyPerBit | None = None
    tsv_pj_per_bit: EnergyPerBit | None = None
    interposer_pj_per_bit: EnergyPerBit | None = None
    erase_pj: Energy | None = None
    mac_pj: Energy | None = None
    mac_read_multiple: Multiple | None = None
    buffer_pj_per_byte: EnergyPerByte | None = None
    exponential_pj: Energy | None = None
    maximum_pj: Energy | None = None
    sum_pj: Energy | None = None
    background_precharged_mw: Power | None = None
    background_active_1_bank_mw: Power | None = None
    background_active_16_banks_mw: Power | None = None
    refresh_all_bank_mw: Power | None = None


class EnergyModel(Titled):
    """energy/*.yaml"""

    constants: EnergyConstants


def _listed(value: object) -> object:
    """One name is a list of one."""
    return [value] if isinstance(value, str) else value


class DeviceModel(Titled):
    """device/*.yaml"""

    family: Name
    levels: list[str] = Field(min_length=4, max_length=12)
    bus: Literal["SINGLE", "ROW_COLUMN", "HALF_CLOCK"]
    ticks_per_ck: int = Field(ge=1, le=2)
    transfers_per_ck: int = Field(ge=1, le=16)
    bus_cycles: BusCyclesModel | None = None
    parameters: list[str]
    durations: dict[str, DurationModel]
    commands: dict[str, CommandModel]
    groups: dict[str, list[str]]
    activate_window: ActivateWindowModel | None = None
    refresh: RefreshModel | None = None
    peak_command: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
    timing_constraints: list[ConstraintModel]
    organisation: OrganisationModel
    timing: dict[str, ConstantModel]
    pim: PimModel
    energy: EnergyModel


class HostModel(Titled):
    """host/*.yaml"""

    compute: ComputeRate
    compute_utilisation: Fraction01
    memory_utilisation: Fraction01
    memory_bandwidth: Bandwidth | None = None
    energy: EnergyPerFlop | None = None


def _external_or_bandwidth(constant: ConstantModel) -> ConstantModel:
    if constant.value == "external":
        return constant
    check: Any = quantity("bandwidth", 1e3, 1e18).func
    return check(constant)


class LinkModel(Titled):
    """link/*.yaml"""

    bandwidth: Annotated[ConstantModel, AfterValidator(_external_or_bandwidth)]
    latency: Latency
    energy: EnergyPerBit | None = None


class TierModel(Section):
    device: DeviceModel
    devices: Count
    link: LinkModel
    kv_gib: Gibibytes | None = None
    reserved_gib: Gibibytes | None = None


class SystemModel(Titled):
    """system/*.yaml"""

    host: HostModel
    tiers: dict[str, TierModel] = Field(min_length=1)
    weights_tier: str
    layout: Name
    spread: Name
    spread_min_bank_tokens: Count
    instances: Count
    tensor_parallel: Count | None = None
    pipeline_parallel: Count | None = None
    interconnect: LinkModel | None = None
    fill_limit: Fraction01 | None = None
    label_cache_bits: Annotated[ConstantModel, quantity("number", 0, 64, integer=False)] | None = (
        None
    )
    attention: Literal["pim", "host"] = "pim"
    placement: Literal["shares", "requests"] = "shares"


MODELS: dict[str, type[Titled]] = {
    "device": DeviceModel,
    "energy": EnergyModel,
    "host": HostModel,
    "link": LinkModel,
    "system": SystemModel,
}
