"""The store: whole entries or none, whatever happens to the writer, the disk or the clock."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pamsim.batch.store import Store, StoreCorrupt, StoreError

KEY, OTHER = "ab" * 32, "cd" * 32
DOCUMENT = {"result": {"latency_ns": 1.5, "names": ["a", "ü"]}, "seconds": 0.25}
BIG = {"text": [f"{i * 2654435761 % 2**32:08x}" for i in range(20_000)]}  # 90 kB when compressed


def entry(store: Store, key: str = KEY) -> Path:
    return store.path / "points" / key[:2] / f"{key}.jsonl.zst"


def in_child(work: Callable[[], None]) -> int:
    """Runs `work` in a fork; its exit code, or minus the signal that ended it. 0: no exception."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except StoreError as error:
            os.write(2, f"{error}\n".encode())
            code = 5
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_put_and_get(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert not store.has(KEY) and store.keys() == set() and store.failures() == {}
    with pytest.raises(KeyError):
        store.get(KEY)
    store.put(KEY, DOCUMENT)
    assert store.has(KEY) and store.keys() == {KEY}
    assert Store(tmp_path / "store").get(KEY) == DOCUMENT
    store.verify(KEY)
    assert list((store.path / "aside").iterdir()) == []


def test_an_entry_is_two_lines_of_json_for_other_tools(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, DOCUMENT)
    text = zstandard.ZstdDecompressor().decompress(entry(store).read_bytes()).decode()
    head, body = text.splitlines()
    assert f'"key":"{KEY}"' in head and '"latency_ns":1.5' in body


@pytest.mark.parametrize("key", ["", "ab", "../../etc/passwd", "AB" * 32, KEY + "0"])
def test_keys_are_hashes(tmp_path: Path, key: str) -> None:
    with pytest.raises(StoreError, match="key must be a SHA-256"):
        Store(tmp_path).put(key, DOCUMENT)


def test_failures_are_forgotten_when_the_point_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_failure(KEY, "worker was killed", 3)
    failure = store.failures()[KEY]
    assert (failure.reason, failure.attempts) == ("worker was killed", 3)
    store.put(KEY, DOCUMENT)
    assert store.failures() == {}
    store.put_failure(KEY, "a late second attempt", 1)
    assert store.failures() == {}, "a point that has a result has not failed"


def test_every_truncation_and_every_altered_byte_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, DOCUMENT)
    path = entry(store)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreCorrupt):
            store.get(KEY)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            # A bit that decompresses to the same text alters nothing.
            assert store.get(KEY) == DOCUMENT
        except StoreCorrupt:
            continue


def test_an_entry_of_another_key_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, DOCUMENT)
    entry(store, OTHER).parent.mkdir()
    os.rename(entry(store), entry(store, OTHER))
    with pytest.raises(StoreCorrupt, match="entry must be as it was written"):
        store.get(OTHER)
    aside = store.set_aside(OTHER)
    assert aside is not None and aside.parent.name == "corrupt" and not store.has(OTHER)
    assert store.set_aside(OTHER) is None


def test_a_writer_killed_at_any_moment_leaves_no_half_entry(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def write_for_ever() -> None:
        while True:
            for number in range(16):
                store.put(f"{number:064x}", BIG)

    for moment in range(12):
        child = os.fork()
        if child == 0:
            write_for_ever()
        time.sleep(0.02 + moment * 0.007)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for key in sorted(store.keys()):
            assert store.get(key) == BIG
    store.clean()
    assert list((store.path / "aside").iterdir()) == [], "what killed writers left is removed"


def test_clean_leaves_living_and_foreign_writers_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, DOCUMENT)
    own = store._aside("x")
    foreign = store.path / "aside" / "another-host@1.abc.x"
    for path in (own, foreign):
        path.write_bytes(b"half")
    assert store.clean() == 0 and own.exists() and foreign.exists()


def _put_often(path: str, times: int) -> None:
    store = Store(path)
    for number in range(times):
        store.put(KEY, BIG)
        store.put(f"{number:064x}", DOCUMENT)


def test_attempts_at_once_do_no_harm(tmp_path: Path) -> None:
    """Four writers of the same entries; a reader sees a whole entry or none at every moment."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_often, args=(str(tmp_path), 25)) for _ in range(4)]
    for writer in writers:
        writer.start()
    store, seen = Store(tmp_path), 0
    while any(writer.is_alive() for writer in writers):
        if store.has(KEY):
            assert store.get(KEY) == BIG
            seen += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen > 0
    assert len(store.keys()) == 26 and list((tmp_path / "aside").iterdir()) == []


def test_full_disk_is_said_and_loses_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A limit on file sizes stands for the full disk: the write fails after its first part."""
    store = Store(tmp_path)
    store.put(KEY, DOCUMENT)

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        store.put(OTHER, BIG)

    assert in_child(fill) == 5
    said = capfd.readouterr().err
    assert "store must allow to write to" in said and "finished points are kept" in said
    assert store.keys() == {KEY} and store.get(KEY) == DOCUMENT
    assert list((tmp_path / "aside").iterdir()) == [], "nothing half written stays"
    store.put(OTHER, BIG)
    assert store.get(OTHER) == BIG


def test_read_only_store_is_said_and_can_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    store.put(KEY, DOCUMENT)
    _chmod(tmp_path, 0o555)
    try:

        def read_and_write() -> None:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            assert Store(tmp_path).get(KEY) == DOCUMENT
            assert Store(tmp_path).keys() == {KEY}
            Store(tmp_path).check_writable()

        opened = _open_way(tmp_path)
        try:
            code = in_child(read_and_write)
        finally:
            for path, mode in opened:
                os.chmod(path, mode)
        assert code == 5, capfd.readouterr().err
        assert "choose another with --store" in capfd.readouterr().err
    finally:
        _chmod(tmp_path, 0o755)


def _chmod(top: Path, mode: int) -> None:
    for path in [top, *(p for p in top.rglob("*") if p.is_dir())]:
        os.chmod(path, mode)


def _open_way(path: Path) -> list[tuple[Path, int]]:
    """Lets every user pass the private directories above; what to put back."""
    found = []
    for parent in path.parents:
        state = parent.stat()
        if state.st_uid == os.geteuid() and not state.st_mode & 0o001:
            found.append((parent, state.st_mode))
            os.chmod(parent, state.st_mode | 0o001)
    return found


def test_a_store_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="store must be a directory, not the file"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match="store must allow to write to"):
        Store(tmp_path / "file" / "below").check_writable()


def test_clocks_that_jump_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.put(KEY, DOCUMENT)
    for then in (0, 2**31 + 10**6):  # 1970 and 2038
        os.utime(entry(store), (then, then))
        monkeypatch.setattr(time, "time", lambda then=then: float(then))
        assert store.get(KEY) == DOCUMENT and store.keys() >= {KEY}
        store.put(OTHER, DOCUMENT)
        store.put_failure(KEY, "late", 1)
        assert store.failures() == {} and store.clean() == 0
