"""Timeline, roofline and exchange against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pamsim.compiler import compile_parts
from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
    QueryBinding,
    Tiling,
)
from pamsim.config import ProgramVariants, load_system
from pamsim.layout.table import BlockTable
from pamsim.model import load_model
from pamsim.placement import TierShare
from pamsim.system import PartRun, simulate_parts, step_timeline
from pamsim.system.clock import rate_to_ps, ticks_to_ps
from pamsim.system.exchange import Exchange, exchange, merge_ps, pins_ps, reduction_ps
from pamsim.system.roofline import head_work, host_time_ps, output_work, qkv_work, weight_bandwidth
from pamsim.system.schedule import Activity, latency_ps, schedule
from pamsim.workload.step import DecodeStep
from pim_isa.program import Program

SYSTEM = load_system("pam-hbm")
TIER = SYSTEM.tier("hbm")
MODEL = load_model("llama-3-8b")


class TestClock:
    def test_ticks_round_up_to_whole_picoseconds(self) -> None:
        # A tick of 2.6 GHz is 384.615... ps.
        assert ticks_to_ps(1, 2_600_000_000) == 385
        assert ticks_to_ps(26, 2_600_000_000) == 10_000

    def test_rates_are_exact_for_large_amounts(self) -> None:
        # 10^18 bytes at 3 GB/s: a third of 10^21 ps, rounded up.
        assert rate_to_ps(10**18, 3 * 10**9) == 10**21 // 3 + 1


class TestSchedule:
    def test_a_chain_is_critical_from_end_to_end(self) -> None:
        tasks = schedule([Activity("a", "x", 5, 0), Activity("b", "y", 7, 0, (0,))])
        assert [(t.start_ps, t.end_ps, t.critical) for t in tasks] == [(0, 5, True), (5, 12, True)]

    def test_only_the_longer_of_two_parallel_branches_is_critical(self) -> None:
        tasks = schedule(
            [
                Activity("fork", "npu", 1, 0),
                Activity("fast", "hbm", 3, 0, (0,)),
                Activity("slow", "ssd", 9, 0, (0,)),
                Activity("middle", "ddr", 4, 0, (0,)),
                Activity("join", "npu", 2, 0, (1, 2, 3)),
            ]
        )
        assert [t.task for t in tasks if t.critical] == ["fork", "slow", "join"]
        assert latency_ps(tasks) == 12

    def test_a_resource_does_one_thing_at_a_time(self) -> None:
        tasks = schedule([Activity("a", "link", 5, 0), Activity("b", "link", 5, 0)])
        assert [(t.start_ps, t.critical) for t in tasks] == [(0, True), (5, True)]

    def test_critical_tasks_tile_the_latency_for_any_graph(self) -> None:
        rng = np.random.default_rng(1)
        for _ in range(200):
            activities = []
            for i in range(int(rng.integers(1, 30))):
                after = (
                    tuple(int(a) for a in rng.integers(0, i, size=rng.integers(0, 4))) if i else ()
                )
                resource = f"r{rng.integers(0, 4)}"
                activities.append(Activity(f"t{i}", resource, int(rng.integers(0, 9)), None, after))
            tasks = schedule(activities)
            at = 0
            for task in sorted((t for t in tasks if t.critical), key=lambda t: t.start_ps):
                assert task.start_ps == at
                at = task.end_ps
            assert at == latency_ps(tasks)

    def test_an_activity_may_not_wait_for_a_later_one(self) -> None:
        with pytest.raises(ValueError, match="later"):
            schedule([Activity("a", "x", 1, 0, (1,)), Activity("b", "x", 1, 0)])

    def test_no_activities_take_no_time(self) -> None:
        assert latency_ps(schedule([])) == 0


class TestRoofline:
    def test_weights_of_all_tasks_are_those_of_the_model(self) -> None:
        # weight_bytes counts the embedding table as well, of which a step reads `batch` rows.
        layer = qkv_work(MODEL, 1) + output_work(MODEL, 1)
        weights = MODEL.layers * layer.weight_bytes + head_work(MODEL, 1).weight_bytes
        table = MODEL.vocabulary * MODEL.hidden * 2
        assert weights == MODEL.weight_bytes - table

    def test_operations_are_two_a_weight_and_request(self) -> None:
        work = qkv_work(MODEL, 3)
        # 4096 x (32 + 2 x 8) x 128 weights of Llama-3-8B
        assert work.flops == 2 * 3 * 4096 * 48 * 128

    def test_a_small_batch_is_bound_by_the_weights_bytes(self) -> None:
        work = head_work(MODEL, 1)
        # (128256 x 4096 + 4096 + 128256) x 2 B at 5 x 665.6 GB/s x 0.85
        expected = -(
            -(128256 * 4096 + 4096 + 128256) * 2 * 10**12 * 100 // (3_328_000_000_000 * 85)
        )
        assert weight_bandwidth(SYSTEM) == 3_328_000_000_000
        assert host_time_ps(work, SYSTEM.host, weight_bandwidth(SYSTEM)) == expected

    def test_a_large_batch_is_bound_by_operations(self) -> None:
        work = head_work(MODEL, 4096)
        # at 989.4 TFLOPS x 0.8
        expected = -(-work.flops * 10**12 * 10 // (989_400_000_000_000 * 8))
        assert host_time_ps(work, SYSTEM.host, weight_bandwidth(SYSTEM)) == expected

    def test_a_host_with_memory_of_its_own_reads_weights_there(self) -> None:
        host = replace(SYSTEM.host, memory_bytes_per_second=10**12)
        assert weight_bandwidth(replace(SYSTEM, host=host)) == 10**12


def split_step(bindings: list[tuple[int, list[QueryBinding], int]]) -> CompiledStep:
    """A compiled step with these (channel, queries, appended vectors), one program each."""
    programs = tuple(
        ChannelProgram(
            Program("hbm_pim", ()),
            b"",
            f"{i:064x}",
            (
                ChannelBinding(
                    channel,
                    tuple(queries),
                    tuple(AppendBinding(0, 0, bool(v % 2)) for v in range(appends)),
                    (),
                    (),
                ),
            ),
        )
        for i, (channel, queries, appends) in enumerate(bindings)
    )
    table = BlockTable("handmade", 1, 80, 16, 4, 8, 8, (), np.zeros((80, 16), np.int64), 0, 16384)
    return CompiledStep(
        "hbm", TIER.device, 1, table, Tiling(1, 128, 1, 8, 1), programs,
        ProgramVariants(queries=(1,)), 80 - len(bindings),
    )  # fmt: skip


def exchanged(bindings: list[tuple[int, list[QueryBinding], int]]) -> Exchange:
    share = TierShare("hbm", (0,), DecodeStep((1,)), (0,), (False,), (True,))
    return exchange(split_step(bindings), share, MODEL, TIER)


class TestExchange:
    """d = 128: a query is 256 B, (O, m, l) in FP32 are 128 x 4 + 8 = 520 B. 16 channels a stack."""

    def test_a_whole_query_goes_in_and_out_once(self) -> None:
        found = exchanged([(20, [QueryBinding(0, 0, 0, True)], 2)])
        assert found.query_bytes_by_device == (0, 256, 0, 0, 0)
        assert found.append_bytes_by_device == (0, 512, 0, 0, 0)
        assert found.result_bytes_by_device == (0, 256, 0, 0, 0)
        assert found.merges == found.partial_bytes == found.between_device_bytes == 0
        assert reduction_ps(found, 128, TIER) == 0

    def test_parts_in_one_stack_are_merged_on_its_logic_die(self) -> None:
        part = QueryBinding(0, 0, 0, False)
        found = exchanged([(0, [part], 0), (1, [part], 0), (2, [part], 0)])
        assert found.query_bytes_by_device == (256, 0, 0, 0, 0)  # once a stack
        assert found.local_merges_by_device == (3, 0, 0, 0, 0)
        assert found.partial_bytes == 3 * 520
        assert found.between_device_bytes == 0
        # One reduction unit merges the three parts of the query one after the other:
        # 3 x (1 + 11 + 128 / 16) cycles at 666 MHz.
        assert reduction_ps(found, 128, TIER) == -(-60 * 10**12 // 666_000_000)

    def test_parts_in_two_stacks_cross_the_link_once(self) -> None:
        part = QueryBinding(0, 0, 0, False)
        found = exchanged([(15, [part], 0), (16, [part], 0)])
        assert found.query_bytes_by_device == (256, 256, 0, 0, 0)
        assert found.sent_bytes_by_device == (0, 520, 0, 0, 0)
        assert found.received_bytes_by_device == (520, 0, 0, 0, 0)
        assert found.result_bytes_by_device == (256, 0, 0, 0, 0)
        assert found.home_merges_by_device == (2, 0, 0, 0, 0)
        merge = -(-20 * 10**12 // 666_000_000)  # one merge of 20 cycles in each stack
        home = -(-40 * 10**12 // 666_000_000)
        # 100 ns and 520 B at a fifth of 3328 GB/s
        crossing = 100_000 + -(-520 * 5 * 10**12 // 3_328_000_000_000)
        assert reduction_ps(found, 128, TIER) == merge + crossing + home

    def test_more_merges_than_reduction_units_take_turns(self) -> None:
        # 128 units a stack: 300 merges take 3 rounds of 20 cycles.
        assert merge_ps((300, 5), 1, 128, TIER.device) == -(-60 * 10**12 // 666_000_000)

    def test_a_merge_takes_the_comparator_s_cycles(self) -> None:
        pim = replace(TIER.device.pim, reduction_compare_cycles=3)
        # 3 to compare, 11 of the exponential, 128 elements through 16 lanes
        merge = merge_ps((1,), 1, 128, replace(TIER.device, pim=pim))
        assert merge == -(-(3 + 11 + 8) * 10**12 // 666_000_000)

    def test_the_busiest_stack_sets_the_pace_of_the_pins(self) -> None:
        assert pins_ps((0, 0), TIER) == 0
        # 6656 B at 665.6 GB/s are 10 ns, after 100 ns of latency.
        assert pins_ps((6656, 100, 0, 0, 0), TIER) == 110_000


STEP = DecodeStep((300, 40))


@pytest.fixture(scope="module")
def run() -> PartRun:
    (found,) = simulate_parts(compile_parts(MODEL, STEP, SYSTEM), threads=1)
    return found


class TestStep:
    def test_attention_lasts_as_long_as_the_slowest_channel(self, run: PartRun) -> None:
        result = step_timeline(SYSTEM, MODEL, STEP, [run])
        slowest = max(r.result.ticks for r in run.runs)
        tasks = [t for t in result.tasks if t.task == "attention"]
        assert len(tasks) == MODEL.layers == 32
        assert {t.duration_ps for t in tasks} == {ticks_to_ps(slowest, 2_600_000_000)}

    def test_every_layer_goes_through_its_tasks_in_order(self, run: PartRun) -> None:
        result = step_timeline(SYSTEM, MODEL, STEP, [run])
        names = [t.task for t in result.tasks if t.layer == 7]
        assert names == [
            "qkv_projection", "query_broadcast", "attention", "result_return", "output_projection",
            "feed_forward",
        ]  # fmt: skip
        assert result.tasks[-1].task == "language_model_head"
        assert all(t.critical for t in result.tasks)
        assert result.latency_ps == sum(t.duration_ps for t in result.tasks)

    def test_traffic_is_counted_for_all_layers(self, run: PartRun) -> None:
        activity = step_timeline(SYSTEM, MODEL, STEP, [run]).activity.tiers[0]
        # Every pair lies in one channel: 2 x 32 queries of 256 B, 2 x 8 new K and V vectors.
        assert activity.query_bytes == 32 * 2 * 32 * 256
        assert activity.append_bytes == 32 * 2 * 8 * 2 * 256
        assert activity.result_bytes == activity.query_bytes

    def test_two_tiers_attend_in_parallel(self, run: PartRun) -> None:
        slow = replace(TIER, name="far", link=replace(TIER.link, name="cable", latency_ps=10**9))
        system = replace(SYSTEM, tiers=(TIER, slow))
        share = replace(run.part.share, tier="far")
        compiled = replace(run.part.step, tier="far")
        far = PartRun(replace(run.part, share=share, step=compiled), run.runs)
        result = step_timeline(system, MODEL, STEP, [run, far])
        layer = {(t.task, t.resource): t for t in result.tasks if t.layer == 0}
        near_start = layer["query_broadcast", TIER.link.name].start_ps
        assert near_start == layer["query_broadcast", "cable"].start_ps
        assert not layer["attention", "hbm"].critical
        assert layer["attention", "far"].critical
