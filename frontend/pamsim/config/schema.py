"""What a description may hold: pydantic models of the composed documents.

A constant is `{value, unit, source}`; if its source is an assumption, a number has a `range` in the
same unit, a word or a truth its `choices`.
A value with its unit may be one text: `{value: 14 ns, source: ...}`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pamsim.config.units import DIMENSIONS, canonical_unit, convert, number, split_quantity
from pamsim.errors import PamsimError

# Dimensions whose plain numbers need no unit; any other number without one is refused.
_PLAIN = ("number", "clock cycles", "unit cycles")


def fault(rule: str) -> PydanticCustomError:
    """A validation error that reads `<path> must be <rule>, not <value>`."""
    return PydanticCustomError("rule", "{rule}", {"rule": rule})


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ConstantModel(Section):
    """One sourced value."""

    value: int | float | bool | str
    unit: str = ""
    source: str = Field(
        min_length=3, description="a key of `sources`, `assumption: why`, `derived: how`"
    )
    range: list[int | float] | None = Field(None, min_length=2, max_length=2)
    choices: list[str | bool] | None = None
    note: str = ""
    scope: Literal[
        "",
        "processing_unit",
        "bank",
        "bank_group",
        "pseudo_channel",
        "rank",
        "channel",
        "stack",
        "device",
    ] = ""

    @model_validator(mode="after")
    def _assumptions_can_be_varied(self) -> ConstantModel:
        if self.source.startswith("assumption") and self.range is None:
            if not isinstance(self.written[0], str | bool):
                raise fault("given a range, since its source is an assumption")
            if len(self.choices or ()) < 2:
                raise fault(
                    "given a range or at least two choices, since its source is an assumption"
                )
        return self

    @model_validator(mode="after")
    def _value_is_one_of_its_own(self) -> ConstantModel:
        value = self.written[0]
        if isinstance(value, str | bool):
            if self.choices and value not in self.choices:
                known = ", ".join(str(c).lower() for c in self.choices)
                raise fault(f"one of its own choices {known}")
        elif self.range is not None and not self.range[0] <= value <= self.range[1]:
            raise fault(f"inside its own range {self.range[0]} to {self.range[1]}")
        return self

    @field_validator("range")
    @classmethod
    def _from_low_to_high(cls, ends: list[int | float] | None) -> list[int | float] | None:
        if ends is not None and ends[0] > ends[1]:
            raise fault("given from low to high")
        return ends

    @property
    def written(self) -> tuple[int | float | bool | str, str]:
        """Value and unit apart, also where they are one text."""
        if isinstance(self.value, str) and not self.unit:
            parts = split_quantity(self.value)
            if parts is not None:
                return parts
        return self.value, self.unit


def canonical(constant: ConstantModel, dimension: str) -> int | float:
    """The constant in the canonical unit of `dimension`. Raises InputError."""
    value, unit = constant.written
    if isinstance(value, str | bool) or (not unit and dimension not in _PLAIN):
        raise fault(_written_as(dimension))
    return number(convert(value, unit or canonical_unit(dimension), dimension))


def canonical_range(constant: ConstantModel, dimension: str) -> tuple[float, float] | None:
    """The ends of the constant's range, in the canonical unit of `dimension`."""
    if constant.range is None:
        return None
    unit = constant.written[1] or canonical_unit(dimension)
    low, high = (float(convert(end, unit, dimension)) for end in constant.range)
    return low, high


def _quantity(dimension: str, low: float, high: float, integer: bool = True) -> AfterValidator:
    def check(constant: ConstantModel) -> ConstantModel:
        unit = canonical_unit(dimension)
        suffix = "" if unit == "1" else f" {unit}"
        within = f"from {_plain(low)} to {_plain(high)}{suffix}"
        try:
            value = canonical(constant, dimension)
        except PamsimError:  # the unit, or more digits than a number may have
            known = constant.written[1] in ("", *DIMENSIONS[dimension])
            raise fault(within if known else _written_as(dimension)) from None
        if integer and not isinstance(value, int):
            raise fault(f"a whole number{f' of {unit}' if suffix else ''}")
        if not low <= value <= high:
            raise fault(within)
        return constant

    return AfterValidator(check)


def _written_as(dimension: str) -> str:
    """The rule of quantities: what a user has to write."""
    units = ", ".join(DIMENSIONS[dimension])
    if dimension == "number":
        return "a number"
    if dimension in _PLAIN:
        return f"a number of {dimension}, alone or with the unit {units}"
    return f"a quantity of {dimension} with its unit ({units})"


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) and bound < 1e12 else f"{bound:g}"


def _one_of(*allowed: str | bool) -> AfterValidator:
    def check(constant: ConstantModel) -> ConstantModel:
        if not any(
            constant.value is a or (constant.value == a and isinstance(a, str)) for a in allowed
        ):
            raise fault("one of " + ", ".join(str(a).lower() for a in allowed))
        if constant.range is not None:
            raise fault("given choices, not a range")
        return constant

    return AfterValidator(check)


Children = Annotated[ConstantModel, _quantity("number", 1, 256)]
Count = Annotated[ConstantModel, _quantity("number", 1, 1 << 24)]
Cycles = Annotated[ConstantModel, _quantity("unit cycles", 0, 1 << 16)]
Size = Annotated[ConstantModel, _quantity("size", 1, 1 << 30)]
Width = Annotated[ConstantModel, _quantity("width", 1, 1 << 12)]
Frequency = Annotated[ConstantModel, _quantity("frequency", 1e6, 1e11)]
Bandwidth = Annotated[ConstantModel, _quantity("bandwidth", 1e3, 1e18)]
Latency = Annotated[ConstantModel, _quantity("time", 0, 1e15)]
ComputeRate = Annotated[ConstantModel, _quantity("compute rate", 1e6, 1e21)]
Fraction01 = Annotated[ConstantModel, _quantity("number", 1e-6, 1, integer=False)]
EnergyPerFlop = Annotated[ConstantModel, _quantity("energy per operation", 0, 1e9, integer=False)]
EnergyPerBit = Annotated[ConstantModel, _quantity("energy per bit", 0, 1e9, integer=False)]
EnergyPerByte = Annotated[ConstantModel, _quantity("energy per byte", 0, 1e9, integer=False)]
Energy = Annotated[ConstantModel, _quantity("energy", 0, 1e12, integer=False)]
Power = Annotated[ConstantModel, _quantity("power", 0, 1e9, integer=False)]
Multiple = Annotated[ConstantModel, _quantity("number", 0, 1e6, integer=False)]
Gibibytes = Annotated[ConstantModel, _quantity("number", 0, 1 << 30, integer=False)]
Flag = Annotated[ConstantModel, _one_of(False, True)]
Dtype = Annotated[ConstantModel, _one_of("fp16", "fp32")]
Name = Annotated[str, Field(min_length=1, max_length=60)]
Expression = Annotated[str, Field(min_length=1, max_length=200)]


class Titled(Section):
    """What every document has."""

    name: Name
    description: str = ""
    sources: dict[str, str] = {}


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
    extra: dict[str, ConstantModel] = {}


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
    check: Any = _quantity("bandwidth", 1e3, 1e18).func
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
    label_cache_bits: Annotated[ConstantModel, _quantity("number", 0, 64, integer=False)] | None = (
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
