"""DDR-PIM channels in both engines: the peak, two ranks on one bus, and every issue tick alike."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from ddr_cases import DEVICES, compile_small, model, system
from reference import engine as reference
from reference.compare import disagreement

import pyramulator
from pamsim.config import ProgramVariants, describe, load_device
from pamsim.sim import expand
from pim_isa import assemble
from pyramulator import ChannelResult, bridge
from pyramulator.description import Description
from pyramulator.stream import CommandStream

ROW = ["CFG queries=1 part=128 vector=128", "ACT row=0",
       "MACK row=0 column=0 slots=1 base=0", "PRE"]  # fmt: skip


def streaming(ranks: int, groups: int, queries: int = 1) -> tuple[Description, CommandStream]:
    """Every bank group reads a row to its end, all at the same time, without refresh."""
    text = [".family ddr_pim"]
    for rank in range(ranks):
        for group in range(groups):
            text.append(f".stream rank={rank} bg={group}")
            text += [ROW[0].replace("queries=1", f"queries={queries}"), *ROW[1:]]
    made = describe(load_device("ddr4-pam"), ProgramVariants(queries=(queries,)))
    made = replace(made, refresh=None)
    return made, expand(assemble("\n".join(text)), made)


def mac_ticks(
    made: Description, result: ChannelResult, queries: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Ticks and ranks of the MACs while all groups read."""
    assert result.log is not None
    macs = result.log[result.log["command"] == made.command_index(f"MACbg_q{queries}")]
    by_group = [macs["tick"][macs["source"] == s] for s in np.unique(macs["source"])]
    start, end = max(t[0] for t in by_group), min(t[-1] for t in by_group)
    inside = (macs["tick"] >= start) & (macs["tick"] < end)
    return macs["tick"][inside], macs["address"][inside, 1]


def test_both_ranks_together_reach_the_peak() -> None:
    """A MACbg of 256 B every 2 CK of 0.625 ns: 204.8 GB/s, and the ranks take turns."""
    made, stream = streaming(2, 2)
    ticks, ranks = mac_ticks(made, pyramulator.run(made, stream, log=True))
    assert len(ticks) > 300
    span = int(ticks[-1] - ticks[0])
    assert span == 2 * (len(ticks) - 1)
    by_hand = 256 * made.ticks_per_second // 2
    assert by_hand == load_device("ddr4-pam").peak_bytes_per_second == 204_800_000_000
    quarters = ranks[: len(ranks) // 4 * 4].reshape(-1, 4)
    assert (quarters.sum(axis=1) == 2).all()  # two of each rank in four


@pytest.mark.parametrize(
    ("ranks", "groups", "queries", "ck"),
    [
        (1, 1, 1, 8),  # nCCDL
        (1, 2, 1, 4),  # nCCDS of a rank
        (2, 1, 1, 4),  # two groups of nCCDL
        (2, 1, 2, 4),  # two queries take 4 ns = 7 CK, less than nCCDL
        (1, 1, 4, 13),  # four take 8 ns
    ],
)
def test_what_limits_fewer_groups(ranks: int, groups: int, queries: int, ck: int) -> None:
    made, stream = streaming(ranks, groups, queries)
    ticks, _ = mac_ticks(made, pyramulator.run(made, stream, log=True), queries)
    count = len(ticks) // 4 * 4
    assert abs(int(ticks[count - 1] - ticks[0]) - ck * (count - 1)) <= ck


def small_programs(name: str) -> list[tuple[Description, CommandStream]]:
    """Two query heads, an append, a tail, both bank groups' and the channel's merges, refresh."""
    compiled = compile_small(model(2, 1, 64), (530, 37), system(name))
    made = describe(compiled.device, compiled.variants)
    return [(made, expand(p.program, made)) for p in compiled.programs]


def early_refresh(made: Description) -> Description:
    """A refresh every 3000 ticks, so that short programs meet some."""
    assert made.refresh is not None
    return replace(made, refresh=replace(made.refresh, interval=3000))


@pytest.mark.parametrize("name", DEVICES)
def test_engine_and_reference_agree(name: str) -> None:
    """The tick-by-tick reference of tests/reference, written from docs/engine-rules.md alone."""
    for made, stream in small_programs(name):
        made = early_refresh(made)
        mine = pyramulator.run(made, stream, log=True, stalls=True)
        theirs = reference.run(made, stream, max_ticks=200_000)
        assert disagreement(mine, theirs, made) is None
        assert mine.counts["REFab"] >= 2


@pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)
@pytest.mark.parametrize("name", DEVICES)
def test_engine_and_ramulator_agree(name: str) -> None:
    for made, stream in small_programs(name):
        for each in (made, early_refresh(made)):
            mine = pyramulator.run(each, stream, log=True, stalls=False)
            for replay in (False, True):
                theirs = bridge.run_bridge(each, stream, log=True, replay=replay)
                assert disagreement(mine, theirs, each) is None
