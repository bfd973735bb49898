"""The engine's benchmark cases: what one channel is asked to issue, and on which device.

All on the timing of the named device `hbm3-pam`, refresh on, every record of count 1.

    A1  one stream; row visits over a whole pseudo-channel: ACTab, 64 MACab, PREab
    S1  two streams, one bank group in each pseudo-channel; row visits of 2 query writes, ACTbg,
        64 MACbg, 2 reductions, PREbg
    G8  eight bank-group streams of one channel, oldest first: ACTbg, 64 MACbg, PREbg
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pamsim.config import ProgramVariants, describe, load_device
from pyramulator import RECORD, Command, CommandStream, Description, RowUse, Slot, TimingRow

MACS_PER_VISIT = 64


@dataclass(frozen=True)
class BenchCase:
    """A case and the rate it has to reach, in commands per CPU second."""

    name: str
    what: str
    target: float
    build: Callable[[int], tuple[Description, CommandStream]]


def bank_group_description() -> Description:
    """`hbm3-pam` for one query and a head of 128."""
    variants = ProgramVariants(queries=(1,), elements=(128,), reduced_elements=(128,))
    return describe(load_device("hbm3-pam"), variants)


def all_bank_description() -> Description:
    """The same with an activate and a MAC of a whole pseudo-channel, timed as those of a group."""
    base = bank_group_description()
    by_name = {command.name: command for command in base.commands}
    activate = replace(by_name["ACTbg"], name="ACTab", scope="PseudoChannel", closes="PREab")
    mac = Command(
        "MACab",
        "PseudoChannel",
        Slot.COLUMN,
        2,
        RowUse.ACCESS,
        opens="ACTab",
        closes="PREab",
        completion=by_name["MACbg_q1"].completion,
    )
    rows = tuple(_with_all_bank(row) for row in base.rows)
    mac_time = max(
        row.latency
        for row in base.rows
        if "MACbg_q1" in row.preceding and "MACbg_q1" in row.following
    )
    again = TimingRow("PseudoChannel", ("MACab",), ("MACab",), mac_time, rule="MACbg in its group")
    opened = max(
        row.latency for row in base.rows if "ACTbg" in row.preceding and "MACbg_q1" in row.following
    )
    first = TimingRow("PseudoChannel", ("ACTab",), ("MACab",), opened, rule="nRCDRD")
    cycle = max(
        row.latency for row in base.rows if "ACTbg" in row.preceding and "ACTbg" in row.following
    )
    reopen = TimingRow("PseudoChannel", ("ACTab",), ("ACTab",), cycle, rule="nRC")
    return replace(
        base,
        name="hbm3-pam all-bank",
        commands=(*base.commands, activate, mac),
        rows=(*rows, again, first, reopen),
    )


def _with_all_bank(row: TimingRow) -> TimingRow:
    """A row of the buses or of a pseudo-channel, taken over for the commands of all banks."""
    if row.level not in ("Channel", "PseudoChannel"):
        return row

    def also(names: tuple[str, ...]) -> tuple[str, ...]:
        more = {"ACTbg": "ACTab", "MACbg_q1": "MACab"}
        return names + tuple(more[name] for name in names if name in more)

    return replace(row, preceding=also(row.preceding), following=also(row.following))


def records(commands: Sequence[int], targets: Sequence[int], visits: int, n: int) -> np.ndarray:
    """n records: `visits` times the commands, the row and the MAC's column counted up."""
    length = len(commands)
    out = np.zeros(visits * length, RECORD)
    table = out.reshape(visits, length)
    table["command"] = commands
    table["target"] = targets
    table["row"] = (np.arange(visits) % 16384)[:, None]
    table["column"] = np.arange(length) % 32
    table["count"] = 1
    return out[:n]


def all_bank(n: int) -> tuple[Description, CommandStream]:
    description = all_bank_description()
    names = ["ACTab", *["MACab"] * MACS_PER_VISIT, "PREab"]
    commands = [description.command_index(name) for name in names]
    stream = records(commands, [0] * len(names), -(-n // len(names)), n)
    return description, CommandStream(np.array([[0, 0, -1, -1, -1]], np.int32), (stream,))


def _groups(
    n: int, names: list[str], groups: list[tuple[int, int]]
) -> tuple[Description, CommandStream]:
    description = bank_group_description()
    commands = [description.command_index(name) for name in names]
    each = n // len(groups)
    visits = -(-each // len(names))
    streams = tuple(records(commands, [i] * len(names), visits, each) for i in range(len(groups)))
    targets = np.array([[0, pseudo, 0, group, -1] for pseudo, group in groups], np.int32)
    return description, CommandStream(targets, streams)


def two_groups(n: int) -> tuple[Description, CommandStream]:
    names = ["WRQ", "WRQ", "ACTbg", *["MACbg_q1"] * MACS_PER_VISIT, "REDLD", "REDLD", "PREbg"]
    return _groups(n, names, [(0, 0), (1, 0)])


def eight_groups(n: int) -> tuple[Description, CommandStream]:
    names = ["ACTbg", *["MACbg_q1"] * MACS_PER_VISIT, "PREbg"]
    return _groups(n, names, [(pseudo, group) for group in range(4) for pseudo in range(2)])


CASES = (
    BenchCase("A1", "all-bank visits, one stream", 40e6, all_bank),
    BenchCase("S1", "two bank-group streams", 20e6, two_groups),
    BenchCase("G8", "eight bank-group streams", 10e6, eight_groups),
)
