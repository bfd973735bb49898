"""What a sweep can vary, and that whatever changes a result changes the key."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pamsim.batch.expand import Expansion
from pamsim.batch.key import code_part, key_of, model_of
from pamsim.batch.point import Point
from pamsim.batch.run_point import evaluate_point
from pamsim.batch.sweep import read_sweep
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.errors import InputError
from pamsim.model import load_model
from pamsim.report.manifest import inputs_part, versions
from pamsim.report.text import sha256_of
from pamsim.workload.step import DecodeStep

AXES = """
model: llama-3-8b
kv_dtype: [fp16, int8]
system: [pam-hbm, pam-hbm-gqa]
workload: {context: 64}
set:
  layout: [head-split, token-major]
  spread: [spread, one-channel]
  instances: [1, 2]
validate: off
"""


def points_of(tmp_path: Path, text: str) -> list[Point]:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return Expansion(read_sweep(path)).points


def test_every_axis_makes_points_of_its_own(tmp_path: Path) -> None:
    points = points_of(tmp_path, AXES)
    assert len({p.key for p in points}) == len(points) == 2**5
    assert set(points[0].spec["labels"]) == {
        "kv_dtype", "system", "layout", "spread", "instances"
    }  # fmt: skip


def test_a_point_runs_in_its_dtype_layout_and_instances(tmp_path: Path) -> None:
    point = points_of(
        tmp_path,
        "model: llama-3-8b\nkv_dtype: int8\nworkload: {context: 64, batch: 2}\nvalidate: off\n"
        "set: {layout: token-major, instances: 2}\n",
    )[0]
    result = evaluate_point(point)["result"]
    assert result["kv_dtype"] == "int8"
    # 8 KV heads x 128 x (K, V) in a byte, and an FP16 scale of each of 16 vectors, 64 tokens
    useful = sum(c["bytes_useful"] * c["count"] for c in result["tiers"]["hbm"]["channels"])
    assert useful == 2 * 64 * (2 * 8 * 128 + 16 * 2)
    assert result["tiers"]["hbm"]["devices"] == 10  # pam-hbm has five; two instances


def test_an_unknown_dtype_has_its_place_and_a_hint(tmp_path: Path) -> None:
    text = "model: llama-3-8b\nkv_dtype: [fp16, int9]\nworkload: {context: 64}\n"
    with pytest.raises(InputError, match=r"kv_dtype must be one of .*'int9'.*sweep.yaml:2:"):
        points_of(tmp_path, text)


def test_the_dtype_is_in_the_key_as_what_it_is(tmp_path: Path) -> None:
    """Llama 3 is a bf16 model: asking for bf16 changes nothing, asking for fp16 does."""
    text = "model: llama-3-8b\nworkload: {context: 64}\n"
    own = points_of(tmp_path, text)[0].key
    assert points_of(tmp_path, text + "kv_dtype: bf16\n")[0].key == own
    assert points_of(tmp_path, text + "kv_dtype: fp16\n")[0].key != own
    assert model_of("llama-3-8b", "fp16")[0].kv_dtype == "fp16"


@pytest.mark.parametrize("part", ["tables", "semantics", "timing", "energy", "compiler"])
def test_code_outside_the_packages_is_in_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    spec = points_of(tmp_path, "model: llama-3-8b\nworkload: {context: 64}\n")[0].spec
    keys = [key_of(spec)]
    for content in ("one", "two"):
        folder = tmp_path / content
        (folder / part).mkdir(parents=True)
        (folder / part / ("toy.toml" if part == "tables" else "toy.py")).write_text(f"# {content}")
        monkeypatch.setenv("PAMSIM_DEVICES", str(folder))
        keys.append(key_of(spec))
    assert len(set(keys)) == 3
    assert len(code_part()["plugins"]) == 64


def inputs(system: SystemSpec, **change: Any) -> dict[str, Any]:
    return inputs_part(
        load_model("llama-3-8b"), system, DecodeStep((64,)), engine="embedded", engine_build="b",
        seed=0, validate="off", versions=versions(), **change,
    )  # fmt: skip


NODE = load_system("pam-node")
LINK = NODE.interconnect
assert LINK is not None
CHANGES = {
    "interconnect": replace(NODE, interconnect=replace(LINK, latency_ps=LINK.latency_ps + 1)),
    "no interconnect": replace(NODE, interconnect=None),
    "placement": replace(NODE, placement="requests"),
    "attention": replace(NODE, attention="host"),
    "fill limit": replace(NODE, fill_limit=0.8),
    "label cache": replace(NODE, label_cache_bits=0.5),
    "spread's tokens": replace(NODE, spread_min_bank_tokens=64),
    "KV of a tier": replace(NODE, tiers=(replace(NODE.tiers[0], kv_bytes=1), *NODE.tiers[1:])),
    "reserve of a tier": replace(
        NODE, tiers=(replace(NODE.tiers[0], reserved_bytes=1), *NODE.tiers[1:])
    ),
    "order of tiers": replace(NODE, tiers=NODE.tiers[::-1]),
    "a command's timing": replace(
        NODE,
        tiers=(
            replace(
                NODE.tiers[0],
                device=replace(
                    NODE.tiers[0].device,
                    templates=replace(NODE.tiers[0].device.templates, refresh=None),
                ),
            ),
            *NODE.tiers[1:],
        ),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_manifest_names_what_decides_the_result(name: str) -> None:
    assert sha256_of(inputs(CHANGES[name])) != sha256_of(inputs(NODE))


def test_the_manifest_says_what_lies_where() -> None:
    said = inputs(NODE)["system"]
    assert said["interconnect"]["name"] == "nvlink4"
    assert said["tiers"]["ddr"]["link"]["constants"]["latency"]["value"] == 55  # ns, pcie5-x16
    assert (said["placement"], said["fill_limit"]) == ("shares", 0.9)
    assert inputs(NODE)["model"] == asdict(load_model("llama-3-8b"))


def test_the_manifest_names_the_code_of_a_family_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only of folders that a device of the machine is of: others decide nothing."""
    plain = sha256_of(inputs(NODE))
    (tmp_path / "timing").mkdir()
    (tmp_path / "timing" / "toy.py").write_text("")
    monkeypatch.setenv("PAMSIM_DEVICES", str(tmp_path))
    assert inputs(NODE)["plugin_files"] == {}
    assert sha256_of(inputs(NODE)) == plain
    first = NODE.tiers[0]
    toy = replace(NODE, tiers=(replace(first, device=replace(first.device, family="toy")),))
    assert set(inputs(toy)["plugin_files"]) == {"timing/toy.py"}
