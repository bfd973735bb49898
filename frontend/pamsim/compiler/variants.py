"""Which operand-dependent commands the programs of a device need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pamsim.config.family import CommandFamily, Operand
from pamsim.config.spec import ProgramVariants
from pim_isa import Program, expand_counts, load


def program_variants(programs: Iterable[Program], templates: CommandFamily) -> ProgramVariants:
    """The operand values of the commands that programs expand into, by what they are `over`."""
    values: dict[str, set[Operand]] = {}
    for names in {n for p in programs for n in _command_names(p)}:
        for over, value in _variant(names, templates):
            values.setdefault(over, set()).add(value)
    return ProgramVariants(**values)


def _variant(names: tuple[str, ...], templates: CommandFamily) -> Iterable[tuple[str, Operand]]:
    """What the first of the names that the family has is over, and its operand's value."""
    for name in names:
        for template in templates.commands:
            if template.over and (value := template.operand_of(name)) is not None:
                return [(template.over, value)]
    return []


def _command_names(program: Program) -> set[tuple[str, ...]]:
    """Names of the commands, a macro command's before those of what it stands for."""
    configure = load(program.family).configured_by
    names: set[tuple[str, ...]] = set()
    seen: set[object] = set()
    for stream in program.streams:
        state: Mapping[str, int] = {}
        for instruction in stream.instructions:
            if instruction.mnemonic == configure:
                state = dict(instruction.operands)
            elif (instruction, tuple(state.values())) not in seen:
                seen.add((instruction, tuple(state.values())))
                expanded = expand_counts(instruction, state, program.family)
                names |= {(c.macro, c.command) if c.macro else (c.command,) for c in expanded}
    return names
