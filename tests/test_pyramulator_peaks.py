"""The peak of every preset: the arithmetic beside it, and an engine that gets there.

A MAC reads 32 B in each of the four banks of a group: 128 B. A channel issues one a CK at most: a
column command has the bus for 2 ticks, a CK. Nothing else is in the way of 16 groups that take
turns: nCCDS lets a pseudo-channel's 8 groups go 2 CK apart, there are two pseudo-channels, and a
group's turn comes again after 16 CK where nCCDL asks for 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

import pyramulator
from pamsim.config import ProgramVariants, describe, list_configs, load_device
from pyramulator import BARRIER, END, LOOP, RECORD, ChannelResult, CommandStream, Description

CHANNELS = 16  # of a stack: PAM, arXiv 2602.11521, Table 1
MAC_BYTES = 4 * 32  # banks of a group x bytes of a column
COLUMNS = 32  # of an open row: 1 KiB
PASSES = 40  # over the open row


@dataclass(frozen=True)
class Preset:
    """What is worked out by hand for one preset. A tick is half a CK."""

    name: str
    peak_bytes_per_second: int  # MAC_BYTES x CK x CHANNELS
    ticks_per_second: int
    window_ticks: int  # from one ACTbg of a pseudo-channel to the next: 2 x nFAW
    open_ticks: int  # completion of an ACTbg: 2 x nRCDRD
    done_ticks: int  # completion of a MAC: 2 x (nCL + nBL), and a PU cycle in ticks, rounded up


PRESETS = (
    # CK = 5.2 Gb/s a pin / 4 transfers a CK = 1.3 GHz; 128 B x 1.3 GHz x 16 = 2662.4 GB/s.
    # nFAW 39, nRCDRD 19, nCL 19, nBL 2; a PU cycle 2600 / 666 = 3.9 ticks
    Preset("hbm3-pam", 128 * 1_300_000_000 * 16, 2_600_000_000, 2 * 39, 2 * 19, 2 * 21 + 4),
    # the same stack, whose larger PU buffers read no faster
    Preset("hbm3-pam-gqa", 128 * 1_300_000_000 * 16, 2_600_000_000, 2 * 39, 2 * 19, 2 * 21 + 4),
    # CK = 6.4 Gb/s a pin / 4 = 1.6 GHz; 128 B x 1.6 GHz x 16 = 3276.8 GB/s.
    # nFAW 24, nRCDRD 31, nCL 20, nBL 2; a PU cycle 3200 / 666 = 4.8 ticks
    Preset("hbm3-6400", 128 * 1_600_000_000 * 16, 3_200_000_000, 2 * 24, 2 * 31, 2 * 22 + 5),
)
by_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)


@dataclass(frozen=True)
class Groups:
    """Some groups of a channel that stream; `apart` is the ticks from a MAC to the next."""

    pseudo_channels: int
    sids: int
    bank_groups: int
    apart: int

    @property
    def in_pseudo_channel(self) -> int:
        return self.sids * self.bank_groups


ALL_GROUPS = Groups(2, 2, 4, apart=2)  # the column bus: a CK
SOME_GROUPS = {
    "all 16 groups": ALL_GROUPS,
    "8 groups of a pseudo-channel": Groups(1, 2, 4, apart=4),  # nCCDS 2 CK
    "2 groups of a pseudo-channel": Groups(1, 1, 2, apart=4),  # nCCDS, as nCCDL / 2
    "a group": Groups(1, 1, 1, apart=8),  # nCCDL 4 CK, over a PU cycle of 3.9 or 4.8 ticks
}


@cache
def description_of(name: str) -> Description:
    return describe(load_device(name), ProgramVariants(queries=(1,)))


@cache
def stream_macs(name: str, groups: Groups) -> ChannelResult:
    """Every group opens a row and, when all have, reads it over and over; there is no refresh."""
    description = replace(description_of(name), refresh=None)
    activate, mac = (description.command_index(n) for n in ("ACTbg", "MACbg_q1"))
    targets = [
        (0, pc, sid, group, -1)
        for pc in range(groups.pseudo_channels)
        for sid in range(groups.sids)
        for group in range(groups.bank_groups)
    ]
    streams = tuple(
        np.array(
            [
                (activate, target, 0, 0, 0, 1),
                (BARRIER, 0, 0, 0, 0, 1),
                (LOOP, 0, 0, 0, 0, PASSES),
                (mac, target, 0, 0, 1, COLUMNS),
                (END, 0, 0, 0, 0, 0),
            ],
            dtype=RECORD,
        )
        for target in range(len(targets))
    )
    stream = CommandStream(np.array(targets, dtype=np.int32), streams)
    return pyramulator.run(description, stream, log=True, stalls=False)


def mac_ticks(name: str, groups: Groups) -> np.ndarray:
    """The ticks at which the channel issued a MAC."""
    log = stream_macs(name, groups).log
    assert log is not None
    return log["tick"][log["command"] == description_of(name).command_index("MACbg_q1")]


def first_mac(preset: Preset, groups: Groups) -> int:
    """Tick of the first MAC.

    A pseudo-channel's ACTbg are nFAW apart from tick 1; the second's follow the first's by the 3
    ticks of the row bus, and 1 to the rising edge. The barrier opens when the last is complete; the
    MACs are visible in the next tick, an even one, and issue in the one after.
    """
    last_activate = 1 + preset.window_ticks * (groups.in_pseudo_channel - 1)
    last_activate += 4 * (groups.pseudo_channels - 1)
    return last_activate + preset.open_ticks + 2


def test_every_preset_has_its_arithmetic() -> None:
    assert {preset.name for preset in PRESETS} <= set(list_configs("device"))
    in_gb = {preset.name: preset.peak_bytes_per_second / 1e9 for preset in PRESETS}
    assert in_gb == {"hbm3-pam": 2662.4, "hbm3-pam-gqa": 2662.4, "hbm3-6400": 3276.8}


@by_preset
def test_peak_is_the_arithmetic(preset: Preset) -> None:
    device = load_device(preset.name)
    assert device.peak_bytes_per_second == preset.peak_bytes_per_second
    assert device.ticks_per_second == preset.ticks_per_second
    assert device.organisation.channels_per_device == CHANNELS


@by_preset
@pytest.mark.parametrize("groups", SOME_GROUPS.values(), ids=SOME_GROUPS)
def test_tick_of_every_mac(preset: Preset, groups: Groups) -> None:
    ticks = mac_ticks(preset.name, groups)
    n = groups.pseudo_channels * groups.in_pseudo_channel * PASSES * COLUMNS
    start = first_mac(preset, groups)
    # the k-th MAC at start + k x apart: no tick is lost, none gained
    assert np.array_equal(ticks, start + groups.apart * np.arange(n))
    # and the run ends with the last one's completion
    assert stream_macs(preset.name, groups).ticks == ticks[-1] + preset.done_ticks


@by_preset
def test_engine_reaches_the_peak(preset: Preset) -> None:
    result = stream_macs(preset.name, ALL_GROUPS)
    total = result.counts["MACbg_q1"] * MAC_BYTES * CHANNELS
    # The ramp: all ticks before the first MAC, and what its completion has over its CK on the bus
    ramp = first_mac(preset, ALL_GROUPS) - 1 + preset.done_ticks - (2 - 1)
    steady = result.ticks - ramp
    assert total * preset.ticks_per_second == preset.peak_bytes_per_second * steady
    # 16 x 40 x 32 MACs in 2 ticks each beside it: within 2 % of the peak all in all
    assert ramp < 0.02 * result.ticks


@by_preset
def test_first_mac_in_numbers(preset: Preset) -> None:
    # pam: the 16th ACTbg 1 + 7 x 78 + 4 = 551, complete at 589, visible at 590, MAC 591
    # 6400: 1 + 7 x 48 + 4 = 341, complete at 403, visible at 404, MAC 405
    expected = {"hbm3-pam": 591, "hbm3-pam-gqa": 591, "hbm3-6400": 405}
    assert int(mac_ticks(preset.name, ALL_GROUPS)[0]) == expected[preset.name]
