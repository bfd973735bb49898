"""`pamsim sweep` from a file to a table, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pamsim.batch.point import Point
from pamsim.batch.reasons import reasons, same_reason
from pamsim.batch.run_point import evaluate_point
from pamsim.batch.store import Failure, Store
from pamsim.batch.work import read_points, run_one, write_points
from pamsim.cli.main import main
from pamsim.errors import (
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_POINTS_FAILED,
    InputError,
    PamsimError,
)

SWEEP = """
model: llama-3-8b
workload: {context: [64, 128], batch: [1, 2]}
set: {tiers.hbm.device.timing.nFAW: [16, 20]}
validate: off
"""
# 2 contexts x 2 batches x 2 values of nFAW.
POINTS = 8
# 1,099 GB of KV cache in 80 GB (five stacks of 16 GB): 2^30 tokens x 128 KiB.
TOO_LARGE = "model: llama-3-8b\nworkload: {context: [64, 1073741824, 1073741823]}\nvalidate: off\n"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pamsim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Runs `pamsim sweep ...` in a directory of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SWEEP)

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = main(["sweep", *arguments])
        finally:  # a command's handlers are its process's, which here is the tests'
            for number, handler in before.items():
                signal.signal(number, handler)
        out, err = capfd.readouterr()
        return code, out, err

    return run


def said(out: str) -> dict[str, Any]:
    document = json.loads(out)
    assert isinstance(document, dict)
    return document


def test_from_a_file_to_a_table(pamsim: Command, tmp_path: Path) -> None:
    code, out, _ = pamsim("plan", "s.yaml", "--json")
    plan = said(out)
    assert code == EXIT_OK
    assert (plan["points"], plan["to_run"], plan["done"]) == (POINTS, POINTS, 0)
    assert plan["estimated_core_seconds"] is None, "nothing was measured, so nothing is claimed"

    code, out, _ = pamsim("submit", "s.yaml", "--jobs", "2", "--json")
    status = said(out)
    assert code == EXIT_OK and (status["points"], status["done"]) == (POINTS, POINTS)
    assert status["finished"] and status["failed"] == status["missing"] == 0

    code, out, err = pamsim("submit", "s.yaml", "--jobs", "2")
    assert code == EXIT_OK and "8 points: 8 done, 0 failed, 0 to run" in err

    code, out, _ = pamsim("collect", "s.yaml", "--json")
    collected = said(out)
    assert code == EXIT_OK and collected["rows"] == POINTS
    table = pd.read_csv(tmp_path / "pamsim-out/sweep/s/results.csv")
    assert list(table["status"]) == ["done"] * POINTS
    assert table["tiers.hbm.device.timing.nFAW_ck"].tolist() == [16, 20] * 4
    assert table["context_tokens"].tolist() == [64] * 4 + [128] * 4
    for name in ("latency_ns", "energy_pj", "hbm_bandwidth_gb_per_s", "inputs_sha", "engine_build"):
        assert table[name].notna().all()

    # A row says what `pamsim run` says of the same inputs.
    same = "--model llama-3-8b --context 128 --batch 2 --set tiers.hbm.device.timing.nFAW=20"
    assert main(["run", *same.split(), "--validate", "off", "-q", "-o", "one"]) == EXIT_OK
    single = json.loads((tmp_path / "one/result.json").read_text())
    last = table.iloc[-1]
    assert last["latency_ns"] == single["latency_ns"]
    assert last["energy_pj"] == single["energy_pj"]["total"]
    assert last["results_sha"] == single["manifest"]["results_sha"]
    assert last["inputs_sha"] == single["manifest"]["inputs_sha"]

    wider = SWEEP.replace("[64, 128]", "[64, 128, 192]")
    (tmp_path / "s.yaml").write_text(wider)
    plan = said(pamsim("plan", "s.yaml", "--json")[1])
    assert (plan["points"], plan["done"], plan["to_run"]) == (12, POINTS, 4)
    assert plan["estimate_from_measured_points"] == POINTS
    assert plan["estimated_core_seconds"] > 0
    _, out, _ = pamsim("plan", "s.yaml")
    assert "estimate from 8 measured points" in out


def test_a_file_edited_between_submit_and_collect(pamsim: Command, tmp_path: Path) -> None:
    """What was submitted is collected, and the edit is said; a new submit takes it."""
    assert pamsim("submit", "s.yaml", "--jobs", "1", "-q")[0] == EXIT_OK
    (tmp_path / "s.yaml").write_text(SWEEP.replace("[64, 128]", "[64]") + "name: [broken\n")
    code, out, err = pamsim("collect", "s.yaml", "--json")
    assert code == EXIT_OK
    assert said(out)["rows"] == POINTS and said(out)["edited"]
    assert "s.yaml is another text now than the one that was submitted" in err
    assert said(pamsim("status", "s.yaml", "--json")[1])["edited"]
    (tmp_path / "s.yaml").unlink()
    assert said(pamsim("collect", "s.yaml", "--json")[1])["rows"] == POINTS
    (tmp_path / "s.yaml").write_text(SWEEP.replace("[64, 128]", "[64]"))
    code, out, err = pamsim("submit", "s.yaml", "--jobs", "1")
    assert code == EXIT_OK and "4 points: 4 done, 0 failed, 0 to run" in err
    code, out, _ = pamsim("collect", "s.yaml", "--json")
    assert said(out)["rows"] == 4 and not said(out)["edited"]


def test_failures_are_shown_once_with_their_count_and_retried(
    pamsim: Command, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(TOO_LARGE)
    code, out, err = pamsim("submit", "s.yaml", "--jobs", "1")
    assert code == EXIT_POINTS_FAILED
    assert out.count("points failed:") == 1 and "  2 points failed:" in out
    assert re.search(r"3 points: 1 done, 2 failed", out)
    code, out, err = pamsim("submit", "s.yaml", "--jobs", "1")
    assert code == EXIT_POINTS_FAILED and "1 done, 2 failed, 0 to run" in err
    code, out, _ = pamsim("status", "s.yaml", "--json")
    assert code == EXIT_POINTS_FAILED and said(out)["reasons"][0]["points"] == 2
    code, out, _ = pamsim("collect", "s.yaml", "--json")
    assert code == EXIT_POINTS_FAILED and said(out)["status"] == {"failed": 2, "done": 1}
    table = pd.read_csv(tmp_path / "pamsim-out/sweep/s/results.csv")
    assert table["reason"].notna().tolist() == [False, True, True]
    code, _, err = pamsim("retry", "s.yaml", "--jobs", "1")
    assert code == EXIT_POINTS_FAILED and "2 to run" in err


def test_thousands_of_failures_for_one_reason_are_one_line() -> None:
    many = [Failure(f"{n:064x}", f"KV cache of {n} tokens must fit, [{n:064x}]", 1)
            for n in range(5000)]  # fmt: skip
    many.append(Failure("f" * 64, "worker was killed", 3))
    found = reasons(many)
    assert [(r.points, r.text) for r in found] == [
        (5000, f"KV cache of 0 tokens must fit, [{0:064x}]"),
        (1, "worker was killed"),
    ]
    assert same_reason("takes 3.5 s of 4 s") == same_reason("takes 12 s of 1,000 s")
    assert same_reason("a file") != same_reason("a directory")


@pytest.mark.parametrize("damage", ["truncated", "altered", "of another point"])
def test_a_damaged_entry_is_reported_and_run_again(
    pamsim: Command, tmp_path: Path, damage: str
) -> None:
    assert pamsim("submit", "s.yaml", "--jobs", "1", "-q")[0] == EXIT_OK
    entries = sorted((tmp_path / "pamsim-out/store/points").glob("*/*"))
    whole = entries[0].read_bytes()
    good = said_results(tmp_path, pamsim)
    if damage == "truncated":
        entries[0].write_bytes(whole[: len(whole) // 2])
    elif damage == "altered":
        middle = len(whole) // 2
        entries[0].write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    else:
        entries[0].write_bytes(entries[1].read_bytes())
    code, out, err = pamsim("collect", "s.yaml", "--json")
    assert code == EXIT_POINTS_FAILED
    assert said(out)["status"] == {"done": POINTS - 1, "damaged": 1}
    assert "1 damaged entry: submit again" in err
    code, _, err = pamsim("submit", "s.yaml", "--jobs", "1")
    assert code == EXIT_OK
    assert "1 damaged entry is set aside and run again" in err and "1 to run" in err
    assert said_results(tmp_path, pamsim) == good


def said_results(tmp_path: Path, pamsim: Command) -> list[str]:
    assert pamsim("collect", "s.yaml", "-q")[0] == EXIT_OK
    return list(pd.read_csv(tmp_path / "pamsim-out/sweep/s/results.csv")["results_sha"])


def test_interrupts_at_any_moment_lose_nothing(tmp_path: Path) -> None:
    """Ctrl-C at eight moments, then once to the end: every point, none half, none run twice."""
    (tmp_path / "s.yaml").write_text(
        "model: llama-3-8b\nworkload: {context: {from: 2048, to: 2107, step: 1}, batch: 1}\n"
        "validate: off\n"
    )
    command = [sys.executable, "-m", "pamsim.cli.main", "sweep", "submit", "s.yaml", "--jobs", "2"]
    store = Store(tmp_path / "pamsim-out/store")
    seen: set[str] = set()
    codes = []
    for moment in range(8):
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        time.sleep(0.1 + moment * 0.25)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of the group
        _, err = process.communicate(timeout=60)
        codes.append(process.returncode)
        assert process.returncode in (EXIT_INTERRUPTED, EXIT_OK, -signal.SIGINT), err.decode()
        assert b"Traceback" not in err or process.returncode == -signal.SIGINT, err.decode()
        assert seen <= store.keys(), "finished points stay"
        seen = store.keys()
        for key in seen:
            store.verify(key)
        assert store.failures() == {}, "an interrupt is no failure"
    assert EXIT_INTERRUPTED in codes
    kept = {key: store.get(key)["manifest"]["run"]["started"] for key in seen}
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, timeout=120)
    assert done.returncode == EXIT_OK, done.stderr.decode()
    assert len(store.keys()) == 60
    for key, started in kept.items():
        assert store.get(key)["manifest"]["run"]["started"] == started, "never run again"


def test_shards_together_are_everything(pamsim: Command, tmp_path: Path) -> None:
    for shard, done in (("1/3", 3), ("2/3", 6), ("3/3", POINTS)):
        pamsim("submit", "s.yaml", "--shard", shard, "--jobs", "1", "-q")
        assert said(pamsim("status", "s.yaml", "--json")[1])["done"] == done
    assert pamsim("submit", "s.yaml", "--shard", "4/3")[0] == EXIT_INPUT
    assert pamsim("submit", "s.yaml", "--shard", "x")[0] == EXIT_INPUT


def test_work_is_what_any_scheduler_calls(pamsim: Command, tmp_path: Path) -> None:
    pamsim("submit", "s.yaml", "--shard", "1/8", "--jobs", "1", "-q")
    points = str(tmp_path / "pamsim-out/sweep/s/points.jsonl")
    code, _, _ = pamsim("work", "--points", points, "--store", "other", "--shard", "2/4")
    assert code == EXIT_OK and len(Store(tmp_path / "other").keys()) == 2


def test_a_full_disk_stops_with_its_reason_and_keeps_what_is_done(tmp_path: Path) -> None:
    """A limit on the size of files that no entry keeps: what a full disk does to a write."""
    (tmp_path / "s.yaml").write_text(SWEEP)
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 2; trap '' XFSZ; exec {sys.executable} -m pamsim.cli.main "
         "sweep submit s.yaml --jobs 1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode not in (EXIT_OK, 1), done.stderr
    assert "File too large" in done.stderr and "internal error" not in done.stderr
    store = Store(tmp_path / "pamsim-out/store")
    assert store.keys() == set()
    assert main(["sweep", "submit", str(tmp_path / "s.yaml"), "--store", str(store.path), "-q",
                 "-o", str(tmp_path / "dir"), "--jobs", "1"]) == EXIT_OK  # fmt: skip
    assert len(store.keys()) == POINTS


def test_a_scheduler_that_refuses_a_job(
    pamsim: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An sbatch that answers as Slurm 22.05 does to a partition that is not there."""
    assert pamsim("submit", "s.yaml", "--shard", "1/2", "--jobs", "1", "-q")[0] in (0, 3)
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin/sbatch"
    sbatch.write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: nope' >&2\nexit 1\n"
    )
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    code, _, err = pamsim("submit", "s.yaml", "--executor", "slurm", "--partition", "nope")
    assert code == EXIT_POINTS_FAILED and "invalid partition specified: nope" in err
    status = said(pamsim("status", "s.yaml", "--json")[1])
    assert (status["done"], status["missing"], status["failed"]) == (4, 4, 0)


def test_what_was_not_submitted(pamsim: Command, tmp_path: Path) -> None:
    for verb in ("status", "collect", "retry"):
        code, _, err = pamsim(verb, "s.yaml")
        assert code == EXIT_INPUT and "sweep must have been submitted" in err
    (tmp_path / "below").mkdir()
    (tmp_path / "below/s.yaml").write_text(SWEEP)
    assert pamsim("submit", "s.yaml", "--shard", "1/8", "--jobs", "1", "-q")[0] in (0, 3)
    code, _, err = pamsim("submit", "below/s.yaml")
    assert code == EXIT_INPUT and "directory must be of this sweep" in err


@pytest.mark.parametrize("kind", ["line", "heatmap", "pareto"])
def test_plots(pamsim: Command, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    pamsim("submit", "s.yaml", "--jobs", "1", "-q")
    arguments = ("plot", "s.yaml", "--kind", kind, "--x", "context_tokens", "--y")
    value = "batch_requests" if kind == "heatmap" else "latency"
    code, _, err = pamsim(*arguments, value, "--by", "nFAW", "--file", "p.svg")
    assert code == EXIT_OK, err
    assert (tmp_path / "p.svg").read_bytes().count(b"<path") > 10  # ticks, marks, letters
    code, _, err = pamsim(*arguments, "latncy_ns", "--by", "nFAW")
    assert code == EXIT_INPUT and "did you mean 'latency_ns'?" in err


def test_inputs_that_change_on_the_way_are_found(tmp_path: Path) -> None:
    """A worker that would compute something else than the key says does not."""
    point = Point("ab" * 32, {"model": "llama-3-8b", "kv_dtype": None,
                              "system": "pam-hbm", "overrides": [],
                              "contexts": [[64, 1]], "seed": 0, "validate": "off",
                              "engine": "embedded", "labels": {}})  # fmt: skip
    with pytest.raises(PamsimError, match="inputs must be those of the submission"):
        evaluate_point(point)
    store = Store(tmp_path)
    run_one(store, point)
    assert not store.has(point.key)
    assert "inputs must be those" in store.failures()[point.key].reason
    run_one(store, Point("cd" * 32, {"model": "llama-3-8b"}))
    assert "point must be as `pamsim sweep submit` writes it" in store.failure("cd" * 32).reason


def test_points_files(tmp_path: Path) -> None:
    points = [Point(f"{n:064x}", {"n": n}) for n in range(3)]
    write_points(tmp_path / "p.jsonl", points)
    assert read_points(tmp_path / "p.jsonl") == points
    with open(tmp_path / "p.jsonl", "a", encoding="utf-8") as file:
        file.write('{"key": "abc", "spec": {}}\n')
    with pytest.raises(InputError, match=r"point must have a key .*p\.jsonl:4"):
        read_points(tmp_path / "p.jsonl")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pamsim.cli.main import main; main(['sweep', '--help']); "
        "heavy = {'pandas', 'numpy', 'dask', 'distributed', 'pyarrow', 'matplotlib', 'jinja2'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]" and "Run what is neither" in out.stdout
