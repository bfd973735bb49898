"""HBM presets beside hbm3-pam: peaks by hand, and whole decode steps with all proofs."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamsim.cli.main import main
from pamsim.compiler import CompiledStep, compile_step
from pamsim.config import load_device, load_system
from pamsim.errors import PamsimError
from pamsim.model import load_model
from pamsim.report.check import check_result
from pamsim.sim import count_commands, simulate
from pamsim.workload import make_step

SYSTEMS = {
    "pam-hbm2e": "hbm2e-pam",
    "pam-hbm3e": "hbm3e-pam",
    "pam-hbm4": "hbm4-pam",
    "pam-hbm-power": "hbm3-pam-power",
    "pam-hbm-seq": "hbm3-pam-seq",
    "pam-hbm-seq-power": "hbm3-pam-seq-power",
    "pam-hbm-refpb": "hbm3-pam-refpb",
}
systems = pytest.mark.parametrize("system", SYSTEMS)


@pytest.mark.parametrize(
    ("name", "internal", "external", "capacity_gib"),
    [
        # CK = 3.6 Gb/s / 2 beats; a MAC of 4 x 32 B a CK in each of 8 channels: 1843.2 GB/s;
        # 1024 pins x 3.6 Gb/s = 460.8 GB/s; 8 x 2 x 2 x 16 banks x 2^15 rows x 1 KB
        ("hbm2e-pam", 128 * 1_800_000_000 * 8, 460_800_000_000, 16),
        # CK = 9.6 Gb/s / 4 beats; 128 B a CK in each of 16 channels: 4915.2 GB/s; 1024 pins
        ("hbm3e-pam", 128 * 2_400_000_000 * 16, 1_228_800_000_000, 16),
        # CK = 8 Gb/s / 4 beats; 128 B a CK in each of 32 channels: 8192 GB/s; 2048 pins
        ("hbm4-pam", 128 * 2_000_000_000 * 32, 2_048_000_000_000, 32),
        # a MAC every nMAC = 3 CK in each of 2 pseudo-channels: two thirds of hbm3-pam's 2662.4
        ("hbm3-pam-power", 128 * 1_300_000_000 * 16 * 2 // 3, 665_600_000_000, 16),
        # 16 groups of a channel read 128 B each every 4 CK: 512 B a CK x 1.3 GHz x 16 = 10649.6
        ("hbm3-pam-seq", 512 * 1_300_000_000 * 16, 665_600_000_000, 16),
        # every 6 CK: two thirds, 7099.7 GB/s, AttAcc's power-limited 7.10 TB/s
        ("hbm3-pam-seq-power", 512 * 1_300_000_000 * 16 * 2 // 3, 665_600_000_000, 16),
        # 32 banks of 2 pseudo-channels every nCCDL = 4 CK: 2 x 1024 / 4 = 512 B a CK
        ("hbm3-pam-ab", 512 * 1_300_000_000 * 16, 665_600_000_000, 16),
        ("hbm3-pam-ab-exempt", 512 * 1_300_000_000 * 16, 665_600_000_000, 16),
        ("hbm3-pam-refpb", 128 * 1_300_000_000 * 16, 665_600_000_000, 16),
    ],
)
def test_peak_and_size_by_hand(name: str, internal: int, external: int, capacity_gib: int) -> None:
    device = load_device(name)
    assert device.peak_bytes_per_second == internal
    assert device.external_bytes_per_second == external
    organisation = device.organisation
    size = organisation.channels_per_device * organisation.channel_bytes
    assert size == capacity_gib * 2**30


def test_hbm2e_holds_hbm2s_nanoseconds() -> None:
    # CMU-SAFARI/ramulator2 @c5b1c3a python/ramulator/dram/hbm2.py, HBM2_2400Mbps: CK of 1.2 GHz,
    # half as many again of 1.8 GHz, rounded up; nRRDS, nRRDL 4 ns and nFAW 15 ns of its tables
    hbm2 = {"nCL": 17, "nRCDRD": 17, "nRCDWR": 14, "nRP": 17, "nRAS": 40, "nRC": 57, "nWR": 19,
            "nRTP": 6, "nCWL": 6, "nWTRS": 8, "nWTRL": 10}  # fmt: skip
    held = {name: -(-ck * 3 // 2) for name, ck in hbm2.items()}
    fixed = {"nBL": 2, "nCCDS": 2, "nCCDL": 4, "nCCDR": 3, "nPPD": 1, "nRTW": 26 + 2 + 2 - 9}
    times = {"nRRDS": 8, "nRRDL": 8, "nFAW": 27, "nRFC": 630, "nREFI": 7020}
    device = load_device("hbm2e-pam")
    assert device.timing_ck == held | fixed | times
    assert (device.ticks_per_ck, device.ticks_per_second) == (1, 1_800_000_000)


def test_hbm3e_holds_hbm3s_nanoseconds() -> None:
    # of hbm3-6400 (Ramulator 2.1), counted at 2.4 GHz instead of 1.6; nRFC and nREFI are times
    slow, fast = load_device("hbm3-6400").timing_ck, load_device("hbm3e-pam").timing_ck
    by_clock = {"nBL", "nCCDS", "nCCDL", "nCCDR", "nPPD"}
    assert fast == {n: ck if n in by_clock else -(-ck * 3 // 2) for n, ck in slow.items()}


def test_hbm4s_energy_is_voltage_times_current() -> None:
    # CMU-SAFARI/HBM-Power @318d3d1 config/HBM4_8000MTs/power.json: VDD 1.05 V, IDD in mA
    table = load_device("hbm4-pam").energy
    values = {c.name: c.value for c in table.constants}
    assert values["background_precharged_mw"] == pytest.approx(1.05 * 88.1)
    assert values["background_active_16_banks_mw"] == pytest.approx(1.05 * 91.0)
    assert values["refresh_all_bank_pj"] == pytest.approx(1.05 * (192.5 - 88.9) * 450)


def test_a_bank_costs_its_share_of_a_refresh() -> None:
    values = {c.name: c.value for c in load_device("hbm3-pam-refpb").energy.constants}
    assert values["refresh_per_bank_pj"] == pytest.approx(1.1 * (164.7 - 71.2) * 350 / 32)


@cache
def step(system: str) -> CompiledStep:
    model = replace(
        load_model("llama-3-8b"), layers=2, hidden=512, query_heads=6, kv_heads=2,
        ffn_hidden=64, vocabulary=100,
    )  # fmt: skip
    return compile_step(model, make_step("700,17"), load_system(system, ["tiers.hbm.devices=1"]))


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("hbm3-pam-power", "timing.nMAC=1", "nMAC must be at least nCCDS = 2 CK, not 1 CK"),
        ("hbm3-pam-seq", "timing.nSEQ=3", "nSEQ must be at least nCCDL = 4 CK, not 3 CK"),
        ("hbm3-pam-refpb", "timing.nREFIpb=5071", "nREFIpb must be at most nREFI = 5070 CK"),
    ],
)
def test_contradicting_parameters(name: str, override: str, message: str) -> None:
    with pytest.raises(PamsimError) as error:
        load_device(name, [override])
    assert message in str(error.value)


@systems
def test_a_system_is_five_stacks_of_its_device(system: str) -> None:
    tier = load_system(system).tier("hbm")
    assert (tier.devices, tier.device.name) == (5, SYSTEMS[system])


@systems
def test_all_proofs_pass(system: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    argv = ["run", "--model", "llama-3-8b", "--context", "300,40", "--system", system, "-q"]
    assert main([*argv, "-o", str(out)]) == 0
    assert check_result(out) == []
    result = json.loads((out / "result.json").read_text())
    verdicts = {proof: entry["verdict"] for proof, entry in result["validation"].items()}
    assert verdicts == dict.fromkeys(("functional", "layout", "timing"), "passed")
    assert result["energy_pj"]["total"] > 0


def terms(system: str, tmp_path: Path) -> dict[str, dict[str, Any]]:
    out = tmp_path / system
    argv = ["run", "--model", "llama-3-8b", "--context", "300,40", "--system", system, "-q"]
    assert main([*argv, "-o", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    return {t["name"]: t for t in result["energy_pj"]["terms"] if t["tier"] == "hbm"}


def test_a_macro_costs_its_columns(tmp_path: Path) -> None:
    bus, sequencer = terms("pam-hbm", tmp_path), terms("pam-hbm-seq", tmp_path)
    for name in ("mac_cell_read", "mac_arithmetic", "mac_buffers"):
        assert sequencer[name]["count"] == bus[name]["count"]


def test_one_macro_for_every_visit_and_the_same_programs() -> None:
    bus, sequencer = step("pam-hbm"), step("pam-hbm-seq")
    assert [p.sha256 for p in bus.programs] == [p.sha256 for p in sequencer.programs]
    for theirs, ours in zip(simulate(bus), simulate(sequencer), strict=True):
        columns = Counter[str]()
        for name, count in ours.result.counts.items():
            if name.startswith("MACseq"):
                mac, _, read = name.partition("_c")
                columns[mac.replace("seq", "bg")] += count * int(read)
        macs = {n: c for n, c in theirs.result.counts.items() if n.startswith("MACbg")}
        assert dict(columns) == macs
        assert not any(name.startswith("MACbg") for name in ours.result.counts)
        names = [c.name for c in ours.description.commands]
        asked = count_commands(ours.program.program, names)
        assert {n: c for n, c in asked.items() if n.startswith("MACseq")} == {
            n: c for n, c in ours.result.counts.items() if n.startswith("MACseq")
        }


@pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)
@systems
def test_both_engines_issue_the_same_commands(system: str) -> None:
    compiled = step(system)
    embedded = simulate(compiled, log=True)
    for engine in ("ramulator2", "ramulator2-replay"):
        theirs = simulate(compiled, log=True, engine=engine)
        for ours, other in zip(embedded, theirs, strict=True):
            assert other.result.ticks == ours.result.ticks
            assert np.array_equal(other.result.log, ours.result.log)
            assert np.array_equal(
                other.result.residency.refreshing, ours.result.residency.refreshing
            )
