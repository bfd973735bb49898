"""One decode step of the whole machine, as a timeline of tasks.

Per layer of an instance: the host projects to Q, K, V; queries and the new K and V go to the
devices; every tier attends over its tokens, all tiers at once; what channels hold in parts is
reduced, first inside each tier, then over the tiers in the first one; results return; the host
projects and runs the feed-forward network. Tensor-parallel instances do the same side by side and
add up their outputs after each of the two; stages of the pipeline follow one another; replicas run
side by side. After the last layer, the language-model head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pamsim.config.spec import SystemSpec
from pamsim.energy.activity import StepActivity, TierActivity, idle
from pamsim.model.spec import ModelSpec
from pamsim.placement import make_shards
from pamsim.system.exchange import merged_elements, reduction_ps
from pamsim.system.parts import PartRun
from pamsim.system.schedule import Task, latency_ps, schedule
from pamsim.system.timeline import TierLayers, Timeline, shard_key, tier_layers
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class TierResult:
    """One tier over the whole step; times of one instance, of the replica that takes longest."""

    tier: str
    attention_ps: int
    reduction_ps: int
    reduction_bytes: int  # (O, m, l) handed over between channels and devices, all instances


@dataclass(frozen=True)
class StepResult:
    """A timeline, its length, and what energy needs to know of it."""

    latency_ps: int
    tasks: tuple[Task, ...]
    tiers: tuple[TierResult, ...]
    activity: StepActivity


def step_timeline(
    system: SystemSpec, model: ModelSpec, step: DecodeStep, runs: Sequence[PartRun]
) -> StepResult:
    """The timeline of a step; runs: of every part of it, none where the host attends.

    Raises InputError and CapacityError as `make_shards` and `tier_shares`.
    """
    builder = Timeline(system)
    layers: dict[tuple[int, int], TierLayers] = {}
    for shard in make_shards(model, step, system):
        own = [r for r in runs if shard_key(r.part.shard) == shard_key(shard)]
        layers[shard_key(shard)] = tier_layers(system, own)
        builder.shard(shard, layers[shard_key(shard)])
    tasks = schedule(builder.activities)
    latency = latency_ps(tasks)
    tiers, activities = [], []
    for tier in system.tiers:
        mine = [r for r in runs if r.tier == tier.name]
        if mine:
            tiers.append(_tier_result(system, mine, layers))
            activities.append(_tier_activity(system, mine, layers))
        elif moved := builder.offloaded_bytes.get(tier.name, 0):
            activities.append(replace(idle(tier.name), offloaded_bytes=moved))
    activity = StepActivity(
        latency_ps=latency,
        host_flops=builder.work.flops,
        host_bytes=builder.work.bytes,
        tiers=tuple(activities),
        interconnect_bytes=builder.interconnect_bytes,
    )
    return StepResult(latency, tasks, tuple(tiers), activity)


def _tier_result(
    system: SystemSpec, runs: Sequence[PartRun], layers: dict[tuple[int, int], TierLayers]
) -> TierResult:
    tier = system.tier(runs[0].tier)
    attention: dict[int, int] = {}
    reduction: dict[int, int] = {}
    moved = 0
    for run in runs:
        shard, count = run.part.shard, len(run.part.share.layers)
        layer = layers[shard_key(shard)][run.part.share.layers[0]]
        traffic = layer.traffic[layer.runs.index(run)]
        merging = reduction_ps(traffic, merged_elements(run.part.step), tier)
        if tier.name == system.tiers[0].name:
            merging += layer.gather.merge_ps
            moved += layer.gather.partial_bytes * count * shard.copies
        replica = shard.replica
        attention[replica] = attention.get(replica, 0) + run.attention_ps
        reduction[replica] = reduction.get(replica, 0) + merging * count
        moved += traffic.partial_bytes * count * shard.copies
    slowest = max(attention, key=lambda r: (attention[r], -r))
    return TierResult(tier.name, attention[slowest], reduction[slowest], moved)


def _tier_activity(
    system: SystemSpec, runs: Sequence[PartRun], layers: dict[tuple[int, int], TierLayers]
) -> TierActivity:
    first = runs[0].tier == system.tiers[0].name
    total = dict.fromkeys(("attention", "query", "append", "result", "between", "merges"), 0)
    for run in runs:
        times = len(run.part.share.layers) * run.part.shard.copies
        layer = layers[shard_key(run.part.shard)][run.part.share.layers[0]]
        traffic = layer.traffic[layer.runs.index(run)]
        total["attention"] += run.layer_ps * times
        total["query"] += sum(traffic.query_bytes_by_device) * times
        total["append"] += sum(traffic.append_bytes_by_device) * times
        leaving = sum(traffic.result_bytes_by_device)
        if first:
            leaving += layer.gather.result_bytes + layer.gather.delivered_bytes
        else:
            leaving += sum(traffic.partial_result_bytes_by_device)
        total["result"] += leaving * times
        total["between"] += traffic.between_device_bytes * times
        total["merges"] += (traffic.merges + (layer.gather.merges if first else 0)) * times
    return TierActivity(
        tier=runs[0].tier,
        attention_ps=total["attention"],
        query_bytes=total["query"],
        append_bytes=total["append"],
        result_bytes=total["result"],
        between_device_bytes=total["between"],
        merges=total["merges"],
        merged_elements=merged_elements(runs[0].part.step),
    )
