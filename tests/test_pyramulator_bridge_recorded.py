"""The embedded engine against runs of the real Ramulator 2.1, recorded: no RAMULATOR2_ROOT needed.

tests/golden/pyramulator_bridge/README.md says what was recorded and how.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reference.compare import as_python, disagreement, minimise, outcome
from reference.generate import Case
from reference.recorded import Recorded, pack, read

import pyramulator
from pyramulator.description import Description
from pyramulator.result import ChannelResult
from pyramulator.stream import BARRIER, CommandStream

FOLDER = Path(__file__).parent / "golden" / "pyramulator_bridge"
FILES = sorted(FOLDER.glob("*.npz.xz"))
RECORDED = sorted({f.name.split(".")[0] for f in FILES} - {"random"})  # devices
MOST_BYTES = 5_000_000  # of all files


def results(runs: list[Recorded]) -> list[ChannelResult]:
    """The outcomes of those that are no deadlocks."""
    return [run.outcome for run in runs if isinstance(run.outcome, ChannelResult)]


def run_engine(description: Description, stream: CommandStream) -> ChannelResult:
    return pyramulator.run(description, stream, log=True, stalls=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.split(".")[0])
def test_every_command_issues_when_ramulators_device_let_it(file: Path) -> None:
    for run in read(file):
        mine = outcome(run_engine, run.case)
        found = disagreement(run.outcome, mine, run.case.description)
        if found is not None:
            pytest.fail(f"{run.name}: Ramulator, engine: {found}", pytrace=False)


def test_a_device_of_every_kind_was_recorded() -> None:
    kinds = {"hbm3-pam", "hbm3-pam-gqa", "hbm3-6400"}  # HBM3 at two clocks
    kinds |= {"hbm2e-pam", "hbm3-pam-seq", "hbm3-pam-refpb"}  # whole clocks, macros, in turn
    assert set(RECORDED) == kinds
    assert sum(file.stat().st_size for file in FILES) < MOST_BYTES


@pytest.mark.parametrize("device", RECORDED)
def test_programs_were_recorded_with_and_without_refresh_and_barriers(device: str) -> None:
    runs = read(FOLDER / f"{device}.npz.xz")
    assert all(run.case.description.name == device for run in runs)
    assert len(results(runs)) == len(runs)
    refreshes = [result.counts.get("REFab", 0) or result.counts.get("REFpb", 0)
                 for result in results(runs)]  # fmt: skip
    assert 0 in refreshes and max(refreshes) >= 4
    assert all(sum(result.counts.values()) > 100 for result in results(runs))
    assert len({len(run.case.stream.streams) for run in runs}) >= 3
    assert any((s["command"] == BARRIER).any() for run in runs for s in run.case.stream.streams)


def test_random_runs_are_many_and_few_are_dead() -> None:
    runs = read(FOLDER / "random.npz.xz")
    assert len(runs) >= 300
    assert 1 <= len(runs) - len(results(runs)) < len(runs) // 20


def test_a_device_slower_by_a_tick_is_noticed() -> None:
    """The tests above can fail: of the runs on a changed device, most differ from the recording."""
    runs = [run for file in FILES for run in read(file)[:40]]
    noticed = 0
    for run in runs:
        rows = tuple(replace(row, latency=row.latency + 1) for row in run.case.description.rows)
        changed = Case(replace(run.case.description, rows=rows), run.case.stream)
        mine = outcome(run_engine, changed)
        noticed += disagreement(run.outcome, mine, changed.description) is not None
    assert noticed > len(runs) * 3 // 4


def test_a_file_holds_what_was_packed(tmp_path: Path) -> None:
    runs = read(FOLDER / "random.npz.xz")[:30]
    file = tmp_path / "some.npz.xz"
    file.write_bytes(pack(runs))
    for before, after in zip(runs, read(file), strict=True):
        assert after.name == before.name
        assert as_python(after.case) == as_python(before.case)
        assert disagreement(after.outcome, before.outcome, after.case.description) is None


def test_a_case_is_cut_down_to_what_still_disagrees() -> None:
    """minimise() of the differential tests: one record is all that is left."""
    case = read(FOLDER / "random.npz.xz")[0].case

    def has_a_stream(one: Case) -> bool:
        return any(len(records) for records in one.stream.streams)

    smallest = minimise(case, has_a_stream)
    assert sum(map(len, smallest.stream.streams)) == 1
