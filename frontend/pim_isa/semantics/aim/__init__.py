"""What the instructions of GDDR6-AiM do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pim_isa.program import Instruction
from pim_isa.semantics.aim.channel import Channel, Controller
from pim_isa.semantics.aim.memory import Banks

Group, LogicDie, Memory = Channel, Controller, Banks  # as pim_isa.machine calls them

# What the machine calls for each instruction, with its operands in the table's order. Opening and
# closing rows changes no numbers.
OPERATIONS = {
    "CFR": Channel.configure,
    "TMOD": Channel.switch_mode,
    "WR_SBK": Channel.write_bank,
    "RD_SBK": Channel.read_bank,
    "WR_ABK": Channel.write_all,
    "WR_GB": Channel.write_buffer,
    "WR_BIAS": Channel.write_bias,
    "RD_MAC": Channel.read_mac,
    "RD_AF": Channel.read_activation,
    "COPY_BKGB": Channel.copy_to_buffer,
    "COPY_GBBK": Channel.copy_from_buffer,
    "MAC_SBK": Channel.multiply_bank,
    "MAC_ABK": Channel.multiply_all,
    "AF": Channel.activate,
    "EWMUL": Channel.multiply_elements,
    "EWADD": Channel.add_registers,
}


def fuse(count: int, steps: Mapping[str, int], body: Sequence[Instruction]) -> None:
    """Loops run one iteration after the other."""


__all__ = ["OPERATIONS", "Group", "LogicDie", "Memory", "fuse"]
