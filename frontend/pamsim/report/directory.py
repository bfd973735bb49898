"""Result directories: written aside, then put in place; complete or absent, never half.

A directory is a result exactly when it holds `manifest.json`, which is written last. Files that are
not pamsim's are never touched, also not with --force.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from pamsim.errors import InputError
from pamsim.report.text import sha256_bytes

MANIFEST = "manifest.json"


class OutputDirectory:
    """A context in which files are collected; they appear together at `commit`, or not at all.

    Raises InputError on entry when the place cannot be used: it is a file, not writable, or holds
    something and `force` is not set.
    """

    def __init__(self, path: Path, force: bool = False) -> None:
        self.path, self.force = path, force
        self._aside: Path | None = None

    def __enter__(self) -> OutputDirectory:
        path = self.path
        try:
            if path.exists() and not path.is_dir():
                raise InputError(
                    f"output directory must be a directory, not the file {str(path)!r}"
                )
            self._must_be_free()
            parent = path.absolute().parent
            self._made = _make_parents(parent)
            self._aside = Path(tempfile.mkdtemp(prefix=f".{path.name or 'pamsim'}-", dir=parent))
            if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except (OSError, ValueError) as error:
            self.__exit__(None, None, None)
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"output directory must be writable, not {str(path)!r} ({reason})"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._aside is not None:
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside = None
        for made in reversed(getattr(self, "_made", [])):
            with contextlib.suppress(OSError):
                made.rmdir()  # only where nothing was put into it

    def _must_be_free(self) -> None:
        if not self.force and self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(
                f"output directory must be empty or new, not {str(self.path)!r}, which holds files",
                hint="choose another with -o, or let --force replace a result that is there",
            )

    def write(self, name: str, content: bytes) -> str:
        """Puts a file aside; returns the SHA-256 of its content."""
        assert self._aside is not None, "write after the directory was closed"
        target = self._aside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return sha256_bytes(content)

    def commit(self) -> None:
        """Puts everything in place. An interrupt waits until it is done.

        Raises InputError where another run has filled the directory since (unless `force`).
        """
        assert self._aside is not None, "commit after the directory was closed"
        with _interrupts_deferred():
            if not self.path.exists():
                os.chmod(self._aside, 0o777 & ~_umask())
                try:
                    os.rename(self._aside, self.path)
                    self._aside = None
                    return
                except OSError:
                    if not self.path.exists():
                        raise  # else another run has made it in this moment
            self._must_be_free()
            self._replace()

    def _replace(self) -> None:
        """Takes the old result's files out, the new ones in; the manifest first and last."""
        assert self._aside is not None
        stale = _own_files(self.path)
        with contextlib.suppress(FileNotFoundError):
            (self.path / MANIFEST).unlink()
        names = sorted(
            str(p.relative_to(self._aside)) for p in self._aside.rglob("*") if p.is_file()
        )
        for name in sorted(names, key=lambda n: (n == MANIFEST, n)):
            if name == MANIFEST:
                _remove(self.path, stale - set(names))
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._aside / name, target)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a result directory, None where there is none that can be read."""
    try:
        data = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _own_files(path: Path) -> set[str]:
    """Files of the result in `path` that still are as its manifest says."""
    manifest = read_manifest(path)
    files = manifest.get("files") if manifest else None
    own = set()
    for name, sha in (files or {}).items():
        place = path / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not place.is_file():
            continue
        if sha256_bytes(place.read_bytes()) == sha:
            own.add(name)
    return own


def _remove(path: Path, names: set[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            (path / name).unlink()
    for parent in sorted({(path / n).parent for n in names} - {path}, reverse=True):
        with contextlib.suppress(OSError):
            parent.rmdir()


def _make_parents(parent: Path) -> list[Path]:
    missing = []
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    made = list(reversed(missing))
    for directory in made:
        directory.mkdir(exist_ok=True)
    return made


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Holds SIGINT and SIGTERM back for the few renames of a commit (main thread only)."""
    held: list[int] = []
    try:
        old = {
            s: signal.signal(s, lambda number, frame: held.append(number))
            for s in (signal.SIGINT, signal.SIGTERM)
        }
    except ValueError:  # not the main thread: signals do not arrive here
        yield
        return
    try:
        yield
    finally:
        for which, handler in old.items():
            signal.signal(which, handler)
        for number in held:
            signal.raise_signal(number)
