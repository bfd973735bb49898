"""What the instructions of AttAcc do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pim_isa.program import Instruction
from pim_isa.semantics.attacc.die import Event, LogicDie
from pim_isa.semantics.attacc.queue import Group

# What the machine calls for each instruction, with its operands in the table's order.
OPERATIONS = {
    "CFG": Group.configure,
    "OPN": Group.open_bank,
    "APP": Group.append,
    "CLS": Group.close_bank,
    "ACT": Group.activate_row,
    "PRE": Group.precharge,
    "NEW": Group.swap,
    "MACK": Group.dot,
    "MACV": Group.weigh,
    "WRG": Group.write_query,
    "MVS": Group.move_scores,
    "SFM": Group.softmax,
    "MVG": Group.move_exponentials,
    "MVO": Group.move_outputs,
    "OUT": Group.give_result,
}


def fuse(
    _count: int, _steps: Mapping[str, int], _body: Sequence[Instruction]
) -> Callable[..., None] | None:
    """No loop is done at once."""
    return None


__all__ = ["OPERATIONS", "Event", "Group", "LogicDie", "fuse"]
