"""`pamsim compare` and `pamsim timeline`, as a user calls them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from pamsim.cli.compare import variants
from pamsim.cli.main import main
from pamsim.errors import EXIT_INPUT, EXIT_OK, EXIT_POINTS_FAILED, InputError

STEP = ("--model", "llama-3-8b", "--context", "700,90", "--validate", "off")


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict]]:  # type: ignore[type-arg]
    code = main(["compare", *arguments, *STEP, "--json", "-q"])
    cases = json.loads(capsys.readouterr().out)["cases"]
    return code, {case["name"]: case for case in cases}


def test_every_case_is_the_run_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, cases = compared(capsys, "pam-hbm", "pam-hbm,layout=token-major")
    assert code == EXIT_OK
    assert list(cases) == ["pam-hbm", "pam-hbm,layout=token-major"]
    out = tmp_path / "one"
    assert main(["run", *STEP, "--set", "layout=token-major", "-q", "-o", str(out)]) == EXIT_OK
    alone = json.loads((out / "result.json").read_text())
    del alone["manifest"]
    assert cases["pam-hbm,layout=token-major"]["result"] == alone
    figures = cases["pam-hbm"]["figures"]
    result = cases["pam-hbm"]["result"]
    assert figures["latency_ns"] == result["latency_ns"]
    assert figures["tokens_per_second"] == 2 * 1e9 / result["latency_ns"]
    attention = [t for t in result["timeline"] if t["task"] == "attention"]
    assert figures["attention_ns"] == pytest.approx(
        sum(t["end_ns"] - t["start_ns"] for t in attention)
    )
    # token-major opens a row for one vector: four times the activates of four vectors a row
    ratio = cases["pam-hbm,layout=token-major"]["figures"]["bank_activates"]
    assert ratio > 3 * figures["bank_activates"]


def test_a_case_that_cannot_be_run_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    code, cases = compared(capsys, "pam-hbm", "pam-hmb", "pam-hbm,tiers.hbm.devices=0")
    assert code == EXIT_POINTS_FAILED
    assert cases["pam-hbm"]["fault"] is None
    assert "system must be a known name or a YAML file, not 'pam-hmb'" in cases["pam-hmb"]["fault"]
    assert "did you mean 'pam-hbm'" in cases["pam-hmb"]["fault"]
    assert cases["pam-hmb"]["result"] is cases["pam-hmb"]["figures"] is None
    assert "devices" in cases["pam-hbm,tiers.hbm.devices=0"]["fault"]


def test_attention_on_the_host_has_no_devices_to_show(capsys: pytest.CaptureFixture[str]) -> None:
    _, cases = compared(capsys, "pam-hbm,attention=host")
    (case,) = cases.values()
    assert case["figures"]["bandwidth_gbps"] is None
    assert case["figures"]["attention_ns"] > 0
    assert case["result"]["tiers"] == {}


def test_the_table_has_a_row_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "pam-hbm", "pam-hbm-gqa", "nothing", *STEP]) == EXIT_POINTS_FAILED
    out = capsys.readouterr().out
    assert "1  pam-hbm\n2  pam-hbm-gqa\n3  nothing" in out
    for row in ("decode step", "energy a token", "of the peak", "step waits for", "proof:"):
        assert row in out
    assert "system must be a known name" in out


def test_vary_multiplies_every_case() -> None:
    assert variants("a,x=1", ("y=2,3", "z=4")) == [
        ("a", ("x=1", "y=2", "z=4")),
        ("a", ("x=1", "y=3", "z=4")),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("layout=naive",), "case must begin with a system, not 'layout=naive'"),
        (("pam-hbm,naive",), "change of a case must be KEY=VALUE, not 'naive'"),
        (("pam-hbm", "--vary", "layout"), "--vary must be KEY=V1,V2,..., not 'layout'"),
        (("pam-hbm", "--vary", "spread=" + ",".join("abcdefgh" * 9)), "cases must be at most 64"),
    ],
)
def test_cases_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert main(["compare", *arguments, *STEP]) == EXIT_INPUT
    assert message in capsys.readouterr().err
    with pytest.raises(InputError):
        variants("x", ("=",))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("timeline") / "result"
    sets = ["instances=4", "tensor_parallel=2", "pipeline_parallel=2", "interconnect=nvlink4"]
    options = [x for s in sets for x in ("--set", s)]
    assert main(["run", *STEP, "-q", "-o", str(out), *options]) == EXIT_OK
    return out


def test_the_waits_of_a_step_add_up_to_it(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timeline", str(result), "--json"]) == EXIT_OK
    said = json.loads(capsys.readouterr().out)
    assert sum(w["ns"] for w in said["waited_for"]) == pytest.approx(said["latency_ns"])
    assert {w["task"] for w in said["waited_for"]} >= {"all_reduce", "stage_transfer", "attention"}
    assert all(ns <= said["latency_ns"] for ns in said["busy_ns"].values())
    assert main(["timeline", str(result)]) == EXIT_OK
    assert "all-reduce between instances" in capsys.readouterr().out


def test_the_trace_has_a_track_a_resource_and_arrows_along_the_critical_path(
    result: Path, tmp_path: Path
) -> None:
    out = tmp_path / "step.json"
    assert main(["timeline", str(result), "-o", str(out)]) == EXIT_OK
    events = json.loads(out.read_text())["traceEvents"]
    document = json.loads((result / "result.json").read_text())
    slices = [e for e in events if e["ph"] == "X"]
    assert len(slices) == len(document["timeline"])
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert len(names) == len({t["resource"] for t in document["timeline"]})
    processes = {e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert processes == {"stage 0", "stage 1"}
    by_track: dict[tuple[int, int], list[dict]] = {}  # type: ignore[type-arg]
    for event in slices:
        by_track.setdefault((event["pid"], event["tid"]), []).append(event)
    for track in by_track.values():  # a resource does one thing at a time
        track.sort(key=lambda e: e["ts"])
        for before, after in pairwise(track):
            assert before["ts"] + before["dur"] <= after["ts"] + 1e-6
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    critical = sum(t["critical"] for t in document["timeline"])
    assert starts.keys() == ends.keys() and len(starts) == critical - 1
    assert all(starts[n]["ts"] <= ends[n]["ts"] for n in starts)


def test_timeline_of_what_is_no_result(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "x.json"
    for content in ("{}", "[1]", "{"):
        other.write_text(content)
        assert main(["timeline", str(other)]) == EXIT_INPUT
    assert main(["timeline", str(tmp_path / "none")]) == EXIT_INPUT
    assert main(["timeline", str(result), "-o", str(other)]) == EXIT_INPUT
    assert "--force" in capsys.readouterr().err
    assert other.read_text() == "{", "what is there stays"
    assert main(["timeline", str(result), "-o", str(other), "--force"]) == EXIT_OK
