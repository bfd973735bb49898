"""Instruction tables: one TOML file per device family, loaded into frozen types and checked.

A family is a file `tables/<family>.toml`, here or in a folder of `pim_isa.plugins`; nothing else
lists the families.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pim_isa.errors import IsaError, did_you_mean
from pim_isa.expression import Expression, parse
from pim_isa.plugins import folders
from pim_isa.program import Instruction

MAX_UNIT = 4  # levels that the binary form has room for


@dataclass(frozen=True)
class Field:
    """An operand: bits low..high of the word hold its value, minimum..maximum are valid."""

    name: str
    low: int
    high: int
    minimum: int
    maximum: int
    default: int | None = None  # None: the text form has to give it

    @property
    def mask(self) -> int:
        return (1 << (self.high - self.low + 1)) - 1


@dataclass(frozen=True)
class Expansion:
    """A DRAM command that an instruction becomes: `count` columns, `repeat` times.

    command: name, with {n}-like parts that `variables` of the table give. scope: what it addresses.
    row: it works on the instruction's row. Repetition i starts i x `repeat_step` columns on.
    macro: the one command that stands for all of them on a device with a sequencer.
    """

    command: str
    scope: str
    row: bool
    count: Expression
    repeat: Expression | None
    repeat_step: Expression | None
    macro: str | None = None


@dataclass(frozen=True)
class InstructionSpec:
    """One instruction of a table."""

    mnemonic: str
    opcode: int
    summary: str
    unit: str
    fields: tuple[Field, ...]  # in the table's order, which is the order of operands
    pseudo: str
    expands: tuple[Expansion, ...]
    limits: tuple[Expression, ...]  # comparisons that hold in every loop iteration
    names: tuple[str, ...]  # of the fields

    def field(self, name: str) -> Field:
        """The field of that name. Raises IsaError."""
        for f in self.fields:
            if f.name == name:
                return f
        raise IsaError(
            f"{self.mnemonic} has no operand {name!r}", hint=did_you_mean(name, self.names)
        )


@dataclass(frozen=True)
class LoopSyntax:
    """Which instructions loop, and what an iteration adds: operand -> operand of the opener."""

    open: str
    close: str
    count: str
    steps: Mapping[str, str]


@dataclass(frozen=True)
class InstructionTable:
    """The instruction set of a device family."""

    family: str
    version: int
    word_bits: int
    opcode_bits: int
    constants: Mapping[str, int]  # lanes, banks, row_columns, ...
    unit: tuple[str, ...]  # levels below the channel that say where a stream runs: pc, sid, bg
    addressed: bool  # commands are addressed by the unit; False: its levels only number queues
    inner: tuple[str, ...]  # operands that name levels below the unit: bank
    scopes: Mapping[str, int]  # scope -> how many levels below the channel a command of it names
    configured_by: str  # the instruction whose operands later expressions know; "" for none
    loop: LoopSyntax
    barrier: str
    barrier_id: str  # its operand
    derived: Mapping[str, Expression]  # names that other expressions use
    variables: Mapping[str, Expression]
    instructions: tuple[InstructionSpec, ...]  # by opcode
    by_mnemonic: Mapping[str, InstructionSpec]
    by_opcode: Mapping[int, InstructionSpec]

    @property
    def address(self) -> tuple[str, ...]:
        """Names of the levels below the channel that a command's address has."""
        return (*self.unit, *self.inner) if self.addressed else self.inner

    def spec(self, mnemonic: str) -> InstructionSpec:
        """The instruction of that name. Raises IsaError with a suggestion."""
        try:
            return self.by_mnemonic[mnemonic]
        except KeyError:
            raise IsaError(
                f"{self.family} has no instruction {mnemonic!r}",
                hint=did_you_mean(mnemonic, self.by_mnemonic),
            ) from None

    def make(self, mnemonic: str, **operands: int) -> Instruction:
        """An instruction with its operands in the table's order, optional ones filled in.

        Raises IsaError for an unknown, missing or out-of-range operand.
        """
        spec = self.spec(mnemonic)
        for name in operands:
            if name not in spec.names:
                spec.field(name)
        values = []
        for f in spec.fields:
            value = operands.get(f.name, f.default)
            if value is None:
                raise IsaError(f"{mnemonic} must be given {f.name!r}")
            check_value(mnemonic, f, value)
            values.append((f.name, value))
        return Instruction(mnemonic, tuple(values))


def check_value(mnemonic: str, f: Field, value: int) -> None:
    """Raises IsaError, naming instruction, operand, range and value, unless the value is valid."""
    if not f.minimum <= value <= f.maximum:
        raise IsaError(
            f"{mnemonic} {f.name} must be between {f.minimum} and {f.maximum}, not {value}"
        )


def families() -> tuple[str, ...]:
    """The known device families, sorted."""
    return tuple(sorted(_tables()))


def _tables() -> dict[str, Path]:
    """Family -> its file; the packages' own before those of others."""
    own = Path(str(files("pim_isa").joinpath("tables")))
    found: dict[str, Path] = {}
    for folder in (own, *folders("tables")):
        for path in folder.glob("*.toml"):
            found.setdefault(path.stem, path)
    return found


@cache
def load(family: str) -> InstructionTable:
    """The table of a family. Raises IsaError for an unknown family or an unsound table."""
    tables = _tables()
    if family not in tables:
        raise IsaError(
            f"instruction set must be one of the known families, not {family!r}",
            hint=did_you_mean(family, tables),
        )
    table = parse_table(tables[family].read_text(encoding="utf-8"))
    if table.family != family:
        raise IsaError(f"{family}.toml must say family = {family!r}, not {table.family!r}")
    return table


def parse_table(text: str) -> InstructionTable:
    """A table from TOML text. Raises IsaError if bits overlap or do not fit, an opcode or a name
    comes twice, or an expression names what does not exist."""
    data = tomllib.loads(text)
    word_bits, opcode_bits = data["word_bits"], data["opcode_bits"]
    derived = {k: parse(v) for k, v in data.get("derived", {}).items()}
    specs = [_instruction(name, entry, derived) for name, entry in data["instruction"].items()]
    by_opcode: dict[int, InstructionSpec] = {}
    for spec in specs:
        _check_bits(spec, word_bits, opcode_bits)
        if spec.opcode in by_opcode:
            raise IsaError(
                f"opcode {spec.opcode} must be unique, not of {by_opcode[spec.opcode].mnemonic} "
                f"and {spec.mnemonic}"
            )
        by_opcode[spec.opcode] = spec
    by_mnemonic = {spec.mnemonic: spec for spec in specs}
    loop = data["loop"]
    table = InstructionTable(
        family=data["family"],
        version=data["version"],
        word_bits=word_bits,
        opcode_bits=opcode_bits,
        constants=MappingProxyType({k: v for k, v in data.items() if type(v) is int}),
        unit=tuple(data["unit"]["levels"]),
        addressed=data["unit"].get("addressed", True),
        inner=tuple(data["unit"].get("inner", ())),
        scopes=MappingProxyType(dict(data["scopes"])),
        configured_by=data.get("configured_by", ""),
        loop=LoopSyntax(
            loop["open"], loop["close"], loop["count"], MappingProxyType(dict(loop["steps"]))
        ),
        barrier=data["barrier"]["mnemonic"],
        barrier_id=data["barrier"]["id"],
        derived=MappingProxyType(derived),
        variables=MappingProxyType(
            {k: parse(v, derived) for k, v in data.get("variables", {}).items()}
        ),
        instructions=tuple(sorted(specs, key=lambda s: s.opcode)),
        by_mnemonic=MappingProxyType(by_mnemonic),
        by_opcode=MappingProxyType(by_opcode),
    )
    _check_names(table)
    return table


def _instruction(
    mnemonic: str, entry: dict[str, Any], derived: Mapping[str, Expression]
) -> InstructionSpec:
    fields = tuple(
        Field(f["name"], f["bits"][0], f["bits"][1], f["min"], f["max"], f.get("default"))
        for f in entry["fields"]
    )
    names = tuple(f.name for f in fields)
    if len(set(names)) != len(names):
        raise IsaError(f"operands of {mnemonic} must have different names, not {names}")
    expands = tuple(
        Expansion(
            command=e["command"],
            scope=e["scope"],
            row=e["row"],
            count=parse(e["count"], derived),
            repeat=parse(e["repeat"], derived) if "repeat" in e else None,
            repeat_step=parse(e["repeat_step"], derived) if "repeat_step" in e else None,
            macro=e.get("macro"),
        )
        for e in entry["expands"]
    )
    limits = tuple(parse(text, derived) for text in entry.get("limits", ()))
    return InstructionSpec(
        mnemonic, entry["opcode"], entry["summary"], entry["unit"], fields,
        entry["pseudo"].strip("\n"), expands, limits, names,
    )  # fmt: skip


def _check_bits(spec: InstructionSpec, word_bits: int, opcode_bits: int) -> None:
    if not 0 <= spec.opcode < 1 << opcode_bits:
        raise IsaError(f"opcode of {spec.mnemonic} must fit {opcode_bits} bits, not {spec.opcode}")
    owner: dict[int, str] = {}
    for f in spec.fields:
        where = f"{spec.mnemonic} {f.name}"
        if not opcode_bits <= f.low <= f.high < word_bits:
            raise IsaError(
                f"bits of {where} must lie between {opcode_bits} and {word_bits - 1}, "
                f"not {f.low}..{f.high}"
            )
        if not 0 <= f.minimum <= f.maximum <= f.mask:
            raise IsaError(
                f"range of {where} must fit its {f.high - f.low + 1} bits, "
                f"not {f.minimum}..{f.maximum}"
            )
        if f.default is not None:
            check_value(spec.mnemonic, f, f.default)
        for bit in range(f.low, f.high + 1):
            if bit in owner:
                raise IsaError(f"bit {bit} of {where} must be its own, not {owner[bit]}'s too")
            owner[bit] = f.name


def _check_names(table: InstructionTable) -> None:
    if len(table.unit) > MAX_UNIT:
        raise IsaError(f"unit must have at most {MAX_UNIT} levels, not {len(table.unit)}")
    for scope, named in table.scopes.items():
        if not 0 <= named <= len(table.address):
            raise IsaError(f"scope {scope!r} must name levels that there are, not {named}")
    for mnemonic, names in (
        (table.configured_by or table.loop.close, ()),
        (table.loop.open, (table.loop.count, *table.loop.steps.values())),
        (table.loop.close, ()),
        (table.barrier, (table.barrier_id,)),
    ):
        spec = table.spec(mnemonic)
        for name in names:
            spec.field(name)
    known = {*table.constants}
    if table.configured_by:
        known |= set(table.spec(table.configured_by).names)
    for spec in table.instructions:
        expressions = list(spec.limits)
        for e in spec.expands:
            if e.scope not in table.scopes:
                raise IsaError(
                    f"scope of {spec.mnemonic} must be one of {', '.join(table.scopes)}, "
                    f"not {e.scope!r}"
                )
            expressions += [x for x in (e.count, e.repeat, e.repeat_step) if x]
            for variable in re.findall(r"\{(\w+)\}", e.command + (e.macro or "")):
                if variable not in table.variables:
                    raise IsaError(
                        f"{e.command} of {spec.mnemonic} names no variable: {variable!r}",
                        hint=did_you_mean(variable, table.variables),
                    )
                expressions.append(table.variables[variable])
        for expression in expressions:
            for name in sorted(expression.names - known - set(spec.names)):
                raise IsaError(
                    f"{expression.text!r} of {spec.mnemonic} names no operand: {name!r}",
                    hint=did_you_mean(name, known | set(spec.names)),
                )
