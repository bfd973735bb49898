"""Packed KV dtypes, soft-capping and latent attention from the command line to a proved result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_configs import DEEPSEEK_V2_LITE

from pamsim.cli.main import main
from pamsim.report.check import check_result

PROOFS = ("functional", "layout", "timing")


def run(tmp_path: Path, *options: str) -> dict[str, Any]:
    """The result of a run, all of whose proofs and sums hold."""
    out = tmp_path / "out"
    assert main(["run", "--context", "300,40", "-q", "--force", "-o", str(out), *options]) == 0
    assert check_result(out) == []
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    assert {p: result["validation"][p]["verdict"] for p in PROOFS} == dict.fromkeys(
        PROOFS, "passed"
    )
    return result


def commands(result: dict[str, Any]) -> set[str]:
    channels = result["tiers"]["hbm"]["channels"]
    return {name.partition("_")[0] for c in channels for name in c["commands"]}


@pytest.mark.parametrize("dtype", ["fp8", "int8", "int4"])
def test_a_packed_kv_cache(tmp_path: Path, dtype: str) -> None:
    wide = run(tmp_path, "--model", "llama-3-8b")
    packed = run(tmp_path, "--model", "llama-3-8b", "--kv-dtype", dtype)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["inputs"]["model"]["kv_dtype"] == dtype
    assert ("SCbg" in commands(packed)) == (dtype != "fp8")
    read = [sum(c["bytes_internal"] for c in r["tiers"]["hbm"]["channels"]) for r in (wide, packed)]
    assert read[1] < read[0] * (0.6 if dtype != "int4" else 0.35)  # 1/2 or 1/4, and scales
    assert packed["energy_pj"]["total"] < wide["energy_pj"]["total"]


def test_a_soft_capped_model_with_int8(tmp_path: Path) -> None:
    result = run(tmp_path, "--model", "gemma-2-9b", "--kv-dtype", "int8")
    assert {"CAP", "SCbg"} <= commands(result)


def test_latent_attention(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(DEEPSEEK_V2_LITE))
    result = run(tmp_path, "--model", str(config))
    coverage = result["validation"]["functional"]["coverage"]
    assert coverage.startswith("2 of 2 (request, KV head)")  # two requests, one KV head
    # latent vector and rope part of 340 tokens in 27 layers
    assert result["validation"]["layout"]["kv_elements"] == 340 * (512 + 64) * 27


def test_compiled_programs_are_proved_with_their_dtype(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "p")
    argv = ["--model", "llama-3-8b", "--context", "200", "--kv-dtype", "int4", "-q"]
    assert main(["compile", *argv, "-o", out]) == 0
    assert main(["validate", out, "--validate", "default", "--json"]) == 0
    proofs = json.loads(capsys.readouterr().out)["validation"]
    assert {proofs[p]["verdict"] for p in PROOFS} == {"passed"}


def test_an_unknown_dtype_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--model", "llama-3-8b", "--kv-dtype", "int2"]) == 2
    assert "int2" in capsys.readouterr().err
