"""Constants as descriptions hold them: a value, its unit, its source, and the kinds that there are.

A constant is `{value, unit, source}`; if its source is an assumption, a number has a `range` in the
same unit, a word or a truth its `choices`.
A value with its unit may be one text: `{value: 14 ns, source: ...}`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
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


def quantity(dimension: str, low: float, high: float, integer: bool = True) -> AfterValidator:
    """Holds a constant to a dimension and to both ends, in its canonical unit."""

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


def one_of(*allowed: str | bool) -> AfterValidator:
    """Holds a constant to words or truths."""

    def check(constant: ConstantModel) -> ConstantModel:
        if not any(
            constant.value is a or (constant.value == a and isinstance(a, str)) for a in allowed
        ):
            raise fault("one of " + ", ".join(str(a).lower() for a in allowed))
        if constant.range is not None:
            raise fault("given choices, not a range")
        return constant

    return AfterValidator(check)


Children = Annotated[ConstantModel, quantity("number", 1, 256)]
Count = Annotated[ConstantModel, quantity("number", 1, 1 << 24)]
Cycles = Annotated[ConstantModel, quantity("unit cycles", 0, 1 << 16)]
Size = Annotated[ConstantModel, quantity("size", 1, 1 << 30)]
Width = Annotated[ConstantModel, quantity("width", 1, 1 << 12)]
Frequency = Annotated[ConstantModel, quantity("frequency", 1e6, 1e11)]
Bandwidth = Annotated[ConstantModel, quantity("bandwidth", 1e3, 1e18)]
Latency = Annotated[ConstantModel, quantity("time", 0, 1e15)]
ComputeRate = Annotated[ConstantModel, quantity("compute rate", 1e6, 1e21)]
Fraction01 = Annotated[ConstantModel, quantity("number", 1e-6, 1, integer=False)]
EnergyPerFlop = Annotated[ConstantModel, quantity("energy per operation", 0, 1e9, integer=False)]
EnergyPerBit = Annotated[ConstantModel, quantity("energy per bit", 0, 1e9, integer=False)]
EnergyPerByte = Annotated[ConstantModel, quantity("energy per byte", 0, 1e9, integer=False)]
Energy = Annotated[ConstantModel, quantity("energy", 0, 1e12, integer=False)]
Power = Annotated[ConstantModel, quantity("power", 0, 1e9, integer=False)]
Multiple = Annotated[ConstantModel, quantity("number", 0, 1e6, integer=False)]
Gibibytes = Annotated[ConstantModel, quantity("number", 0, 1 << 30, integer=False)]
Flag = Annotated[ConstantModel, one_of(False, True)]
Dtype = Annotated[ConstantModel, one_of("fp16", "fp32")]
