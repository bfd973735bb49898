"""What `pamsim validate --layout-report` says: by hand, and against what the engine counted."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace

import pytest
from handmade import model
from rich.console import Console

from pamsim.cli.main import main
from pamsim.compiler import compile_step
from pamsim.config import SystemSpec, load_system
from pamsim.layout import list_layouts
from pamsim.model import load_model
from pamsim.report.layouts import layout_documents, print_layouts
from pamsim.sim import simulate
from pamsim.validate.layout_report import LayoutReport, layout_report
from pamsim.workload import make_step


def system(layout: str, spread: str = "spread") -> SystemSpec:
    """One stack, 16 channels of 16 groups of 4 banks, without weights."""
    options = ["tiers.hbm.devices=1", f"layout={layout}", f"spread={spread}"]
    return replace(load_system("pam-hbm", options), weights_tier="elsewhere")


def report(
    layout: str, heads: int, dim: int, contexts: str, spread: str = "spread"
) -> LayoutReport:
    shape, step = model(heads, heads, dim, layers=2), make_step(contexts)
    return layout_report(compile_step(shape, step, system(layout, spread)), shape, step)


def test_figures_by_hand() -> None:
    # One head of 102 tokens in one group: 26 slots on 4 banks, 8 columns a vector.
    found = report("head-split", 1, 128, "102")
    # 25 slots that all banks fill and one that two banks fill: 7 rows of 4 slots, K and V.
    assert (found.reads.columns, found.reads.rows) == (2 * 26 * 8, 2 * 7)
    assert found.reads.hit_rate == 1 - 14 / 416
    assert found.reads.columns_per_row == 416 / 14
    assert (found.writes.columns, found.writes.rows) == (16, 2)
    assert found.bytes_needed == 102 * 2 * 256
    assert found.bytes_fetched == 26 * 4 * 2 * 256
    assert found.over_fetch == 104 / 102
    # Banks have 26, 26, 25 and 25 tokens; 1024 banks, 256 groups, 16 channels in all.
    assert (found.tokens["bank"].largest, found.tokens["bank"].mean) == (26, 102 / 1024)
    assert found.tokens["bank"].imbalance == 26 * 1024 / 102
    assert (found.tokens["group"].largest, found.tokens["group"].mean) == (102, 102 / 256)
    assert (found.tokens["channel"].largest, found.tokens["channel"].mean) == (102, 102 / 16)
    # A bank delivers 26 slots of K and V, 256 bytes each, whatever it holds.
    assert found.bytes["bank"].largest == 26 * 512 and found.bytes["group"].largest == 4 * 26 * 512
    # 7 + 7 rows a layer of 16 groups x 16384 rows; a row of a group is 4 KiB.
    assert (found.rows_used_max, found.rows_free_min) == (28, 16 * 16384 - 28)
    assert found.rows_used_mean == 28 / 16
    assert found.bytes_taken == 28 * 4096
    assert found.bytes_lost == 28 * 4096 - 2 * 102 * 512


def test_padding_is_over_fetch_and_lost_room() -> None:
    # 72 elements are 144 bytes in columns of 160; six vectors a row of 1 KiB lose 64 bytes more.
    found = report("head-split", 1, 72, "96")
    assert found.over_fetch == 160 / 144
    assert found.bytes_taken == 2 * 2 * 4 * 4096  # 24 slots are 4 rows: K and V, two layers
    assert found.bytes_lost == found.bytes_taken - 2 * 96 * 288


def test_layouts_differ_where_they_should() -> None:
    found = {layout: report(layout, 8, 128, "4096") for layout in list_layouts()}
    # 32, 16 and 8 of the 32 columns of a row are read for an activate.
    per_row = {layout: r.reads.columns_per_row for layout, r in found.items()}
    assert per_row == {"head-split": 32, "naive": 32, "head-fused": 16, "token-major": 8}
    assert {layout: r.writes.columns_per_row for layout, r in found.items()} == {
        "head-split": 8, "naive": 8, "head-fused": 16, "token-major": 32,
    }  # fmt: skip
    # 8 heads x 8 groups of 512 tokens, of 256 groups; the naive one has a block of 8 heads in each.
    assert found["head-split"].tokens["group"].imbalance == 256 / 64
    assert found["naive"].tokens["group"].imbalance == 1
    # Two sets of four heads in 8 groups each.
    assert found["token-major"].tokens["group"].imbalance == 256 / 16
    uneven = report("naive", 8, 128, "4112")  # one block more than groups
    assert uneven.tokens["group"].imbalance == pytest.approx(2 * 256 / 257)


def test_spread_rules_trade_groups_for_merges() -> None:
    found = {rule: report("head-split", 2, 128, "1024", rule) for rule in
             ("spread", "channel", "all", "head-parallel")}  # fmt: skip
    # 2 heads of 64 blocks: 2 groups of 512 tokens each; 64 groups; 16 groups of one channel.
    groups = {rule: round(256 / r.tokens["group"].imbalance) for rule, r in found.items()}
    assert groups == {"spread": 4, "channel": 4, "all": 128, "head-parallel": 32}
    channels = {rule: round(16 / r.tokens["channel"].imbalance) for rule, r in found.items()}
    assert channels == {"spread": 4, "channel": 2, "all": 8, "head-parallel": 2}


@pytest.mark.parametrize("layout", list_layouts())
def test_row_hits_are_those_of_the_engine(layout: str) -> None:
    """The step ends before the first refresh (3.9 us), which would close rows that are in use."""
    shape, step = model(2, 2, 128), make_step("48,20")
    compiled = compile_step(shape, step, system(layout))
    counts: Counter[str] = Counter()
    for run in simulate(compiled):
        for name, count in run.result.counts.items():
            counts[name.split("_")[0]] += count * len(run.program.bindings)
    assert counts["REFab"] == 0
    found = layout_report(compiled, shape, step)
    assert (counts["MACbg"], counts["ACTbg"]) == (found.reads.columns, found.reads.rows)
    assert (counts["WR"], counts["ACT"]) == (found.writes.columns, found.writes.rows)


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["validate", "--layout-report", "--quiet", *arguments])
    return code, capsys.readouterr().out


def test_the_command_shows_every_layout(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = show(capsys, "--model", "llama-3-8b", "--context", "600", "--json")
    assert code == 0
    document = json.loads(text)
    assert [d["layout"] for d in document["layouts"]] == [
        "head-split", "head-fused", "naive", "token-major",
    ]  # fmt: skip
    for layout in document["layouts"]:
        assert (layout["verdict"], layout["error"]) == ("passed", None)
        (part,) = layout["parts"]
        assert (part["tier"], part["layers"], part["kv_tokens"]) == ("hbm", 32, 600)
        assert part["bytes_needed"] == 600 * 8 * 2 * 256


def test_a_layout_that_cannot_take_the_model_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--model", "deepseek-v2", "--context", "600", "--set", "tiers.hbm.devices=40"
    code, text = show(capsys, *options, "--json")
    assert code == 0
    document = json.loads(text)
    errors = {d["layout"]: d["error"] for d in document["layouts"]}
    assert errors["head-split"] is None
    assert "must be 'head-split'" in errors["token-major"]
    assert [len(d["parts"]) for d in document["layouts"]] == [1, 0, 0, 0]


def test_the_table_has_a_column_for_every_layout() -> None:
    shape, step = replace(load_model("deepseek-v2"), layers=2), make_step("600")
    documents = layout_documents(shape, step, system("head-split"))
    out = Console(file=io.StringIO(), width=80)
    print_layouts(documents, out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "hbm, 2 layers" in text and "columns an activate" in text
    assert "token-major: layout of deepseek-v2 must be 'head-split'" in text
