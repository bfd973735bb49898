"""Random page reads of a drive: what the engine gives against what follows by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pamsim.config import load_device

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from ssd_queue_depth import DEPTHS, DEVICES, by_hand, line, read_pages, turn  # noqa: E402

PAGE = 16384
SENSE_US, TRANSFER_US = 30, PAGE / 2400  # PAM, arXiv 2602.11521, Table 1: tR, and 2.4 GB/s


def test_by_hand_is_what_the_numbers_say() -> None:
    hand = by_hand(load_device("ssd-pam"))
    assert hand.latency_us == pytest.approx(SENSE_US + TRANSFER_US)
    assert hand.array_gbps == pytest.approx(8 * 4 * PAGE / SENSE_US / 1e3)
    assert hand.bus_gbps == pytest.approx(19.2)
    # MQSim's published drive: 64 dies of one 8 KiB page a 75.32 us and its 24.58 us of transfer
    mqsim = by_hand(load_device("ssd-mqsim"))
    assert mqsim.array_gbps == pytest.approx(64 * 8192 / (75.32 + 4096 * 6e-3) / 1e3, rel=1e-4)
    assert mqsim.bus_gbps == pytest.approx(8 / 3, rel=1e-4)


@pytest.mark.parametrize("name", DEVICES)
def test_one_read_is_sense_and_transfer(name: str) -> None:
    device = load_device(name)
    found = read_pages(device, 1)
    ck = 1e6 / device.ticks_per_second
    # a CK from register to register, one until the next command is seen
    assert found.mean_us == pytest.approx(by_hand(device).latency_us, abs=3 * ck)
    assert found.p99_us == pytest.approx(found.mean_us, abs=ck)


@pytest.mark.parametrize("name", DEVICES)
def test_no_depth_beats_its_reads_the_arrays_or_the_buses(name: str) -> None:
    device = load_device(name)
    hand, before = by_hand(device), 0.0
    for depth in DEPTHS:
        most = hand.most_gbps(depth, device.organisation.row_bytes)
        random, even = read_pages(device, depth), read_pages(device, depth, even=True)
        assert before < random.gbps <= even.gbps <= most * 1.0001
        # Little's law: reads outstanding = rate x latency
        page_gb = device.organisation.row_bytes / 1e9
        held = random.gbps / page_gb * random.mean_us / 1e6
        assert held == pytest.approx(depth, rel=0.03)
        before = random.gbps


@pytest.mark.parametrize("name", DEVICES)
def test_deep_queues_saturate(name: str) -> None:
    """Two reads for every die, or every second plane of MQSim's: arrays or buses are full."""
    device = load_device(name)
    hand = by_hand(device)
    assert read_pages(device, 64, even=True).gbps > 0.97 * min(hand.array_gbps, hand.bus_gbps)


def test_a_command_waits_for_the_transfer_that_has_begun() -> None:
    """One read a die: a round is tR, the own transfer and one more."""
    found = read_pages(load_device("ssd-pam"), 32, even=True)
    assert found.gbps == pytest.approx(32 * PAGE / (SENSE_US + 2 * TRANSFER_US) / 1e3, rel=0.01)


def test_planes_are_taken_in_turn() -> None:
    device = load_device("ssd-mqsim")
    o = device.organisation
    planes = [turn(n, device) for n in range(128)]
    assert sorted(planes) == list(range(128))
    assert [p // (o.dies * o.planes) for p in planes[:8]] == list(range(8))


@pytest.mark.parametrize("name", DEVICES)
def test_the_page_has_these_figures(name: str) -> None:
    """docs/fidelity-ssd.md says what the script prints."""
    page = (ROOT / "docs" / "fidelity-ssd.md").read_text()
    device = load_device(name)
    for depth in (1, 8, 64):
        assert line(device, depth) in page
