"""Timelines of several instances, several tiers and of attention on the host, by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from pamsim.compiler import compile_parts
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.model import load_model
from pamsim.model.spec import ModelSpec
from pamsim.report.check import check_result
from pamsim.report.document import step_document
from pamsim.report.proofs import prove_step
from pamsim.system import StepResult, simulate_parts, step_timeline
from pamsim.system.clock import rate_to_ps
from pamsim.system.collective import all_reduce_bytes, all_reduce_ps, transfer_ps
from pamsim.system.roofline import host_time_ps, qkv_work, weight_bandwidth
from pamsim.workload.step import DecodeStep

LLAMA = load_model("llama-3-8b")
SMALL = replace(LLAMA, layers=4)
STEP = DecodeStep((300, 40))


def system(*overrides: str) -> SystemSpec:
    return load_system("pam-hbm", ("interconnect=nvlink4", *overrides))


def timeline(machine: SystemSpec, model: ModelSpec = SMALL, step: DecodeStep = STEP) -> StepResult:
    runs = simulate_parts(compile_parts(model, step, machine), threads=1)
    return step_timeline(machine, model, step, runs)


def test_a_ring_all_reduce_sends_each_part_twice_but_for_one_s_own() -> None:
    link = system().interconnect
    assert link is not None
    # 2 requests x 4096 hidden x 2 B = 16384 B over 4 instances: 2 x 3/4 of them, at 450 GB/s,
    # after the 6060 ns that a whole all-reduce is measured to take at least.
    assert all_reduce_bytes(16384, 4) == 24576
    assert all_reduce_ps(16384, 4, link) == 6_060_000 + rate_to_ps(24576, 450 * 10**9)
    assert transfer_ps(16384, link) == 6_060_000 + rate_to_ps(16384, 450 * 10**9)


def test_tensor_parallel_adds_up_twice_a_layer() -> None:
    machine = system("instances=4", "tensor_parallel=4")
    result = timeline(machine)
    names = Counter(t.task for t in result.tasks)
    assert names["all_reduce"] == 2 * SMALL.layers
    assert names["attention"] == names["feed_forward"] == SMALL.layers
    # each of 4 instances sends 24576 B in each of 8 all-reduces
    assert result.activity.interconnect_bytes == 4 * 24576 * 8
    # A quarter of the Q, K, V projections: 1536 of 6144 outputs.
    quarter = replace(SMALL, query_heads=8, kv_heads=2)
    expected = host_time_ps(qkv_work(quarter, 2), machine.host, weight_bandwidth(machine))
    assert {t.duration_ps for t in result.tasks if t.task == "qkv_projection"} == {expected}


def test_stages_follow_one_another() -> None:
    result = timeline(system("instances=2", "pipeline_parallel=2"))
    assert [t.layer for t in result.tasks if t.task == "attention"] == [0, 1, 2, 3]
    stages = [t.resource.split("/")[0] for t in result.tasks if t.task == "attention"]
    assert stages == ["stage 0", "stage 0", "stage 1", "stage 1"]
    (transfer,) = [t for t in result.tasks if t.task == "stage_transfer"]
    assert transfer.resource == "stage 1/nvlink4"
    assert result.activity.interconnect_bytes == 2 * 4096 * 2
    assert [t.task for t in result.tasks].count("language_model_head") == 1
    for before, after in pairwise(result.tasks):
        assert before.end_ps <= after.start_ps


def test_replicas_run_side_by_side() -> None:
    result = timeline(system("instances=2"))
    first = [t for t in result.tasks if t.resource.startswith("replica 0/")]
    second = [t for t in result.tasks if t.resource.startswith("replica 1/")]
    assert first[0].start_ps == second[0].start_ps == 0
    assert result.latency_ps == max(t.end_ps for t in (*first, *second))
    assert {t.critical for t in second if t.task == "attention"} == {False}  # 40 tokens, not 300


def test_energy_counts_every_instance(tmp_path: object) -> None:
    one = _document(system())
    both = _document(replace(system(), instances=2), DecodeStep(STEP.contexts * 2))
    for name in ("mac_arithmetic", "activate", "host_memory_read", "query_broadcast"):
        assert _count(both, name) == 2 * _count(one, name), name
    assert both["tiers"]["hbm"]["kv_tokens"] == 2 * one["tiers"]["hbm"]["kv_tokens"]
    assert both["tiers"]["hbm"]["devices"] == 10


def _document(machine: SystemSpec, step: DecodeStep = STEP) -> dict[str, dict]:  # type: ignore[type-arg]
    runs = simulate_parts(compile_parts(SMALL, step, machine), threads=1)
    proofs = prove_step(machine, runs, mode="off", seed=0)
    return step_document(SMALL, machine, step, runs, engine="embedded", validation=proofs)


def _count(document: dict[str, dict], name: str) -> int:  # type: ignore[type-arg]
    return sum(t["count"] for t in document["energy_pj"]["terms"] if t["name"] == name)


class TestHostAttention:
    def test_it_reads_k_and_v_once(self) -> None:
        result = timeline(system("attention=host"))
        # llama-3-8b: 8 KV heads x 128 x 2 B x (K, V) = 4096 B a token and layer; 340 tokens over
        # 3328 GB/s (5 stacks of 665.6) at 0.85
        expected = rate_to_ps(340 * 4096 * 100, 3_328_000_000_000 * 85)
        assert {t.duration_ps for t in result.tasks if t.task == "attention"} == {expected}
        assert {t.resource for t in result.tasks} == {"npu"}
        assert result.tiers == ()

    def test_kv_of_another_tier_comes_over_its_link(self) -> None:
        machine = system("attention=host")
        (tier,) = machine.tiers
        far = replace(
            tier, name="far", link=replace(tier.link, name="cable", bytes_per_second=10**9)
        )
        machine = replace(machine, tiers=(replace(tier, kv_bytes=0), far))
        result = timeline(machine)
        transfers = [t for t in result.tasks if t.task == "kv_transfer"]
        assert {t.resource for t in transfers} == {"cable"}
        # 340 x 4096 B at 1 GB/s after 100 ns; the next layers' come while the host still works
        assert {t.duration_ps for t in transfers} == {100_000 + 340 * 4096 * 1000}
        assert transfers[0].start_ps == 0
        assert transfers[1].start_ps == transfers[0].end_ps
        (activity,) = result.activity.tiers
        assert activity.offloaded_bytes == 4 * 340 * 4096


@pytest.mark.parametrize(
    "overrides",
    [
        ("instances=4", "tensor_parallel=2", "pipeline_parallel=2"),
        ("instances=3",),
        ("attention=host",),
    ],
)
def test_every_sum_of_the_document_is_that_of_its_parts(
    tmp_path: object, overrides: tuple[str, ...]
) -> None:
    import json
    from pathlib import Path

    from pamsim.cli.main import main

    out = Path(str(tmp_path)) / "out"
    sets = [x for o in ("interconnect=nvlink4", *overrides) for x in ("--set", o)]
    code = main(["run", "--model", "gemma-2-9b", "--context", "5000,90,90", "-q", "-o", str(out),
                 "--validate", "off", *sets])  # fmt: skip
    assert code == 0
    assert check_result(out) == []
    document = json.loads((out / "result.json").read_text())
    if document["tiers"]:
        layers = [n for p in document["tiers"]["hbm"]["parts"] for n in p["layers"]]
        assert set(layers) == set(range(42))  # Gemma 2 9B, arXiv 2408.00118, table 1
