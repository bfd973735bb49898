"""The generated reference of an instruction set."""

from __future__ import annotations

from pim_isa.table import Expansion, InstructionSpec, InstructionTable, load


def render(family: str) -> str:
    """The reference of a family as Markdown. Raises IsaError for an unknown family."""
    table = load(family)
    constants = "\n".join(f"| `{k}` | {v} |" for k, v in table.constants.items() if k != "version")
    variables = "\n".join(f"- `{{{n}}}` = `{e}`" for n, e in table.variables.items())
    derived = "".join(f"- `{n}` = `{e}`\n" for n, e in table.derived.items())
    if derived:
        derived = f"Expressions also use\n\n{derived}\n"
    steps = "\n".join(f"- i x `{s}` to every `{name}`" for name, s in table.loop.steps.items())
    index = "\n".join(
        f"| {s.opcode} | [{s.mnemonic}](#{s.mnemonic.lower()}) | {s.unit} | {s.summary} |"
        for s in table.instructions
    )
    sections = "\n\n".join(_instruction(s, table) for s in table.instructions)
    names = ""
    if variables:
        names = f"""\
Names of expanded commands carry numbers (`up(x, y)` is x rounded up to a multiple of y; the
operands of the last `{table.configured_by}` are known):

{variables}

"""
    units = ", ".join(f"`{level}`" for level in table.unit) or "the channel"
    return f"""\
<!-- Generated from frontend/pim_isa/tables/{family}.toml by `make generate`; do not edit. -->

# Instruction set `{family}`, version {table.version}

An instruction is one {table.word_bits}-bit little-endian word: bits 0 to {table.opcode_bits - 1}
are the opcode, the operands lie where their instruction says, all other bits are 0. A program holds
one instruction sequence per stream, and a stream runs on one unit ({units}).

`{table.loop.open}` ... `{table.loop.close}` repeats its body `{table.loop.count}` times. Iteration
i, counted from 0, adds, in the body,

{steps}

Loops nest and their additions add up.

`{table.barrier}`: all streams that name the `{table.barrier_id}` wait for each other.

| constant | value |
|---|---|
{constants}

{derived}{names}| opcode | instruction | unit | meaning |
|---|---|---|---|
{index}

{sections}
"""


def _instruction(spec: InstructionSpec, table: InstructionTable) -> str:
    lines = [f"## {spec.mnemonic}", "", f"{spec.summary} Opcode {spec.opcode}, unit: {spec.unit}."]
    if spec.fields:
        lines += ["", "| operand | bits | range | in text |", "|---|---|---|---|"]
        for f in spec.fields:
            given = "required" if f.default is None else f"{f.default} if left out"
            lines.append(f"| `{f.name}` | {f.low}..{f.high} | {f.minimum}..{f.maximum} | {given} |")
    if spec.limits:
        limits = ", ".join(f"`{limit}`" for limit in spec.limits)
        lines += ["", f"In every iteration: {limits}."]
    if spec.pseudo != "pass":
        lines += ["", "```python", spec.pseudo, "```"]
    for e in spec.expands:
        lines += ["", f"Becomes {_expansion(e)}."]
    if not spec.expands:
        lines += ["", "Becomes no DRAM command."]
    return "\n".join(lines)


def _expansion(e: Expansion) -> str:
    where = e.scope.replace("_", "-") + (", at the row" if e.row else "")
    text = f"`{e.command}` ({where}): `{e.count}` consecutive columns"
    if not e.row:
        text = f"`{e.command}` ({where}): `{e.count}` x"
    if e.repeat:
        text += f", `{e.repeat}` times, every `{e.repeat_step}` columns"
    if e.macro:
        text += f"; on a device with a sequencer one `{e.macro}`"
    return text
