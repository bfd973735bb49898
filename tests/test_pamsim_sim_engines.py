"""A decode step on the real Ramulator 2.1 gives the embedded engine's result, without the stalls.

Tests that need RAMULATOR2_ROOT, a built checkout, are skipped without it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bridge_runs import device

from pamsim.cli import options
from pamsim.cli.main import main
from pamsim.compiler import CompiledStep, compile_step
from pamsim.config import load_system
from pamsim.errors import InputError
from pamsim.model import load_model
from pamsim.report.check import check_result
from pamsim.sim import ENGINES, simulate
from pamsim.workload import make_step
from pyramulator import bridge_build
from pyramulator.many import run_many
from pyramulator.stream import END, LOOP, RECORD, CommandStream

needs_ramulator = pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)
WAYS = pytest.mark.parametrize("engine", ENGINES[1:])
SMALL = ["--model", "llama-3-8b", "--context", "300,100", "-q"]


def small_step() -> CompiledStep:
    model, system = load_model("llama-3-8b"), load_system("pam-hbm", ())
    return compile_step(model, make_step("300,100", None), system, system.tiers[0].name)


def result(where: Path, *argv: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The documents of result.json and manifest.json of a run that passes its proofs."""
    assert main(["run", *SMALL, *argv, "-o", str(where)]) == 0
    assert check_result(where) == []
    read = [json.loads((where / f"{name}.json").read_text()) for name in ("result", "manifest")]
    return read[0], read[1]


def test_the_command_line_offers_every_engine() -> None:
    assert options.ENGINES == ENGINES


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'ramulator2'"):
        simulate(small_step(), engine="ramulator3")


@needs_ramulator
@WAYS
def test_a_result_is_the_embedded_engines_without_stalls(engine: str, tmp_path: Path) -> None:
    embedded, _ = result(tmp_path / "embedded")
    theirs, manifest = result(tmp_path / engine, "--engine", engine)
    assert theirs["engine"] == engine
    assert theirs["validation"]["timing"]["verdict"] == "passed"
    assert theirs["validation"]["timing"]["commands_checked"] > 1000
    for tier in theirs["tiers"].values():
        for channel in tier["channels"]:
            assert channel["stalls"] is None and channel["stall_rules"] is None
    for document in (embedded, theirs):
        for key in ("engine", "manifest"):
            del document[key]
        for tier in document["tiers"].values():
            for channel in tier["channels"]:
                del channel["stalls"], channel["stall_rules"]
    assert theirs == embedded  # latency, counts, residency, energy, proofs
    said = manifest["inputs"]["engine"]
    assert said["ramulator_commit"] == bridge_build.COMMIT
    assert said["build_id"].startswith(f"ramulator {bridge_build.COMMIT[:7]} library ")


@needs_ramulator
@WAYS
def test_logs_are_the_embedded_engines(engine: str) -> None:
    step = small_step()
    for mine, theirs in zip(
        simulate(step, log=True), simulate(step, log=True, engine=engine), strict=True
    ):
        assert mine.result.log is not None and theirs.result.log is not None
        assert len(mine.result.log) > 1000
        assert np.array_equal(mine.result.log, theirs.result.log)


@needs_ramulator
def test_compiled_programs_are_simulated_and_traced_on_the_engine_they_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(tmp_path / "programs")
    assert main(["compile", *SMALL, "--engine", "ramulator2", "-o", where]) == 0
    capsys.readouterr()
    assert main(["simulate", where, "-q", "--json", "-o", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "ramulator2"
    traces = []
    for argv in ([where], SMALL[:-1]):
        assert main(["trace", *argv, "-q"]) == 0
        traces.append(capsys.readouterr().out)
    assert traces[0] == traces[1]


@needs_ramulator
@WAYS
def test_ctrl_c_in_the_middle_of_a_run_is_heard(engine: str) -> None:
    """In a process of its own, as `pamsim` runs: in threads, watched from the main one."""
    script = (
        "import sys, numpy as np\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from test_pamsim_sim_engines import long_jobs, engine_of\n"
        "from pyramulator.many import run_many\n"
        "import time, signal\n"
        f"make = engine_of({engine!r})\n"
        "print('go', flush=True)\n"
        "try:\n"
        "    run_many(long_jobs(), 2, stalls=False, engine=make)\n"
        "except KeyboardInterrupt:\n"
        "    print(time.monotonic(), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    time.sleep(0.3)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    heard = float(process.stdout.readline())
    assert process.wait(30) == 0
    assert heard - asked < 2  # 100 ms on a machine that has nothing else to do


def engine_of(name: str) -> Any:
    from pamsim.sim import engine_type

    return engine_type(name)


def long_jobs() -> list[Any]:
    """Two different runs of some hours."""
    targets = np.array([(0, 0)], np.int32)
    records = [[(LOOP, 0, 0, 0, 0, 2**31), (2, 0, 3, column, 0, 9), (END, 0, 0, 0, 0, 0)]
               for column in (4, 5)]  # fmt: skip
    return [(device(), CommandStream(targets, (np.array(r, RECORD),))) for r in records]


# Errors and doctor


def fake_checkout(where: Path, version: str) -> Path:
    (where / "CMakeLists.txt").write_text(f"project(\n  Ramulator\n  VERSION {version}\n)\n")
    return where


@pytest.mark.parametrize("verb", ["run", "compile", "simulate", "validate", "trace"])
def test_an_engine_that_is_not_named_is_exit_5_and_one_line(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAMULATOR2_ROOT", raising=False)
    assert main([verb, *SMALL, "--engine", "ramulator2"]) == 5
    assert capsys.readouterr().err == (
        "pamsim: RAMULATOR2_ROOT must name a built checkout of Ramulator 2.1: "
        "export RAMULATOR2_ROOT=/path/to/ramulator2\n"
    )


def test_version_2_0_is_exit_5_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAMULATOR2_ROOT", str(fake_checkout(tmp_path, "2.0")))
    assert main(["run", *SMALL, "--engine", "ramulator2-replay"]) == 5
    err = capsys.readouterr().err
    assert "must be version 2.1, not 2.0: git -C" in err and err.count("\n") == 1


def doctor(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["doctor", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["ramulator2"]
    return found


def test_doctor_needs_no_ramulator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAMULATOR2_ROOT", raising=False)
    assert set(doctor(capsys).values()) == {None}
    assert main(["doctor"]) == 0
    assert "RAMULATOR2_ROOT is not set" in capsys.readouterr().out


def test_doctor_says_what_is_wrong_with_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAMULATOR2_ROOT", str(fake_checkout(tmp_path, "2.0")))
    found = doctor(capsys)
    assert "must be version 2.1, not 2.0" in found["error"]
    assert (found["path"], found["commit"], found["bridge"]) == (str(tmp_path), None, None)


@needs_ramulator
def test_doctor_says_commit_and_bridge(capsys: pytest.CaptureFixture[str]) -> None:
    found = doctor(capsys)
    assert (found["commit"], found["error"]) == (bridge_build.COMMIT, None)
    assert f"ramulator {bridge_build.COMMIT[:7]}" in found["bridge"]


@needs_ramulator
def test_doctor_shows_the_compilers_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyramulator import bridge

    (tmp_path / "abi.cpp").write_text("int a = ;\n#error a later one\n")
    (tmp_path / "bridge.h").write_text("")
    monkeypatch.setattr(bridge_build, "SOURCES", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bridge._load.cache_clear()
    try:
        found = doctor(capsys)
    finally:
        bridge._load.cache_clear()
    assert found["commit"] == bridge_build.COMMIT
    assert "abi.cpp:1:9: error:" in found["error"] or "abi.cpp:2:2: error:" in found["error"]
    assert found["bridge"] is None


def test_a_failure_of_one_job_is_raised_from_run_many() -> None:
    def broken(*job: object, **how: object) -> Any:
        raise ValueError("this engine is broken")

    with pytest.raises(ValueError, match="this engine is broken"):
        run_many(long_jobs(), 2, engine=broken)
