"""The timeline of a step over two tiers, by hand: a link that both share, and the critical path.

One layer of one head, 128 wide; 48 tokens, the newest 32 in HBM and 16 in DDR, a device each. Both
tiers are behind one cable of 1 GB/s and 100 ns: n bytes take 100 + n ns.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pamsim.compiler import compile_parts
from pamsim.config import load_system
from pamsim.config.spec import LinkSpec, SystemSpec
from pamsim.model import load_model
from pamsim.placement import Shard, TierAssignment
from pamsim.report.document import step_document
from pamsim.report.timeline import trace_events
from pamsim.report.validation import validation_entry
from pamsim.system import PartRun, StepResult, Task, simulate_parts, step_timeline
from pamsim.system.roofline import external_bandwidth, weight_bandwidth
from pamsim.workload.step import DecodeStep

CABLE = LinkSpec("cable", 10**9, 100_000, 1.0)
MODEL = replace(
    load_model("llama-3-8b"), layers=1, kv_heads=1, query_heads=1, hidden=128, ffn_hidden=128,
    vocabulary=256,
)  # fmt: skip
STEP = DecodeStep((48,))
NS = 1000  # picoseconds


def machine(first: LinkSpec = CABLE, second: LinkSpec = CABLE) -> SystemSpec:
    hbm, ddr = load_system("pam-hbm").tier("hbm"), load_system("ddr-only").tier("ddr")
    tiers = replace(hbm, devices=1, link=first), replace(ddr, devices=1, link=second)
    return replace(load_system("pam-hbm"), tiers=tiers)


def run_step(system: SystemSpec) -> tuple[tuple[PartRun, ...], StepResult]:
    def assign(_shard: Shard) -> TierAssignment:
        codes = np.array([[1] * 16 + [0] * 32], np.uint8)
        return TierAssignment(("hbm", "ddr"), (codes,))

    runs = simulate_parts(compile_parts(MODEL, STEP, system, assign), threads=1)
    return runs, step_timeline(system, MODEL, STEP, runs)


@pytest.fixture(scope="module")
def shared() -> StepResult:
    return run_step(machine())[1]


def spans(result: StepResult, task: str) -> list[tuple[int, int]]:
    return [(t.start_ps, t.end_ps) for t in result.tasks if t.task == task]


def test_a_shared_link_carries_one_thing_after_the_other(shared: StepResult) -> None:
    on_cable = sorted(
        (t for t in shared.tasks if t.resource == "cable"), key=lambda t: t.start_ps
    )  # fmt: skip
    for before, after in pairwise(on_cable):
        assert before.end_ps <= after.start_ps
    ((_, begin),) = spans(shared, "qkv_projection")
    # HBM: a query and the new K and V, 3 x 256 B; then DDR: a query
    hbm, ddr = spans(shared, "query_broadcast")
    assert hbm == (begin, begin + 868 * NS)
    assert ddr == (begin + 868 * NS, begin + (868 + 356) * NS)


def test_with_a_link_of_its_own_a_tier_waits_for_nobody() -> None:
    _, result = run_step(machine(second=replace(CABLE, name="other")))
    ((_, begin),) = spans(result, "qkv_projection")
    assert [start for start, _ in spans(result, "query_broadcast")] == [begin, begin]


def test_partial_results_come_over_both_links_and_are_merged_once_all_are_there(
    shared: StepResult,
) -> None:
    # (O, m, l): 130 numbers in FP32, out of DDR and into HBM; the result: 128 in FP16
    sizes = {"partial_return": 520, "partial_delivery": 520, "result_return": 256}
    for task, size in sizes.items():
        ((start, end),) = spans(shared, task)
        assert end - start == (100 + size) * NS
    ((_, delivered),) = spans(shared, "partial_delivery")
    ((merging, merged),) = spans(shared, "tier_reduction")
    local = max(end for t, end in ((t, t.end_ps) for t in shared.tasks) if t.task == "reduction")
    assert merging == max(delivered, local)
    # two merges of one query, one after the other: compare, exponential (11 cycles pipelined, of
    # docs/decisions.md), 128 elements over the lanes
    pim = machine().tiers[0].device.pim
    cycles = pim.reduction_compare_cycles + 11 + -(-128 // pim.reduction_lanes)
    assert merged - merging == -(-2 * cycles * 10**12 // pim.clock_hz)
    assert spans(shared, "result_return")[0][0] == merged


def test_the_critical_path_goes_through_the_tier_that_is_later(shared: StepResult) -> None:
    path = [t for t in sorted(shared.tasks, key=lambda t: t.start_ps) if t.critical]
    assert path[0].start_ps == 0 and path[-1].end_ps == shared.latency_ps
    for before, after in pairwise(path):
        assert before.end_ps == after.start_ps
    arrived = {tier: _reduced(shared, tier) for tier in ("hbm", "ddr")}
    # DDR's also has to come over: 620 ns out and 620 ns in
    assert arrived["ddr"] + 1240 * NS > arrived["hbm"]
    names = [(t.task, t.resource) for t in path]
    assert names[:6] == [
        ("qkv_projection", "npu"),
        ("query_broadcast", "cable"),  # HBM's, which DDR's waits for
        ("query_broadcast", "cable"),
        ("attention", "ddr"),
        ("reduction", "ddr reduction units"),
        ("partial_return", "cable"),
    ]
    assert ("attention", "hbm") not in names


def _reduced(result: StepResult, tier: str) -> int:
    units: list[Task] = [t for t in result.tasks if t.resource == f"{tier} reduction units"]
    return min(t.end_ps for t in units)


def test_the_reduction_of_a_tier_is_its_tasks(shared: StepResult) -> None:
    for tier in shared.tiers:
        own = [t for t in shared.tasks if t.resource == f"{tier.tier} reduction units"
               and t.task == "reduction"]  # fmt: skip
        assert tier.reduction_ps == sum(t.duration_ps for t in own) > 0
    assert shared.gathering.duration_ps == sum(e - s for s, e in spans(shared, "tier_reduction"))


def test_partial_results_between_devices_are_on_the_link() -> None:
    """One head of 12,000 tokens on two DIMMs: the second hands over to the first."""
    ddr = load_system("ddr-only").tier("ddr")
    system = replace(load_system("ddr-only"), tiers=(replace(ddr, devices=2, link=CABLE),))
    step = DecodeStep((12_000,))
    runs = simulate_parts(compile_parts(MODEL, step, system), threads=1)
    result = step_timeline(system, MODEL, step, runs)
    names = [(t.task, t.resource) for t in result.tasks if "reduc" in t.task or "part" in t.task]
    units = "ddr reduction units"
    assert names == [("reduction", units), ("partial_exchange", "cable"), ("reduction", units)]
    (tier,) = result.tiers
    assert tier.reduction_ps == sum(
        t.duration_ps for t in result.tasks if t.task in ("reduction", "partial_exchange")
    )


def test_weights_come_no_faster_than_their_link() -> None:
    """ddr-only: five DIMMs of 25.6 GB/s behind PCIe 5.0 x16 of 64 GB/s."""
    system = load_system("ddr-only")
    assert weight_bandwidth(system) == 64 * 10**9
    near = replace(system.tiers[0], link=replace(system.tiers[0].link, bytes_per_second=10**12))
    assert external_bandwidth(near) == 5 * 25_600_000_000


def test_arrows_lead_forward_also_where_two_replicas_take_turns() -> None:
    """Tasks are listed replica by replica; the critical path is drawn in the order of time."""
    system = machine()
    runs, result = run_step(system)
    document = step_document(
        MODEL, system, STEP, runs, engine="embedded", validation=validation_entry(None, None, None)
    )
    document["timeline"] = document["timeline"][::-1]
    events = trace_events(document)["traceEvents"]
    leaves = {e["id"]: e["ts"] for e in events if e["ph"] == "s"}
    enters = {e["id"]: e["ts"] for e in events if e["ph"] == "f"}
    assert len(leaves) == len([t for t in result.tasks if t.critical]) - 1
    assert all(leaves[i] <= enters[i] for i in leaves)
