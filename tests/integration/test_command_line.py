"""The installed command in processes of its own: streams, signals, closed pipes, same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

import ramulator_configs

PAMSIM = [sys.executable, "-m", "pamsim.cli.main"]
SMALL = ["--model", "llama-3-8b", "--context", "300,100", "-q"]
SCHEMA = Path(ramulator_configs.__file__).parent / "schema" / "run.schema.json"


def pamsim(*argv: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PAMSIM, *argv],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The directory and stdout of `run --json` on one thread."""
    where = tmp_path_factory.mktemp("one")
    done = pamsim("run", *SMALL, "--json", "--threads", "1", "-o", "out", cwd=where)
    assert done.returncode == 0, done.stderr
    return where / "out", done.stdout


def test_json_is_one_document_that_the_schema_accepts(result: tuple[Path, str]) -> None:
    document = json.loads(result[1])
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)


def test_stdout_and_the_file_are_the_same_bytes(result: tuple[Path, str]) -> None:
    assert (result[0] / "result.json").read_text() == result[1]


def test_only_the_document_is_on_stdout(tmp_path: Path) -> None:
    loud = pamsim("run", *SMALL[:-1], "--json", cwd=tmp_path)
    json.loads(loud.stdout)
    assert "pamsim-out/run/" in loud.stderr


def test_results_are_the_same_bytes_on_two_threads_and_elsewhere(
    result: tuple[Path, str], tmp_path: Path
) -> None:
    done = pamsim("run", *SMALL, "--json", "--threads", "2", "-o", "a/b/other", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == result[1]
    there = tmp_path / "a" / "b" / "other"
    ours = json.loads((result[0] / "manifest.json").read_text())
    theirs = json.loads((there / "manifest.json").read_text())
    assert ours.pop("run") != theirs.pop("run")
    assert ours == theirs


def test_check_finds_the_result_right(result: tuple[Path, str], tmp_path: Path) -> None:
    done = pamsim("check", str(result[0]), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_compiled_programs_are_the_same_bytes_everywhere(tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b"):
        done = pamsim("compile", *SMALL, "-o", name, cwd=tmp_path, PYTHONHASHSEED=str(len(hashes)))
        assert done.returncode == 0, done.stderr
        files = [p for p in sorted((tmp_path / name).rglob("*")) if p.is_file()]
        hashes.append(
            {
                p.relative_to(tmp_path / name): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in files
                if p.name != "manifest.json"
            }
        )
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) >= 4


def test_simulate_of_a_compiled_directory_equals_run(
    result: tuple[Path, str], tmp_path: Path
) -> None:
    assert pamsim("compile", *SMALL, "-o", "programs", cwd=tmp_path).returncode == 0
    done = pamsim("simulate", "programs", "--json", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    simulated, run = json.loads(done.stdout), json.loads(result[1])
    for key in ("latency_ns", "timeline", "tiers", "energy_pj", "reduction"):
        assert simulated[key] == run[key]
    proofs = {proof["verdict"] for proof in simulated["validation"].values()}
    assert proofs == {"NOT CHECKED"}


@pytest.mark.parametrize(
    "argv",
    [
        ["models"],
        ["isa", "show"],
        ["config", "show", "pam-hbm"],
        ["trace", "--model", "llama-3-8b", "--context", "4096", "-q"],
        ["run", *SMALL, "--json"],
        ["run", *SMALL[:-1]],
        ["--help"],
    ],
)
def test_a_reader_that_leaves_is_no_error(argv: list[str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PAMSIM, *argv], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()  # before anything was written
    _, err = b"", process.stderr.read()
    assert process.wait(60) == 0, err
    assert b"Traceback" not in err and b"Broken" not in err


def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PAMSIM, "models"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 5
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    # 48 requests of 8191 tokens: every pair of them takes the functional proof minutes.
    argv = ["run", "--model", "llama-3-8b", "--context", "8191", "--batch", "48"]
    process = subprocess.Popen(
        [*PAMSIM, *argv, "--validate", "full", "-o", "deep/out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("deep/.out-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(tmp_path.glob("deep/.out-*")), "the run did not begin to write aside"
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_no_colour_where_it_is_not_wanted(tmp_path: Path) -> None:
    plain = pamsim("run", *SMALL[:-1], cwd=tmp_path, NO_COLOR="1")
    assert plain.returncode == 0
    assert "\x1b" not in plain.stdout + plain.stderr
    assert max(map(len, plain.stdout.splitlines())) <= 80


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from pamsim.cli.main import main; code = main(['--help']);"
        "heavy = {'numpy', 'pandas', 'pydantic', 'rich', 'ruamel', 'pyramulator', 'pim_isa'};"
        "print(found := heavy & set(sys.modules), file=sys.stderr);"
        "sys.exit(code or len(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "validate" in done.stdout


def test_debug_shows_the_traceback_of_a_bug(tmp_path: Path) -> None:
    code = (
        "import pamsim.cli.main as m, pamsim.model as p\n"
        "def broken(*a): raise RuntimeError('a\\nbug')\n"
        "p.load_model = broken\n"
        "raise SystemExit(m.main(['run', '--model', 'x']))\n"
    )
    runs = []
    for debug in ("", "1"):
        env = {**os.environ, "PAMSIM_DEBUG": debug}
        runs.append(
            subprocess.run(
                [sys.executable, "-c", code],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
        )
    assert [r.returncode for r in runs] == [1, 1]
    assert "Traceback" not in runs[0].stderr
    assert "internal error: RuntimeError: a bug" in runs[0].stderr
    assert "Traceback" in runs[1].stderr
