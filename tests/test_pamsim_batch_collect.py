"""Tables and pictures of a sweep: columns with units, parquet where it can be, fronts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pamsim.batch import collect as collecting
from pamsim.batch.collect import collect, write_table
from pamsim.batch.expand import Expansion
from pamsim.batch.plan import damaged, distinct, estimate, plan
from pamsim.batch.plot import column, draw, pareto_front
from pamsim.batch.point import Point
from pamsim.batch.store import Store, StoreError
from pamsim.batch.submission import Submission, record
from pamsim.batch.sweep import read_sweep
from pamsim.batch.work import run_one
from pamsim.cli.sweep_progress import Bar
from pamsim.errors import InputError

SWEEP = """
model: llama-3-8b
workload: {contexts: [[64, 64, 32], [128]]}
set:
  tiers.hbm.device.timing.nFAW: [16, 20]
  tiers.hbm.link.latency: {from: 50, to: 100, step: 50, unit: ns}
  host.compute_utilisation: [0.5]
validate: off
"""


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Submission:
    """Eight points, of which the last has failed and the one before is missing."""
    home = tmp_path_factory.mktemp("sweep")
    (home / "s.yaml").write_text(SWEEP)
    sweep = read_sweep(home / "s.yaml")
    points = Expansion(sweep).points
    store = Store(home / "store")
    for point in points[:-2]:
        run_one(store, point)
    store.put_failure(points[-1].key, "worker was killed", 3)
    return record(sweep, points, home / "dir", store.path)


def test_a_row_for_every_point(submission: Submission) -> None:
    table = collect(submission)
    assert len(table) == 8
    assert table["status"].tolist() == ["done"] * 6 + ["missing", "failed"]
    assert table["reason"].tolist()[-1] == "worker was killed"
    assert table["contexts_tokens"].tolist() == ["64,64,32"] * 4 + ["128"] * 4
    assert table["batch_requests"].tolist() == [3] * 4 + [1] * 4
    assert table["context_mean_tokens"].tolist()[0] == pytest.approx(160 / 3)
    # The unit is the constant's own (CK), or the one that the sweep gives.
    assert table["tiers.hbm.device.timing.nFAW_ck"].tolist()[:4] == [16, 16, 20, 20]
    assert table["tiers.hbm.link.latency_ns"].tolist()[:4] == [50, 100, 50, 100]
    assert not any("utilisation" in name for name in table.columns), "it does not vary"
    done = table[table["status"] == "done"]
    # 100 ns of link latency take longer than 50, and nothing else differs.
    pairs = done["latency_ns"].to_numpy()[:4].reshape(2, 2)
    assert (pairs[:, 1] > pairs[:, 0]).all()
    rates = done["batch_requests"] / done["latency_ns"] * 1e9
    assert np.allclose(done["tokens_per_s"], rates, rtol=1e-12)


def test_csv_always_and_parquet_where_it_can_be(
    submission: Submission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = collect(submission)
    monkeypatch.setattr(collecting, "find_spec", lambda name: None)
    assert write_table(table, tmp_path / "a.csv") == [tmp_path / "a.csv"]
    with pytest.raises(StoreError, match=r"pamsim\[parquet\]"):
        write_table(table, tmp_path / "a.csv", parquet=True)
    monkeypatch.undo()
    back = pd.read_csv(tmp_path / "a.csv")
    assert back["latency_ns"].tolist()[:6] == table["latency_ns"].tolist()[:6]
    if collecting.has_parquet():
        written = write_table(table, tmp_path / "b.csv")
        assert [path.name for path in written] == ["b.csv", "b.parquet"]
        pd.testing.assert_frame_equal(pd.read_parquet(written[1]), table)
    with pytest.raises(StoreError, match="table must be writable"):
        write_table(table, tmp_path / "a.csv" / "below.csv")


def test_plan_of_what_is_there(submission: Submission) -> None:
    store = Store(submission.store)
    found = plan(submission.points, store)
    assert (found.points, found.distinct, found.done, found.failed) == (8, 8, 6, 1)
    assert [p.key for p in found.to_run] == [submission.points[6].key]
    assert [(r.text, r.points) for r in found.reasons] == [("worker was killed", 1)]
    assert len(plan(submission.points, store, again=True).to_run) == 2
    assert damaged(submission.points, store) == []
    measured = [store.get(p.key)["seconds"] for p in submission.points[:6]]
    assert found.estimate.measured == 6
    assert found.estimate.seconds == pytest.approx(sum(measured) / 6)  # fewer than 8: their mean


def test_estimates_grow_with_the_work(tmp_path: Path) -> None:
    """Sixteen points of 1 ms a token and 0.5 s: a point of 100,000 tokens takes 100.5 s."""
    store = Store(tmp_path)
    points = [Point(f"{n:064x}", {"contexts": [[n * 100, 4]], "validate": "off"})
              for n in range(1, 17)]  # fmt: skip
    for point in points:
        tokens = point.spec["contexts"][0][0]
        store.put(point.key, {"spec": point.spec, "seconds": 0.5 + tokens / 1000})
    large = Point("f" * 64, {"contexts": [[100_000, 1]], "validate": "off"})
    found = estimate([large, large], points, store)
    assert found.seconds == pytest.approx(201) and found.measured == 16
    assert estimate([], points, store).seconds == 0
    assert estimate([large], [], Store(tmp_path / "empty")).seconds is None


def test_points_alike_run_once() -> None:
    first = Point("a" * 64, {"labels": {"n": 1}})
    same = Point("a" * 64, {"labels": {"n": 2}})
    assert distinct([first, same, Point("b" * 64, {})]) == [first, Point("b" * 64, {})]


@pytest.mark.parametrize(
    ("larger", "front"),
    [((False, False), {0, 2, 4}), ((True, True), {3, 5}), ((True, False), {4, 5})],
)
def test_pareto_fronts(larger: tuple[bool, bool], front: set[int]) -> None:
    """Six points on paper: A(1,5) B(2,6) C(2,3) D(3,7) E(4,1) F(6,4)."""
    x, y = np.array([1, 2, 2, 3, 4, 6.0]), np.array([5, 6, 3, 7, 1, 4.0])
    assert set(pareto_front(x, y, *larger).tolist()) == front


def test_columns_by_their_short_names(submission: Submission) -> None:
    table = collect(submission)
    assert column(table, "latency") == "latency_ns"
    assert column(table, "nFAW") == "tiers.hbm.device.timing.nFAW_ck"
    with pytest.raises(InputError, match="column must be one, not 'context'"):
        column(table, "context")
    with pytest.raises(InputError, match="did you mean 'energy_pj'"):
        column(table, "enrgy_pj")


def test_what_cannot_be_drawn(submission: Submission, tmp_path: Path) -> None:
    table = collect(submission)
    with pytest.raises(InputError, match="plot must be a file ending in"):
        draw(table, tmp_path / "p.jpg", "line", "latency", "energy_pj")
    with pytest.raises(InputError, match="heatmap must have a column for its colours"):
        draw(table, tmp_path / "p.svg", "heatmap", "latency", "energy_pj")
    with pytest.raises(InputError, match="finished points, not none"):
        draw(table[table["status"] != "done"], tmp_path / "p.svg", "line", "nFAW", "energy_pj")


def test_equal_results_are_equal_pictures(submission: Submission, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    table = collect(submission)
    one = draw(table, tmp_path / "a.svg", "line", "nFAW", "latency_ns", "latency_ns")
    two = draw(table, tmp_path / "b.svg", "line", "nFAW", "latency_ns", "latency_ns")
    assert one.read_bytes() == two.read_bytes()


def test_progress_in_words() -> None:
    bar = Bar(100, quiet=True, done_before=10)
    begin = bar.started
    # 40 ended in 20 s: 2 a second; 50 are left: 25 s.
    assert bar.words(45, 5, begin + 20) == "5 failed, 2 a second, 25 s left"
    # 1 in 20 s: 3 a minute; 89 left: 1780 s.
    assert bar.words(11, 0, begin + 20) == "3 a minute, 29.7 min left"
    assert bar.words(10, 0, begin) == ""
