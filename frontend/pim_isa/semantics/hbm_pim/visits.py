"""Row visits in a loop, done at once: LOOP { ACT; MACK ...; SCLK ...; PRE } and LOOP { ACT; SCLV
...; MACV; PRE }.

The result is that of one iteration after the other. For scores and exponentials this holds when no
two iterations write the same slot; outputs keep their order because there is one MACV in the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pim_isa.errors import IsaError
from pim_isa.program import Instruction
from pim_isa.semantics.hbm_pim.banks import CLOSED
from pim_isa.semantics.hbm_pim.group import Group
from pim_isa.semantics.hbm_pim.softmax import scale_visits

# What may stand in such a loop, and whether it writes slots of the PU buffer.
_WRITES = {"MACK": True, "SCLK": True, "SCLV": True, "MACV": False}

Fused = Callable[[Group, Mapping[str, int]], None]


def fuse(count: int, steps: Mapping[str, int], body: Sequence[Instruction]) -> Fused | None:
    """A function of (group, additions of outer loops) that does the whole loop, or None."""
    if len(body) < 3 or body[0].mnemonic != "ACT" or body[-1].mnemonic != "PRE":
        return None
    work = body[1:-1]
    row = body[0]["row"]
    if any(i.mnemonic not in _WRITES or i["row"] != row for i in work):
        return None
    outputs = [i for i in work if i.mnemonic == "MACV"]
    if outputs and (work[-1] is not outputs[0] or outputs[0]["first"]):
        return None
    if count > 1 and any(_WRITES[i.mnemonic] for i in work):
        low = min(i["base"] for i in work)
        high = max(i["base"] + i["slots"] for i in work)
        if steps["base"] < high - low:
            return None
    turn = np.arange(count, dtype=np.int64)

    def run(group: Group, added: Mapping[str, int]) -> None:
        if (group.open_row != CLOSED).any():
            raise IsaError(f"banks must be closed before ACT row {row + added['row']}")
        rows = row + added["row"] + turn * steps["row"]
        for i in work:
            bases = i["base"] + added["base"] + turn * steps["base"]
            if i.mnemonic == "MACK":
                group.dots(
                    rows, bases, i["column"], i["slots"], i["mask"], i["accumulate"], i["last"]
                )
            elif i.mnemonic == "MACV":
                group.weighs(rows, bases, i["column"], i["slots"], i["mask"], 0)
            else:
                scale_visits(
                    group, i.mnemonic, rows, bases, i["column"], i["mask"], i["slots"], i["lane"]
                )

    return run
