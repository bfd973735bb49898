"""Activates of many banks, macro commands and refresh in turn: pictures by hand, on every engine.

Ticks are half a CK of hbm3-pam. nFAW 39, nRCDRD 19, nRAS 45, nRP 19, nRTP 8, nCCDL 4 CK. Column
commands and activates start on odd ticks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from reference import engine as reference

import pyramulator
from pamsim.config import ProgramVariants, describe, load_device
from pamsim.errors import PamsimError
from pyramulator import RECORD, ChannelResult, CommandStream, Description
from pyramulator.bridge import run_bridge

Engine = Callable[..., ChannelResult]

needs_ramulator = pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)
ENGINES = [
    pytest.param(partial(pyramulator.run, log=True, stalls=False), id="embedded"),
    pytest.param(reference.run, id="reference"),
    pytest.param(partial(run_bridge, log=True), id="ramulator2", marks=needs_ramulator),
    pytest.param(partial(run_bridge, log=True, replay=True), id="replay", marks=needs_ramulator),
]
on_every_engine = pytest.mark.parametrize("run", ENGINES)

VARIANTS = ProgramVariants(
    queries=(1,), elements=(128,), visits=((1, 8), (1, 32), (8, 4)), all_bank_queries=(1, 2)
)
ALL, GROUP, OTHER_GROUP = (0, 0, -1, -1, -1), (0, 0, 0, 0, -1), (0, 0, 0, 1, -1)


def described(name: str, *overrides: str, refresh: bool = False) -> Description:
    description = describe(load_device(name, overrides), VARIANTS)
    if refresh:
        return description
    return pyramulator.Description(**{**description.__dict__, "refresh": None})


def issued(
    run: Engine, description: Description, *streams: list[tuple[str, tuple[int, ...]]]
) -> list[tuple[int, str]]:
    """(tick, command) of all that is issued for streams of (command, target)."""
    targets = list(dict.fromkeys(target for stream in streams for _, target in stream))
    arrays = tuple(
        np.array(
            [
                (description.command_index(name), targets.index(target), 0, 0, 0, 1)
                for name, target in stream
            ],
            RECORD,
        )
        for stream in streams
    )
    log = run(description, CommandStream(np.array(targets, np.int32), arrays)).log
    assert log is not None
    return [(int(r["tick"]), description.commands[r["command"]].name) for r in log]


VISIT = [("ACTab", ALL), ("MACab_q1", ALL), ("MACab_q2", ALL), ("PREab", ALL), ("ACTab", ALL)]


@on_every_engine
def test_staggered_banks_open_four_at_a_time(run: Engine) -> None:
    # 32 banks in 8 windows: the last open (8 - 1) x 78 = 546 ticks after the first
    assert issued(run, described("hbm3-pam-ab"), VISIT) == [
        (1, "ACTab"),
        (587, "MACab_q1"),  # 1 + 2 x 19 + (3 - 1) - (2 - 1) + 546 = 586, and the next odd tick
        (595, "MACab_q2"),  # nCCDL
        (639, "PREab"),  # 1 + 2 x 45 + (3 - 1) + 546; nRTP asks for 595 + 17 = 612
        (675, "ACTab"),  # nRP: 639 + 38 - 2; nFAW for 1 + 8 x 78 = 625
    ]


@on_every_engine
def test_exempt_banks_open_at_once(run: Engine) -> None:
    assert issued(run, described("hbm3-pam-ab-exempt"), VISIT) == [
        (1, "ACTab"),
        (41, "MACab_q1"),  # 1 + 39 = 40, and the next odd tick
        (49, "MACab_q2"),
        (93, "PREab"),  # 1 + 2 x 45 + 2; nRTP asks for 49 + 17
        (129, "ACTab"),  # nRP: 93 + 36; no window
    ]


@on_every_engine
def test_the_next_activate_waits_for_every_window(run: Engine) -> None:
    # nRAS 20, nRP 10, nRC 30 CK: rows would be free at 1 + 42 + 546 = 589 and 589 + 18 = 607
    short = ("timing.nRAS=20", "timing.nRP=10", "timing.nRC=30")
    stream = [("ACTab", ALL), ("PREab", ALL), ("ACTbg", GROUP)]
    assert issued(run, described("hbm3-pam-ab", *short), stream) == [
        (1, "ACTab"),
        (589, "PREab"),
        (625, "ACTbg"),  # 1 + 8 x 78
    ]


@on_every_engine
def test_a_group_s_activate_takes_one_window_before_all(run: Engine) -> None:
    # both ask at tick 1; nRAS 20, nRP 10, nRC 30 CK, so that the window decides
    short = ("timing.nRAS=20", "timing.nRP=10", "timing.nRC=30")
    stream = [("ACTbg", GROUP), ("PREbg", GROUP), ("ACTab", ALL)]
    assert issued(run, described("hbm3-pam-ab", *short), stream) == [
        (1, "ACTbg"),
        (43, "PREbg"),  # 1 + 40 + 2
        (79, "ACTab"),  # nFAW: 1 + 78; nRP asks for 43 + 18 = 61
    ]


def test_rows_of_a_staggered_activate() -> None:
    rows = {
        (r.preceding, f): r.latency
        for r in described("hbm3-pam-ab").rows
        for f in r.following
        if r.rule.endswith("nFAW") or r.rule.endswith("(nFAW)")
        if r.window == 1
    }
    assert {f: rows[("ACTab",), f] for f in ("ACT", "ACTbg", "ACTab")} == dict.fromkeys(
        ("ACT", "ACTbg", "ACTab"), 8 * 78
    )
    assert rows[("ACTbg",), "ACTab"] == rows[("ACT",), "ACTab"] == 78
    exempt = described("hbm3-pam-ab-exempt")
    assert not [r for r in exempt.rows if "nFAW" in r.rule and "ACTab" in r.preceding + r.following]
    opening = {c.name: c.completion for c in described("hbm3-pam-ab").commands}
    assert opening["ACTab"] == 38 + 546


@on_every_engine
def test_a_sequencer_reads_a_row_after_one_command(run: Engine) -> None:
    one = [("ACTbg", GROUP), ("MACseq_q1_c32", GROUP), ("PREbg", GROUP), ("ACTbg", GROUP)]
    two = [("MACseq_q1_c8", OTHER_GROUP), ("MACseq_q8_c4", OTHER_GROUP), ("WRQ", OTHER_GROUP)]
    assert issued(run, described("hbm3-pam-seq"), one, two) == [
        (1, "ACTbg"),
        (41, "MACseq_q1_c32"),
        (79, "ACTbg"),  # of the other group: nFAW
        (119, "MACseq_q1_c8"),  # 79 + 39 = 118, and the next odd tick; free of the first group's
        (183, "MACseq_q8_c4"),  # 8 columns of 8 ticks
        (306, "PREbg"),  # 31 columns later nRTP: 41 + 31 x 8 + 17
        (311, "WRQ"),  # 4 columns of ceil(8 x 3.904) = 32 ticks
        (343, "ACTbg"),  # nRP: 306 + 36 = 342, and the next odd tick
    ]


@on_every_engine
def test_a_power_limited_sequencer_takes_half_as_long_again(run: Engine) -> None:
    stream = [("ACTbg", GROUP), ("MACseq_q1_c32", GROUP), ("PREbg", GROUP)]
    assert issued(run, described("hbm3-pam-seq-power"), stream)[1:] == [
        (41, "MACseq_q1_c32"),
        (41 + 31 * 12 + 17, "PREbg"),
    ]


@on_every_engine
def test_power_limited_macs_on_the_bus(run: Engine) -> None:
    streams = [[("ACTbg", g), *[("MACbg_q1", g)] * 3] for g in (GROUP, OTHER_GROUP)]
    ticks = [t for t, name in issued(run, described("hbm3-pam-power"), *streams) if "MAC" in name]
    # a group's own nCCDL of 8 ticks until 57, then the other's at 119, 127, 135: both have ended
    assert ticks == [41, 49, 57, 119, 127, 135]
    open_rows = [[("ACTbg", g)] for g in (GROUP, OTHER_GROUP)]
    both = [s + [("MACbg_q1", g)] * 3 for s, g in zip(open_rows, (GROUP, OTHER_GROUP), strict=True)]
    late = described("hbm3-pam-power", "timing.nFAW=4", "timing.nRRDS=1", "timing.nRRDL=1")
    # ACTbg 8 ticks apart: MACs of the two at 41 and 49, and nMAC = 6 ticks between any two
    assert [t for t, name in issued(run, late, *both) if "MAC" in name] == [41, 49, 55, 61, 67, 73]


@on_every_engine
def test_banks_are_refreshed_in_turn(run: Engine) -> None:
    # nREFIpb 158 CK: at 316 x k the k-th bank of both pseudo-channels, on the next odd ticks
    work = [("WRQ", GROUP)] * 200
    log = issued(run, described("hbm3-pam-refpb", refresh=True), work)
    refreshes = [tick for tick, name in log if name == "REFpb"]
    assert refreshes[:4] == [317, 319, 633, 635]
    description = described("hbm3-pam-refpb", refresh=True)
    stream = CommandStream(
        np.array([GROUP], np.int32),
        (np.array([(description.command_index("WRQ"), 0, 0, 0, 0, 2000)], RECORD),),
    )
    result = run(description, stream)
    assert result.log is not None
    rows = result.log[result.log["command"] == description.command_index("REFpb")]
    banks = [tuple(r["address"][1:5].tolist()) for r in rows if r["address"][1] == 0]
    # SID, bank group, bank: the last counts fastest, then from the first again
    turn = [(0, s, g, b) for s in range(2) for g in range(4) for b in range(4)]
    assert len(banks) > len(turn)
    assert banks == (turn * 2)[: len(banks)]
    assert len(result.residency.refreshing) == 2  # by pseudo-channel


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "commands:\n  ACTab: {activates: window}\n",
            "activates of ACTab must be staggered or exempt, as it opens 32 banks and nFAW is of "
            "4, not window",
        ),
        (
            "refresh: {in_turn: Bank}\n",
            "refresh.in_turn must be a level above PseudoChannel, not Bank",
        ),
        (
            "commands:\n  MACab_q{n}_x: {bus: column, scope: Bank, row_use: none, over: a}\n",
            "operand of MACab_q{n}_x must be {n} or {e} at its end",
        ),
    ],
)
def test_faults(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nextends: hbm3-pam-ab\n" + text)
    with pytest.raises(PamsimError) as error:
        load_device(path)
    assert message in str(error.value)


def test_a_list_with_a_plus_follows_on_its_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nextends: hbm3-pam\nparameters+: [nXYZ]\n"
        "timing:\n  nXYZ: {value: 50, source: 'derived: for the test'}\n"
        "timing_constraints+:\n"
        "  - {level: BankGroup, preceding: [WRQ], following: [RDRES], latency: nXYZ}\n"
    )
    with pytest.raises(PamsimError, match="nXY"):
        load_device(path, ["timing.nXY=3"])
    mine, plain = described(str(path)), described("hbm3-pam")
    assert next(r for r in mine.rows if r.rule == "nXYZ").latency == 100
    assert len(mine.rows) == len(plain.rows) + 1
    path.write_text(path.read_text().replace("latency: nXYZ", "latency: nXYX"))
    with pytest.raises(PamsimError, match=r"nXYX.* \[.*mine.yaml:7:"):
        load_device(path)
