"""The page of sensitivities: what it varies, what it refuses to hide, and its arithmetic."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pamsim.cli.main import main
from pamsim.config import Constant
from pamsim.errors import InputError
from pamsim.report.assumptions import RULES

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "sensitivity.py"
LATENCY = "tiers.hbm.link.latency"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sensitivity", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sensitivity"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def assumed(**fields: object) -> Constant:
    """An assumption without a range, unless `fields` give one."""
    values = {"name": "a.b", "value": 4, "unit": "cycle", "source": "assumption: a guess"}
    return Constant(**{**values, **fields})  # type: ignore[arg-type]


def test_the_page_shows_every_assumption_of_every_preset(script: ModuleType) -> None:
    every = [v for _, v in script.others(set())]
    assert script.faults([*script.variations(), *every]) == []
    page = script.PAGE.read_text(encoding="utf-8")
    for variation in script.variations():
        assert f"`{variation.constant.name}`" in page
    for variation in every:  # by its key, below whichever tier or preset it stands
        assert f"{variation.constant.name}`" in page
    for rule in RULES:
        assert rule in page


def test_a_job_varies_what_none_before_it_has(script: ModuleType) -> None:
    job = script.OTHER_JOBS[0]
    own = [script.bare(v.constant.name) for v in script.new_of(job, set())]
    assert "device.pim.extra.append_mode" in own  # DDR-PIM's
    rest = script.new_of(job, set(own) - {"device.pim.extra.append_mode"})
    assert {script.bare(v.constant.name) for v in rest} == {"device.pim.extra.append_mode"}


def test_an_assumption_that_cannot_be_varied_is_a_fault(script: ModuleType) -> None:
    faults = script.faults([script.vary(assumed())])
    assert faults[0] == "a.b must have a range or choices, being an assumption"


def test_a_value_outside_its_range_is_a_fault(script: ModuleType) -> None:
    faults = script.faults([script.vary(assumed(value=455, unit="CK", range=(260.0, 410.0)))])
    assert faults[0] == "a.b must be from 260 to 410, not 455 CK"


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"range": (1.0, 8.0)}, ("1 cycle", "8 cycle")),
        ({"range": (0.05, 0.32), "unit": "1", "value": 0.16}, ("0.05", "0.32")),
        ({"choices": ("fp16", "fp32"), "value": "fp16"}, ("fp32",)),
        ({"choices": ("false", "true"), "value": True}, ("false",)),
        ({"choices": ("true",), "value": True}, ()),
    ],
)
def test_a_constant_takes_its_ends_or_its_other_choices(
    script: ModuleType, fields: dict[str, object], values: tuple[str, ...]
) -> None:
    assert script.vary(assumed(**fields)).values == values


def test_a_run_is_that_of_the_command_line(script: ModuleType, tmp_path: Path) -> None:
    option = f"{LATENCY}=20 ns"
    out = tmp_path / "out"
    arguments = ["--model", "llama-3-8b", "--context", "700", "--batch", "2", "--set", option]
    assert main(["run", *arguments, "--validate", "off", "-q", "-o", str(out)]) == 0
    document = json.loads((out / "result.json").read_text())
    outcome = script.evaluate(script.Job("llama-3-8b", 700, 2), (option,))
    assert outcome.step_ps == round(document["latency_ns"] * 1000)
    assert outcome.attention_ps == round(document["tiers"]["hbm"]["latency_ns"] * 1000)
    assert outcome.energy_pj == document["energy_pj"]["total"]


def test_link_latency_counts_once_a_crossing(script: ModuleType) -> None:
    # 32 layers; queries in, results out and, as 32 pairs do not fit 5 devices evenly, merged parts
    # between devices: three crossings. The high end is 300 ns above the value.
    job = script.JOBS[0]
    base = script.evaluate(job)
    (variation,) = (v for v in script.variations() if v.constant.name == LATENCY)
    (row,) = script.rows_of(job, base, [variation])
    _, high = row.outcomes
    assert high.step_ps - base.step_ps == 32 * 3 * 300_000
    assert high.attention_ps == base.attention_ps
    assert row.percents[1][0] == pytest.approx(100 * 32 * 3 * 300_000 / base.step_ps)
    # The low end shortens the step, the high end lengthens it.
    assert script.together([row], base, min) == (f"{LATENCY}=20 ns",)
    assert script.together([row], base, max) == (f"{LATENCY}=400 ns",)


def test_rows_come_by_their_largest_effect(script: ModuleType) -> None:
    job = script.Job("llama-3-8b", 700, 1)
    rows = script.rows_of(job, script.evaluate(job), script.variations()[-3:])
    assert rows[0].variation.constant.name == LATENCY  # the last of the three before sorting
    assert [r.largest for r in rows] == sorted((r.largest for r in rows), reverse=True)


def test_a_value_that_is_refused_is_not_left_out(script: ModuleType) -> None:
    with pytest.raises(InputError, match=r"link\.latency must be a quantity of time"):
        script.evaluate(script.JOBS[0], (f"{LATENCY}=20",))


@pytest.mark.parametrize(
    ("change", "text"),
    [(0.0, "0"), (0.001, "+<0.01"), (-0.001, "−<0.01"), (0.005, "+0.01"), (-17.618, "−17.62")],
)
def test_only_no_change_is_nought(script: ModuleType, change: float, text: str) -> None:
    assert script.percent(change) == text
