"""Whole runs of many shapes: every proof passes, every sum is right, presets do what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pamsim.cli.main import main
from pamsim.report.check import check_result

SMALL = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256,
    "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000,
    "max_position_embeddings": 4096, "torch_dtype": "float16",
}  # fmt: skip


def run(where: Path, *argv: str) -> dict[str, Any]:
    """A run whose result is right; the document."""
    assert main(["run", *argv, "-q", "-o", str(where / "out")]) == 0
    assert check_result(where / "out") == []
    document: dict[str, Any] = json.loads((where / "out" / "result.json").read_text())
    assert {p["verdict"] for p in document["validation"].values()} == {"passed"}
    return document


def small(where: Path, **change: Any) -> str:
    file = where / "small.json"
    file.write_text(json.dumps({**SMALL, **change}))
    return str(file)


def reads_per_byte(document: dict[str, Any]) -> float:
    channels = document["tiers"]["hbm"]["channels"]
    internal = sum(c["bytes_internal"] * c["count"] for c in channels)
    return float(internal / sum(c["bytes_useful"] * c["count"] for c in channels))


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"num_attention_heads": 2},
        {"num_attention_heads": 1, "num_key_value_heads": 1},
        {"num_attention_heads": 10},
        {"head_dim": 128},
        {"head_dim": 256},
        {"head_dim": 80},
        {"head_dim": 16},
        {"torch_dtype": "bfloat16"},
        {"num_hidden_layers": 1},
    ],
    ids=lambda shape: "-".join(f"{k}={v}" for k, v in shape.items()) or "plain",
)
@pytest.mark.parametrize("context", ["1", "17,300,1024"])
def test_models_of_all_shapes_run_and_prove(
    tmp_path: Path, shape: dict[str, Any], context: str
) -> None:
    document = run(tmp_path, "--model", small(tmp_path, **shape), "--context", context)
    layers = shape.get("num_hidden_layers", SMALL["num_hidden_layers"])
    assert {c["layers"] for c in document["tiers"]["hbm"]["channels"]} == {layers}
    assert sum(t["task"] == "attention" for t in document["timeline"]) == layers


@pytest.mark.parametrize("model", ["llama-2-7b", "mistral-7b", "opt-13b", "qwen2.5-7b"])
def test_known_models_run_and_prove(tmp_path: Path, model: str) -> None:
    document = run(tmp_path, "--model", model, "--context", "640", "--batch", "2")
    assert document["energy_pj"]["total"] > 0
    assert 0 < document["tiers"]["hbm"]["peak_fraction"] <= 1


@pytest.mark.parametrize("system", ["pam-hbm", "pam-hbm-6400", "pam-hbm-gqa"])
def test_known_systems_run_and_prove(tmp_path: Path, system: str) -> None:
    document = run(tmp_path, "--model", "llama-3-8b", "--system", system, "--context", "2000")
    # Peak by hand: 128 B a CK x 16 channels x 5 stacks; CK of 1.3 GHz, and of 1.6 GHz at 6.4 Gb/s.
    peak = {"pam-hbm-6400": 5 * 3276.8}.get(system, 5 * 2662.4)
    assert document["tiers"]["hbm"]["peak_gbps"] == pytest.approx(peak)


def test_a_buffer_for_every_query_head_reads_kv_once(tmp_path: Path) -> None:
    argv = ["--model", "llama-3-8b", "--context", "4096"]
    literal = run(tmp_path / "a", *argv)
    grouped = run(tmp_path / "b", *argv, "--system", "pam-hbm-gqa")
    # Four query heads a KV head: four passes with one query in the buffer, one with four.
    assert reads_per_byte(literal) == 4.0
    assert reads_per_byte(grouped) == 1.0
    assert grouped["tiers"]["hbm"]["latency_ns"] < literal["tiers"]["hbm"]["latency_ns"]


def test_three_times_a_read_replaces_the_macs_energy(tmp_path: Path) -> None:
    argv = ["--model", "llama-3-8b", "--context", "1000"]
    plain = run(tmp_path / "a", *argv)
    multiple = run(tmp_path / "b", *argv, "--set", "tiers.hbm.device.energy=hbm3-pu-3x-read")
    a, b = ({t["name"]: t["pj"] for t in d["energy_pj"]["terms"]} for d in (plain, multiple))
    # 3 x 0.44 pJ/bit in place of 0.44 pJ/bit and 0.32 pJ a MAC (PAM, section 7.1)
    assert b["mac_read_multiple"] == pytest.approx(3 * a["mac_cell_read"])
    assert set(a) - set(b) == {"mac_cell_read", "mac_arithmetic"}
    assert plain["latency_ns"] == multiple["latency_ns"]


def test_a_changed_timing_parameter_shows_in_the_result(tmp_path: Path) -> None:
    argv = ["--model", "llama-3-8b", "--context", "2000"]
    plain = run(tmp_path / "a", *argv)
    slower = run(tmp_path / "b", *argv, "--set", "tiers.hbm.device.timing.nCCDL=8")
    assert slower["tiers"]["hbm"]["latency_ns"] > plain["tiers"]["hbm"]["latency_ns"]
    overrides = json.loads((tmp_path / "b" / "out" / "manifest.json").read_text())["inputs"]
    assert "tiers.hbm.device.timing.nCCDL" in overrides["system"]["overrides"]


def test_more_stacks_make_attention_faster(tmp_path: Path) -> None:
    argv = ["--model", "llama-3-8b", "--context", "8000"]
    five = run(tmp_path / "a", *argv)
    ten = run(tmp_path / "b", *argv, "--set", "tiers.hbm.devices=10")
    assert ten["tiers"]["hbm"]["latency_ns"] < five["tiers"]["hbm"]["latency_ns"]
    assert ten["latency_ns"] < five["latency_ns"]


def test_every_pair_is_proved_when_asked(tmp_path: Path) -> None:
    model = small(tmp_path)
    document = run(tmp_path, "--model", model, "--context", "100,50", "--validate", "full")
    assert document["validation"]["functional"]["coverage"].startswith("4 of 4 ")


def test_without_proofs_nothing_is_called_passed(tmp_path: Path) -> None:
    argv = ["run", "--model", small(tmp_path), "--validate", "off", "-q", "-o", str(tmp_path / "o")]
    assert main(argv) == 0
    document = json.loads((tmp_path / "o" / "result.json").read_text())
    assert {p["verdict"] for p in document["validation"].values()} == {"NOT CHECKED"}
    assert check_result(tmp_path / "o") == []


def test_a_job_can_be_run_again_in_its_default_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["run", "--model", small(tmp_path), "--validate", "off", "-q"]
    assert [main(argv), main(argv)] == [0, 0]
    assert len(list((tmp_path / "pamsim-out" / "run").iterdir())) == 1
