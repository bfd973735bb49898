"""One decode step of the whole machine, as a timeline of tasks.

Per layer: the host projects to Q, K, V; queries and the new K and V go to the devices; every tier
attends over its tokens; what channels hold in parts is reduced; results return; the host projects
and runs the feed-forward network. After the last layer, the language-model head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pamsim.compiler.compiled import CompiledStep
from pamsim.config.spec import SystemSpec
from pamsim.energy.activity import StepActivity, TierActivity
from pamsim.errors import InputError
from pamsim.model.spec import ModelSpec
from pamsim.sim.run import ChannelRun
from pamsim.system.clock import ticks_to_ps
from pamsim.system.exchange import Exchange, exchange, merged_elements, pins_ps, reduction_ps
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
class TierRun:
    """What one tier was given to do and what its channels did."""

    compiled: CompiledStep
    runs: tuple[ChannelRun, ...]

    @property
    def layer_ps(self) -> int:
        """Attention of one layer: until the slowest channel has finished."""
        return max(
            (ticks_to_ps(r.result.ticks, r.description.ticks_per_second) for r in self.runs),
            default=0,
        )


@dataclass(frozen=True)
class TierResult:
    """One tier over the whole step."""

    tier: str
    attention_ps: int
    reduction_ps: int
    reduction_bytes: int  # (O, m, l) handed over between channels and devices


@dataclass(frozen=True)
class StepResult:
    """A timeline, its length, and what energy needs to know of it."""

    latency_ps: int
    tasks: tuple[Task, ...]
    tiers: tuple[TierResult, ...]
    activity: StepActivity


def step_timeline(
    system: SystemSpec, model: ModelSpec, step: DecodeStep, tier_runs: Sequence[TierRun]
) -> StepResult:
    """The timeline of a step. Raises InputError for a system of several instances."""
    if system.instances != 1:
        raise InputError(f"instances must be 1 (one NPU and its devices), not {system.instances}")
    exchanges = [exchange(t.compiled, system.tier(t.compiled.tier), model) for t in tier_runs]
    tasks = schedule(_activities(system, model, step, tier_runs, exchanges))
    latency = latency_ps(tasks)
    work = head_work(model, step.batch)
    for _ in range(model.layers):
        work += qkv_work(model, step.batch) + output_work(model, step.batch)
    tiers, activities = [], []
    for run, traffic in zip(tier_runs, exchanges, strict=True):
        name = run.compiled.tier
        attention = run.layer_ps * model.layers
        elements = merged_elements(run.compiled)
        reduction = reduction_ps(traffic, elements, system.tier(name)) * model.layers
        tiers.append(TierResult(name, attention, reduction, traffic.partial_bytes * model.layers))
        activities.append(_tier_activity(name, attention, traffic, elements, model.layers))
    activity = StepActivity(latency, work.flops, work.bytes, tuple(activities))
    return StepResult(latency, tasks, tuple(tiers), activity)


def _tier_activity(
    tier: str, attention_ps: int, traffic: Exchange, elements: int, layers: int
) -> TierActivity:
    return TierActivity(
        tier=tier,
        attention_ps=attention_ps,
        query_bytes=sum(traffic.query_bytes_by_device) * layers,
        append_bytes=sum(traffic.append_bytes_by_device) * layers,
        result_bytes=traffic.result_bytes * layers,
        between_device_bytes=traffic.between_device_bytes * layers,
        merges=traffic.merges * layers,
        merged_elements=elements,
    )


def _activities(
    system: SystemSpec,
    model: ModelSpec,
    step: DecodeStep,
    tier_runs: Sequence[TierRun],
    exchanges: Sequence[Exchange],
) -> list[Activity]:
    bandwidth = weight_bandwidth(system)

    def host_ps(work: HostWork) -> int:
        return host_time_ps(work, system.host, bandwidth)

    qkv_ps = host_ps(qkv_work(model, step.batch))
    output_ps = host_ps(output_work(model, step.batch))
    activities: list[Activity] = []

    def add(
        task: str, resource: str, duration_ps: int, layer: int | None, after: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Appends an activity; one of no duration is left out and passes on what it waits for."""
        if not duration_ps:
            return after
        activities.append(Activity(task, resource, duration_ps, layer, after))
        return (len(activities) - 1,)

    done: tuple[int, ...] = ()
    for layer in range(model.layers):
        done = add("qkv_projection", HOST, qkv_ps, layer, done)
        results: tuple[int, ...] = ()
        for run, traffic in zip(tier_runs, exchanges, strict=True):
            tier = system.tier(run.compiled.tier)
            inward = tuple(
                q + a
                for q, a in zip(
                    traffic.query_bytes_by_device, traffic.append_bytes_by_device, strict=True
                )
            )
            elements = merged_elements(run.compiled)
            link = tier.link.name
            at = add("query_broadcast", link, pins_ps(inward, tier), layer, done)
            at = add(ATTENTION, tier.name, run.layer_ps, layer, at)
            merging = reduction_ps(traffic, elements, tier)
            at = add(REDUCTION, f"{tier.name} logic dies", merging, layer, at)
            at = add(
                "result_return", link, pins_ps(traffic.result_bytes_by_device, tier), layer, at
            )
            results += at
        done = add("projection_and_ffn", HOST, output_ps, layer, results or done)
    add("language_model_head", HOST, host_ps(head_work(model, step.batch)), None, done)
    return activities
