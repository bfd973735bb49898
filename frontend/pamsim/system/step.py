"""One decode step of the whole machine, as a timeline of tasks.

Per layer of an instance: the host projects to Q, K, V; queries and the new K and V go to the
devices; every tier attends over its tokens, all tiers at once; what channels hold in parts is
reduced, first inside each tier, then over the tiers in the first one; results return; the host
projects and runs the feed-forward network. Tensor-parallel instances do the same side by side and
add up their outputs after each of the two; stages of the pipeline follow one another; replicas run
side by side. After the last layer, the language-model head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pamsim.config.spec import SystemSpec, TierSpec
from pamsim.energy.activity import StepActivity, TierActivity, idle
from pamsim.model.spec import ModelSpec
from pamsim.placement import Shard, make_shards
from pamsim.system.exchange import Exchange, merged_elements, reduction_ps
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
class Gathering:
    """Reduction over tiers, in the first one; time of the replica where it takes longest."""

    duration_ps: int
    merges: int  # here and below: of all instances
    delivered_bytes: int
    result_bytes: int


@dataclass(frozen=True)
class StepResult:
    """A timeline, its length, and what energy needs to know of it."""

    latency_ps: int
    tasks: tuple[Task, ...]
    tiers: tuple[TierResult, ...]
    gathering: Gathering
    activity: StepActivity


def step_timeline(
    system: SystemSpec, model: ModelSpec, step: DecodeStep, runs: Sequence[PartRun]
) -> StepResult:
    """The timeline of a step; runs: of every part of it, none where the host attends.

    Raises InputError and CapacityError as `make_shards` and `tier_shares`.
    """
    builder = Timeline(system)
    layers: dict[tuple[int, int], TierLayers] = {}
    shards = make_shards(model, step, system)
    for shard in shards:
        own = [r for r in runs if shard_key(r.part.shard) == shard_key(shard)]
        layers[shard_key(shard)] = tier_layers(system, own)
        builder.shard(shard, layers[shard_key(shard)])
    tasks = schedule(builder.activities)
    latency = latency_ps(tasks)
    gathering = _gathering(shards, layers)
    tiers, activities = [], []
    for tier in system.tiers:
        mine = [r for r in runs if r.tier == tier.name]
        activity, first = idle(tier.name), tier.name == system.tiers[0].name
        if mine:
            tiers.append(_tier_result(mine, layers, tier))
            activity = _tier_activity(mine, layers, first=first)
        if first and gathering.merges:
            activity = replace(
                activity,
                result_bytes=activity.result_bytes
                + gathering.delivered_bytes
                + gathering.result_bytes,
                gathered_merges=gathering.merges,
                gathered_elements=model.value_dim,
            )
        if moved := builder.offloaded_bytes.get(tier.name, 0):
            activity = replace(activity, offloaded_bytes=moved)
        if activity != idle(tier.name):
            activities.append(activity)
    whole = StepActivity(
        latency_ps=latency,
        host_flops=builder.work.flops,
        host_bytes=builder.work.bytes,
        tiers=tuple(activities),
        interconnect_bytes=builder.interconnect_bytes,
    )
    return StepResult(latency, tasks, tuple(tiers), gathering, whole)


def _gathering(shards: Sequence[Shard], layers: dict[tuple[int, int], TierLayers]) -> Gathering:
    every = [(s, layer.gather) for s in shards for layer in layers[shard_key(s)].values()]
    by_replica = Counter[int]()
    for shard, gather in every:
        by_replica[shard.replica] += gather.merge_ps
    return Gathering(
        duration_ps=max(by_replica.values(), default=0),
        merges=sum(g.merges * s.copies for s, g in every),
        delivered_bytes=sum(g.delivered_bytes * s.copies for s, g in every),
        result_bytes=sum(g.result_bytes * s.copies for s, g in every),
    )


def _tier_result(
    runs: Sequence[PartRun], layers: dict[tuple[int, int], TierLayers], tier: TierSpec
) -> TierResult:
    attention, reduction = Counter[int](), Counter[int]()  # by replica
    moved = 0
    for run in runs:
        shard, count = run.part.shard, len(run.part.share.layers)
        traffic = _traffic(run, layers)
        attention[shard.replica] += run.attention_ps
        reduction[shard.replica] += (
            reduction_ps(traffic, merged_elements(run.part.step), tier) * count
        )
        moved += traffic.partial_bytes * count * shard.copies
    slowest = max(attention, key=lambda r: (attention[r], -r))
    return TierResult(tier.name, attention[slowest], reduction[slowest], moved)


def _tier_activity(
    runs: Sequence[PartRun], layers: dict[tuple[int, int], TierLayers], *, first: bool
) -> TierActivity:
    """Of a tier's own attention; partial results leave for the first tier, but for its own."""
    total = Counter[str]()
    for run in runs:
        times = len(run.part.share.layers) * run.part.shard.copies
        traffic = _traffic(run, layers)
        total["attention"] += run.layer_ps * times
        total["query"] += sum(traffic.query_bytes_by_device) * times
        total["append"] += sum(traffic.append_bytes_by_device) * times
        total["result"] += sum(traffic.result_bytes_by_device) * times
        total["partial"] += sum(traffic.partial_result_bytes_by_device) * times
        total["between"] += traffic.between_device_bytes * times
        total["merges"] += traffic.merges * times
    return TierActivity(
        tier=runs[0].tier,
        attention_ps=total["attention"],
        query_bytes=total["query"],
        append_bytes=total["append"],
        result_bytes=total["result"] + (0 if first else total["partial"]),
        between_device_bytes=total["between"],
        merges=total["merges"],
        merged_elements=merged_elements(runs[0].part.step),
    )


def _traffic(run: PartRun, layers: dict[tuple[int, int], TierLayers]) -> Exchange:
    """What a run's tier moves in one of its layers."""
    layer = layers[shard_key(run.part.shard)][run.part.share.layers[0]]
    return layer.traffic[layer.runs.index(run)]
