"""The result document of `pamsim run --json`: names and units are normative (its JSON Schema is
ramulator_configs/schema/run.schema.json, its types are in pamsim.report.schema)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pamsim.compiler.compiled import CompiledStep
from pamsim.config.spec import SystemSpec
from pamsim.energy import EnergyAccount, account
from pamsim.model.spec import ModelSpec
from pamsim.report.assumptions import assumptions
from pamsim.report.channels import channel_entry
from pamsim.sim.run import ChannelRun
from pamsim.system import StepResult, TierResult, TierRun, step_timeline
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
    tier_runs: tuple[TierRun, ...]
    result: StepResult
    energy: EnergyAccount
    validation: dict[str, Any]


def step_document(
    model: ModelSpec,
    system: SystemSpec,
    step: DecodeStep,
    compiled: CompiledStep,
    runs: tuple[ChannelRun, ...],
    *,
    engine: str,
    validation: dict[str, Any],
) -> dict[str, Any]:
    """The document of a step that was run and proved: its timeline, its energy, all of it."""
    tier_run = TierRun(compiled, runs)
    result = step_timeline(system, model, step, [tier_run])
    energy = account([compiled], [runs], system, result.activity)
    return build_document(
        Evaluation(
            model=model,
            system=system,
            step=step,
            engine=engine,
            tier_runs=(tier_run,),
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
            run.compiled.tier: tier_entry(run, tier, e)
            for run, tier in zip(e.tier_runs, e.result.tiers, strict=True)
        },
        **energy_entry(e.energy),
        "reduction": reduction_entry(e.result.tiers),
        "validation": e.validation,
        "assumptions": assumptions(e.system),
    }


def tier_entry(run: TierRun, tier: TierResult, e: Evaluation) -> dict[str, Any]:
    """A tier: rates are of its own attention time, over all layers."""
    spec = e.system.tier(tier.tier)
    channels = [channel_entry(r, run.compiled, e.model) for r in run.runs]
    internal = sum(c["bytes_internal"] * multiplicity(c) for c in channels)
    latency_ns = ps_to_ns(tier.attention_ps)
    peak = spec.device.peak_bytes_per_second * spec.devices / GIGA
    bandwidth = internal / latency_ns if tier.attention_ps else 0.0
    return {
        "latency_ns": latency_ns,
        "devices": spec.devices,
        "kv_tokens": sum(e.step.contexts),
        "peak_gbps": peak,
        "peak_rule": f"{spec.device.peak_rule}, x {spec.devices} devices",
        "bandwidth_gbps": bandwidth,
        "peak_fraction": bandwidth / peak,
        "idle_channels": run.compiled.idle_channels,
        "tiling": {
            "queries": run.compiled.tiling.queries,
            "tokens": run.compiled.tiling.tokens,
            "parts": run.compiled.tiling.parts,
            "passes": run.compiled.tiling.passes,
        },
        "channels": channels,
    }


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


def reduction_entry(tiers: Sequence[TierResult]) -> dict[str, Any]:
    """Merging between channels and devices; share: of attention and reduction together."""
    reduction = sum(t.reduction_ps for t in tiers)
    attention = sum(t.attention_ps for t in tiers)
    whole = attention + reduction
    return {
        "latency_ns": ps_to_ns(reduction),
        "bytes": sum(t.reduction_bytes for t in tiers),
        "share": reduction / whole if whole else 0.0,
    }
