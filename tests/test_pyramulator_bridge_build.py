"""Finding Ramulator and compiling the bridge: what is refused, and what is compiled when."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pyramulator import bridge_build
from pyramulator.errors import EngineError

ROOT = os.environ.get("RAMULATOR2_ROOT")
needs_ramulator = pytest.mark.skipif(
    not ROOT, reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)


def checkout(folder: Path, version: str) -> Path:
    """A folder that says that it is Ramulator of this version, and holds nothing else."""
    (folder / "CMakeLists.txt").write_text(f"project(\n  Ramulator\n  VERSION {version}\n)\n")
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copies of the sources that the bridge relies on, without a history and not built."""
    assert ROOT is not None
    for name in ("base", "dram", "controller"):
        shutil.copytree(
            Path(ROOT) / "src" / "ramulator" / name, tmp_path / "src" / "ramulator" / name
        )
    return checkout(tmp_path, "2.1")


def refusal(monkeypatch: pytest.MonkeyPatch, root: Path | str | None) -> str:
    if root is None:
        monkeypatch.delenv("RAMULATOR2_ROOT", raising=False)
    else:
        monkeypatch.setenv("RAMULATOR2_ROOT", str(root))
    with pytest.raises(EngineError) as error:
        bridge_build.find()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_root_that_is_not_named_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "export RAMULATOR2_ROOT=/path/to/ramulator2" in refusal(monkeypatch, None)


def test_a_missing_root_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    assert refusal(monkeypatch, missing) == f"RAMULATOR2_ROOT must name a folder, not {missing}"


def test_another_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "must name a checkout of Ramulator 2.1" in refusal(monkeypatch, tmp_path)


def test_version_2_0_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    message = refusal(monkeypatch, checkout(tmp_path, "2.0"))
    assert "must be version 2.1, not 2.0" in message
    assert "checkout c5b1c3a, then build it" in message


def test_other_sources_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    message = refusal(monkeypatch, checkout(tmp_path, "2.1"))
    assert "must have the sources of commit c5b1c3a, not others" in message


def test_another_commit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkout(tmp_path, "2.1")
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(bridge_build, "_commit", lambda root: "0123456789abcdef")
    assert "must be at commit c5b1c3a, not 0123456" in refusal(monkeypatch, tmp_path)


@needs_ramulator
def test_a_changed_source_is_noticed(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    node = sources / "src" / "ramulator" / "dram" / "node.cpp"
    node.write_text(node.read_text() + "\n")
    assert "must have the sources of commit c5b1c3a, not others" in refusal(monkeypatch, sources)


@needs_ramulator
def test_an_unbuilt_checkout_is_refused(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    message = refusal(monkeypatch, sources)
    assert "must be built, and has no libramulator.so: build it as its README says" in message


@needs_ramulator
def test_a_library_older_than_the_sources_is_refused(
    monkeypatch: pytest.MonkeyPatch, sources: Path
) -> None:
    library = sources / "libramulator.so"
    library.write_bytes(b"")
    os.utime(library, (0, 0))
    assert "must be newer than its sources" in refusal(monkeypatch, sources)


@needs_ramulator
def test_the_bridge_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def compile_nothing(command: list[str]) -> None:
        commands.append(command)
        Path(command[-1]).write_bytes(b"compiled")

    monkeypatch.setattr(bridge_build, "_compile", compile_nothing)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = bridge_build.build()
    assert first.parent == tmp_path / "pamsim"
    assert (bridge_build.build(), len(commands)) == (first, 1)
    monkeypatch.setenv("CXX", "g++ -O1")
    second = bridge_build.build()
    assert second != first
    assert len(commands) == 2
    assert sorted(first.parent.iterdir()) == sorted([first, second])  # nothing half written


@needs_ramulator
def test_the_compiler_sees_our_sources_and_ramulators_headers_and_library_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(bridge_build, "_compile", commands.append)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bridge_build.build()
    files = [part for part in commands[0] if part.endswith((".cpp", ".so"))][:-1]  # -o aside
    ours = sorted(map(str, bridge_build.SOURCES.glob("*.cpp")))
    assert files == [*ours, str(Path(ROOT or "").resolve() / "libramulator.so")]


@needs_ramulator
def test_a_compiler_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EngineError, match="no-such-compiler fails"):
        bridge_build.build()
    assert not list(tmp_path.rglob("*.so"))


@needs_ramulator
def test_what_does_not_compile_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "sources"
    broken.mkdir()
    (broken / "abi.cpp").write_text("#error this is the reason\n")
    monkeypatch.setattr(bridge_build, "SOURCES", broken)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(EngineError, match="this is the reason"):
        bridge_build.build()
    assert not list((tmp_path / "cache").rglob("*.so"))


@needs_ramulator
def test_an_unwritable_cache_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pamsim").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EngineError, match="must be writable"):
        bridge_build.build()
