"""The result document of `pamsim run --json`: names and units are normative (its JSON Schema is
ramulator_configs/schema/run.schema.json, its types are in pamsim.report.schema)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pamsim.config.spec import SystemSpec
from pamsim.energy import EnergyAccount, account
from pamsim.model.spec import ModelSpec
from pamsim.report.assumptions import assumptions
from pamsim.report.channels import channel_entry
from pamsim.system import PartRun, StepResult, TierResult, step_timeline
from pamsim.system.clock import ps_to_ns
from pamsim.workload.step import DecodeStep

SCHEMA_VERSION = 1
GIGA = 10**9


@dataclass(frozen=True)
class Evaluation:
    """Everything a result document is made of."""

    model: ModelSpec
    system: SystemSpec
    step: DecodeStep
    engine: str
    runs: tuple[PartRun, ...]
    result: StepResult
    energy: EnergyAccount
    validation: dict[str, Any]


def step_document(
    model: ModelSpec,
    system: SystemSpec,
    step: DecodeStep,
    runs: Sequence[PartRun],
    *,
    engine: str,
    validation: dict[str, Any],
) -> dict[str, Any]:
    """The document of a step that was run and proved: its timeline, its energy, all of it."""
    result = step_timeline(system, model, step, runs)
    energy = account([r.part.step for r in runs], [r.runs for r in runs], system, result.activity)
    return build_document(
        Evaluation(
            model=model,
            system=system,
            step=step,
            engine=engine,
            runs=tuple(runs),
            result=result,
            energy=energy,
            validation=validation,
        )
    )


def build_document(e: Evaluation) -> dict[str, Any]:
    """The document without its `manifest` (see pamsim.report.manifest)."""
    return {
        "schema_version": SCHEMA_VERSION,
        "model": e.model.name,
        "kv_dtype": e.model.kv_dtype,
        "system": e.system.name,
        "engine": e.engine,
        "workload": {"batch": e.step.batch, "contexts": list(e.step.contexts)},
        "latency_ns": ps_to_ns(e.result.latency_ps),
        "timeline": [
            {
                "task": t.task,
                "resource": t.resource,
                "start_ns": ps_to_ns(t.start_ps),
                "end_ns": ps_to_ns(t.end_ps),
                "layer": t.layer,
                "critical": t.critical,
            }
            for t in e.result.tasks
        ],
        "tiers": {
            tier.tier: tier_entry([r for r in e.runs if r.tier == tier.tier], tier, e)
            for tier in e.result.tiers
        },
        **energy_entry(e.energy),
        "reduction": reduction_entry(e.result),
        "validation": e.validation,
        "assumptions": assumptions(e.system),
    }


def tier_entry(runs: Sequence[PartRun], tier: TierResult, e: Evaluation) -> dict[str, Any]:
    """A tier of all instances: rates are of its own attention time, over all layers.

    Each channel names its entry of `parts`: the layers, and the stage and replica, that it is of.
    """
    spec = e.system.tier(tier.tier)
    devices = spec.devices * e.system.instances
    channels = [
        channel_entry(r, run.part, number) for number, run in enumerate(runs) for r in run.runs
    ]
    first = runs[0].part.step
    internal = sum(c["bytes_internal"] * multiplicity(c) for c in channels)
    latency_ns = ps_to_ns(tier.attention_ps)
    peak = spec.device.peak_bytes_per_second * devices / GIGA
    bandwidth = internal / latency_ns if tier.attention_ps else 0.0
    busy = busy_channels(runs)
    return {
        "latency_ns": latency_ns,
        "devices": devices,
        "kv_tokens": kv_tokens(runs, e.system),
        "peak_gbps": peak,
        "peak_rule": f"{spec.device.peak_rule}, x {devices} devices",
        "bandwidth_gbps": bandwidth,
        "peak_fraction": bandwidth / peak,
        "busy_channels": busy,
        "idle_channels": spec.channels * e.system.instances - busy,
        "tiling": {
            "queries": first.tiling.queries,
            "tokens": first.tiling.tokens,
            "parts": first.tiling.parts,
            "passes": first.tiling.passes,
        },
        "parts": [part_entry(run) for run in runs],
        "channels": channels,
    }


def part_entry(run: PartRun) -> dict[str, Any]:
    """Layers that read the same tokens, in a stage of the pipeline of a replica.

    latency_ns: attention of one layer; kv_tokens: that it reads in this tier, of one instance.
    """
    shard = run.part.shard
    return {
        "replica": shard.replica,
        "stage": shard.stage,
        "instances": shard.copies,
        "layers": [shard.layers[n] for n in run.part.share.layers],
        "kv_tokens": run.part.share.kv_tokens,
        "latency_ns": ps_to_ns(run.layer_ps),
    }


def kv_tokens(runs: Sequence[PartRun], system: SystemSpec) -> int:
    """KV tokens that the tier holds of the layer that reads most, all replicas together."""
    held: dict[tuple[int, int], int] = {}  # by stage and replica
    for run in runs:
        shard = run.part.shard
        tokens = run.part.share.kv_tokens * (shard.copies // system.tensor_parallel)
        key = shard.stage, shard.replica
        held[key] = max(held.get(key, 0), tokens)
    stages = {stage for stage, _ in held}
    return max(sum(n for (stage, _), n in held.items() if stage == own) for own in stages)


def busy_channels(runs: Sequence[PartRun]) -> int:
    """Channels of a tier, of all instances, that have a program in some layer."""
    held: dict[tuple[int, int], set[int]] = {}  # by stage and replica
    copies = {}
    for run in runs:
        key = run.part.shard.stage, run.part.shard.replica
        copies[key] = run.part.shard.copies
        used = held.setdefault(key, set())
        used.update(b.channel for p in run.part.step.programs for b in p.bindings)
    return sum(len(used) * copies[key] for key, used in held.items())


def multiplicity(channel: dict[str, Any]) -> int:
    """How often an entry of `channels` stands for itself: channels x layers x steps."""
    return int(channel["count"]) * int(channel["layers"]) * int(channel["steps"])


def energy_entry(account: EnergyAccount) -> dict[str, Any]:
    """`energy_pj` and `energy_missing`: null and the constants that are not known, or all terms."""
    total = account.total_pj
    if total is None:
        return {"energy_pj": None, "energy_missing": list(account.missing)}
    terms = [
        {
            "tier": t.tier,
            "name": t.name,
            "unit_energy_pj": t.unit_energy_pj,
            "per": t.per,
            "scope": t.scope,
            "count": t.count,
            "pj": t.pj,
            "source": t.source,
            "commands": dict(t.commands) or None,
        }
        for t in account.terms
    ]
    return {"energy_pj": {"total": total, "terms": terms}, "energy_missing": []}


def reduction_entry(result: StepResult) -> dict[str, Any]:
    """Merging between channels, devices and tiers; share: of attention and reduction together."""
    gathering = result.gathering
    reduction = sum(t.reduction_ps for t in result.tiers) + gathering.duration_ps
    attention = sum(t.attention_ps for t in result.tiers)
    whole = attention + reduction
    return {
        "latency_ns": ps_to_ns(reduction),
        "bytes": sum(t.reduction_bytes for t in result.tiers) + gathering.delivered_bytes,
        "share": reduction / whole if whole else 0.0,
    }
