"""`pamsim validate` on programs that were tampered with: exit code 4 and the fault in words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pamsim.cli.main import main
from pim_isa import assemble, encode

SMALL = ["--model", "llama-3-8b", "--context", "200"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", *SMALL, "-q", "-o", "p"]) == 0
    return tmp_path / "p" / "programs"


def validate(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, object]]]:
    code = main(["validate", "p", "--json", "-q", "--validate", "default"])
    return code, json.loads(capsys.readouterr().out)["validation"]


def change(programs: Path, pattern: str, replacement: str) -> None:
    """Edits the first match in the first program's text and assembles it anew."""
    text = sorted(programs.glob("*.asm"))[0]
    edited, count = re.subn(pattern, replacement, text.read_text(), count=1)
    assert count == 1, f"{pattern} is not in the program"
    text.with_suffix(".bin").write_bytes(encode(assemble(edited)))


def test_untouched_programs_pass(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, proofs = validate(capsys)
    assert code == 0
    assert {p["verdict"] for p in proofs.values()} == {"passed"}


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        # 200 tokens on 4 banks are 50 slots: without the last of them the softmax lacks tokens.
        (r"MAX slots=\d+ base=0 mask=0b1111 first=1", "MAX slots=1 base=0 mask=0b1111 first=1"),
        (r"SUM slots=\d+", "SUM slots=1"),
        (r"EXP slots=\d+ base=0 mask=0b1111", "EXP slots=16 base=0 mask=0b0111"),
        (r"\n\s*REDG\n", "\n"),
        (r"WRQ slot=0 query=\d+", "WRQ slot=0 query=2"),
        (r"normalise=1", "normalise=0"),
        (r"MACV row=(\d+)", r"MACV row=0"),
    ],
)
def test_a_wrong_program_is_a_violation(
    programs: Path, capsys: pytest.CaptureFixture[str], pattern: str, replacement: str
) -> None:
    change(programs, pattern, replacement)
    code, proofs = validate(capsys)
    assert code == 4
    assert proofs["functional"]["verdict"] == "violated"
    assert proofs["functional"]["first"]


def test_a_binary_that_is_no_program_is_refused(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sorted(programs.glob("*.bin"))[0].write_bytes(b"not a program")
    assert main(["validate", "p", "-q"]) == 5
    err = capsys.readouterr().err
    assert "Traceback" not in err and len(err.splitlines()) == 1


def test_a_directory_of_other_inputs_is_refused(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = programs.parent / "manifest.json"
    data = json.loads(manifest.read_text())
    data["run"]["inputs"]["context"] = "201"
    manifest.write_text(json.dumps(data))
    assert main(["simulate", "p", "-q"]) == 5
    assert "compile it again" in capsys.readouterr().err
