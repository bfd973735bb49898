"""The engine's benchmark: its cases run what they say, and its figures are of that run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reference import engine as reference

from pyramulator import run

SCRIPTS = Path(__file__).parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

from bench import measure  # noqa: E402
from bench_cases import CASES, BenchCase  # noqa: E402


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_issues_its_commands_like_the_reference(case: BenchCase) -> None:
    description, stream = case.build(800)
    assert all((records["count"] == 1).all() for records in stream.streams)
    result = run(description, stream, log=True)
    assert sum(len(records) for records in stream.streams) == 800
    expected = reference.run(description, stream, max_ticks=50_000)
    assert (result.ticks, result.counts) == (expected.ticks, expected.counts)
    assert result.log is not None and expected.log is not None
    assert np.array_equal(result.log, expected.log)
    # A visit has 64 MACs, and nothing else as many.
    assert max(result.counts.items(), key=lambda one: one[1])[0].startswith("MAC")


def test_a_measurement_counts_what_was_issued() -> None:
    case = CASES[2]
    rate = measure(case, 4000, 2)
    result = run(*case.build(4000))
    assert (rate.commands, rate.ticks) == (sum(result.counts.values()), result.ticks)
    assert 0 < rate.slowest <= rate.median <= rate.fastest
    assert rate.ratio == rate.median / case.target


def test_json_is_one_document() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench.py"), "--quick", "--json", "--case", "A1"],
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert [case["case"] for case in document["cases"]] == ["A1"]
    assert document["unit"] == "commands per CPU second"
