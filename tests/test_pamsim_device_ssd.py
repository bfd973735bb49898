"""SSD-PIM devices: numbers by hand, rates that the engine reaches, and rules that the log keeps."""

from __future__ import annotations

import numpy as np
import pytest
from reference import engine as reference
from reference.compare import disagreement
from ssd_cases import DEVICES, reads, short_device

from pamsim.config import ProgramVariants, describe, load_device
from pamsim.config.resolver import duration_ticks
from pamsim.config.spec import DeviceSpec
from pamsim.sim.program import run_program
from pamsim.sim.run import ChannelRun
from pamsim.validate.timing import TimingVerdict, check_log
from pim_isa import Program, assemble, load

CK = 1_200_000_000  # 2400 MT/s, two transfers a CK: PAM, arXiv 2602.11521, Table 1
PAGE, DIES, CHANNELS = 16384, 4, 8  # Table 1; 8 channels a drive: section 7.1
SENSE_US, TRANSFER_US = 30.0, PAGE / 2.4e9 * 1e6  # tR of Table 1; a page at 2.4 GB/s
ALL_DIES = [(die, 0) for die in range(DIES)]


def run(program: Program, device: DeviceSpec) -> ChannelRun:
    return run_program(program, device)


def check(run: ChannelRun, device: DeviceSpec, log: np.ndarray | None = None) -> TimingVerdict:
    names = [c.name for c in run.description.commands]
    return check_log(
        device, run.description.levels, names, run.result.log if log is None else log,
        ticks=run.result.ticks, refresh=False,
    )  # fmt: skip


# -- by hand -------------------------------------------------------------------------------------


def test_the_peaks_by_hand() -> None:
    """17.5 GB/s a drive, PAM's "18 GFLOPS" at one operation a byte; 9.1 where nothing overlaps."""
    assert abs(TRANSFER_US - 6.827) < 1e-3
    pages = CHANNELS * DIES * PAGE
    by_hand = {
        "ssd-pam": pages / SENSE_US,
        "ssd-pam-nocache": pages / (SENSE_US + TRANSFER_US),
        # all dies of a channel sense, then their pages leave one after the other
        "ssd-pam-serial": pages / (SENSE_US + DIES * TRANSFER_US),
    }
    assert [round(v / 1e3, 1) for v in by_hand.values()] == [17.5, 14.2, 9.1]
    for name, rate in by_hand.items():
        # nCBSY, the CK from register to register, is 1 of 36,000
        assert load_device(name).peak_bytes_per_second == pytest.approx(rate * 1e6, rel=1e-4)


def test_the_bus_is_next_when_dies_have_more_planes() -> None:
    """8 channels x 2.4 GB/s = 19.2; four senses of 30 us overlap less than eight transfers take."""
    two = load_device("ssd-pam", ["organisation.planes=2", "organisation.rows=2097152"])
    assert two.external_bytes_per_second == 19_200_000_000
    round_ck = 384 + 8 * 8192  # a round of the channel: command (320 ns), then eight pages
    assert two.peak_bytes_per_second == 8 * 8 * PAGE * CK // round_ck
    assert 17.5e9 < two.peak_bytes_per_second < 19.2e9


def test_the_drive_is_as_large_and_as_fast_as_said() -> None:
    device = load_device("ssd-pam")
    o = device.organisation
    assert o.channel_bytes == 256 << 30  # Table 1
    assert device.timing_ck["nR"] == 30 * CK // 10**6
    assert device.timing_ck["nBL"] == PAGE // 2
    assert device.ticks_per_second == CK
    units = int(device.pim.extra["processing_units"])  # 64 a controller, section 7.1
    assert units // o.channels_per_device == load("ssd_pim").constants["units"] == 8
    assert load("ssd_pim").constants["row_columns"] * 32 == o.row_bytes
    assert load("ssd_pim").spec("RDP").field("row").maximum >= o.rows


def test_durations_by_hand() -> None:
    """A PU cycle is 1 ns = 1.2 CK; rounded up once a command."""
    device = load_device("ssd-pam")
    for unit, operand, cycles in (
        ("MAC", 64, 64 + 4),  # 8 vectors of 8 columns in each of 8 PUs: a page and a query
        ("PAGE", 128, 8),
        ("MAX", 16, 1 + 4),
        ("EXP", 16, 16 + 11),
        ("SUM", 16, 1 + 4),
        ("RED", 128, 1 + 11 + 8 * 8),
        ("MRG", 128, 1 + 11 + 8),
    ):
        assert duration_ticks(device, unit, operand) == -(-cycles * 12 // 10), unit


def test_mqsims_drive_has_its_published_numbers() -> None:
    """CMU-SAFARI/MQSim @7ec40e3 ssdconfig.xml: 8 x 4 x 2 x 2 planes, 2048 x 256 pages of 8 KiB."""
    device = load_device("ssd-mqsim")
    o = device.organisation
    assert o.channels_per_device * o.channel_bytes == 8 * 4 * 2 * 2 * 2048 * 256 * 8192
    assert device.external_bytes_per_second == pytest.approx(8 * 333e6, rel=2e-3)
    us = {name: ck * 2 / 333.333334 for name, ck in device.timing_ck.items()}
    assert us["nPROG"] == pytest.approx(750, abs=0.01)
    assert us["nBERS"] == pytest.approx(3800, abs=0.01)
    assert us["nR"] == pytest.approx(75 + 0.32, abs=0.01)


# -- what the engine makes of them ---------------------------------------------------------------


@pytest.mark.parametrize("name", DEVICES)
def test_the_engine_reaches_the_peak(name: str) -> None:
    """200 pages of each die; what is missing is the commands on the bus, 320 ns a page."""
    device = load_device(name)
    found = run(reads(device.pim.extra["overlap"], ALL_DIES, 100), device)  # type: ignore[arg-type]
    moved = found.result.counts["XFER"] * PAGE * CHANNELS
    rate = moved * CK / found.result.ticks
    assert 0.97 * device.peak_bytes_per_second < rate <= device.peak_bytes_per_second
    assert check(found, device).verdict == "passed"


WRITES = """
.family ssd_pim
.stream die=255 plane=0
APP page=0 column=0 columns=8 source=0
BAR id=0
CFG queries=1 part=8 vector=8
LOOP count=2
WRQ slot=0 query=0 offset=0
MACK input=0 row=0 vectors=2 last=1
MAX vectors=2
EXP vectors=2
SUM vectors=2
CLRO
MACV input=0 row=0 vectors=2
REDG
REDL slot=0 query=0
END
RDR query=0 normalise=1
.stream die=1 plane=0
RDP row=7
CPY row=7
OUT row=7
ERS row=256 pages=256
BAR id=0
PRG row=256 page=0
RDP row=8
.stream die=2 plane=0
RDP row=1
CPY row=1
OUT row=1
BAR id=0
PRG row=0 page=0
ERS row=0 pages=256
"""


@pytest.mark.parametrize("name", DEVICES)
def test_the_engines_agree(name: str) -> None:
    """The embedded engine and the tick-by-tick reference, on every command of the family."""
    device = short_device(name)
    programs = [reads(str(device.pim.extra["overlap"]), ALL_DIES, 2), assemble(WRITES)]
    names: set[str] = set()
    for program in programs:
        ours = run(program, device)
        theirs = reference.run(ours.description, ours.stream)
        assert disagreement(ours.result, theirs, ours.description) is None
        assert check(ours, device).verdict == "passed"
        names |= {n.partition("_")[0] for n in ours.result.counts}
    assert names == {c.name.partition("_")[0] for c in device.templates.commands}


def test_two_planes_of_a_die_sense_side_by_side() -> None:
    """Two planes take one tR together; with nRR = nR, as in MQSim's drive, one after the other."""
    planes = [(0, 0), (0, 1)]
    more = ("organisation.planes=2", "organisation.rows=2097152")
    for apart, sense in ((1, 1125), (1125, 2 * 1125)):
        device = short_device("ssd-pam", *more, f"timing.nRR={apart}")
        found = run(reads("cache", planes, 1), device)
        # two pages of each plane: both senses of a round, and the last transfers
        assert 2 * sense < found.result.ticks < 2 * sense + 3 * 256
        assert check(found, device).verdict == "passed"


# -- what the checker finds ----------------------------------------------------------------------


def edited(
    log: np.ndarray, command: int, which: int, tick: int | None = None, **change: int
) -> np.ndarray:
    """The log with one `command` at another tick, or another row; in order of time."""
    log = log.copy()
    at = np.flatnonzero(log["command"] == command)[which]
    if tick is not None:
        log["tick"][at] += tick
    for place, value in change.items():
        log["address"][at][int(place[1:])] = value
    return log[np.argsort(log["tick"], kind="stable")]


@pytest.mark.parametrize(
    ("command", "which", "tick", "rule"),
    [
        ("CACHE", -1, -3, "NAND tR"),
        ("XFER", 1, -20, "NAND page transfer"),  # the second die's, behind the first one's
        ("XFER", -1, -1, "NAND tCBSY"),
        ("READ", 1, -4, "NAND command"),
    ],
)
def test_a_command_too_early_is_found(command: str, which: int, tick: int, rule: str) -> None:
    device = short_device()
    found = run(reads("cache", ALL_DIES, 3), device)
    number = found.description.command_index(command)
    assert found.result.log is not None
    verdict = check(found, device, edited(found.result.log, number, which, tick))
    assert verdict.verdict == "violated"
    assert rule in verdict.by_rule, verdict.by_rule


@pytest.mark.parametrize(
    ("command", "rule"),
    [("CACHE", "NAND other page"), ("XFER", "NAND other page in the cache register")],
)
def test_another_page_is_found(command: str, rule: str) -> None:
    device = short_device()
    found = run(reads("cache", ALL_DIES, 3), device)
    assert found.result.log is not None
    number = found.description.command_index(command)
    verdict = check(found, device, edited(found.result.log, number, -1, a3=4000))
    assert rule in verdict.by_rule, verdict.by_rule


@pytest.mark.parametrize(
    ("dropped", "rule"),
    [
        ("XFER", "NAND full cache register"),
        ("CACHE", "NAND full page register"),
        ("READ", "NAND empty page register"),
    ],
)
def test_a_register_used_out_of_turn_is_found(dropped: str, rule: str) -> None:
    device = short_device()
    found = run(reads("cache", ALL_DIES[:1], 3), device)
    assert found.result.log is not None
    first = np.flatnonzero(found.result.log["command"] == found.description.command_index(dropped))
    verdict = check(found, device, np.delete(found.result.log, first[1]))
    assert rule in verdict.by_rule, verdict.by_rule


def test_a_log_that_overlaps_breaks_the_rules_of_a_device_that_may_not() -> None:
    overlapped = run(reads("cache", ALL_DIES, 3), short_device())
    for name, rule in (
        ("ssd-pam-nocache", "NAND one register"),
        ("ssd-pam-serial", "NAND senses and transfers in turns"),
    ):
        assert rule in check(overlapped, short_device(name)).by_rule


def test_a_write_beside_a_waiting_page_is_found() -> None:
    device = short_device()
    found = run(assemble(WRITES), device)
    assert found.result.log is not None
    log = found.result.log
    transfer = np.flatnonzero(log["command"] == found.description.command_index("XFER"))
    rules = check(found, device, np.delete(log, transfer)).by_rule
    assert "NAND write over a waiting page" in rules


def test_an_overlapped_program_cannot_run_with_one_register() -> None:
    from pyramulator.errors import Deadlock

    with pytest.raises(Deadlock):
        run(reads("cache", ALL_DIES[:1], 3), short_device("ssd-pam-nocache"))


def test_every_rule_of_the_family_is_held() -> None:
    """A rule whose parameter the device lacks would be told as unknown."""
    device = short_device()
    found = run(assemble(WRITES), device)
    verdict = check(found, device)
    assert verdict.notes == ()
    assert "NAND full cache register" in verdict.rules
    assert "SSD controller units" in verdict.rules
    names = [c.name for c in describe(device, ProgramVariants()).commands]
    assert names == ["READ", "CACHE", "XFER", "PROG", "ERASE"]
