"""The result document, its directory, its schema and its summary."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import ramulator_configs
from pamsim.cli.main import main
from pamsim.config import load_system
from pamsim.errors import InputError
from pamsim.report import words
from pamsim.report.directory import OutputDirectory
from pamsim.report.schema import schema_text
from pamsim.report.stalls import rule_label
from pamsim.report.summary import print_summary
from pyramulator.description import TimingRow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    assert main(["run", "--model", "llama-3-8b", "--context", "700", "-q", "-o", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def document(made: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((made / "result.json").read_text())
    return loaded


def test_the_schema_file_is_that_of_the_types() -> None:
    file = Path(ramulator_configs.__file__).parent / "schema" / "run.schema.json"
    assert file.read_text() == schema_text(), "run: pamsim config schema run > " + str(file)


def test_useful_bytes_are_the_kv_of_all_tokens(document: dict[str, Any]) -> None:
    tier = document["tiers"]["hbm"]
    useful = sum(c["bytes_useful"] * c["count"] * c["layers"] for c in tier["channels"])
    # 700 tokens x 32 layers x 8 KV heads x 128 x (K and V) x 2 B (Llama-3-8B)
    assert useful == 700 * 32 * 8 * 128 * 2 * 2
    assert tier["kv_tokens"] == 700


def test_every_kv_byte_is_read_once_a_query_head(document: dict[str, Any]) -> None:
    # 512 B of buffer hold one query of d = 128, so a group of four heads takes four passes; 700
    # tokens do not fill every bank's last slot, so a little more than four times is read.
    tier = document["tiers"]["hbm"]
    assert tier["tiling"]["passes"] == 4
    for c in tier["channels"]:
        assert 4.0 <= c["bytes_internal"] / c["bytes_useful"] < 4.1


def test_the_peak_is_that_of_five_stacks_in_bus_mode(document: dict[str, Any]) -> None:
    # 128 B a CK of 1.3 GHz x 16 channels = 2662.4 GB/s a stack
    assert document["tiers"]["hbm"]["peak_gbps"] == 5 * 2662.4


def test_assumptions_have_a_source_and_constants_a_range(document: dict[str, Any]) -> None:
    constants = [a for a in document["assumptions"] if a["value"] is not None]
    assumed = [c for c in load_system("pam-hbm").host.constants if c.assumed]
    assert len(constants) >= len(assumed) + 5
    assert all(a["source"] for a in document["assumptions"])
    numbers = [a for a in constants if not isinstance(a["value"], bool | str)]
    assert all(a["range"] and a["range"][0] <= a["value"] <= a["range"][1] for a in numbers)


def test_nothing_in_the_hashed_files_depends_on_the_machine(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    run = manifest.pop("run")
    hashed = json.dumps(manifest) + (made / "result.json").read_text()
    assert str(made.parent) not in hashed
    assert run["host"] not in hashed
    assert run["argv"][0].endswith(("pytest", "__main__.py", ".py")) or run["argv"]


class TestSummary:
    def text(self, document: dict[str, Any], width: int = 80) -> str:
        out = io.StringIO()
        print_summary(document, Console(file=out, width=width, no_color=True), "some/where")
        return out.getvalue()

    def test_it_says_what_a_person_asks_first(self, document: dict[str, Any]) -> None:
        text = self.text(document)
        for wanted in (
            "llama-3-8b on pam-hbm, batch 1, context 700",
            "One decode step takes",
            "attention",
            "Energy",
            "a token",
            "HBM reads",
            "of 13.31 TB/s",
            "peak: 128 B",
            "passed      the program computes attention",
            "passed      every KV element has its place",
            "passed      commands keep the device's timing",
            "assumed constants",
            "Result: some/where",
        ):
            assert wanted in text

    @pytest.mark.parametrize("width", [60, 80, 120])
    def test_it_keeps_to_the_width(self, document: dict[str, Any], width: int) -> None:
        lines = self.text(document, width).splitlines()
        assert max(map(len, lines)) <= max(width, 74)

    def test_an_unknown_energy_names_what_is_missing(self, document: dict[str, Any]) -> None:
        unknown = {**document, "energy_pj": None, "energy_missing": ["hbm3-pam: mac_pj"]}
        text = self.text(unknown)
        assert "Energy unknown" in text
        assert "missing: hbm3-pam: mac_pj" in text
        assert "0 pJ" not in text

    def test_an_open_proof_is_not_passed(self, document: dict[str, Any]) -> None:
        proofs = {
            name: {**proof, "verdict": "NOT CHECKED"}
            for name, proof in document["validation"].items()
        }
        text = self.text({**document, "validation": proofs})
        assert "passed " not in text
        assert text.count("NOT CHECKED") == 3

    def test_every_binding_rule_of_a_run_has_words(self, document: dict[str, Any]) -> None:
        for c in document["tiers"]["hbm"]["channels"]:
            for rules in c["stall_rules"]:
                assert [label for label in rules if words.rule_words(label) == label] == []


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5 ns"), (999, "999 ns"), (1000, "1 us"), (7.18e6, "7.18 ms")]
)
def test_durations_have_the_unit_that_fits(value: float, text: str) -> None:
    assert words.duration(value) == text


def test_a_rule_is_named_by_its_expression_and_commands() -> None:
    row = TimingRow("BankGroup", ("MACbg_q1", "MACbg_q2"), ("PREbg",), 16, rule="nRTP")
    assert rule_label(row) == "nRTP: MACbg -> PREbg in a BankGroup"


class TestOutputDirectory:
    def test_nothing_is_there_before_commit(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b"
        with OutputDirectory(path) as out:
            out.write("x/y.txt", b"1")
            assert not path.exists()
            out.commit()
        assert (path / "x" / "y.txt").read_bytes() == b"1"
        assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]

    def test_without_commit_nothing_is_left(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), OutputDirectory(tmp_path / "a" / "b") as out:
            out.write("x", b"1")
            raise RuntimeError
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_directory_is_filled(self, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        with OutputDirectory(tmp_path / "b") as out:
            out.write("manifest.json", b"{}")
            out.commit()
        assert (tmp_path / "b" / "manifest.json").exists()

    def test_a_hidden_file_counts_as_something(self, tmp_path: Path) -> None:
        (tmp_path / ".keep").touch()
        with pytest.raises(InputError, match="must be empty or new"), OutputDirectory(tmp_path):
            pass

    def test_an_interrupt_waits_for_the_commit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import os

        rename = os.rename

        def interrupted(old: Any, new: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            rename(old, new)

        monkeypatch.setattr(os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt), OutputDirectory(tmp_path / "b") as out:
            out.write("x", b"1")
            out.commit()
        assert (tmp_path / "b" / "x").exists()

    def test_a_manifest_that_points_outside_takes_nothing_with_it(self, tmp_path: Path) -> None:
        from pamsim.report.text import sha256_bytes

        (tmp_path / "precious").write_bytes(b"1")
        (tmp_path / "b").mkdir()
        files = {"../precious": sha256_bytes(b"1"), str(tmp_path / "precious"): sha256_bytes(b"1")}
        (tmp_path / "b" / "manifest.json").write_text(json.dumps({"files": files}))
        with OutputDirectory(tmp_path / "b", force=True) as out:
            out.write("manifest.json", b"{}")
            out.commit()
        assert (tmp_path / "precious").read_bytes() == b"1"
