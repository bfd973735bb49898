"""Row visits in a loop, done at once: LOOP { ACT; MACK ...; PRE } and LOOP { ACT; MACV; PRE }.

The result is that of one iteration after the other. For scores this holds when no two iterations
write the same slot; outputs keep their order because there is one MACV in the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pim_isa.errors import IsaError
from pim_isa.program import Instruction
from pim_isa.semantics.hbm_pim.group import CLOSED, Group

Fused = Callable[[Group, Mapping[str, int]], None]


def fuse(count: int, steps: Mapping[str, int], body: Sequence[Instruction]) -> Fused | None:
    """A function of (group, additions of outer loops) that does the whole loop, or None."""
    if len(body) < 3 or body[0].mnemonic != "ACT" or body[-1].mnemonic != "PRE":
        return None
    work = body[1:-1]
    kind = work[0].mnemonic
    row = body[0]["row"]
    if any(i.mnemonic != kind or i["row"] != row for i in work):
        return None
    if kind == "MACV":
        if len(work) > 1 or work[0]["first"]:
            return None
    elif kind != "MACK":
        return None
    low = min(i["base"] for i in work)
    high = max(i["base"] + i["slots"] for i in work)
    if kind == "MACK" and count > 1 and steps["base"] < high - low:
        return None
    turn = np.arange(count, dtype=np.int64)

    def run(group: Group, added: Mapping[str, int]) -> None:
        if (group.open_row != CLOSED).any():
            raise IsaError(f"banks must be closed before ACT row {row + added['row']}")
        rows = row + added["row"] + turn * steps["row"]
        for i in work:
            bases = i["base"] + added["base"] + turn * steps["base"]
            if kind == "MACK":
                group.dots(
                    rows, bases, i["column"], i["slots"], i["mask"], i["accumulate"], i["last"]
                )
            else:
                group.weighs(rows, bases, i["column"], i["slots"], i["mask"], 0)

    return run
