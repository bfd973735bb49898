"""Writing a prompt's KV cache into the tiers, by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pamsim.cli.main import main
from pamsim.config import load_system
from pamsim.model import load_model
from pamsim.system.clock import rate_to_ps
from pamsim.system.prefill import device_ps, prefill_writes
from pamsim.workload.step import DecodeStep

ONE = ("instances=1", "tensor_parallel=1", "pipeline_parallel=1")
LLAMA = load_model("llama-3-8b")  # 128 KiB of KV cache a token
GIB = 1 << 30


def test_each_tier_takes_its_share_at_the_slower_of_link_and_devices() -> None:
    system = load_system("pam-node", (*ONE, "tiers.hbm.kv_gib=0.25", "tiers.ddr.kv_gib=0.5"))
    hbm, ddr, ssd = prefill_writes(system, LLAMA, DecodeStep((8192,)))
    # 8192 tokens are 1 GiB: a quarter, a half, a quarter; the step's own token is not the prompt's
    assert [w.size_bytes for w in (hbm, ddr, ssd)] == [
        GIB // 4 - 131072, GIB // 2, GIB // 4,
    ]  # fmt: skip
    # PCIe 5.0 x16 at 64 GB/s after 55 ns; five DIMMs of 25.6 GB/s
    assert ddr.link_ps == 55_000 + rate_to_ps(GIB // 2, 64 * 10**9)
    assert ddr.device_ps == rate_to_ps(GIB // 2, 5 * 25_600_000_000)
    assert ddr.time_ps == ddr.link_ps
    assert ddr.link_pj == 4.4 * 8 * (GIB // 2)
    assert hbm.device_ps == rate_to_ps(hbm.size_bytes, 5 * 665_600_000_000)


def test_flash_programs_planes_side_by_side() -> None:
    tier = load_system("pam-node").tier("ssd")
    organisation, timing = tier.device.organisation, tier.device.timing_ck
    planes = 8 * 4 * organisation.planes  # PAM, Table 1: 8 channels, 4 dies
    program_ps = -(-timing["nPROG"] * 10**12 // 1_200_000_000)  # bus of 2400 MT/s: 1.2 GHz
    page = organisation.row_bytes
    assert device_ps(tier, page) == program_ps
    assert device_ps(tier, planes * page) == program_ps
    assert device_ps(tier, planes * page + 1) == -(-2 * timing["nPROG"] * 10**12 // 1_200_000_000)


def test_instances_write_their_own_part() -> None:
    system = load_system("pam-node")
    (hbm,) = prefill_writes(system, LLAMA, DecodeStep((8192,)))
    # tensor x pipeline parallel 4 x 2: an eighth of 8191 tokens' 128 KiB
    assert hbm.size_bytes == 8191 * 131072 // 8
    assert hbm.link_pj == 0  # the way over the interposer is the device's
    assert prefill_writes(system, LLAMA, DecodeStep((1,))) == ()


def test_a_link_without_energy_says_so() -> None:
    system = load_system("pam-hbm")
    (tier,) = system.tiers
    bare = replace(tier, link=replace(tier.link, energy_pj_per_bit=None))
    (write,) = prefill_writes(replace(system, tiers=(bare,)), LLAMA, DecodeStep((64,)))
    assert write.link_pj is None


def test_the_command_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    step = ("--model", "llama-3-8b", "--system", "pam-node", "--context", "4096")
    assert main(["prefill", *step]) == 0
    assert "KV cache written in" in capsys.readouterr().out
    assert main(["prefill", *step, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["latency_ns"] == max(
        max(t["link_ns"], t["device_ns"]) for t in said["tiers"].values()
    )
