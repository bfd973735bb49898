"""`check_result` on a result of several tiers, stages and instances, altered in its newer parts."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pamsim.cli.main import main
from pamsim.report.check import check_result
from pamsim.report.manifest import results_sha
from pamsim.report.text import json_text

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """KV in two tiers of PAM's node, four ways tensor-parallel in two stages."""
    out = tmp_path_factory.mktemp("tiers") / "out"
    argv = ["run", "--model", "llama-3-8b", "--system", "pam-node", "--context", "600", "-q",
            "--set", "tiers.hbm.kv_gib=0.03", "--validate", "off", "-o", str(out)]  # fmt: skip
    assert main(argv) == 0
    assert check_result(out) == []
    loaded: Document = json.loads((out / "result.json").read_text())
    assert list(loaded["tiers"]) == ["hbm", "ddr"]
    return loaded


def put(value: Any, *path: str | int) -> Callable[[Document], None]:
    """Sets what lies at a path, or adds to it where `value` is a number in a list."""

    def alter(document: Document) -> None:
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = inner[path[-1]] + value[0] if isinstance(value, list) else value

    return alter


def task(name: str, key: str) -> Callable[[Document], None]:
    """Makes the first task of a name longer or later."""

    def alter(document: Document) -> None:
        next(t for t in document["timeline"] if t["task"] == name)[key] += 1

    return alter


PART = ("tiers", "ddr", "parts", 0)
ALTERATIONS: dict[str, tuple[Callable[[Document], None], str]] = {
    "busy channels": (put([1], "tiers", "ddr", "busy_channels"), "busy_channels"),
    "idle channels": (put([1], "tiers", "hbm", "idle_channels"), "idle_channels"),
    "instances of a part": (put(3, *PART, "instances"), "equal instances"),
    "no instances": (put(0, *PART, "instances"), "equal instances"),
    "a layer of a part": (lambda d: d["tiers"]["ddr"]["parts"][0]["layers"].pop(), "layers"),
    "a part's latency": (put([1], *PART, "latency_ns"), "parts[0].latency_ns"),
    "another replica": (put(1, *PART, "replica"), "attention of layer 0 on ddr"),
    "a task of another stage": (
        lambda d: next(t for t in d["timeline"] if t["task"] == "attention").update(
            resource="stage 1/hbm"
        ),
        "attention of layer 0 on hbm",
    ),
    "a task of no stage": (
        lambda d: next(t for t in d["timeline"] if t["task"] == "attention").update(
            resource="stage x/hbm"
        ),
        "attention",
    ),
    "a part that is not there": (put(9, "tiers", "ddr", "channels", 0, "part"),
                                "part must be below 2"),
    "another stage": (put(1, *PART, "stage"), "attention of layer 0 on ddr"),
    "a slower tier's attention": (task("attention", "end_ns"), "attention"),
    "reduction over tiers": (task("tier_reduction", "end_ns"), "reduction.latency_ns"),
    "reduction of the document": (put([1], "reduction", "latency_ns"), "reduction"),
    "a dtype that is no text": (put(8, "kv_dtype"), "kv_dtype"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_part_is_found(document: Document, tmp_path: Path, name: str) -> None:
    alter, text = ALTERATIONS[name]
    altered = copy.deepcopy(document)
    alter(altered)
    altered["manifest"]["results_sha"] = results_sha(altered)
    (tmp_path / "altered.json").write_text(json_text(altered))
    assert any(text in fault for fault in check_result(tmp_path / "altered.json"))
