"""Named parameters become the integers of an engine, equal to Ramulator's where it has them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pamsim.config import ProgramVariants, describe, duration_ticks, load_device
from pamsim.errors import PamsimError
from pyramulator.description import Bus, Description, RowUse, Slot, TimingRow

GOLDEN = Path(__file__).parent / "golden" / "config" / "hbm3_6400_stock_rows.json"
SMALL = ProgramVariants(queries=(1,), elements=(16,), reduced_elements=(16,))
FULL = ProgramVariants(queries=(1, 2, 8), elements=(64, 128), reduced_elements=(128,))

Edge = tuple[str, str, str, int, int, bool]  # level, preceding, following, latency, window, sibling


def edges(rows: tuple[TimingRow, ...]) -> list[Edge]:
    return [
        (row.level, p, f, row.latency, row.window, row.sibling)
        for row in rows
        for p in row.preceding
        for f in row.following
    ]


def test_stock_rows_are_ramulators() -> None:
    # CMU-SAFARI/ramulator2 @c5b1c3a, HBM3_16Gb_8hi, HBM3_6400Mbps: origin in the golden itself
    golden = json.loads(GOLDEN.read_text())
    description = describe(load_device("hbm3-6400"), SMALL)
    stock = set(golden["commands"])
    ours = [e for e in edges(description.rows) if {e[1], e[2]} <= stock]
    theirs = [
        (level, p, f, latency, window, sibling)
        for level, precedings, followings, latency, window, sibling in golden["rows"]
        for p in precedings
        for f in followings
    ]
    # JESD238 allows nothing in tRFC; Ramulator has the edge for PREab alone
    beyond = [("PseudoChannel", "REFab", "PREpb", 1120, 1, False)]
    assert sorted(ours) == sorted(theirs + beyond)
    assert list(description.sizes) == golden["sizes"]
    by_name = {c.name: c for c in description.commands}
    assert {n: by_name[n].cycles for n in stock} == golden["commands"]
    assert by_name["RD"].completion == golden["read_latency"]
    assert description.refresh is not None
    assert description.refresh.interval == golden["refresh_interval"]


def test_no_edge_is_given_twice_but_for_a_merge_and_its_bus() -> None:
    for name in ("hbm3-pam", "hbm3-6400"):
        all_edges = edges(describe(load_device(name), FULL).rows)
        times = Counter((e[0], e[1], e[2], e[4], e[5]) for e in all_edges)
        # the logic die's merge (nLDM) and, for the bus, nCCDS as between any two reads
        assert [k[1:3] for k, n in times.items() if n > 1] == [("REDLD", "RDRES")]


# hbm3-pam by hand, from docs/hbm-pim-commands.md: CK x 2 ticks, plus (cycles of the first - 1)
# minus (cycles of the second - 1); ACT* 3 cycles, column commands 2, PRE* and REFab 1. One PU
# cycle is 2600 / 666 = 3.904 ticks.
BY_HAND = [
    ("BankGroup", "ACTbg", "MACbg_q1", 2 * 19 + 2 - 1),  # nRCDRD
    ("Bank", "ACTbg", "RD", 2 * 19 + 2 - 1),
    ("Bank", "ACTbg", "WRA", 2 * 19 + 2 - 1),  # nRCDWR
    ("BankGroup", "ACTbg", "PREbg", 2 * 45 + 2),  # nRAS
    ("Bank", "ACTbg", "PREpb", 2 * 45 + 2),
    ("PseudoChannel", "ACTbg", "PREab", 2 * 45 + 2),
    ("Bank", "ACT", "PREbg", 2 * 45 + 2),
    ("BankGroup", "ACTbg", "ACTbg", 2 * 63),  # nRC
    ("Bank", "ACT", "ACTbg", 2 * 63),
    ("Bank", "ACTbg", "ACT", 2 * 63),
    ("BankGroup", "PREbg", "ACTbg", 2 * 19 - 2),  # nRP
    ("Bank", "PREpb", "ACTbg", 2 * 19 - 2),
    ("PseudoChannel", "PREab", "ACTbg", 2 * 19 - 2),
    ("Bank", "PREbg", "ACT", 2 * 19 - 2),
    ("BankGroup", "MACbg_q8", "PREbg", 2 * 8 + 1),  # nRTP
    ("Bank", "MACbg_q1", "PREpb", 2 * 8 + 1),
    ("PseudoChannel", "MACbg_q1", "PREab", 2 * 8 + 1),
    ("Bank", "RD", "PREbg", 2 * 8 + 1),
    ("Bank", "WR", "PREbg", 2 * (6 + 2 + 21) + 1),  # nCWL + nBL + nWR
    ("Bank", "RDA", "ACTbg", 2 * (8 + 19) + 1 - 2),  # nRTP + nRP
    ("Bank", "WRA", "ACTbg", 2 * (6 + 2 + 21 + 19) + 1 - 2),
    ("PseudoChannel", "PREbg", "PREpb", 2 * 2),  # nPPD
    ("PseudoChannel", "PREab", "PREbg", 2 * 2),
    ("PseudoChannel", "ACTbg", "REFab", 2 * 63 + 2),  # nRC
    ("PseudoChannel", "PREbg", "REFab", 2 * 19),  # nRP
    ("PseudoChannel", "REFab", "ACTbg", 2 * 455 - 2),  # nRFC
    ("PseudoChannel", "REFab", "PREbg", 2 * 455),
    ("BankGroup", "MACbg_q1", "MACbg_q8", 2 * 4),  # nCCDL 8 > ceil(3.904) = 4
    ("BankGroup", "MACbg_q2", "WRQ", 2 * 4),  # nCCDL 8 = ceil(7.81)
    ("BankGroup", "MACbg_q8", "MACbg_q1", 32),  # ceil(31.23)
    ("BankGroup", "MACbg_q1", "MAX_64", 2 * (19 + 2) + 4),  # nCL + nBL + PU time
    ("BankGroup", "MACbg_q8", "REDBG_128", 2 * (19 + 2) + 32),
    ("PseudoChannel", "MACbg_q1", "MACbg_q2", 2 * 2),  # nCCDS
    ("BankGroup", "MACbg_q2", "RDA", 2 * 4),
    ("BankGroup", "RD", "MACbg_q2", 2 * 4),
    ("BankGroup", "MACbg_q8", "WR", 2 * 4),
    ("BankGroup", "WR", "MACbg_q1", 2 * (6 + 2 + 11)),  # nCWL + nBL + nWTRL
    ("BankGroup", "WRQ", "MACbg_q1", 2 * (6 + 2 + 11)),
    ("BankGroup", "MAX_64", "EXP_64", 32),  # (64 / 16 + 4) cycles = 31.23 ticks
    ("BankGroup", "EXP_64", "SUM_64", 293),  # (64 + 11) cycles = 292.79 ticks
    ("BankGroup", "EXP_128", "WRQ", 543),  # 139 cycles = 542.64 ticks
    ("BankGroup", "SUM_128", "MACbg_q1", 47),  # (8 + 4) cycles = 46.85 ticks
    ("BankGroup", "WRQ", "SUM_64", 2 * (6 + 2)),  # nCWL + nBL
    ("BankGroup", "REDBG_128", "REDLD", 172),  # (1 + 11 + 4 x 8) cycles = 171.77 ticks
    ("BankGroup", "REDBG_128", "MACbg_q1", 172),
    ("PseudoChannel", "REDLD", "RDRES", 79),  # (1 + 11 + 8) cycles = 78.08 ticks
    ("PseudoChannel", "RDRES", "REDLD", 2 * 2),  # nCCDS
    ("PseudoChannel", "REDLD", "WRQ", 2 * 17),  # nRTW
    ("PseudoChannel", "WRQ", "RDRES", 2 * (6 + 2 + 8)),  # nCWL + nBL + nWTRS
    ("BankGroup", "WRQ", "REDLD", 2 * (6 + 2 + 11)),
    ("BankGroup", "WRQ", "WRQ", 2 * 4),  # nCCDL
    ("BankGroup", "REDLD", "RD", 2 * 4),
]


@pytest.mark.parametrize(("level", "before", "after", "ticks"), BY_HAND)
def test_pim_rows_by_hand(level: str, before: str, after: str, ticks: int) -> None:
    found = [
        e
        for e in edges(describe(load_device("hbm3-pam"), FULL).rows)
        if e[:3] == (level, before, after) and not e[5]
    ]
    assert max(e[3] for e in found) == ticks
    assert {e[4] for e in found} == {1}


def test_an_activate_of_a_group_weighs_the_whole_window() -> None:
    window = [
        e[1:5]
        for e in edges(describe(load_device("hbm3-pam"), SMALL).rows)
        if e[0] == "PseudoChannel" and e[1] in ("ACT", "ACTbg") and e[3] == 2 * 39
    ]
    assert sorted(window) == [
        ("ACT", "ACT", 78, 4), ("ACT", "ACTbg", 78, 1), ("ACTbg", "ACT", 78, 1),
        ("ACTbg", "ACTbg", 78, 1),
    ]  # fmt: skip


def test_another_sid_waits_nccdr_and_results_have_no_sid() -> None:
    siblings = [e for e in edges(describe(load_device("hbm3-pam"), SMALL).rows) if e[5]]
    assert {e[0] for e in siblings} == {"Sid"}
    assert {e[3] for e in siblings} == {2 * 3}
    assert {e[1] for e in siblings} == {e[2] for e in siblings} == {"RD", "RDA", "REDLD"}


def test_a_command_keeps_its_bus() -> None:
    description = describe(load_device("hbm3-pam"), FULL)
    bus = {(e[1], e[2]): e[3] for e in edges(description.rows) if e[0] == "Channel"}
    for first in description.commands:
        for second in description.commands:
            shares = first.slot is second.slot and first.cycles > 1
            expected = first.cycles if shares else None
            assert bus.get((first.name, second.name)) == expected


def test_rows_split_where_offsets_differ(tmp_path: Path) -> None:
    # one constraint, two lengths of command: RD (2 ticks) and PREpb (1 tick) after ACT (3 ticks)
    path = tmp_path / "split.yaml"
    text = "name: split\nextends: hbm3-pam\ntiming_constraints:\n" + "".join(
        f"  - {{level: {level}, preceding: [{p}], following: [{f}], latency: {latency}}}\n"
        for level, p, f, latency in [
            ("Bank", "ACT", "RD, PREpb", "nRCDRD"),
            ("BankGroup", "'MACbg_q*'", "'MACbg_q*'", "nCCDL"),
        ]
    )
    path.write_text(text)
    found = {
        (r.preceding, r.following): r.latency
        for r in describe(load_device(path), SMALL).rows
        if r.rule == "nRCDRD"
    }
    assert found == {(("ACT",), ("RD",)): 2 * 19 + 2 - 1, (("ACT",), ("PREpb",)): 2 * 19 + 2}


def commands_of(description: Description) -> dict[str, tuple[object, ...]]:
    return {
        c.name: (c.scope, c.slot, c.row_use, c.opens, c.closes, c.completion, c.falling_edge)
        for c in description.commands
    }


def test_commands_say_what_they_need_and_when_they_are_done() -> None:
    found = commands_of(describe(load_device("hbm3-pam"), FULL))
    row, column = Slot.ROW, Slot.COLUMN
    bg, pc = "BankGroup", "PseudoChannel"
    assert found["ACTbg"] == (bg, row, RowUse.OPEN, None, "PREbg", 38, False)
    assert found["PREbg"] == (bg, row, RowUse.CLOSE, None, None, 38, True)
    assert found["MACbg_q2"] == (bg, column, RowUse.ACCESS, "ACTbg", "PREbg", 42 + 8, False)
    assert found["WRQ"] == (bg, column, RowUse.NONE, None, None, 16, False)
    assert found["EXP_64"] == (bg, column, RowUse.NONE, None, None, 293, False)
    assert found["REDLD"] == (bg, column, RowUse.NONE, None, None, 42, False)
    assert found["RDRES"] == (pc, column, RowUse.NONE, None, None, 42, False)
    assert found["WR"] == ("Bank", column, RowUse.ACCESS, "ACT", "PREpb", 2 * 29, False)
    assert found["REFab"] == (pc, row, RowUse.ALL_CLOSED, None, "PREab", 910, False)
    assert {n for n, c in found.items() if c[6]} == {"PREpb", "PREab", "PREbg"}


def test_only_asked_variants_are_there_ascending_and_once() -> None:
    variants = ProgramVariants(queries=(4, 1, 4), elements=(), reduced_elements=(32,))
    names = [c.name for c in describe(load_device("hbm3-pam"), variants).commands]
    assert [n for n in names if "_" in n] == ["MACbg_q1", "MACbg_q4", "REDBG_32"]
    assert describe(load_device("hbm3-pam"), variants).bus is Bus.HALF_CLOCK


def test_every_row_names_commands_and_levels_that_exist() -> None:
    description = describe(load_device("hbm3-pam"), FULL)
    names = {c.name for c in description.commands}
    for row in description.rows:
        assert row.level in description.levels[:-2]
        assert row.preceding and row.following
        assert {*row.preceding, *row.following} <= names
        assert row.latency >= 0
    for command in description.commands:
        assert {command.opens, command.closes} <= names | {None}


@pytest.mark.parametrize(
    ("unit", "elements", "ticks"),
    [
        # cycles x 2.6e9 / 666e6, rounded up once
        ("PU", 1, 4),  # 3.90
        ("PU", 3, 12),  # 11.71
        ("PU", 10, 40),  # 39.04
        ("PU", 16, 63),  # 62.46, where 16 x 4 would be 64
        ("MAX", 17, 24),  # (2 + 4) = 23.42
        ("EXP", 16, 106),  # (16 + 11) = 105.41
        ("nSUM", 128, 47),
        ("RED", 16, 63),  # 1 + 11 + 4 = 16
        ("LDM", 0, 79),
    ],
)
def test_durations(unit: str, elements: int, ticks: int) -> None:
    assert duration_ticks(load_device("hbm3-pam"), unit, elements) == ticks


def test_exponential_lanes_divide_the_elements() -> None:
    device = load_device("hbm3-pam", ["pim.exponential_lanes=4"])
    # (64 / 4 + 11) cycles = 105.41 ticks
    assert duration_ticks(device, "EXP", 64) == 106


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (
            ProgramVariants(queries=(0,), elements=(16,), reduced_elements=(16,)),
            "queries must be from 1 to 65536, not 0",
        ),
        (
            ProgramVariants(queries=(1,), elements=(17,), reduced_elements=(16,)),
            "elements must be a positive multiple of 16, not 17",
        ),
        (
            ProgramVariants(queries=(1,), elements=(16,), reduced_elements=(0,)),
            "reduced_elements must be a positive multiple of 16, not 0",
        ),
    ],
)
def test_operands_out_of_range(variants: ProgramVariants, message: str) -> None:
    with pytest.raises(PamsimError) as error:
        describe(load_device("hbm3-pam"), variants)
    assert str(error.value) == message


def test_unknown_unit() -> None:
    with pytest.raises(PamsimError, match=r"not 'EXPO' \(did you mean 'EXP'\?\)"):
        duration_ticks(load_device("hbm3-pam"), "EXPO", 16)


def test_a_changed_parameter_changes_the_description() -> None:
    device = load_device("hbm3-pam")
    slower = replace(device, timing_ck={**device.timing_ck, "nRCDRD": 25})
    found = {e[:3]: e[3] for e in edges(describe(slower, SMALL).rows)}
    assert found["BankGroup", "ACTbg", "MACbg_q1"] == 2 * 25 + 1
