"""Program -> text."""

from __future__ import annotations

from pim_isa.program import Instruction, Program
from pim_isa.table import InstructionTable, load

INDENT = "  "


def disassemble(program: Program) -> str:
    """The text form: one instruction a line, loop bodies indented, optional operands left out where
    they have their default. `assemble` reads it back to the same program.

    Raises IsaError for an instruction that the family does not have.
    """
    table = load(program.family)
    lines = [f".family {program.family}"]
    texts: dict[Instruction, str] = {}
    for stream in program.streams:
        unit = (f"{name}={n}" for name, n in zip(table.unit, stream.unit, strict=True))
        lines += ["", " ".join((".stream", *unit))]
        depth = 1
        for instruction in stream.instructions:
            text = texts.get(instruction)
            if text is None:
                text = texts[instruction] = instruction_text(table, instruction)
            if instruction.mnemonic == table.loop.close:
                depth = max(1, depth - 1)
            lines.append(INDENT * depth + text)
            if instruction.mnemonic == table.loop.open:
                depth += 1
    return "\n".join(lines) + "\n"


def instruction_text(table: InstructionTable, instruction: Instruction) -> str:
    """One instruction as text, e.g. `MACK row=5 column=0 slots=4 base=0 mask=0b1111 last=1`."""
    spec = table.spec(instruction.mnemonic)
    parts = [instruction.mnemonic]
    for name, value in instruction.operands:
        f = spec.field(name)
        if value == f.default:
            continue
        shown = f"{value:#0{f.high - f.low + 3}b}" if name == "mask" else str(value)
        parts.append(f"{name}={shown}")
    return " ".join(parts)
