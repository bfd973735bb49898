"""What an instruction becomes: DRAM commands with their names and counts.

This says how many commands of which name; turning them into command records (addresses, loops) is
the simulator's.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from pim_isa.program import Instruction
from pim_isa.table import InstructionTable, load


@dataclass(frozen=True)
class ExpandedCommand:
    """`repeat` runs of `count` consecutive columns of one command, `repeat_step` columns apart."""

    command: str  # final, e.g. "MACbg_q1"
    scope: str  # one of the table's scopes, e.g. "bank"
    row: bool  # works on the row that the instruction names
    count: int
    repeat: int
    repeat_step: int  # columns from one run to the next; 0 if there is one run
    macro: str | None = None  # one command for all runs, on a device with a sequencer

    @property
    def commands(self) -> int:
        return self.count * self.repeat

    def on(self, commands: Container[str]) -> ExpandedCommand:
        """What a device with these commands gets: the macro command where it has it."""
        if self.macro is None or self.macro not in commands:
            return self
        return replace(self, command=self.macro, count=1, repeat=1, repeat_step=0, macro=None)


def configuration(instruction: Instruction) -> dict[str, int]:
    """The state after a configuring instruction (CFG): its operands by name."""
    return dict(instruction.operands)


def expand_counts(
    instruction: Instruction, state: Mapping[str, int], family: str
) -> tuple[ExpandedCommand, ...]:
    """The commands of an instruction, in order, in the state of the last configuring instruction.

    state: operands of that instruction by name, e.g. {"queries": 1, "part": 8, "vector": 8}.
    Raises IsaError for an unknown instruction, or if the state lacks what the counts need.
    """
    return _expand(family, instruction.mnemonic, instruction.operands, tuple(sorted(state.items())))


@lru_cache(maxsize=65536)
def _expand(
    family: str,
    mnemonic: str,
    operands: tuple[tuple[str, int], ...],
    state: tuple[tuple[str, int], ...],
) -> tuple[ExpandedCommand, ...]:
    table = load(family)
    values = {**table.constants, **dict(state), **dict(operands)}
    commands = []
    for e in table.spec(mnemonic).expands:
        repeat = e.repeat(values) if e.repeat else 1
        commands.append(
            ExpandedCommand(
                command=_name(table, e.command, values),
                scope=e.scope,
                row=e.row,
                count=e.count(values),
                repeat=repeat,
                repeat_step=e.repeat_step(values) if e.repeat_step and repeat > 1 else 0,
                macro=_name(table, e.macro, values) if e.macro else None,
            )
        )
    return tuple(commands)


def _name(table: InstructionTable, template: str, values: Mapping[str, int]) -> str:
    for variable, expression in table.variables.items():
        if f"{{{variable}}}" in template:
            template = template.replace(f"{{{variable}}}", str(expression(values)))
    return template
