"""What the instructions of SSD-PIM do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pim_isa.errors import IsaError
from pim_isa.program import Instruction
from pim_isa.semantics.hbm_pim.die import Event, Partial
from pim_isa.semantics.ssd_pim.controller import CONTROLLER, Controller
from pim_isa.semantics.ssd_pim.memory import Pages
from pim_isa.semantics.ssd_pim.plane import Plane
from pim_isa.semantics.ssd_pim.units import Units
from pim_isa.table import InstructionTable

LogicDie, Memory = Controller, Pages


def Group(table: InstructionTable, stream: int, memory: Pages, die: Controller) -> Plane | Units:
    """What a stream runs on: the controller for stream 0, a plane for any other."""
    return Units(table, memory, die) if stream == CONTROLLER else Plane(stream, memory, die)


def _on(kind: type, where: str, method: Any) -> Callable[..., None]:
    def operation(group: Any, *operands: int) -> None:
        if not isinstance(group, kind):
            raise IsaError(f"instruction must run on {where}")
        method(group, *operands)

    return operation


_PLANE = "a plane: a stream other than 0"
_CONTROLLER = "the controller: stream 0"

# What the machine calls for each instruction, with its operands in the table's order.
OPERATIONS = {
    **{
        name: _on(Plane, _PLANE, method)
        for name, method in {
            "RDP": Plane.sense,
            "CPY": Plane.hand_over,
            "OUT": Plane.send,
            "PRG": Plane.program,
            "ERS": Plane.erase,
        }.items()
    },
    **{
        name: _on(Units, _CONTROLLER, method)
        for name, method in {
            "CFG": Units.configure,
            "APP": Units.append,
            "WRQ": Units.write_query,
            "MACK": Units.dot,
            "MAX": Units.row_maximum,
            "EXP": Units.exponentials,
            "SUM": Units.add,
            "CLRO": Units.clear,
            "MACV": Units.weigh,
            "REDG": Units.reduce,
            "REDL": Units.merge,
            "RDR": Units.read_result,
            "FREE": Units.free,
        }.items()
    },
}


def fuse(
    _count: int, _steps: Mapping[str, int], _body: Sequence[Instruction]
) -> Callable[..., None] | None:
    """No loop is done at once."""
    return None


__all__ = ["OPERATIONS", "Event", "Group", "LogicDie", "Memory", "Partial", "fuse"]
