"""What the instructions of HBM-PIM do."""

from __future__ import annotations

from pim_isa.semantics.hbm_pim import softmax
from pim_isa.semantics.hbm_pim.die import Event, LogicDie, Partial
from pim_isa.semantics.hbm_pim.group import Group
from pim_isa.semantics.hbm_pim.visits import fuse

# What the machine calls for each instruction, with its operands in the table's order.
OPERATIONS = {
    "CFG": Group.configure,
    "APP": Group.append,
    "ACT": Group.activate_row,
    "PRE": Group.precharge,
    "PREB": Group.precharge_bank,
    "WRQ": Group.write_query,
    "MACK": Group.dot,
    "SCLK": softmax.scale_scores,
    "CAP": softmax.cap_scores,
    "MAX": softmax.row_maximum,
    "EXP": softmax.exponentials,
    "SUM": softmax.add,
    "SCLV": softmax.scale_weights,
    "MACV": Group.weigh,
    "CLRO": Group.clear,
    "REDG": Group.reduce_group,
    "REDL": Group.reduce_die,
    "RDR": Group.read_result,
}

__all__ = ["OPERATIONS", "Event", "Group", "LogicDie", "Partial", "fuse"]
