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
from dataclasses import dataclass, field

from pamsim.config.spec import SystemSpec
from pamsim.energy.activity import StepActivity, TierActivity
from pamsim.errors import InputError
from pamsim.model.spec import ModelSpec
from pamsim.placement import Shard
from pamsim.system.collective import all_reduce_bytes, all_reduce_ps, hidden_bytes, transfer_ps
from pamsim.system.exchange import Exchange, exchange, merged_elements, pins_ps, reduction_ps
from pamsim.system.gather import Gather, gather
from pamsim.system.parts import PartRun
from pamsim.system.roofline import (
    HostWork,
    head_work,
    host_time_ps,
    output_work,
    qkv_work,
    weight_bandwidth,
)
from pamsim.system.schedule import Activity, Task, latency_ps, schedule
from pamsim.workload.step import DecodeStep

HOST = "npu"
ATTENTION = "attention"
REDUCTION = "reduction"


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


@dataclass(frozen=True)
class _Layer:
    """What the tiers of an instance do in one layer."""

    runs: tuple[PartRun, ...]
    traffic: tuple[Exchange, ...]
    gather: Gather


def step_timeline(
    system: SystemSpec, model: ModelSpec, step: DecodeStep, runs: Sequence[PartRun]
) -> StepResult:
    """The timeline of a step; runs: of every part of it. Raises InputError for no parts."""
    if not runs:
        raise InputError("step must have at least one part")
    shards = list(dict.fromkeys(_key(r.part.shard) for r in runs))
    by_shard = {key: [r for r in runs if _key(r.part.shard) == key] for key in shards}
    builder = _Timeline(system)
    layers = {key: _layers(system, own) for key, own in by_shard.items()}
    for key, own in by_shard.items():
        builder.shard(own[0].part.shard, layers[key])
    tasks = schedule(builder.activities)
    latency = latency_ps(tasks)
    tiers, activities = [], []
    for tier in system.tiers:
        mine = [r for r in runs if r.tier == tier.name]
        if mine:
            tiers.append(_tier_result(system, mine, layers))
            activities.append(_tier_activity(system, mine, layers))
    activity = StepActivity(
        latency_ps=latency,
        host_flops=builder.work.flops,
        host_bytes=builder.work.bytes,
        tiers=tuple(activities),
        interconnect_bytes=builder.interconnect_bytes,
    )
    return StepResult(latency, tasks, tuple(tiers), activity)


def _key(shard: Shard) -> tuple[int, int]:
    return shard.replica, shard.stage


_Layers = dict[int, _Layer]  # by number in the shard's model


def _layers(system: SystemSpec, runs: Sequence[PartRun]) -> _Layers:
    """The layers of one shard; layers of a class are one object."""
    found: _Layers = {}
    for layers in dict.fromkeys(r.part.share.layers for r in runs):
        own = tuple(r for r in runs if r.part.share.layers == layers)
        traffic = tuple(
            exchange(r.part.step, r.part.share, r.part.shard.model, system.tier(r.tier))
            for r in own
        )
        layer = _Layer(own, traffic, gather([r.part for r in own], traffic, system))
        found |= dict.fromkeys(layers, layer)
    return found


@dataclass
class _Timeline:
    """Collects the activities of one shard after the other."""

    system: SystemSpec
    activities: list[Activity] = field(default_factory=list)
    work: HostWork = field(default_factory=lambda: HostWork(0, 0, 0))
    interconnect_bytes: int = 0
    _stage_done: dict[int, tuple[int, ...]] = field(default_factory=dict)  # of a replica

    def shard(self, shard: Shard, layers: _Layers) -> None:
        system, model, batch = self.system, shard.model, shard.step.batch
        where = _place(system, shard)
        bandwidth = weight_bandwidth(system)
        tensor = system.tensor_parallel
        state = hidden_bytes(model, batch)

        def add(
            task: str, resource: str, duration_ps: int, layer: int | None, after: tuple[int, ...]
        ) -> tuple[int, ...]:
            """Appends an activity; one of no duration is left out and passes on its waits."""
            if not duration_ps:
                return after
            self.activities.append(Activity(task, where + resource, duration_ps, layer, after))
            return (len(self.activities) - 1,)

        def host(
            task: str, work: HostWork, layer: int | None, after: tuple[int, ...]
        ) -> tuple[int, ...]:
            self.work += work * shard.copies
            return add(task, HOST, host_time_ps(work, system.host, bandwidth), layer, after)

        def add_up(layer: int, after: tuple[int, ...]) -> tuple[int, ...]:
            if tensor == 1 or system.interconnect is None:
                return after
            sent = all_reduce_bytes(state, tensor)
            self.interconnect_bytes += sent * shard.copies
            duration = all_reduce_ps(state, tensor, system.interconnect)
            return add("all_reduce", system.interconnect.name, duration, layer, after)

        done = self._stage_done.get(shard.replica, ())
        if shard.stage and system.interconnect is not None:
            self.interconnect_bytes += state * shard.copies
            duration = transfer_ps(state, system.interconnect)
            done = add("stage_transfer", system.interconnect.name, duration, None, done)
        for own, number in enumerate(shard.layers):
            done = host("qkv_projection", qkv_work(model, batch), number, done)
            layer = layers[own]
            results: tuple[int, ...] = ()
            partials: tuple[int, ...] = ()
            for run, traffic in zip(layer.runs, layer.traffic, strict=True):
                tier = system.tier(run.tier)
                link = tier.link.name
                at = add("query_broadcast", link, pins_ps(traffic.inward_by_device, tier), number,
                         done)  # fmt: skip
                at = add(ATTENTION, tier.name, run.layer_ps, number, at)
                elements = merged_elements(run.part.step)
                merging = reduction_ps(traffic, elements, tier)
                at = add(REDUCTION, f"{tier.name} reduction units", merging, number, at)
                partial = pins_ps(traffic.partial_result_bytes_by_device, tier)
                if partial and tier.name != system.tiers[0].name:
                    at = add("partial_return", link, partial, number, at)
                if any(traffic.partial_result_bytes_by_device):
                    partials += at
                whole = pins_ps(traffic.result_bytes_by_device, tier)
                results += add("result_return", link, whole, number, at)
            if layer.gather.merges:
                first = system.tiers[0]
                at = add("partial_delivery", first.link.name, layer.gather.delivery_ps, number,
                         partials)  # fmt: skip
                at = add("tier_reduction", f"{first.name} reduction units",
                         layer.gather.merge_ps, number, at)  # fmt: skip
                results += add("result_return", first.link.name, layer.gather.return_ps, number,
                               at)  # fmt: skip
            done = results or done
            if tensor > 1:
                # The output projection is a part of the task below; its all-reduce is not hidden.
                done = add_up(number, done)
            done = host("projection_and_ffn", output_work(model, batch, own), number, done)
            done = add_up(number, done)
        if shard.stage == system.pipeline_parallel - 1:
            done = host("language_model_head", head_work(model, batch), None, done)
        self._stage_done[shard.replica] = done


def _place(system: SystemSpec, shard: Shard) -> str:
    """Prefix of a resource's name where there are several instances that do different things."""
    words = []
    if system.instances > system.tensor_parallel * system.pipeline_parallel:
        words.append(f"replica {shard.replica}")
    if system.pipeline_parallel > 1:
        words.append(f"stage {shard.stage}")
    return "".join(f"{word}/" for word in words)


def _tier_result(
    system: SystemSpec, runs: Sequence[PartRun], layers: dict[tuple[int, int], _Layers]
) -> TierResult:
    tier = system.tier(runs[0].tier)
    attention: dict[int, int] = {}
    reduction: dict[int, int] = {}
    moved = 0
    for run in runs:
        shard, count = run.part.shard, len(run.part.share.layers)
        layer = layers[_key(shard)][run.part.share.layers[0]]
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
    system: SystemSpec, runs: Sequence[PartRun], layers: dict[tuple[int, int], _Layers]
) -> TierActivity:
    first = runs[0].tier == system.tiers[0].name
    total = dict.fromkeys(("attention", "query", "append", "result", "between", "merges"), 0)
    for run in runs:
        times = len(run.part.share.layers) * run.part.shard.copies
        layer = layers[_key(run.part.shard)][run.part.share.layers[0]]
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
