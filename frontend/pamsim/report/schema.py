"""The types of the result document; its JSON Schema is made from them."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, strict=True)]
Amount = Annotated[float, Field(ge=0)]
Sha = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Verdict = Literal["passed", "violated", "unchecked", "NOT CHECKED"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Workload(_Part):
    batch: Count
    contexts: list[Count] = Field(description="KV tokens that a request's attention reads")


class TimelineTask(_Part):
    task: str
    resource: str
    start_ns: Amount
    end_ns: Amount
    layer: Count | None
    critical: bool = Field(description="the critical tasks tile [0, latency_ns]")


class Channel(_Part):
    """A distinct engine run. It stands for count x layers x steps runs (its multiplicity)."""

    program_sha: Sha
    count: Count = Field(description="channels that ran it")
    layers: Count
    steps: Count
    part: Count = Field(description="entry of the tier's parts that it belongs to")
    ticks: Count
    ticks_per_second: Count
    tick_ps: Amount
    commands: dict[str, Count] = Field(description="commands per run, by name")
    banks_per_command: dict[str, Count]
    bytes_internal: Count = Field(description="read from banks by processing units, per run")
    bytes_useful: Count = Field(description="K and V of the channel's tokens, each once, per run")
    bytes_ext_read: Count
    bytes_ext_write: Count
    residency_ticks: dict[Literal["active", "precharged", "refreshing"], Count] = Field(
        description="summed over residency_nodes nodes"
    )
    residency_nodes: Count
    residency_level: str
    open_bank_ticks: Count
    stalls: list[dict[str, Count]] | None = Field(description="per stream; each sums to ticks")
    stall_rules: list[dict[str, Count]] | None = Field(
        description="per stream, by binding timing rule; each sums to the stream's class `timing`"
    )


class Tiling(_Part):
    queries: Count
    tokens: Count
    parts: Count
    passes: Count


class TierPart(_Part):
    replica: Count
    stage: Count
    instances: Count = Field(description="that do the same: tensor parallel, equal replicas")
    layers: list[Count]
    kv_tokens: Count = Field(description="that a layer reads in this tier, of one instance")
    latency_ns: Amount = Field(description="attention of one layer")


class Tier(_Part):
    latency_ns: Amount = Field(description="attention, all layers")
    devices: Count
    kv_tokens: Count
    peak_gbps: Amount = Field(description="1e9 bytes a second")
    peak_rule: str
    bandwidth_gbps: Amount = Field(description="bytes_internal of all runs / latency_ns")
    peak_fraction: Amount
    busy_channels: Count = Field(description="with a program in some layer, of all instances")
    idle_channels: Count
    tiling: Tiling
    parts: list[TierPart]
    channels: list[Channel]


class Term(_Part):
    tier: str
    name: str
    unit_energy_pj: float
    per: str
    scope: str
    count: float | int
    pj: float
    source: str
    commands: dict[str, Count] | None = Field(
        description="how many of `per` one command stands for; null where no command does"
    )


class Energy(_Part):
    total: float
    terms: list[Term]


class Reduction(_Part):
    latency_ns: Amount
    bytes: Count
    share: Amount = Field(description="of attention and reduction together")


class Functional(_Part):
    max_abs_error: Amount | None
    bound: Amount | None
    max_abs_value: Amount | None = Field(description="largest |V| of the pair with that error")
    reference: str
    saturated: Count = Field(description="numbers that the device clipped to the FP16 range")
    clipped: Count = Field(description="numbers of a bf16 model clipped on conversion to FP16")
    first: str | None = Field(description="the first fault, in words")
    coverage: str
    verdict: Verdict


class LayoutProof(_Part):
    kv_elements: Count | None
    duplicates: Count | None
    missing: Count | None
    bytes_fetched: Count | None = Field(description="whole columns of lockstep banks, one pass")
    bytes_needed: Count | None
    row_hit_rate: Amount | None
    tokens_per_group_max: Count | None
    tokens_per_group_mean: Amount | None
    tokens_per_bank_max: Count | None
    tokens_per_bank_mean: Amount | None
    rows_free: Count | None = Field(description="of the fullest bank, after the last layer")
    first: str | None
    coverage: str
    verdict: Verdict


class Timing(_Part):
    violations: Count | None
    first: str | None
    commands_checked: Count
    logs_checked: Count
    rules: list[str]
    by_rule: dict[str, Count] = Field(description="violations of each broken rule")
    notes: list[str]
    coverage: str
    verdict: Verdict


class Validation(_Part):
    functional: Functional
    layout: LayoutProof
    timing: Timing


class Assumption(_Part):
    of: str
    name: str
    value: int | float | str | bool | None
    unit: str | None
    range: list[float] | None
    source: str


class ManifestReference(_Part):
    path: str
    inputs_sha: Sha
    results_sha: Sha


class Result(_Part):
    """What `pamsim run --json` prints and `result.json` holds."""

    schema_version: Literal[1]
    model: str
    kv_dtype: str = Field(description="of the KV cache")
    system: str
    engine: str
    workload: Workload
    latency_ns: Amount
    timeline: list[TimelineTask]
    tiers: dict[str, Tier]
    energy_pj: Energy | None
    energy_missing: list[str] = Field(description="constants without which energy is unknown")
    reduction: Reduction
    validation: Validation
    assumptions: list[Assumption]
    manifest: ManifestReference


def schema_text() -> str:
    """The JSON Schema of the result document, as its file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of pamsim run",
        **Result.model_json_schema(),
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
