"""Text -> program.

    .family hbm_pim
    .stream pc=0 sid=0 bg=3          ; the bank group that the instructions below run on
      CFG queries=1 part=8 vector=8
      LOOP count=32 row_step=1 base_step=4
        ACT row=5
        MACK row=5 column=0 slots=4 base=0 mask=0b1111 last=1
        PRE
      END

One directive or instruction a line; `;` begins a comment; indentation is free. Numbers are decimal,
0x or 0b. An operand with a default in the instruction table may be left out.
"""

from __future__ import annotations

import re

from pim_isa.errors import IsaError, did_you_mean
from pim_isa.program import Instruction, Program, Stream, Unit
from pim_isa.table import InstructionTable, check_value, families, load

_TOKEN = re.compile(r"[^\s;]+")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)\Z")


def assemble(text: str) -> Program:
    """The program that a text describes.

    Raises IsaError with line and column (from 1) at the first fault.
    """
    table: InstructionTable | None = None
    streams: list[tuple[Unit, list[Instruction]]] = []
    seen: dict[str, Instruction] = {}
    line = 0
    for line, source in enumerate(text.splitlines(), start=1):
        statement = source.split(";", 1)[0].strip()
        if not statement:
            continue
        known = seen.get(statement)
        if known is not None and streams:
            streams[-1][1].append(known)
            continue
        tokens = [(m.group(), m.start() + 1) for m in _TOKEN.finditer(source.split(";", 1)[0])]
        word, column = tokens[0]
        if word == ".family":
            if table is not None:
                raise IsaError("'.family' must come once", line=line, column=column)
            table = _family(tokens, line)
        elif word.startswith(".") and word != ".stream":
            raise IsaError(
                f"directive must be one of .family, .stream, not {word[:60]!r}",
                line=line,
                column=column,
                hint=did_you_mean(word, (".family", ".stream")),
            )
        elif table is None:
            raise IsaError(f"'.family' must come before {word[:60]!r}", line=line, column=column)
        elif word == ".stream":
            streams.append((_unit(table, tokens, line), []))
        elif not streams:
            raise IsaError(f"'.stream' must come before {word[:60]!r}", line=line, column=column)
        else:
            seen[statement] = _instruction(table, tokens, line)
            streams[-1][1].append(seen[statement])
    if table is None:
        raise IsaError("program must begin with '.family'", line=max(line, 1), column=1)
    return Program(table.family, tuple(Stream(unit, tuple(body)) for unit, body in streams))


def _family(tokens: list[tuple[str, int]], line: int) -> InstructionTable:
    if len(tokens) != 2:
        column = tokens[min(2, len(tokens) - 1)][1]
        raise IsaError("'.family' must be followed by one name", line=line, column=column)
    name, column = tokens[1]
    if name not in families():
        raise IsaError(
            f"family must be a known instruction set, not {name[:60]!r}",
            line=line,
            column=column,
            hint=did_you_mean(name, families()),
        )
    return load(name)


def _unit(table: InstructionTable, tokens: list[tuple[str, int]], line: int) -> Unit:
    values = _operands(".stream", tokens, line, table.unit)
    for name in table.unit:
        if name not in values:
            raise IsaError(f"'.stream' must be given {name!r}", line=line, column=tokens[0][1])
        value, column = values[name]
        if value > 255:
            raise IsaError(
                f".stream {name} must be between 0 and 255, not {value}", line=line, column=column
            )
    return Unit(*(values[name][0] for name in table.unit))


def _instruction(table: InstructionTable, tokens: list[tuple[str, int]], line: int) -> Instruction:
    mnemonic, column = tokens[0]
    if mnemonic not in table.by_mnemonic:
        raise IsaError(
            f"instruction must be one of {table.family}, not {mnemonic[:60]!r}",
            line=line,
            column=column,
            hint=did_you_mean(mnemonic, table.by_mnemonic),
        )
    spec = table.by_mnemonic[mnemonic]
    values = _operands(mnemonic, tokens, line, spec.names)
    operands = []
    for f in spec.fields:
        if f.name in values:
            value, at = values[f.name]
            try:
                check_value(mnemonic, f, value)
            except IsaError as error:
                raise IsaError(error.message, line=line, column=at) from None
        elif f.default is not None:
            value = f.default
        else:
            raise IsaError(f"{mnemonic} must be given {f.name!r}", line=line, column=column)
        operands.append((f.name, value))
    return Instruction(mnemonic, tuple(operands))


def _operands(
    what: str, tokens: list[tuple[str, int]], line: int, known: tuple[str, ...]
) -> dict[str, tuple[int, int]]:
    """`name=value` tokens as name -> (value, column of the value)."""
    values: dict[str, tuple[int, int]] = {}
    for token, column in tokens[1:]:
        name, equals, number = token.partition("=")
        if not equals:
            raise IsaError(
                f"operand of {what} must be name=value, not {token[:60]!r}",
                line=line,
                column=column,
            )
        if name not in known:
            raise IsaError(
                f"{what} has no operand {name[:60]!r}",
                line=line,
                column=column,
                hint=did_you_mean(name, known),
            )
        if name in values:
            raise IsaError(f"{what} {name} must be given once", line=line, column=column)
        at = column + len(name) + 1
        if not _NUMBER.match(number):
            raise IsaError(
                f"{what} {name} must be a number, not {number[:60]!r}", line=line, column=at
            )
        base = {"x": 16, "b": 2}.get(number[1:2].lower(), 10)
        values[name] = int(number, base), at
    return values
