"""Instruction sets of processing-in-memory devices as data, and what works on their programs."""

from pim_isa.arithmetic import Arithmetic
from pim_isa.asm import assemble
from pim_isa.check import check
from pim_isa.decode import decode
from pim_isa.disasm import disassemble
from pim_isa.encode import encode
from pim_isa.errors import IsaError
from pim_isa.expansion import ExpandedCommand, expand_counts
from pim_isa.machine import Machine, MachineResult
from pim_isa.program import Instruction, Program, Stream, Unit
from pim_isa.table import InstructionTable, families, load

__all__ = [
    "Arithmetic",
    "ExpandedCommand",
    "Instruction",
    "InstructionTable",
    "IsaError",
    "Machine",
    "MachineResult",
    "Program",
    "Stream",
    "Unit",
    "assemble",
    "check",
    "decode",
    "disassemble",
    "encode",
    "expand_counts",
    "families",
    "load",
]
