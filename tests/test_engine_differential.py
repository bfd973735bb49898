"""The engine against the tick-by-tick reference: every issued command, every stall, all residency.

PAMSIM_DIFFERENTIAL_CASES sets how many random cases run, PAMSIM_DIFFERENTIAL_SEED the first seed.
A case that fails is cut down to the smallest one that still fails and printed as Python.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import engine as reference
from reference import generate, hbm3
from reference.compare import as_python, disagreement, minimise, outcome
from reference.generate import Case
from reference.variants import with_refresh_in_turn

import pyramulator
from pyramulator.description import Description
from pyramulator.result import STALL_CLASSES, ChannelResult
from pyramulator.stream import CommandStream

CASES = int(os.environ.get("PAMSIM_DIFFERENTIAL_CASES", "300"))
FIRST = int(os.environ.get("PAMSIM_DIFFERENTIAL_SEED", "0"))
BLOCKS = 10
MAX_TICKS = 1_000_000


def run_reference(description: Description, stream: CommandStream) -> ChannelResult:
    return reference.run(description, stream, max_ticks=MAX_TICKS)


def run_engine(description: Description, stream: CommandStream) -> ChannelResult:
    return pyramulator.run(description, stream, log=True, stalls=True)


def run_without_log(description: Description, stream: CommandStream) -> ChannelResult:
    """What is not asked for must not change the rest: the log is the other run's."""
    logged = run_engine(description, stream)
    return replace(pyramulator.run(description, stream, log=False, stalls=True), log=logged.log)


def run_bare(description: Description, stream: CommandStream) -> ChannelResult:
    logged = run_engine(description, stream)
    bare = pyramulator.run(description, stream, log=False, stalls=False)
    assert bare.log is None and bare.stalls is None
    return replace(bare, log=logged.log, stalls=logged.stalls)


def difference(case: Case) -> str | None:
    """The first difference: the reference's value, the engine's value."""
    expected = outcome(run_reference, case)
    for run in (run_engine, run_without_log, run_bare):
        found = disagreement(expected, outcome(run, case), case.description)
        if found is not None:
            return f"{run.__name__}: {found}"
    return None


def must_agree(case: Case, name: str) -> None:
    found = difference(case)
    if found is None:
        return
    smallest = minimise(case, lambda c: difference(c) is not None)
    pytest.fail(
        f"{name}: reference, engine: {found}\n"
        f"smallest: {difference(smallest)}\n{as_python(smallest)}",
        pytrace=False,
    )


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_cases_agree(block: int) -> None:
    for seed in range(FIRST + block, FIRST + CASES, BLOCKS):
        must_agree(generate.case(random.Random(seed)), f"seed {seed}")


@pytest.mark.parametrize("level", range(3))
def test_random_cases_with_refresh_in_turn_agree(level: int) -> None:
    for seed in range(FIRST + level, FIRST + CASES, 6):
        case = with_refresh_in_turn(generate.case(random.Random(seed)), level)
        must_agree(case, f"seed {seed}, in turn in level {level}")


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CASES, 10))
def test_advancing_in_pieces_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    case = generate.case(rng)
    whole = outcome(run_engine, case)

    def in_pieces(description: Description, stream: CommandStream) -> ChannelResult:
        engine = pyramulator.Engine(description, stream, log=True, stalls=True)
        until = 0
        while not engine.advance(until):
            until += rng.choice((0, 1, 2, rng.randint(1, 100)))
        return engine.result()

    assert disagreement(whole, outcome(in_pieces, case), case.description) is None


@settings(
    max_examples=max(20, CASES // 10),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.randoms(use_true_random=False))
def test_drawn_cases_agree(rng: random.Random) -> None:
    assert difference(generate.case(rng)) is None


@pytest.mark.parametrize("refresh", [False, True], ids=["norefresh", "refresh"])
@pytest.mark.parametrize("kind", sorted(hbm3.STREAMS))
def test_hbm3_cases_agree(kind: str, refresh: bool) -> None:
    must_agree(hbm3.case(kind, refresh), f"{kind}, refresh {refresh}")


def test_few_cases_are_dead_and_every_class_occurs() -> None:
    dead, rows, commands = 0, 0, 0
    classes = np.zeros(len(STALL_CLASSES), dtype=np.int64)
    for seed in range(60):
        result = outcome(run_engine, generate.case(random.Random(seed)))
        if not isinstance(result, ChannelResult):
            dead += 1
            continue
        assert result.stalls is not None and result.log is not None
        classes += result.stalls.classes.sum(axis=0)
        rows += int(result.stalls.rows.sum())
        commands += len(result.log)
    assert dead <= 6  # 2 % are made to be dead by a barrier, 1 % by a command without `closes`
    assert np.all(classes > 0) and rows > 0
    assert commands > 60 * 10
