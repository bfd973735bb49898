"""The families' benchmark: every family that models are compiled for has its case, which runs."""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path

import pytest

from pamsim.compiler import families

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from bench_families import CASES, busiest_run, measure


def test_every_family_has_a_case() -> None:
    assert set(CASES) == {module.name for module in pkgutil.iter_modules(families.__path__)}


@pytest.mark.parametrize("family", CASES)
def test_a_case_runs_a_program_of_its_family(family: str) -> None:
    run = busiest_run(family, context=64)
    assert run.program.program.family == family
    rate = measure(family, run, 0.0)
    assert rate.commands == sum(run.result.counts.values()) and rate.ticks == run.result.ticks
    assert rate.commands_per_second > 0
    assert rate.ns_per_command == pytest.approx(1e9 / rate.commands_per_second)
