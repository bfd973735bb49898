"""The embedded engine against the real Ramulator 2.1: the same commands on the same ticks.

Every case runs three times: on Ramulator's device tick by tick and in replay, and embedded.
RAMULATOR2_ROOT names a built checkout; without it these tests are skipped, and
test_pyramulator_bridge_recorded.py holds the engine against runs recorded here.
PAMSIM_BRIDGE_CASES sets how many drawn cases run, PAMSIM_BRIDGE_SEED the first seed. A case that
fails is cut down to the smallest one that still fails and printed as Python.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bridge_runs import run_bridge, run_engine, run_replay
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import generate, hbm3
from reference.compare import as_python, disagreement, minimise, outcome
from reference.generate import Case
from reference.recorded import read
from reference.variants import with_binding_windows, with_refresh_in_turn, with_refresh_later
from test_pyramulator_bridge_recorded import FILES
from test_pyramulator_golden import FOLDER as STOCK
from test_pyramulator_golden import VARIANTS, golden_case

from pamsim.config import ProgramVariants, describe, list_configs, load_device
from pyramulator.description import (
    Bus,
    TimingRow,
)
from pyramulator.stream import BARRIER, LOOP

pytestmark = pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)

CASES = int(os.environ.get("PAMSIM_BRIDGE_CASES", "2000"))
SEEDS = max(20, CASES // 10)
FIRST = int(os.environ.get("PAMSIM_BRIDGE_SEED", "0"))
BLOCKS = 10


def difference(case: Case) -> str | None:
    """The first difference: Ramulator's value, the engine's or the replay's value."""
    ticking = outcome(run_bridge, case)
    for run, name in ((run_engine, "engine"), (run_replay, "replay")):
        found = disagreement(ticking, outcome(run, case), case.description)
        if found is not None:
            return f"{name}: {found}"
    return None


def must_agree(case: Case, name: str) -> None:
    found = difference(case)
    if found is None:
        return
    smallest = minimise(case, lambda c: difference(c) is not None)
    pytest.fail(
        f"{name}: Ramulator and {found}\nsmallest: {difference(smallest)}\n{as_python(smallest)}",
        pytrace=False,
    )


# Equality


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_cases_agree(block: int) -> None:
    for seed in range(FIRST + block, FIRST + SEEDS, BLOCKS):
        case = generate.case(random.Random(seed))
        must_agree(case, f"seed {seed}")
        if seed % 4 == 0 and any(row.window > 1 for row in case.description.rows):
            must_agree(with_binding_windows(case), f"seed {seed}, binding windows")


@pytest.mark.parametrize("level", range(3))
def test_random_cases_with_refresh_in_turn_agree(level: int) -> None:
    for seed in range(FIRST + level, FIRST + SEEDS, 6):
        case = with_refresh_in_turn(generate.case(random.Random(seed)), level)
        must_agree(case, f"seed {seed}, in turn in level {level}")


# Hypothesis draws a seed and not every number of the case: twenty times as many cases a second, and
# minimise() cuts a case down as well. The numbers drawn along with it stay in the report.
@settings(
    max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(seed=st.integers(0, 2**64 - 1), binding=st.booleans(), phase=st.integers(0, 60))
def test_drawn_cases_agree(seed: int, binding: bool, phase: int) -> None:
    case = with_refresh_later(generate.case(random.Random(seed)), phase)
    must_agree(with_binding_windows(case) if binding else case, f"seed {seed}")


def test_the_cases_have_what_the_rules_speak_of() -> None:
    found: Counter[str] = Counter()
    for seed in range(200):
        case = generate.case(random.Random(seed))
        rows, streams = case.description.rows, case.stream.streams
        found["windows"] += any(row.window > 1 for row in rows)
        found["siblings"] += any(row.sibling for row in rows)
        found["negative latencies"] += any(row.latency < 0 for row in rows)
        found["scopes"] += len({c.scope for c in case.description.commands}) > 2
        found["all children"] += bool((case.stream.targets[:, 1:-1] == -1).any())
        found["barriers"] += any((records["command"] == BARRIER).any() for records in streams)
        found["loops"] += any((records["command"] == LOOP).any() for records in streams)
        found["several streams"] += len(streams) > 1
        found["fifo"] += any(window > 0 for window in case.stream.fifo_window)
        found["refresh"] += case.description.refresh is not None
        for bus in Bus:
            found[bus.name] += case.description.bus == bus
    few = {what: n for what, n in found.items() if n < 20}
    assert not few  # a tenth of the 200 at least


@pytest.mark.parametrize("refresh", [False, True], ids=["norefresh", "refresh"])
@pytest.mark.parametrize("kind", sorted(hbm3.STREAMS))
def test_hbm3_cases_agree(kind: str, refresh: bool) -> None:
    must_agree(hbm3.case(kind, refresh), f"{kind}, refresh {refresh}")


@pytest.mark.parametrize("refresh", [False, True], ids=["norefresh", "refresh"])
@pytest.mark.parametrize("device", list_configs("device"))
def test_random_streams_on_every_device_agree(device: str, refresh: bool) -> None:
    spec = load_device(device)
    over = {command.over: () for command in spec.templates.commands if command.over}
    known = {"queries": (1, 2), "elements": (16, 128), "visits": ((1, 32), (2, 5))}
    variants = ProgramVariants(**{name: known.get(name, (16, 128)) for name in over})
    description = describe(spec, variants)
    # a run is a few thousand ticks, shorter than nREFI: refresh more often, after nRFC at least
    own = description.refresh
    often = replace(own, interval=2_500) if refresh and own is not None else None
    description = replace(description, refresh=often)
    for seed in range(max(3, SEEDS // 20)):
        rng = random.Random(f"{device} {seed}")
        must_agree(
            Case(description, generate.random_stream(rng, description)), f"{device}, seed {seed}"
        )


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bridge_issues_what_ramulators_own_controller_issued(variant: str) -> None:
    description, stream = golden_case(variant)
    must_agree(Case(description, stream), variant)
    log = run_bridge(description, stream).log
    assert log is not None
    ours = np.column_stack((log["tick"], log["command"], log["address"][:, :7]))
    assert np.array_equal(ours, np.load(STOCK / "hbm3pim.npz")[variant])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.split(".")[0])
def test_programs_of_every_device_agree(file: Path) -> None:
    """The recorded cases, with Ramulator as it is now; device programs among them."""
    for run in read(file):
        must_agree(run.case, run.name)
        now = outcome(run_bridge, run.case)
        assert disagreement(now, run.outcome, run.case.description) is None, run.name


# The tests above can fail: a device that is off by one tick is noticed


CHANGES: list[tuple[str, Callable[[TimingRow], TimingRow | None]]] = [
    ("latency", lambda row: replace(row, latency=row.latency + 1)),
    ("window", lambda row: replace(row, window=row.window + 1) if row.window > 1 else None),
    ("sibling", lambda row: replace(row, sibling=False) if row.sibling else None),
]


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[what for what, _ in CHANGES])
def test_a_changed_timing_row_is_noticed(
    what: str, change: Callable[[TimingRow], TimingRow | None]
) -> None:
    noticed = 0
    for seed in range(120):
        case = with_binding_windows(generate.case(random.Random(seed)))
        rows = tuple(change(row) or row for row in case.description.rows)
        changed = replace(case.description, rows=rows)
        theirs = outcome(run_bridge, Case(changed, case.stream))
        mine = outcome(run_engine, case)
        noticed += disagreement(theirs, mine, case.description) is not None
    assert noticed >= 10  # of 120; many have a row of the kind, in some of them it decides
