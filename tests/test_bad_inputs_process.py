"""Odd surroundings: closed streams, links that lead nowhere, two runs at once; and odd right input.

Interrupts, closed pipes and full disks: tests/integration/test_command_line.py.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from bad_inputs import RUN, TRIAL, Files, model_text, write

from pamsim.cli.main import main
from pamsim.errors import InputError
from pamsim.report.directory import OutputDirectory

ON_FILE = f"{RUN} --system ./system.yaml"
NARROW = "tiers:\n  hbm:\n    devices: {value: "

# Input that looks wrong and is right: argv, files, and the one line on stderr, if any.
ODD: dict[str, tuple[str, Files, str]] = {
    "context above max_position_embeddings": (
        f"{RUN.replace(' -q', '')} --context 8192 --json",
        {},
        "pamsim: warning: context of 1 of 1 requests is above the 4096 tokens "
        "(max_position_embeddings) of model, at most 8192: timing and energy stand, a real model's "
        "output would not",
    ),
    # Published HBM3 timings have it: hbm3-pam's sources say nRC 63, nRAS 45, nRP 19.
    "row cycle below nRAS + nRP": (
        "config check hbm3-pam",
        {},
        "pamsim: warning: hbm3-pam: nRC 63 CK is below nRAS + nRP = 64 CK: activate, precharge, "
        "activate binds, nRC never does",
    ),
    "byte order mark and CRLF": (
        ON_FILE,
        {"system.yaml": b"\xef\xbb\xbfname: mine\r\nextends: pam-hbm\r\n"},
        "",
    ),
    "byte order mark and CRLF in JSON": (
        RUN,
        {"model.json": b"\xef\xbb\xbf" + model_text().replace("\n", "\r\n").encode()},
        "",
    ),
    "1e1 devices": (
        ON_FILE,
        {"system.yaml": f"name: x\nextends: pam-hbm\n{NARROW}1e1, {TRIAL}}}\n"},
        "",
    ),
    "a key set twice: the last holds": (f"{RUN} --set layout=none --set layout=head-split", {}, ""),
    "a model of the name of a preset, as a file": (
        f"{RUN} --model ./llama-3-8b",
        {"llama-3-8b": model_text()},
        "",
    ),
    # Proved element by element: heads that fill no byte, no column, no lane of their last one.
    "int4 heads of 33": (
        RUN.replace("--validate off", "--validate full") + " --kv-dtype int4",
        {"model.json": model_text(head_dim=33)},
        "",
    ),
    "int4 heads of 1": (
        RUN.replace("--validate off", "--validate full") + " --kv-dtype int4",
        {"model.json": model_text(head_dim=1)},
        "",
    ),
    "int8 heads of 7": (
        RUN.replace("--validate off", "--validate full") + " --kv-dtype int8",
        {"model.json": model_text(head_dim=7)},
        "",
    ),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ODD)
def test_odd_input_is_right(
    name: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv, files, line = ODD[name]
    write(files)
    code = main(shlex.split(argv))
    err = capsys.readouterr().err
    assert [part for part in err.splitlines() if "result in" not in part] == (
        [line] if line else []
    )
    assert code == 0
    if "--validate full" in argv:
        proofs = json.loads(Path("out/result.json").read_text())["validation"]
        assert {proof["verdict"] for proof in proofs.values()} == {"passed"}


def test_a_link_that_leads_nowhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({})
    for name in ("loop.json", "loop.yaml"):
        os.symlink(name, name)
    assert main(["run", "--model", "./loop.json"]) == 5
    assert main(["config", "check", "./loop.yaml"]) == 5
    assert main(shlex.split(f"{RUN} -o loop.json/out")) == 5
    assert capsys.readouterr().err.splitlines() == [
        "pamsim: model must be a preset or a config.json, not './loop.json' "
        "(`pamsim models` lists the presets)",
        "pamsim: system must be an existing file, not './loop.yaml'",
        "pamsim: output directory must be writable, not 'loop.json/out' (File exists)",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_files_that_may_not_be_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({"mine.yaml": "name: x\nextends: pam-hbm\n"})
    for name in ("model.json", "mine.yaml"):
        Path(name).chmod(0)
    assert main(["run", "--model", "model.json"]) == 5
    assert main(["config", "check", "./mine.yaml"]) == 5
    assert capsys.readouterr().err.splitlines() == [
        "pamsim: file must be readable: Permission denied [model.json]",
        "pamsim: file must be readable: Permission denied [mine.yaml]",
    ]


def test_the_second_of_two_runs_into_one_directory_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with OutputDirectory(place) as first, OutputDirectory(place) as second:
        first.write("result.json", b"first")
        second.write("result.json", b"second")
        first.commit()
        with pytest.raises(
            InputError, match=r"must be empty or new, not '.*out', which holds file"
        ):
            second.commit()
    assert (place / "result.json").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_second_of_two_runs_that_may_replace_leaves_a_whole_result(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with OutputDirectory(place, True) as first, OutputDirectory(place, True) as second:
        for out, content in ((first, b"first"), (second, b"second")):
            out.write("result.json", content)
            out.write("manifest.json", b'{"files": {}}')
            out.commit()
    assert (place / "result.json").read_bytes() == b"second"


@pytest.mark.parametrize(
    ("argv", "closed", "code", "line"),
    [
        ("models", ">&-", 0, ""),
        ("models --nothing", ">&-", 2, "Error: No such option '--nothing'."),
        ("run --model none", ">&- 2>&-", 5, ""),
        ("isa asm - -o p.bin", "<&-", 5, "pamsim: program must begin with '.family' [-:1:1]"),
    ],
)
def test_closed_streams(tmp_path: Path, argv: str, closed: str, code: int, line: str) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m pamsim.cli.main {argv} {closed}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1:] == ([line] if line else [])
    assert list(tmp_path.iterdir()) == []
