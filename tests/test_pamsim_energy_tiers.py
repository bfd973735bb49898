"""Energy of a step over tiers and instances, counted by hand: nothing twice, nothing left out.

The step: 2 layers of 2 heads, 128 wide, on two tensor-parallel instances, so one head each. One
request of 48 tokens; its newest 32 in HBM, the 16 before in DDR; a third tier stands by. Whatever
an instance moves in a layer is moved 2 layers x 2 instances = 4 times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pamsim.compiler import compile_parts
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.energy import EnergyTerm, account
from pamsim.model import load_model
from pamsim.placement import Shard, TierAssignment
from pamsim.report.document import step_document
from pamsim.report.proofs import prove_step
from pamsim.system import PartRun, StepResult, simulate_parts, step_timeline
from pamsim.workload.step import DecodeStep

HBM = load_system("pam-hbm").tier("hbm")
DDR = load_system("ddr-only").tier("ddr")  # behind PCIe 5.0 x16
TIMES = 4
MODEL = replace(
    load_model("llama-3-8b"), layers=2, kv_heads=2, query_heads=2, hidden=256, ffn_hidden=512,
    vocabulary=1024,
)  # fmt: skip
STEP = DecodeStep((48,))


def machine(**change: Any) -> SystemSpec:
    tiers = (
        replace(HBM, devices=1),
        replace(DDR, devices=1),
        replace(HBM, name="spare", devices=2),
    )
    system = load_system("pam-hbm", ("interconnect=nvlink4",))
    return replace(system, tiers=tiers, instances=2, tensor_parallel=2, **change)


def run_step(system: SystemSpec, codes: list[int]) -> tuple[tuple[PartRun, ...], StepResult]:
    """codes: tier of every token, 0 for the first."""
    names = tuple(t.name for t in system.tiers)

    def assign(_shard: Shard) -> TierAssignment:
        held = np.broadcast_to(np.array([codes], np.uint8), (MODEL.layers, len(codes)))
        return TierAssignment(names, (held,))

    parts = compile_parts(MODEL, STEP, system, assign)
    runs = simulate_parts(parts, threads=1)
    return runs, step_timeline(system, MODEL, STEP, runs)


def charged(system: SystemSpec, codes: list[int]) -> dict[tuple[str, str], EnergyTerm]:
    runs, result = run_step(system, codes)
    found = account([r.part.step for r in runs], [r.runs for r in runs], system, result.activity)
    assert found.missing == ()
    terms = {(t.tier, t.name): t for t in found.terms}
    assert len(terms) == len(found.terms)  # a name once in a tier
    return terms


@pytest.fixture(scope="module")
def terms() -> dict[tuple[str, str], EnergyTerm]:
    return charged(machine(), [1] * 16 + [0] * 32)


# (O, m, l) of one query: 128 + 2 numbers in FP32
PARTIAL = 130 * 4
VECTOR = 128 * 2
BY_HAND = {
    # one query to the one device of each tier
    ("hbm", "query_broadcast"): 8 * VECTOR * TIMES,
    ("ddr", "query_broadcast"): 8 * VECTOR * TIMES,
    ("ddr", "query_broadcast_link"): 8 * VECTOR * TIMES,
    # the new K and V lie with the newest tokens
    ("hbm", "append_transfer"): 8 * 2 * VECTOR * TIMES,
    # DDR's partial result leaves DDR, goes into HBM, and the merged one leaves HBM
    ("ddr", "result_return"): 8 * PARTIAL * TIMES,
    ("ddr", "result_return_link"): 8 * PARTIAL * TIMES,
    ("hbm", "result_return"): 8 * (PARTIAL + VECTOR) * TIMES,
    # two parts are merged there, 2 MACs for each of 128 elements and l, 2 exponentials
    ("hbm", "cross_tier_reduction"): 2 * 2 * 129 * TIMES,
    ("hbm", "cross_tier_exponential"): 2 * 2 * TIMES,
    # a ring of two: each sends half of it twice, after output projection and feed-forward network
    ("interconnect", "nvlink4"): 8 * (256 * 2) * 2 * TIMES,
    # weights of both layers (Q, K, V 256 x 768, output 256 x 256, FFN 3 x 256 x 512), and the head
    ("host", "arithmetic"): 2 * (2 * (256 * 768 + 256 * 256 + 3 * 256 * 512) + 256 * 1024),
    # the same weights once, 2 B each; and what goes into each matrix and comes out of it, of which
    # each instance has half the outer side: (256 + 384) + (128 + 256) + 3 x (256 + 256) elements a
    # layer, 256 + 512 at the head
    ("hbm", "host_memory_read"): 8 * 2 * (1_572_864 + 2 * (2 * (640 + 384 + 3 * 512) + 768)),
}


@pytest.mark.parametrize("place", BY_HAND, ids="-".join)
def test_counts_by_hand(terms: dict[tuple[str, str], EnergyTerm], place: tuple[str, str]) -> None:
    assert terms[place].count == BY_HAND[place]


def test_unit_energies_are_those_of_the_links(terms: dict[tuple[str, str], EnergyTerm]) -> None:
    """PCIe 4.4 pJ/bit (CENT's power calculator), NVLink 1.3 (AttAcc's config), DDR pins 5.5."""
    assert terms["ddr", "query_broadcast_link"].unit_energy_pj == 4.4
    assert terms["ddr", "query_broadcast"].unit_energy_pj == 5.5
    assert terms["interconnect", "nvlink4"].unit_energy_pj == 1.3


def test_nothing_else_crosses_pins_or_links(terms: dict[tuple[str, str], EnergyTerm]) -> None:
    moving = ("_link", "_transfer", "_broadcast", "_return", "between_devices")
    moved = {place for place in terms if place[1].endswith(moving)}
    assert moved - set(BY_HAND) == {("hbm", "host_memory_transfer")}
    assert terms["hbm", "host_memory_transfer"].count == BY_HAND["hbm", "host_memory_read"]


@pytest.mark.parametrize(
    ("tier", "nodes"),
    # pseudo-channels: 16 channels x 2 a stack (Table 1 of PAM); ranks: 2 a DIMM
    [("hbm", 32), ("ddr", 2), ("spare", 64)],
)
def test_every_node_stands_by_for_the_whole_step_once(tier: str, nodes: int) -> None:
    system = machine()
    runs, result = run_step(system, [1] * 16 + [0] * 32)
    found = account([r.part.step for r in runs], [r.runs for r in runs], system, result.activity)
    standby = {
        t.name: t.count
        for t in found.terms
        if t.tier == tier and t.name.startswith("background") and "banks" not in t.name
    }
    whole = 2 * nodes * result.latency_ps / 1000  # two instances
    assert sum(standby.values()) == pytest.approx(whole, rel=1e-9)
    if tier == "spare":
        assert set(standby) == {"background_rest_of_step"}
        return
    # While a tier attends, its slowest channel's time counts for all its nodes, a layer at a time.
    attention = sum(
        t.duration_ps for t in result.tasks if (t.task, t.resource) == ("attention", tier)
    )
    rest = 2 * nodes * (result.latency_ps - attention) / 1000
    assert standby["background_rest_of_step"] == pytest.approx(rest, rel=1e-9)


def test_every_node_refreshes_for_the_whole_step(
    terms: dict[tuple[str, str], EnergyTerm],
) -> None:
    system = machine()
    _, result = run_step(system, [1] * 16 + [0] * 32)
    for tier, nodes in (("hbm", 32), ("ddr", 2), ("spare", 64)):
        found = sum(
            t.count for (where, name), t in terms.items() if where == tier and "refresh" in name
            and name != "background_refreshing"
        )  # fmt: skip
        device = system.tier(tier).device
        interval_ps = device.timing_ck["nREFI"] * device.ticks_per_ck * 10**12
        interval_ps //= device.ticks_per_second
        whole = 2 * nodes * result.latency_ps // interval_ps
        assert whole - 2 * nodes <= found <= whole  # each run begins with a whole interval to go


def test_states_have_their_power(terms: dict[tuple[str, str], EnergyTerm]) -> None:
    """Outside attention the weights' tier has rows open, the others are precharged."""
    rest = {tier: terms[tier, "background_rest_of_step"] for tier in ("hbm", "ddr", "spare")}
    energy = {t.name: t.device.energy for t in machine().tiers}
    for tier, state in (("hbm", "active_1_bank"), ("ddr", "precharged"), ("spare", "precharged")):
        constant = energy[tier].get(f"background_{state}_mw")
        assert constant is not None and rest[tier].unit_energy_pj == constant.value


def test_a_first_tier_without_tokens_still_merges() -> None:
    """KV in DDR and the spare HBM only; results meet in HBM, where weights lie."""
    terms = charged(machine(), [2] * 16 + [1] * 32)
    assert terms["hbm", "cross_tier_reduction"].count == 2 * 2 * 129 * TIMES
    assert terms["hbm", "result_return"].count == 8 * (2 * PARTIAL + VECTOR) * TIMES
    assert ("hbm", "query_broadcast") not in terms
    # append into the first tier that holds any token
    assert terms["ddr", "append_transfer"].count == 8 * 2 * VECTOR * TIMES
    assert ("spare", "append_transfer") not in terms


def test_the_reduction_of_the_document_has_every_merge() -> None:
    system = machine()
    runs, result = run_step(system, [2] * 16 + [1] * 32)
    proofs = prove_step(system, runs, mode="off", seed=0)
    document = step_document(MODEL, system, STEP, runs, engine="embedded", validation=proofs)
    merging = sum(t.duration_ps for t in result.tasks if "reduction" in t.task)
    assert merging > 0
    assert document["reduction"]["latency_ns"] == merging / 1000
    # Each tier hands (O, m, l) to its logic die, DDR in 4 parts of 32 elements (a buffer of 128 B),
    # each with its own m and l; and one to the first tier's.
    parts = {"ddr": 4 * (32 + 2) * 4, "spare": PARTIAL}
    assert [runs[0].part.step.tiling.parts, runs[1].part.step.tiling.parts] == [4, 1]
    assert document["reduction"]["bytes"] == (sum(parts.values()) + 2 * PARTIAL) * TIMES


def test_weights_over_a_link_pay_for_it() -> None:
    terms = charged(machine(weights_tier="ddr"), [1] * 16 + [0] * 32)
    host_bits = BY_HAND["hbm", "host_memory_read"]
    for name, unit in (("read", None), ("transfer", 5.5), ("link", 4.4)):
        term = terms["ddr", f"host_memory_{name}"]
        assert term.count == host_bits and unit in (None, term.unit_energy_pj)
    # 8 KiB rows (Table 1's DIMM, JEDEC x8), each opened once
    assert terms["ddr", "host_memory_activate"].count == -(-host_bits // 8 // 8192)


def test_brought_kv_pays_its_way_twice_over_the_host_s_memory() -> None:
    """Host attention: read in DDR, over pins and link; written to HBM and read there."""
    system = machine(attention="host")
    first, second, third = system.tiers
    system = replace(system, tiers=(replace(first, kv_bytes=0), second, third))
    result = step_timeline(system, MODEL, STEP, ())
    found = account([], [], system, result.activity)
    terms = {(t.tier, t.name): t for t in found.terms}
    kv_bytes = 48 * 2 * VECTOR * TIMES
    for name in ("read", "transfer", "link"):
        assert terms["ddr", f"offload_{name}"].count == 8 * kv_bytes
    assert terms["ddr", "offload_activate"].count == -(-kv_bytes // 8192)
    read = BY_HAND["hbm", "host_memory_read"]
    assert terms["hbm", "host_memory_read"].count == read + 2 * 8 * kv_bytes
