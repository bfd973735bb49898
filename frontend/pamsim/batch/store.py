"""Results by key, in a directory that many processes and machines may use at once, without locks.

points/KK/KEY.jsonl.zst   a finished point: a header line (key, SHA-256 of the rest), the document
failed/KK/KEY.json        why a point has no result, and after how many attempts
corrupt/KEY.*             entries that were found damaged, set aside
aside/                    files being written: a name of its own for each, renamed when complete

A reader sees a whole entry or none: entries appear by rename. Of two attempts at one point the
later replaces the earlier, which says the same. No decision depends on a clock.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from pamsim.batch.point import is_key
from pamsim.errors import PamsimError, Position
from pamsim.report.text import canonical, sha256_bytes

FORMAT = 1
POINTS, FAILED, CORRUPT, ASIDE = "points", "failed", "corrupt", "aside"
_ENTRY, _REASON = ".jsonl.zst", ".json"
_LEVEL = 3  # of zstd: an entry shrinks about tenfold in 1 ms
_MAX_ENTRY_BYTES = 1 << 30
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class StoreError(PamsimError):
    """The store cannot be used: full, read-only, not a directory."""


class StoreCorrupt(PamsimError):
    """An entry is not what was written: truncated, altered, or of another key."""

    def __init__(self, message: str, path: Path, key: str) -> None:
        super().__init__(message, Position(str(path)), "it runs again with the next submit")
        self.key = key


@dataclass(frozen=True)
class Failure:
    """Why a point has no result."""

    key: str
    reason: str
    attempts: int


class Store:
    """The results below `path`, which is made when something is put there first."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            a_file = self.path.exists() and not self.path.is_dir()
        except OSError as error:
            raise _store_error("read", self.path, error) from error
        if a_file:
            raise StoreError(f"store must be a directory, not the file {str(self.path)!r}")

    def has(self, key: str) -> bool:
        """Whether the point has an entry; `get` says whether it is sound."""
        return self._entry(key).is_file()

    def get(self, key: str) -> dict[str, Any]:
        """The document of a point. Raises KeyError, StoreCorrupt, StoreError."""
        document = json.loads(self._body(key))
        assert isinstance(document, dict)
        return document

    def verify(self, key: str) -> None:
        """Raises KeyError, StoreCorrupt or StoreError, as `get` would; quicker."""
        self._body(key)

    def _body(self, key: str) -> bytes:
        """The document's bytes, whose hash is as the header says."""
        path = self._entry(key)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError as error:
            raise _store_error("read", path, error) from error
        try:
            text = zstandard.ZstdDecompressor().decompress(raw, max_output_size=_MAX_ENTRY_BYTES)
            head, _, body = text.partition(b"\n")
            header = json.loads(head)
            body = body.removesuffix(b"\n")
            known = header["key"] == key and header["format"] == FORMAT
            if not known or sha256_bytes(body) != header["sha256"]:
                raise ValueError
        except (zstandard.ZstdError, ValueError, KeyError, TypeError, MemoryError):
            raise StoreCorrupt("entry must be as it was written", path, key) from None
        return body

    def put(self, key: str, document: dict[str, Any]) -> None:
        """Stores a finished point and forgets its failure. Raises StoreError; then nothing changed.

        document: plain JSON data.
        """
        body = canonical(document).encode()
        header = canonical({"format": FORMAT, "key": key, "sha256": sha256_bytes(body)}).encode()
        content = zstandard.ZstdCompressor(_LEVEL).compress(header + b"\n" + body + b"\n")
        self._publish(self._entry(key), content)
        self.forget_failure(key)

    def put_failure(self, key: str, reason: str, attempts: int) -> None:
        """Records why a point has no result. Raises StoreError."""
        failure = {"format": FORMAT, "key": key, "reason": reason, "attempts": attempts}
        self._publish(self._failure(key), (canonical(failure) + "\n").encode())

    def forget_failure(self, key: str) -> None:
        """Lets the point be tried again."""
        with contextlib.suppress(OSError):
            self._failure(key).unlink()

    def failures(self) -> dict[str, Failure]:
        """Failed points by key; a point that has a result has not failed."""
        return {
            key: self.failure(key) for key in sorted(set(self._keys(FAILED, _REASON)) - self.keys())
        }

    def failure(self, key: str) -> Failure:
        """Why a point failed. Raises KeyError."""
        try:
            said = json.loads(self._failure(key).read_bytes())
            return Failure(key, str(said["reason"]), int(said["attempts"]))
        except FileNotFoundError:
            raise KeyError(key) from None
        except (OSError, ValueError, KeyError, TypeError):
            return Failure(key, "the record of its failure cannot be read", 0)

    def keys(self) -> set[str]:
        """Keys of all entries, without looking into them."""
        return set(self._keys(POINTS, _ENTRY))

    def set_aside(self, key: str) -> Path | None:
        """Moves a damaged entry to corrupt/, so that the point is missing; None when it is gone."""
        target = self.path / CORRUPT / f"{key}.{secrets.token_hex(4)}{_ENTRY}"
        try:
            target.parent.mkdir(exist_ok=True)
            os.rename(self._entry(key), target)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _store_error("move", self._entry(key), error) from error
        return target

    def check_writable(self) -> None:
        """Raises StoreError where nothing could be put: before a batch starts, not at its end."""
        probe = self._aside("probe")
        try:
            probe.write_bytes(b"x")
        except OSError as error:
            raise _store_error("write to", self.path, error) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()

    def clean(self) -> int:
        """Removes what killed writers of this machine left in aside/; returns how many files."""
        removed = 0
        with contextlib.suppress(OSError):
            for path in list((self.path / ASIDE).iterdir()):
                host, _, rest = path.name.rpartition("@")
                process = rest.split(".")[0]
                if host == socket.gethostname() and process.isdigit() and not _alive(int(process)):
                    with contextlib.suppress(OSError):
                        path.unlink()
                        removed += 1
        return removed

    def _entry(self, key: str) -> Path:
        return self._place(POINTS, key, _ENTRY)

    def _failure(self, key: str) -> Path:
        return self._place(FAILED, key, _REASON)

    def _place(self, part: str, key: str, ending: str) -> Path:
        if not is_key(key):
            raise StoreError(f"key must be a SHA-256 in hexadecimal, not {key[:80]!r}")
        return self.path / part / key[:2] / (key + ending)

    def _keys(self, part: str, ending: str) -> Iterator[str]:
        try:
            groups = [e.path for e in os.scandir(self.path / part) if e.is_dir()]
            for group in groups:
                for entry in os.scandir(group):
                    key = entry.name.removesuffix(ending)
                    if is_key(key) and key != entry.name:
                        yield key
        except FileNotFoundError:
            return
        except OSError as error:
            raise _store_error("list", self.path, error) from error

    def _aside(self, name: str) -> Path:
        directory = self.path / ASIDE
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _store_error("write to", self.path, error) from error
        return directory / f"{socket.gethostname()}@{os.getpid()}.{secrets.token_hex(8)}.{name}"

    def _publish(self, target: Path, content: bytes) -> None:
        """Writes aside, then renames: the entry is whole or absent at every moment.

        It is not flushed to the disk, which costs up to 8 ms where others write, of a point of
        50 ms: what a power failure truncates is found by its hash, and runs again.
        """
        aside = self._aside(target.name[:8])
        try:
            with open(aside, "xb") as file:
                file.write(content)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(aside, target)
        except BaseException as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            if isinstance(error, OSError):
                raise _store_error("write to", self.path, error) from error
            raise


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _store_error(action: str, path: Path, error: OSError) -> StoreError:
    reason = error.strerror or str(error)
    hint = ""
    if error.errno in _FULL:
        hint = "finished points are kept; free some space and submit again"
    elif error.errno in _READ_ONLY:
        hint = "choose another with --store"
    return StoreError(
        f"store must allow to {action} {str(path)!r}, not refuse ({reason})", None, hint
    )
