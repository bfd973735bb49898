"""What the instructions of DDR-PIM do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pim_isa.memory import GroupMemory
from pim_isa.program import Instruction
from pim_isa.semantics.ddr_pim import softmax
from pim_isa.semantics.ddr_pim.group import CHIPS, Group
from pim_isa.semantics.hbm_pim.die import Event, LogicDie, Partial

# What the machine calls for each instruction, with its operands in the table's order.
OPERATIONS = {
    "CFG": Group.configure,
    "APP": Group.append,
    "APPW": Group.append_whole,
    "ACT": Group.activate_row,
    "PRE": Group.precharge,
    "PREB": Group.precharge_bank,
    "MASK": Group.set_mask,
    "WRQ": Group.write_query,
    "MACK": Group.dot,
    "SUMX": softmax.sum_over_chips,
    "MAX": softmax.row_maximum,
    "EXP": softmax.exponentials,
    "SUM": softmax.add,
    "CLRO": Group.clear,
    "MACV": Group.weigh,
    "REDG": Group.reduce_group,
    "REDL": Group.reduce_buffer,
    "RDR": Group.read_result,
}


class Memory(GroupMemory):
    """Rows of a bank group with a place for each unit: float16 [rows, 32, columns, 4]."""

    def __init__(self, banks: int, columns: int, lanes: int, rows: int) -> None:
        super().__init__(banks * CHIPS, columns, lanes, rows)


def fuse(
    _count: int, _steps: Mapping[str, int], _body: Sequence[Instruction]
) -> Callable[..., None] | None:
    """No loop is done at once."""
    return None


__all__ = ["OPERATIONS", "Event", "Group", "LogicDie", "Memory", "Partial", "fuse"]
