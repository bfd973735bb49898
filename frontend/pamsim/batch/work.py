"""What every executor does with a point, and the list of points that a worker is given.

An executor calls `run_one` for each point, in any process, on any machine that sees the store. A
worker that is killed leaves nothing behind; the executor decides whether to try again and records
with `Store.put_failure` when it gives up.
"""

from __future__ import annotations

import contextlib
import json
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pamsim.batch.point import Point, is_key
from pamsim.batch.store import Store, StoreCorrupt, StoreError
from pamsim.errors import InputError, PamsimError, Position
from pamsim.report.text import canonical

Evaluate = Callable[[Point], dict[str, Any]]  # the document that goes into the store


def run_one(store: Store, point: Point, evaluate: Evaluate | None = None) -> None:
    """Runs a point unless the store has its result; puts the result or the reason of its failure.

    A damaged entry is set aside and the point runs again. Raises StoreError when the store cannot
    be used (the point is then as if it had never run); nothing else, but interrupts.
    """
    if _has_sound(store, point.key):
        return
    if evaluate is None:
        from pamsim.batch.run_point import evaluate_point

        evaluate = evaluate_point
    try:
        document = evaluate(point)
    except StoreError:
        raise
    except PamsimError as error:
        store.put_failure(point.key, str(error), 1)
    except MemoryError:
        store.put_failure(point.key, "out of memory", 1)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        text = " ".join(str(error).split())[:500]
        store.put_failure(point.key, f"{type(error).__name__}: {text} [{place}]", 1)
    else:
        store.put(point.key, document)


def _has_sound(store: Store, key: str) -> bool:
    try:
        store.verify(key)
    except KeyError:
        return False
    except StoreCorrupt:
        store.set_aside(key)
        return False
    return True


def write_points(path: str | os.PathLike[str], points: Sequence[Point]) -> None:
    """Writes one point a line, aside and then in place. Raises StoreError."""
    target = Path(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "w", encoding="utf-8") as file:
            file.writelines(canonical({"key": p.key, "spec": p.spec}) + "\n" for p in points)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        reason = error.strerror or str(error)
        raise StoreError(f"points must be writable to {str(target)!r} ({reason})") from error


def read_points(path: str | os.PathLike[str]) -> list[Point]:
    """The points of a file, in order. Raises InputError with the line of the first fault."""
    points = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                points.append(_point(line, Position(str(path), number)))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"points must be a readable file ({reason})", Position(str(path))
        ) from error
    return points


def shard(points: Sequence[Point], number: int, count: int) -> list[Point]:
    """Every `count`-th point from the `number`-th on, which counts from 1."""
    if not 1 <= number <= count:
        raise InputError(f"shard must be i/n with 1 <= i <= n, not {number}/{count}")
    return list(points[number - 1 :: count])


def _point(line: str, place: Position) -> Point:
    try:
        said = json.loads(line)
        key, spec = said["key"], said["spec"]
    except (ValueError, KeyError, TypeError):
        raise InputError("point must be a JSON object with key and spec", place) from None
    if not isinstance(key, str) or not is_key(key) or not isinstance(spec, dict):
        raise InputError("point must have a key that is a SHA-256 and a spec", place)
    return Point(key, spec)
