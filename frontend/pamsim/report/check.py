"""Recomputes every sum of a result document from its parts: `pamsim check RESULT.json`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pamsim.report.directory import MANIFEST, read_manifest
from pamsim.report.document import multiplicity
from pamsim.report.manifest import results_sha
from pamsim.report.read import read_result, result_file, structure_faults
from pamsim.report.text import sha256_bytes, sha256_of

RELATIVE_TOLERANCE = 1e-12
MERGING = ("reduction", "partial_exchange", "tier_reduction")


def check_result(path: Path) -> list[str]:
    """Faults of a result file, or of `result.json` in a directory; empty when all is right.

    Raises InputError when there is nothing to read as a result.
    """
    document = read_result(path)
    faults = structure_faults(document)
    if faults:
        return faults
    faults += _part_numbers(document)
    if faults:
        return faults
    faults += _timeline(document)
    for name, tier in document["tiers"].items():
        faults += _tier(f"tiers.{name}", tier)
        faults += _parts(f"tiers.{name}", tier)
    faults += _attention(document)
    faults += _energy(document)
    faults += _reduction(document)
    faults += _verdicts(document)
    faults += _files(result_file(path).parent, document)
    return faults


def _differs(name: str, said: float, found: float) -> Iterator[str]:
    if not math.isclose(said, found, rel_tol=RELATIVE_TOLERANCE, abs_tol=0.0):
        yield f"{name} must be {found!r}, not {said!r}"


def _part_numbers(document: dict[str, Any]) -> Iterator[str]:
    for name, tier in document["tiers"].items():
        for i, channel in enumerate(tier["channels"]):
            if channel["part"] >= len(tier["parts"]):
                yield (
                    f"tiers.{name}.channels[{i}].part must be below {len(tier['parts'])}, "
                    f"not {channel['part']}"
                )


def _timeline(document: dict[str, Any]) -> Iterator[str]:
    at = 0.0
    critical = [t for t in document["timeline"] if t["critical"]]
    for task in sorted(critical, key=lambda t: (t["start_ns"], t["end_ns"])):
        if task["start_ns"] != at:
            yield (
                f"timeline: critical task {task['task']!r} must start at {at!r} ns, "
                f"not {task['start_ns']!r}"
            )
        at = task["end_ns"]
    if at != document["latency_ns"]:
        said = document["latency_ns"]
        yield f"latency_ns must be the end of the critical tasks, {at!r}, not {said!r}"
    for task in document["timeline"]:
        if task["end_ns"] < task["start_ns"] or task["end_ns"] > document["latency_ns"]:
            yield f"timeline: task {task['task']!r} must lie within [0, latency_ns]"


def _tier(name: str, tier: dict[str, Any]) -> Iterator[str]:
    for i, channel in enumerate(tier["channels"]):
        yield from _channel(f"{name}.channels[{i}]", channel)
    internal = sum(c["bytes_internal"] * multiplicity(c) for c in tier["channels"])
    if tier["latency_ns"]:
        yield from _differs(
            f"{name}.bandwidth_gbps", tier["bandwidth_gbps"], internal / tier["latency_ns"]
        )
    if tier["peak_gbps"]:
        share = tier["bandwidth_gbps"] / tier["peak_gbps"]
        yield from _differs(f"{name}.peak_fraction", tier["peak_fraction"], share)
    if tier["peak_fraction"] > 1 + RELATIVE_TOLERANCE:
        yield f"{name}.peak_fraction must be at most 1, not {tier['peak_fraction']!r}"


def _parts(name: str, tier: dict[str, Any]) -> Iterator[str]:
    """What the channels say against the parts of the step that they belong to."""
    parts = tier["parts"]
    runs = [(c["part"], c["program_sha"]) for c in tier["channels"]]
    if len(set(runs)) != len(runs):
        yield f"{name}.channels: a program must appear once in a part"
    counts = [0] * len(parts)
    for i, channel in enumerate(tier["channels"]):
        part = parts[channel["part"]]
        counts[channel["part"]] += channel["count"]
        if channel["layers"] != len(part["layers"]):
            yield f"{name}.channels[{i}].layers must be the {len(part['layers'])} of its part"
        if not part["instances"] or channel["count"] % part["instances"]:
            yield f"{name}.channels[{i}].count must be of {part['instances']} equal instances"
    by_shard: dict[tuple[int, int], list[int]] = {}
    for part, count in zip(parts, counts, strict=True):
        by_shard.setdefault((part["stage"], part["replica"]), []).append(count)
    least, most = sum(map(max, by_shard.values())), sum(map(sum, by_shard.values()))
    if not least <= tier["busy_channels"] <= most:
        yield f"{name}.busy_channels must be from {least} to {most}, not {tier['busy_channels']}"
    if (tier["busy_channels"] + tier["idle_channels"]) % max(1, tier["devices"]):
        yield f"{name}: busy_channels and idle_channels must be those of {tier['devices']} devices"


def _channel(name: str, channel: dict[str, Any]) -> Iterator[str]:
    rate = channel["ticks_per_second"]
    if rate:
        yield from _differs(f"{name}.tick_ps", channel["tick_ps"], 10**12 / rate)
    else:
        yield f"{name}.ticks_per_second must be at least 1, not 0"
    if set(channel["banks_per_command"]) != set(channel["commands"]):
        yield f"{name}.banks_per_command must name the commands that were issued"
    resident = sum(channel["residency_ticks"].values())
    if resident != channel["ticks"] * channel["residency_nodes"]:
        yield (
            f"{name}.residency_ticks must sum to ticks x residency_nodes "
            f"({channel['ticks'] * channel['residency_nodes']}), not {resident}"
        )
    if channel["bytes_useful"] and channel["bytes_internal"] < channel["bytes_useful"]:
        yield f"{name}.bytes_internal must be at least bytes_useful"
    rules = channel["stall_rules"]
    for i, classes in enumerate(channel["stalls"] or []):
        total = sum(classes.values())
        if total != channel["ticks"]:
            yield f"{name}.stalls[{i}] must sum to ticks ({channel['ticks']}), not {total}"
        if rules is None or len(rules) != len(channel["stalls"]):
            yield f"{name}.stall_rules must have an entry for every stream"
        elif sum(rules[i].values()) != classes.get("timing", 0):
            yield f"{name}.stall_rules[{i}] must sum to the stream's class 'timing'"


def _attention(document: dict[str, Any]) -> Iterator[str]:
    """Attention tasks against the channels' ticks: picoseconds, each layer rounded up.

    A tier's latency is that of the replica whose attention takes longest.
    """
    for name, tier in document["tiers"].items():
        slowest = [0] * len(tier["parts"])
        for c in tier["channels"]:
            ps = -(-c["ticks"] * 10**12 // max(1, c["ticks_per_second"]))
            slowest[c["part"]] = max(slowest[c["part"]], ps)
        expected: dict[tuple[int, int, int], int] = {}  # replica, stage, layer -> picoseconds
        by_replica: dict[int, int] = {}
        for number, part in enumerate(tier["parts"]):
            ps, replica = slowest[number], part["replica"]
            yield from _differs(f"tiers.{name}.parts[{number}].latency_ns", part["latency_ns"],
                                ps / 1000)  # fmt: skip
            by_replica[replica] = by_replica.get(replica, 0) + ps * len(part["layers"])
            expected |= {(replica, part["stage"], layer): ps for layer in part["layers"] if ps}
        found = {
            (*_place(task["resource"]), task["layer"]):
                round((task["end_ns"] - task["start_ns"]) * 1000)
            for task in document["timeline"]
            if task["task"] == "attention" and task["resource"].split("/")[-1] == name
        }  # fmt: skip
        for key in sorted(expected.keys() | found.keys()):
            if expected.get(key, 0) != found.get(key, 0):
                yield (
                    f"timeline: attention of layer {key[2]} on {name} must last as long as its "
                    f"slowest channel, {expected.get(key, 0)} ps, not {found.get(key, 0)}"
                )
        yield from _differs(
            f"tiers.{name}.latency_ns", tier["latency_ns"], max(by_replica.values()) / 1000
        )


def _place(resource: str) -> tuple[int, int]:
    """Replica and stage in a resource's name, 0 where none is named: "replica 1/stage 0/hbm"."""
    words = dict(part.split(" ", 1) for part in resource.split("/")[:-1] if " " in part)
    replica, stage = (words.get(word, "0") for word in ("replica", "stage"))
    return (int(replica), int(stage)) if replica.isdecimal() and stage.isdecimal() else (-1, -1)


def _energy(document: dict[str, Any]) -> Iterator[str]:
    energy = document["energy_pj"]
    if energy is None:
        if not document["energy_missing"]:
            yield "energy_pj must not be null without naming what is missing"
        return
    total = math.fsum(t["pj"] for t in energy["terms"])
    yield from _differs("energy_pj.total", energy["total"], total)
    issued: dict[str, dict[str, int]] = {}
    for tier_name, tier in document["tiers"].items():
        counts = issued.setdefault(tier_name, {})
        for channel in tier["channels"]:
            for command, n in channel["commands"].items():
                counts[command] = counts.get(command, 0) + n * multiplicity(channel)
    for i, term in enumerate(energy["terms"]):
        name = f"energy_pj.terms[{i}] ({term['tier']} {term['name']})"
        yield from _differs(f"{name}.pj", term["pj"], term["unit_energy_pj"] * term["count"])
        if term["commands"]:
            counts = issued.get(term["tier"], {})
            count = sum(counts.get(c, 0) * each for c, each in term["commands"].items())
            if count != term["count"]:
                yield f"{name}.count must be {count} by its commands, not {term['count']}"


def _reduction(document: dict[str, Any]) -> Iterator[str]:
    reduction = document["reduction"]
    attention = sum(t["latency_ns"] for t in document["tiers"].values())
    whole = attention + reduction["latency_ns"]
    share = reduction["latency_ns"] / whole if whole else 0.0
    yield from _differs("reduction.share", reduction["share"], share)
    if {p["replica"] for t in document["tiers"].values() for p in t["parts"]} <= {0}:
        tasks = [t for t in document["timeline"] if t["task"] in MERGING]
        found = sum(round((t["end_ns"] - t["start_ns"]) * 1000) for t in tasks) / 1000
        yield from _differs("reduction.latency_ns", reduction["latency_ns"], found)


def _verdicts(document: dict[str, Any]) -> Iterator[str]:
    validation = document["validation"]
    timing, layout, functional = (
        validation["timing"],
        validation["layout"],
        validation["functional"],
    )
    if timing["verdict"] == "passed" and timing["violations"]:
        yield "validation.timing.verdict must be 'violated' where there are violations"
    if layout["verdict"] == "passed" and (layout["duplicates"] or layout["missing"]):
        yield "validation.layout.verdict must be 'violated' where elements are missing or doubled"
    if functional["verdict"] == "passed":
        error, bound = functional["max_abs_error"], functional["bound"]
        if error is None or (bound is not None and error > bound):
            yield "validation.functional.verdict must be 'violated' beyond the bound"


def _files(directory: Path, document: dict[str, Any]) -> Iterator[str]:
    """Hashes against the directory's manifest, where the result still lies in its directory."""
    said = document["manifest"]
    results = results_sha(document)
    if said["results_sha"] != results:
        yield f"manifest.results_sha must be {results}, not {said['results_sha']}"
    manifest = read_manifest(directory)
    if manifest is None:
        if (directory / MANIFEST).exists():
            yield f"{MANIFEST} must be a JSON object"
        return
    inputs = sha256_of(manifest.get("inputs"))
    for name, sha in (
        ("manifest.json", manifest.get("inputs_sha")),
        ("result", said["inputs_sha"]),
    ):
        if sha != inputs:
            yield f"{name}: inputs_sha must be {inputs}, not {sha}"
    files = manifest.get("files")
    if not isinstance(files, dict):
        yield "manifest.json: files must map names to hashes"
        return
    if manifest.get("results_sha") != said["results_sha"]:
        yield f"manifest.json: results_sha must be {said['results_sha']}, as in the result"
    for name, sha in files.items():
        place = directory / name
        if not place.is_file():
            yield f"{name} must exist"
        elif (found := sha256_bytes(place.read_bytes())) != sha:
            yield f"{name} must have the hash {sha} of the manifest, not {found}"
