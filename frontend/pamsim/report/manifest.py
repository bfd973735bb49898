"""The manifest of a result directory: what went in, what came out, and how it was run.

`inputs` and `files` are the same for the same inputs, whatever the machine's load, the number of
threads or the directory; they are hashed. `run` is of this one run and is not.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pamsim.config import resolved_json
from pamsim.config.spec import Constant, LinkSpec, SystemSpec, TierSpec
from pamsim.model.spec import ModelSpec
from pamsim.report.code import code_digest, plugin_files
from pamsim.report.text import sha256_bytes, sha256_of
from pamsim.workload.step import DecodeStep

MANIFEST_VERSION = 1


def inputs_part(
    model: ModelSpec,
    system: SystemSpec,
    step: DecodeStep,
    *,
    engine: str,
    engine_build: str,
    seed: int,
    validate: str,
    versions: Mapping[str, str],
    ramulator_commit: str | None = None,
) -> dict[str, Any]:
    """Everything that the results follow from, resolved; file names without their directories.

    `system` is for people to read; its `resolved_sha` covers every field of it.
    """
    return {
        "model": asdict(model),
        "model_sources": [list(s) for s in model.sources],
        "workload": {"contexts": list(step.contexts)},
        "system": _system(system),
        "input_files": _input_files(system),
        "plugin_files": plugin_files({t.device.family for t in system.tiers}),
        "code_sha": code_digest(),
        "engine": {"name": engine, "build_id": engine_build, "ramulator_commit": ramulator_commit},
        "seed": seed,
        "validate": validate,
        "versions": dict(sorted(versions.items())),
    }


def _system(system: SystemSpec) -> dict[str, Any]:
    return {
        "name": system.name,
        "resolved_sha": sha256_bytes(resolved_json(system).encode()),
        "instances": system.instances,
        "tensor_parallel": system.tensor_parallel,
        "pipeline_parallel": system.pipeline_parallel,
        "interconnect": system.interconnect and _link(system.interconnect),
        "attention": system.attention,
        "placement": system.placement,
        "fill_limit": system.fill_limit,
        "label_cache_bits": system.label_cache_bits,
        "layout": system.layout,
        "spread": system.spread,
        "weights_tier": system.weights_tier,
        "overrides": {str(k): str(v) for k, v in sorted(system.overrides.items())},
        "constants": _constants(system.constants),
        "host": {"name": system.host.name, "constants": _constants(system.host.constants)},
        "tiers": {t.name: _tier(t) for t in system.tiers},
    }


def _tier(tier: TierSpec) -> dict[str, Any]:
    device = tier.device
    return {
        "devices": tier.devices,
        "kv_bytes": tier.kv_bytes,
        "reserved_bytes": tier.reserved_bytes,
        "device": device.name,
        "family": device.family,
        "timing_ck": dict(sorted(device.timing_ck.items())),
        "ticks_per_second": device.ticks_per_second,
        "constants": _constants(device.constants),
        "energy": _constants(device.energy.constants),
        "link": _link(tier.link),
    }


def _link(link: LinkSpec) -> dict[str, Any]:
    return {"name": link.name, "constants": _constants(link.constants)}


def _constants(constants: Sequence[Constant]) -> dict[str, dict[str, Any]]:
    return {c.name: {"value": c.value, "unit": c.unit, "source": c.source} for c in constants}


def _input_files(system: SystemSpec) -> dict[str, str]:
    """SHA-256 of the description files by name; what they extend is in the resolved values."""
    files = {}
    for path in (system.path, *(t.device.path for t in system.tiers)):
        if path and Path(path).is_file():
            files[Path(path).name] = sha256_bytes(Path(path).read_bytes())
    return dict(sorted(files.items()))


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "pamsim": version("pamsim"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }


def run_part(argv: Sequence[str], started: datetime.datetime, threads: int) -> dict[str, Any]:
    """When, where and how this run was made; not hashed."""
    ended = datetime.datetime.now(datetime.UTC)
    return {
        "argv": list(argv),
        "started": started.isoformat(timespec="milliseconds"),
        "ended": ended.isoformat(timespec="milliseconds"),
        "seconds": round((ended - started).total_seconds(), 3),
        "threads": threads,
        "host": platform.node(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
    }


def results_sha(document: Mapping[str, Any]) -> str:
    """Hash of the result document without its `manifest`."""
    return sha256_of({key: value for key, value in document.items() if key != "manifest"})


def manifest(
    inputs: Mapping[str, Any],
    files: Mapping[str, str],
    results: str | None,
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest: `files` maps every other file of the directory to its SHA-256."""
    return {
        "manifest_version": MANIFEST_VERSION,
        "inputs": dict(inputs),
        "inputs_sha": sha256_of(inputs),
        "files": dict(sorted(files.items())),
        "results_sha": results,
        "run": dict(run),
    }
