"""What executors share: handles, submissions' directories, runners by name, progress."""

from __future__ import annotations

from pathlib import Path

import pytest
from batch_points import RUNNER, point, points, square

from pamsim.batch.executors import Progress, load_handle, load_handles, make_executor
from pamsim.batch.executors.base import (
    ExecutorError,
    Handle,
    Tally,
    attempt,
    load_runner,
    new_submission,
    runner_name,
)
from pamsim.batch.store import Store, StoreError
from pamsim.errors import EXIT_POINTS_FAILED, InputError


def test_an_unknown_executor_names_a_near_one() -> None:
    with pytest.raises(InputError, match=r"not 'slrum' \(did you mean 'slurm'\?\)"):
        make_executor("slrum")


def test_submissions_are_numbered_and_read_back(tmp_path: Path) -> None:
    wanted = points(3, tmp_path / "traces")
    for executor in ("local", "slurm", "local"):
        new_submission(executor, wanted, tmp_path / "store", RUNNER, tmp_path / "runs").save()
    found = load_handles(tmp_path / "runs")
    assert [h.directory.name for h in found] == ["0001-local", "0002-slurm", "0003-local"]
    assert (
        found[1]
        == load_handle(found[1].directory)
        == load_handle(found[1].directory / "handle.json")
    )
    assert found[1].points() == wanted
    assert (found[1].store, found[1].runner) == (tmp_path / "store", RUNNER)


def test_the_number_after_9999_is_10000(tmp_path: Path) -> None:
    (tmp_path / "9999-local").mkdir()
    handle = new_submission("local", points(1, tmp_path / "t"), tmp_path / "s", RUNNER, tmp_path)
    assert handle.directory.name == "10000-local"


def test_a_submission_forgets_the_failures_of_its_points_and_of_no_other(tmp_path: Path) -> None:
    wanted = points(3, tmp_path / "traces")
    store = Store(tmp_path / "store")
    for one in wanted:
        store.put_failure(one.key, "broken", 1)
    new_submission("local", wanted[:2], tmp_path / "store", RUNNER, tmp_path / "runs")
    assert set(store.failures()) == {wanted[2].key}


def test_a_submission_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must have points, not none"):
        new_submission("local", [], tmp_path / "store", RUNNER, tmp_path / "runs")


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(ExecutorError, match="directory must be writable") as error:
        new_submission("local", points(1, tmp_path), tmp_path / "s", RUNNER, tmp_path / "runs")
    assert error.value.exit_code == EXIT_POINTS_FAILED


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_handle_that_is_not_one_says_where(tmp_path: Path, text: str) -> None:
    (tmp_path / "handle.json").write_text(text)
    with pytest.raises(InputError, match=r"handle must be one that submit wrote .*handle\.json\]"):
        load_handle(tmp_path)


def test_a_sweep_that_was_never_submitted_has_no_handles(tmp_path: Path) -> None:
    assert load_handles(tmp_path / "runs") == []


def test_saving_a_handle_leaves_nothing_aside(tmp_path: Path) -> None:
    Handle("local", tmp_path, tmp_path / "store", RUNNER, {"a": 1}).save()
    assert [path.name for path in tmp_path.iterdir()] == ["handle.json"]
    assert load_handle(tmp_path).details == {"a": 1}


def test_runners_go_by_name() -> None:
    assert runner_name(square) == RUNNER
    assert load_runner(RUNNER) is square


@pytest.mark.parametrize("name", ["batch_points", ":square", "__main__:square", "a:f.<locals>.g"])
def test_a_runner_that_a_worker_could_not_import_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="runner must be a function at the top of a module"):
        runner_name(name)


def test_a_runner_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="runner must be importable, not 'batch_points:cube'"):
        load_runner("batch_points:cube")


def test_an_attempt_says_why_it_failed_and_records_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    bad = point(1, tmp_path, raises="two\nlines")
    assert attempt(square, store, bad) == "ValueError: two lines"
    assert store.failure(bad.key).reason == "ValueError: two lines"
    assert attempt(square, store, point(1, tmp_path)) is None
    assert store.failures() == {}


def test_an_attempt_leaves_a_store_that_refuses_to_its_caller(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "aside").write_text("in the way")
    with pytest.raises(StoreError):
        attempt(square, Store(tmp_path / "store"), point(1, tmp_path))


@pytest.mark.parametrize("list_above", [0, 5000])
def test_a_tally_counts_done_failed_and_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, list_above: int
) -> None:
    monkeypatch.setattr("pamsim.batch.executors.base._LIST_ABOVE", list_above)
    store = Store(tmp_path / "store")
    wanted = points(5, tmp_path / "traces")
    tally = Tally(store, [one.key for one in wanted])
    tally.look()
    assert (tally.done, tally.failed, len(tally.open)) == (0, set(), 5)
    square(store, wanted[0])
    store.put_failure(wanted[1].key, "broken", 1)
    tally.look()
    assert (tally.done, tally.failed, len(tally.open)) == (1, {wanted[1].key}, 3)
    square(store, wanted[1])  # a second attempt, of another submission
    tally.look()
    assert (tally.done, tally.failed, len(tally.open)) == (2, set(), 3)


def test_progress_adds_up() -> None:
    progress = Progress(done=5, failed=4, running=3, pending=2, missing=1)
    assert progress.total == 15 and not progress.finished
    assert Progress(5, 4, 0, 0, 1).finished
