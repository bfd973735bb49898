"""A sweep's own directory: which points were submitted, from which text of the sweep file.

points.jsonl   the points, one a line
sweep.yaml     the sweep file as it was
sweep.json     where it is, its hash, the store; written last
runs/          what executors write: one directory a submission
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pamsim.batch.point import Point
from pamsim.batch.store import StoreError
from pamsim.batch.sweep import Sweep
from pamsim.batch.work import read_points, write_points
from pamsim.errors import InputError, Position
from pamsim.report.text import json_text, sha256_bytes

FORMAT = 1
POINTS, TEXT, RECORD, RUNS = "points.jsonl", "sweep.yaml", "sweep.json", "runs"
HOME = Path("pamsim-out") / "sweep"
STORE = Path("pamsim-out") / "store"


@dataclass(frozen=True)
class Submission:
    """What was submitted. Results are collected of these points, whatever the file says by now."""

    directory: Path
    sweep_path: Path
    sweep_sha256: str
    store: Path

    @property
    def points_path(self) -> Path:
        return self.directory / POINTS

    @property
    def runs(self) -> Path:
        return self.directory / RUNS

    @cached_property
    def points(self) -> list[Point]:
        return read_points(self.points_path)

    @cached_property
    def edited(self) -> bool:
        """Whether the sweep file is another text now, or gone."""
        try:
            return sha256_bytes(self.sweep_path.read_bytes()) != self.sweep_sha256
        except OSError:
            return True


def directory_of(sweep_path: Path, given: Path | None) -> Path:
    """The directory of a sweep file: as given, else by the file's name below pamsim-out."""
    return given if given is not None else HOME / sweep_path.stem


def record(sweep: Sweep, points: list[Point], directory: Path, store: Path) -> Submission:
    """Writes the directory of a sweep that is being submitted. Raises StoreError, InputError.

    Refused where the directory is of a sweep file elsewhere.
    """
    earlier = load(directory)
    if earlier is not None and earlier.sweep_path != sweep.path:
        raise InputError(
            f"directory must be of this sweep, not {str(directory)!r}, which is of "
            f"{str(earlier.sweep_path)!r}",
            hint="choose another with -o",
        )
    found = Submission(directory.absolute(), sweep.path, sweep.sha256, store.absolute())
    document = {
        "format": FORMAT,
        "sweep": str(sweep.path),
        "sha256": sweep.sha256,
        "store": str(found.store),
        "points": len(points),
    }
    write_points(found.points_path, points)
    _write(directory / TEXT, sweep.path.read_bytes())
    _write(directory / RECORD, json_text(document).encode())
    return found


def load(directory: Path) -> Submission | None:
    """The submission in a directory, None where there is none. Raises InputError for a bad one."""
    path = directory / RECORD
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}")
        return Submission(
            directory.absolute(), Path(said["sweep"]), str(said["sha256"]), Path(said["store"])
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"record must be as `pamsim sweep submit` writes it ({error})", Position(str(path))
        ) from error


def _write(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        reason = error.strerror or str(error)
        raise StoreError(
            f"directory must be writable, not {str(path.parent)!r} ({reason})"
        ) from error
