"""Every timing row of hbm3-pam as a picture of ticks: blocked one tick before, issued at the tick.

The numbers are worked out by hand from docs/hbm-pim-commands.md and the parameters of the preset
(PAM, arXiv 2602.11521, Table 1; what the table leaves out is scale-snu/attacc_simulator @c600051,
HBM3_5.2Gbps), never taken from the description under test.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
from timing_pictures import Address, Mark, draw, play, read_picture, redraw

from pamsim.config import ProgramVariants, describe, load_device
from pyramulator import Bus, Description, RowUse, TimingRow

VARIANTS = ProgramVariants(
    queries=(1, 4),
    scaled_queries=(1, 4),
    elements=(16, 128),
    capped_elements=(16, 128),
    reduced_elements=(16, 128),
)

# What "$name" stands for in a picture: each of these in turn.
SETS = {
    "mac": "MACbg_q1 MACbg_q4 SCbg_q1 SCbg_q4",
    "score": "CAP_16 CAP_128 MAX_16 MAX_128 EXP_16 EXP_128 SUM_16 SUM_128 REDBG_16 REDBG_128",
    "pu": "$mac WRQ $score",
    "group_read": "RD RDA REDLD",
    "read": "$group_read RDRES",
    "write": "WR WRA WRQ",
    "column": "$read $write $mac $score",
    "pre": "PREpb PREab PREbg",
    "row": "ACT ACTbg $pre REFab",
}

# (level that the two share, picture, ticks from the first of the rule to the last by hand).
# The picture shows one row of the device alone, on a bus that takes any command in any tick; what
# has to be opened for it has been, and what the controller puts in between is in parentheses.
# Ticks are 2 x CK + (ticks of the first on the bus - 1) - (ticks of the second - 1): ACT, ACTbg 3;
# column commands 2; PRE*, REFab 1. So from ACT* to a column command +2 -1, from a column command
# to PRE*, REFab +1, to ACT* +1 -2, from PRE*, REFab to ACT* -2. A PU cycle is 2600 / 666 = 3.904
# ticks, rounded up once per command.
# fmt: off
PICTURES = [
    # Command buses: 3 ticks of an ACT, 2 of a column command; no offsets
    ("Channel", "ACT|ACTbg .x2 $row", 3),
    ("Channel", "$column . $column", 2),
    # Column commands
    ("PseudoChannel", "$read .x3 $read", 2 * 2),  # nCCDS
    ("PseudoChannel", "$write .x3 $write", 2 * 2),
    ("PseudoChannel", "$read .x33 $write", 2 * (19 + 2 + 2 - 6)),  # nRTW: nCL + nBL + 2 - nCWL
    ("PseudoChannel", "$write .x31 $read", 2 * (6 + 2 + 8)),  # nCWL + nBL + nWTRS
    ("Sid", "$group_read .x3 $group_read", 2 * 2),  # nCCDS
    ("Sid", "$write .x3 $write", 2 * 2),
    ("other Sid", "$group_read .x5 $group_read", 2 * 3),  # nCCDR
    ("BankGroup", "$group_read .x7 $group_read", 2 * 4),  # nCCDL
    ("BankGroup", "$write .x7 $write", 2 * 4),
    ("BankGroup", "$write .x37 $group_read", 2 * (6 + 2 + 11)),  # nCWL + nBL + nWTRL
    # Rows, bank by bank
    ("PseudoChannel", "ACT .x3 ACT", 2 * 2),  # nRRDS
    ("BankGroup", "ACT .x7 ACT", 2 * 4),  # nRRDL
    ("Bank", "ACT (PREpb) .x124 ACT", 2 * 63),  # nRC
    ("Bank", "ACT .x38 RD|RDA", 2 * 19 + 2 - 1),  # nRCDRD
    ("Bank", "ACT .x38 WR|WRA", 2 * 19 + 2 - 1),  # nRCDWR
    ("Bank", "ACT .x91 PREpb", 2 * 45 + 2),  # nRAS
    ("PseudoChannel", "ACT .x91 PREab", 2 * 45 + 2),
    ("Bank", "PREpb .x35 ACT", 2 * 19 - 2),  # nRP
    ("PseudoChannel", "PREab .x35 ACT", 2 * 19 - 2),
    ("Bank", "RD .x16 PREpb", 2 * 8 + 1),  # nRTP
    ("PseudoChannel", "RD .x16 PREab", 2 * 8 + 1),
    ("Bank", "WR .x58 PREpb", 2 * (6 + 2 + 21) + 1),  # nCWL + nBL + nWR
    ("PseudoChannel", "WR .x58 PREab", 2 * (6 + 2 + 21) + 1),
    ("Bank", "RDA .x52 ACT", 2 * (8 + 19) + 1 - 2),  # nRTP + nRP
    ("Bank", "WRA .x94 ACT", 2 * (6 + 2 + 21 + 19) + 1 - 2),  # nCWL + nBL + nWR + nRP
    ("PseudoChannel", "$pre .x3 $pre", 2 * 2),  # nPPD
    # nFAW: the fifth ACT waits for the first; an ACTbg counts for four
    ("PseudoChannel", "ACT ACT ACT ACT .x74 ACT", 2 * 39),
    ("PseudoChannel", "ACTbg .x77 ACTbg", 2 * 39),
    ("PseudoChannel", "ACTbg .x77 ACT", 2 * 39),
    ("PseudoChannel", "ACT .x77 ACTbg", 2 * 39),
    # Refresh
    ("PseudoChannel", "ACT|ACTbg (PREab) .x126 REFab", 2 * 63 + 2),  # nRC
    ("PseudoChannel", "$pre .x37 REFab", 2 * 19),  # nRP
    ("PseudoChannel", "RDA .x54 REFab", 2 * (8 + 19) + 1),  # nRTP + nRP
    ("PseudoChannel", "WRA .x96 REFab", 2 * (6 + 2 + 21 + 19) + 1),  # nCWL + nBL + nWR + nRP
    ("PseudoChannel", "REFab .x907 ACT|ACTbg", 2 * 455 - 2),  # nRFC: 350 ns / 0.769 ns = 455.1
    ("PseudoChannel", "REFab .x909 $pre", 2 * 455),
    # Rows, the four banks of a group
    ("BankGroup", "ACTbg (PREbg) .x124 ACTbg", 2 * 63),  # nRC
    ("BankGroup", "ACTbg .x38 $mac", 2 * 19 + 2 - 1),  # nRCDRD
    ("BankGroup", "ACTbg .x91 PREbg", 2 * 45 + 2),  # nRAS
    ("PseudoChannel", "ACTbg .x91 PREab", 2 * 45 + 2),
    ("BankGroup", "PREbg .x35 ACTbg", 2 * 19 - 2),  # nRP
    ("PseudoChannel", "PREab .x35 ACTbg", 2 * 19 - 2),
    ("BankGroup", "$mac .x16 PREbg", 2 * 8 + 1),  # nRTP
    ("PseudoChannel", "$mac .x16 PREab", 2 * 8 + 1),
    # Rows, a group's command and a bank's
    ("Bank", "ACTbg (PREpb) .x124 ACT", 2 * 63),  # nRC
    ("Bank", "ACT (PREbg) .x124 ACTbg", 2 * 63),
    ("Bank", "ACTbg .x38 RD|RDA", 2 * 19 + 2 - 1),  # nRCDRD
    ("Bank", "ACTbg .x38 WR|WRA", 2 * 19 + 2 - 1),  # nRCDWR
    ("Bank", "ACT .x38 $mac", 2 * 19 + 2 - 1),  # nRCDRD; the other three banks are open
    ("Bank", "ACTbg .x91 PREpb", 2 * 45 + 2),  # nRAS
    ("Bank", "ACT .x91 PREbg", 2 * 45 + 2),
    ("Bank", "PREbg .x35 ACT", 2 * 19 - 2),  # nRP
    ("Bank", "PREpb .x35 ACTbg", 2 * 19 - 2),
    ("Bank", "$mac .x16 PREpb", 2 * 8 + 1),  # nRTP
    ("Bank", "RD .x16 PREbg", 2 * 8 + 1),
    ("Bank", "WR .x58 PREbg", 2 * (6 + 2 + 21) + 1),  # nCWL + nBL + nWR
    ("Bank", "RDA .x52 ACTbg", 2 * (8 + 19) + 1 - 2),  # nRTP + nRP
    ("Bank", "WRA .x94 ACTbg", 2 * (6 + 2 + 21 + 19) + 1 - 2),  # nCWL + nBL + nWR + nRP
    # Columns, the PUs of a group
    ("PseudoChannel", "$mac .x3 $mac", 2 * 2),  # nCCDS
    ("BankGroup", "MACbg_q1|SCbg_q1 .x7 $mac|WRQ", 2 * 4),  # nCCDL 8, over 1 PU cycle 3.9 -> 4
    ("BankGroup", "MACbg_q4|SCbg_q4 .x15 $mac|WRQ", 16),  # 4 PU cycles 15.6 -> 16, over nCCDL 8
    ("BankGroup", "MACbg_q1|SCbg_q1 .x45 $score", 2 * (19 + 2) + 4),  # nCL + nBL + 1 PU cycle
    ("BankGroup", "MACbg_q4|SCbg_q4 .x57 $score", 2 * (19 + 2) + 16),  # nCL + nBL + 4 PU cycles
    ("BankGroup", "$mac .x7 RD|RDA|WR|WRA", 2 * 4),  # nCCDL
    ("BankGroup", "RD .x7 $mac", 2 * 4),
    ("BankGroup", "RDA (PREbg) (ACTbg) .x5 $mac", 2 * 4),
    ("BankGroup", "WR|WRQ .x37 $mac", 2 * (6 + 2 + 11)),  # nCWL + nBL + nWTRL
    ("BankGroup", "WRA (PREbg) (ACTbg) .x35 $mac", 2 * (6 + 2 + 11)),
    ("BankGroup", "WRQ .x15 $score", 2 * (6 + 2)),  # nCWL + nBL
    ("BankGroup", "CAP_16 .x156 $pu", 157),  # 16 + 24 = 40 cycles, 156.2
    ("BankGroup", "CAP_128 .x593 $pu", 594),  # 128 + 24 = 152 cycles, 593.4
    ("BankGroup", "MAX_16 .x19 $pu", 20),  # 16 / 16 + 4 = 5 cycles, 19.5
    ("BankGroup", "MAX_128 .x46 $pu", 47),  # 128 / 16 + 4 = 12 cycles, 46.8
    ("BankGroup", "EXP_16 .x105 $pu", 106),  # 16 + 11 = 27 cycles, 105.4
    ("BankGroup", "EXP_128 .x542 $pu", 543),  # 128 + 11 = 139 cycles, 542.6
    ("BankGroup", "SUM_16 .x19 $pu", 20),  # as MAX
    ("BankGroup", "SUM_128 .x46 $pu", 47),
    ("BankGroup", "REDBG_16 .x62 $pu|REDLD", 63),  # 1 + 11 + 4 x 1 = 16 cycles, 62.5
    ("BankGroup", "REDBG_128 .x171 $pu|REDLD", 172),  # 1 + 11 + 4 x 8 = 44 cycles, 171.8
    ("PseudoChannel", "REDLD .x78 RDRES", 79),  # 1 + 11 + 128 / 16 = 20 cycles, 78.1
]
# fmt: on

# The first command of a picture is at HOME, the last where it shares this level and nothing below.
HOME: Address = (0, 0, 0, 0, 0)
NEAR: dict[str, Address] = {
    "Channel": (0, 1, 1, 2, 1),
    "PseudoChannel": (0, 0, 1, 2, 1),
    "other Sid": (0, 0, 1, 2, 1),
    "Sid": (0, 0, 0, 2, 1),
    "BankGroup": (0, 0, 0, 0, 1),
    "Bank": HOME,
}
# The nearest place at which the row must not hold. For a Bank another group: the commands that open
# a bank for the test would be those of the row in the same group.
FAR: dict[str, Address] = {
    "PseudoChannel": (0, 1, 0, 0, 0),
    "other Sid": (0, 0, 0, 1, 0),
    "Sid": (0, 0, 1, 0, 0),
    "BankGroup": (0, 0, 0, 1, 0),
    "Bank": (0, 0, 0, 1, 0),
}

Key = tuple[str, str, str, int]  # level, preceding, following, window


@cache
def device() -> Description:
    return describe(load_device("hbm3-pam"), VARIANTS)


def names(token: str) -> list[str]:
    """The commands that a token of PICTURES stands for."""
    found = []
    for part in token.split("|"):
        if part.startswith("$"):
            found += [name for inner in SETS[part[1:]].split() for name in names(inner)]
        else:
            found.append(part)
    return found


def singles(picture: str) -> list[str]:
    """The pictures of one pair of commands each that a line of PICTURES stands for."""
    return [" ".join(choice) for choice in product(*(names(t) for t in picture.split()))]


def key_of(level: str, picture: str) -> Key:
    """A picture shows its row's preceding command as many times as the row's window is long."""
    *before, last = read_picture(picture)
    return level, before[0].name, last.name, sum(m.name == before[0].name for m in before)


@cache
def rows_by_key() -> dict[Key, list[TimingRow]]:
    """Rows by key; of those that share one (REDLD -> RDRES) the lesser latency first."""
    found: dict[Key, list[TimingRow]] = {}
    for row in sorted(device().rows, key=lambda r: r.latency):
        level = f"other {row.level}" if row.sibling else row.level
        for before, after in product(row.preceding, row.following):
            found.setdefault((level, before, after, row.window), []).append(row)
    return found


@cache
def pictures_by_key() -> dict[Key, list[str]]:
    """Pictures by key, the shorter first."""
    found: dict[Key, list[str]] = {}
    for level, line, _ticks in PICTURES:
        for picture in singles(line):
            found.setdefault(key_of(level, picture), []).append(picture)
    return {k: sorted(v, key=lambda p: read_picture(p)[-1].tick) for k, v in found.items()}


def row_of(level: str, picture: str) -> TimingRow:
    """The row that a picture of PICTURES shows."""
    key = key_of(level, picture)
    return rows_by_key()[key][pictures_by_key()[key].index(picture)]


def banks(command: str, address: Address) -> set[Address]:
    """The banks of `address` that a command of this scope touches."""
    scope = device().commands[device().command_index(command)].scope
    kept = device().level_index(scope) + 1
    sizes = device().sizes[kept:5]
    return {(*address[:kept], *rest) for rest in product(*(range(n) for n in sizes))}


def openers(before: str, after: str, there: Address) -> list[tuple[str, Address]]:
    """What opens the banks that the two need; not by `before`, so that the row blocks nothing."""
    use = {c.name: c.row_use for c in device().commands}
    closed = banks(before, HOME) if use[before] is RowUse.OPEN else set()
    needed = banks(before, HOME) if use[before] is RowUse.ACCESS else set()
    if use[after] is RowUse.ACCESS:
        needed |= banks(after, there) - closed
    commands: list[tuple[str, Address]] = []
    for group in sorted({bank[:4] for bank in needed}):
        mine = sorted(bank for bank in needed if bank[:4] == group)
        choices = ["ACTbg", "ACT"] if len(mine) == 4 else ["ACT", "ACTbg"]
        if before in choices and not any(bank[:4] == group for bank in closed):
            choices.remove(before)
        commands += [(choices[0], bank) for bank in mine[: 1 if choices[0] == "ACTbg" else None]]
    return commands


def alone(row: TimingRow) -> Description:
    """The device with this row only, any command in any tick and no refresh."""
    return replace(device(), rows=(row,), bus=Bus.SINGLE, refresh=None)


def seen(row: TimingRow, picture: str, there: Address) -> str:
    """What issues, drawn from the picture's first command on; before it, a tick per opener."""
    *before, after = [m.name for m in read_picture(picture) if m.asked]
    opened = openers(before[0], after, there)
    # the preceding commands of a window go to a bank group each, of the same pseudo-channel
    firsts = [(name, (*HOME[:3], n, 0)) for n, name in enumerate(before)]
    stream = [*opened, *firsts, (after, there)]
    issued = play(alone(row), [[(name, address, 0) for name, address in stream]])
    ticks_and_names = [(tick, name) for tick, _, name, _ in issued]
    n = len(opened)
    assert ticks_and_names[:n] == [(i + 1, name) for i, (name, _) in enumerate(opened)]
    return draw([Mark(tick, name) for tick, name in ticks_and_names[n:]], start=n + 1)


def later(picture: str) -> str:
    """The picture with its last command one tick later."""
    *before, last = read_picture(picture)
    return draw([*before, replace(last, tick=last.tick + 1)])


def test_every_row_has_its_picture() -> None:
    expected = Counter({key: len(rows) for key, rows in rows_by_key().items()})
    assert Counter({key: len(found) for key, found in pictures_by_key().items()}) == expected


@pytest.mark.parametrize(
    ("level", "line", "ticks"), PICTURES, ids=[f"{level}: {line}" for level, line, _ in PICTURES]
)
def test_row_alone(level: str, line: str, ticks: int) -> None:
    for picture in singles(line):
        before, *_, last = read_picture(picture)
        assert last.tick - before.tick == ticks
        row = row_of(level, picture)
        assert seen(row, picture, NEAR[level]) == redraw(picture)
        slower = replace(row, latency=row.latency + 1)
        assert seen(slower, picture, NEAR[level]) == later(picture)
        if level in FAR:
            asked = [m.name for m in read_picture(picture) if m.asked]
            assert seen(row, picture, FAR[level]) == " ".join(asked)
