"""What a sweep would do: how many points, which are there already, what the rest would cost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pamsim.batch.point import Point
from pamsim.batch.reasons import Reason, reasons
from pamsim.batch.store import Store, StoreCorrupt

SAMPLE = 64  # finished points whose time the estimate is made from
_LEAST_FOR_FIT = 8


@dataclass(frozen=True)
class Estimate:
    """Seconds that points take, one after the other on one core; from `measured` finished points.

    None where nothing like it was measured. An estimate: the wall clock of other runs, on the
    machine where they ran.
    """

    seconds: float | None
    measured: int


@dataclass(frozen=True)
class Plan:
    """points: of the sweep; distinct: with different keys, which is what runs."""

    points: int
    distinct: int
    done: int
    failed: int
    reasons: tuple[Reason, ...]
    to_run: tuple[Point, ...]
    estimate: Estimate


def distinct(points: Sequence[Point]) -> list[Point]:
    """One point for each key, in order."""
    return list({point.key: point for point in reversed(points)}.values())[::-1]


def plan(points: Sequence[Point], store: Store, again: bool = False) -> Plan:
    """What is done and what would run: neither finished nor failed; `again`: the failed ones too.

    Entries are not looked into; `damaged` does.
    """
    keys = store.keys()
    failures = store.failures() if store.path.is_dir() else {}
    every = distinct(points)
    failed = [failures[p.key] for p in every if p.key in failures]
    left = [p for p in every if p.key not in keys and (again or p.key not in failures)]
    done = [p for p in every if p.key in keys]
    return Plan(
        points=len(points),
        distinct=len(every),
        done=len(done),
        failed=len(failed),
        reasons=tuple(reasons(failed)),
        to_run=tuple(left),
        estimate=estimate(left, done, store),
    )


def damaged(
    points: Sequence[Point],
    store: Store,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[StoreCorrupt]:
    """Entries of these points that are not what was written. Reads all of them."""
    found = []
    keys = store.keys()
    for number, point in enumerate(distinct(points)):
        advance(number, len(points))
        if point.key in keys:
            try:
                store.verify(point.key)
            except StoreCorrupt as error:
                found.append(error)
            except KeyError:
                continue
    return found


def estimate(left: Sequence[Point], done: Sequence[Point], store: Store) -> Estimate:
    """From up to SAMPLE finished points: their time by the size of their work.

    Finished points of the sweep itself; where there are none, of any other in the store.
    """
    if not left:
        return Estimate(0.0, 0)
    # Which ones is the same each time: an estimate should not flicker.
    every = sorted(p.key for p in done) or sorted(store.keys())
    chosen = random.Random(0).sample(every, SAMPLE) if len(every) > SAMPLE else every
    measured = list(_measured(chosen, store))
    if not measured:
        return Estimate(None, 0)
    times = np.array([seconds for _, seconds in measured])
    sizes = np.array([known for known, _ in measured])
    wanted = np.array([size(point.spec) for point in left])
    if len(measured) < _LEAST_FOR_FIT or np.ptp(sizes) == 0:
        return Estimate(float(times.mean() * len(left)), len(measured))
    slope, base = np.polyfit(sizes, times, 1)
    guess = np.clip(base + slope * wanted, times.min(), None)
    return Estimate(float(guess.sum()), len(measured))


def _measured(keys: Iterable[str], store: Store) -> Iterator[tuple[float, float]]:
    """Size and seconds of finished points."""
    for key in keys:
        try:
            document = store.get(key)
            yield size(document["spec"]), float(document["seconds"])
        except (KeyError, StoreCorrupt, TypeError, ValueError):
            continue


def size(spec: dict[str, Any]) -> float:
    """What a point's time grows with: the tokens of its distinct contexts, more with proofs."""
    runs = spec["contexts"]
    tokens = sum({run[0] for run in runs}) if len(runs) > 1 else runs[0][0]
    return float(tokens * (1 if spec["validate"] == "off" else 2))
