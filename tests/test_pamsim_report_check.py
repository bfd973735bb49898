"""`check_result` finds what was altered, also when the hashes were made to agree again."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pamsim.cli.main import main
from pamsim.errors import InputError
from pamsim.report.check import check_result
from pamsim.report.manifest import results_sha
from pamsim.report.text import json_text

Alter = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result whose pairs span channels and stacks, so that it holds a reduction."""
    out = tmp_path_factory.mktemp("check") / "out"
    argv = ["run", "--model", "llama-2-7b", "--context", "3000,700", "-q", "-o", str(out)]
    assert main(argv) == 0
    return out


@pytest.fixture(scope="module")
def document(made: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((made / "result.json").read_text())
    return loaded


def faults_after(document: dict[str, Any], alter: Alter, where: Path) -> list[str]:
    """Faults of a copy that was altered and hashed anew, outside its directory."""
    altered = copy.deepcopy(document)
    alter(altered)
    altered["manifest"]["results_sha"] = results_sha(altered)
    file = where / "altered.json"
    file.write_text(json_text(altered))
    return check_result(file)


def channel(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = d["tiers"]["hbm"]["channels"][0]
    return found


def add(place: Callable[[dict[str, Any]], dict[str, Any]], key: str, by: float = 1) -> Alter:
    def alter(d: dict[str, Any]) -> None:
        place(d)[key] += by

    return alter


def put(place: Callable[[dict[str, Any]], dict[str, Any]], key: str, value: Any) -> Alter:
    def alter(d: dict[str, Any]) -> None:
        place(d)[key] = value

    return alter


def drop(place: Callable[[dict[str, Any]], dict[str, Any]], key: str) -> Alter:
    def alter(d: dict[str, Any]) -> None:
        del place(d)[key]

    return alter


def term(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda d: next(t for t in d["energy_pj"]["terms"] if t["name"] == name)


def top(d: dict[str, Any]) -> dict[str, Any]:
    return d


def tier(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = d["tiers"]["hbm"]
    return found


ALTERATIONS: dict[str, tuple[Alter, str]] = {
    "latency": (add(top, "latency_ns"), "latency_ns"),
    "task start": (add(lambda d: d["timeline"][5], "start_ns"), "timeline"),
    "task end": (add(lambda d: d["timeline"][5], "end_ns"), "timeline"),
    "task uncritical": (put(lambda d: d["timeline"][5], "critical", False), "timeline"),
    "tier latency": (add(tier, "latency_ns"), "tiers.hbm"),
    "bandwidth": (add(tier, "bandwidth_gbps", 1e-3), "bandwidth_gbps"),
    "peak": (add(tier, "peak_gbps"), "peak_fraction"),
    "ticks": (add(channel, "ticks"), "ticks"),
    "tick length": (add(channel, "tick_ps", 1e-6), "tick_ps"),
    "internal bytes": (add(channel, "bytes_internal", 128), "bandwidth_gbps"),
    "channels": (add(channel, "count"), "bandwidth_gbps"),
    "layers": (add(channel, "layers"), "bandwidth_gbps"),
    "a MAC": (add(lambda d: channel(d)["commands"], "MACbg_q1"), "mac_cell_read"),
    "an activate": (add(lambda d: channel(d)["commands"], "ACTbg"), "activate"),
    "a command without banks": (
        put(lambda d: channel(d)["commands"], "NEW", 1), "banks_per_command"),
    "residency": (add(lambda d: channel(d)["residency_ticks"], "active"), "residency_ticks"),
    "a stall class": (add(lambda d: channel(d)["stalls"][0], "refresh"), "stalls[0]"),
    "stall to another class": (
        lambda d: channel(d)["stalls"][0].update(
            timing=channel(d)["stalls"][0]["timing"] - 1,
            done=channel(d)["stalls"][0]["done"] + 1,
        ),
        "stall_rules[0]",
    ),
    "a unit energy": (add(term("activate"), "unit_energy_pj", 1), "activate"),
    "a count": (add(term("activate"), "count"), "activate"),
    "a term": (add(term("background_waiting"), "pj", 1), "background_waiting"),
    "a term and its count": (
        lambda d: term("mac_arithmetic")(d).update(
            count=term("mac_arithmetic")(d)["count"] + 1,
            pj=(term("mac_arithmetic")(d)["count"] + 1) * 0.32,
        ),
        "mac_arithmetic",
    ),
    "total": (add(lambda d: d["energy_pj"], "total", 1000), "energy_pj.total"),
    "a term left out": (lambda d: d["energy_pj"]["terms"].pop(), "energy_pj.total"),
    "energy unknown without a reason": (put(top, "energy_pj", None), "energy_pj"),
    "reduction share": (add(lambda d: d["reduction"], "share", 0.01), "reduction.share"),
    "reduction latency": (add(lambda d: d["reduction"], "latency_ns"), "reduction"),
    "timing verdict": (put(lambda d: d["validation"]["timing"], "violations", 3), "timing"),
    "layout verdict": (put(lambda d: d["validation"]["layout"], "missing", 3), "layout"),
    "functional verdict": (
        put(lambda d: d["validation"]["functional"], "max_abs_error", 1.0), "functional"),
    "a missing field": (drop(tier, "peak_rule"), "tiers.hbm.peak_rule"),
    "an unknown field": (put(top, "latncy", 1), "latncy"),
    "text for a number": (put(channel, "ticks", "many"), "ticks"),
    "a negative count": (put(channel, "bytes_useful", -1), "bytes_useful"),
    "another version": (put(top, "schema_version", 2), "schema_version"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_part_is_found(document: dict[str, Any], tmp_path: Path, name: str) -> None:
    alter, text = ALTERATIONS[name]
    assert any(text in fault for fault in faults_after(document, alter, tmp_path))


def test_an_untouched_result_is_right(made: Path, document: dict[str, Any], tmp_path: Path) -> None:
    assert check_result(made) == []
    assert check_result(made / "result.json") == []
    assert faults_after(document, lambda d: None, tmp_path) == []
    assert document["reduction"]["bytes"] > 0


def test_any_alteration_shows_in_the_hash(made: Path, tmp_path: Path) -> None:
    text = (made / "result.json").read_text().replace("llama-2-7b", "llama-2-8b")
    (tmp_path / "result.json").write_text(text)
    assert any("results_sha" in fault for fault in check_result(tmp_path))


def test_files_that_were_changed_or_lost_are_named(made: Path, tmp_path: Path) -> None:
    there = tmp_path / "copy"
    shutil.copytree(made, there)
    manifest = json.loads((there / "manifest.json").read_text())
    manifest["inputs"]["seed"] = 7
    manifest["files"]["lost.bin"] = "0" * 64
    (there / "manifest.json").write_text(json.dumps(manifest))
    faults = check_result(there)
    assert any("inputs_sha" in fault for fault in faults)
    assert "lost.bin must exist" in faults
    (there / "result.json").write_text((there / "result.json").read_text() + " ")
    assert any(fault.startswith("result.json must have the hash") for fault in check_result(there))


@pytest.mark.parametrize("content", ["", "{", "[1, 2", "nonsense"])
def test_what_is_no_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match="result must be JSON"):
        check_result(tmp_path / "r.json")


@pytest.mark.parametrize("content", ["null", "[]", "{}", '"text"'])
def test_json_that_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match="result must be one of `pamsim run`"):
        check_result(tmp_path / "r.json")


def test_a_result_without_its_fields_has_faults(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"schema_version": 1}')
    assert "latency_ns: Field required" in check_result(tmp_path / "r.json")


def test_the_command_says_so_with_its_exit_code(
    made: Path, document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(made)]) == 0
    altered = {**document, "latency_ns": 1.0}
    (tmp_path / "altered.json").write_text(json_text(altered))
    capsys.readouterr()
    assert main(["check", str(tmp_path / "altered.json"), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["faults"]
