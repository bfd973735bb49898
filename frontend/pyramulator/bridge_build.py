"""Finds a built Ramulator 2.1 and compiles our bridge against it, once, into the user's cache.

Nothing here fetches, changes or builds Ramulator: RAMULATOR2_ROOT names a checkout that its owner
has built as its own README says. The compiler sees our sources, its headers and its library.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyramulator.errors import EngineError

ROOT_VARIABLE = "RAMULATOR2_ROOT"
VERSION = "2.1"
COMMIT = "c5b1c3a478b68853a61a0b8f99510d0dde7e6fd0"
"""The commit of CMU-SAFARI/ramulator2 that the bridge is verified with."""

CORE_DIGEST = "6a9d08ad3a842dac015b272cbbdb25f8c2149319fcc047004f74cc40eea428c9"
"""core_digest of that commit: known without git too, and of no other content."""

HERE = Path(__file__).resolve().parent
NATIVE = HERE / "native"  # pyramulator.h
SOURCES = next(  # in an installed wheel beside this file, in a checkout where they are kept
    (folder for folder in (HERE / "ramulator_bridge",) if folder.is_dir()),
    HERE.parent.parent / "third_party" / "ramulator_bridge",
)
LIBRARY = "libramulator.so"
FLAGS = ("-std=c++20", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra")

_HOW_TO_BUILD = "build it as its README says (mkdir -p build; cd build; cmake ..; make)"


@dataclass(frozen=True)
class Ramulator:
    """A checkout of Ramulator 2.1 that the bridge can be compiled against."""

    root: Path
    commit: str | None  # None: the checkout has no git history to ask
    shared_object: Path  # its library, as built
    digest: str  # sha256 of it


def find() -> Ramulator:
    """The checkout that RAMULATOR2_ROOT names.

    Raises EngineError, which says what to do, where the variable is not set, and where the folder
    is missing, of another version or commit, changed, or not built.
    """
    named = os.environ.get(ROOT_VARIABLE)
    if not named:
        raise EngineError(
            f"{ROOT_VARIABLE} must name a built checkout of Ramulator {VERSION}: "
            f"export {ROOT_VARIABLE}=/path/to/ramulator2"
        )
    root = Path(named).expanduser().resolve()
    if not root.is_dir():
        raise EngineError(f"{ROOT_VARIABLE} must name a folder, not {named}")
    version = _version(root)
    if version is None:
        raise EngineError(
            f"{ROOT_VARIABLE} must name a checkout of Ramulator {VERSION}, not {named}"
        )
    who, remedy = f"Ramulator in {named}", _checkout(root)
    if version != VERSION:
        raise EngineError(f"{who} must be version {VERSION}, not {version}: {remedy}")
    commit = _commit(root)
    if commit is not None and commit != COMMIT:
        raise EngineError(f"{who} must be at commit {COMMIT[:7]}, not {commit[:7]}: {remedy}")
    if core_digest(root) != CORE_DIGEST:
        raise EngineError(
            f"{who} must have the sources of commit {COMMIT[:7]}, not others: {remedy}"
        )
    library = root / LIBRARY
    if not library.is_file():
        raise EngineError(f"{who} must be built, and has no {LIBRARY}: {_HOW_TO_BUILD}")
    newest = max(path.stat().st_mtime for path in _core_files(root))
    if library.stat().st_mtime < newest:
        raise EngineError(f"{library} must be newer than its sources: {_HOW_TO_BUILD} again")
    return Ramulator(root, commit, library, hashlib.sha256(library.read_bytes()).hexdigest())


def core_digest(root: Path) -> str:
    """sha256 of the sources the bridge relies on: base, device, controller base and interfaces.

    Not of the standards, which Ramulator's own build writes anew, and of no other `impl` folder.
    """
    digest = hashlib.sha256()
    for path in _core_files(root):
        name = path.relative_to(root).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build() -> Path:
    """The bridge's shared library, compiled where the cache has none for this Ramulator.

    Raises EngineError where Ramulator or the compiler is not usable.
    """
    command, target = _plan()
    if target.is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=".building-", suffix=".so")
    except OSError as error:
        raise EngineError(
            f"the cache directory {target.parent} must be writable: {error}"
        ) from None
    os.close(handle)
    try:
        _compile([*command, "-o", aside])
        os.chmod(aside, 0o755)
        os.replace(aside, target)  # another process that builds the same sees all of it or nothing
    finally:
        Path(aside).unlink(missing_ok=True)
    return target


def is_compiled() -> bool:
    """Whether build() has nothing to compile. Raises EngineError as build()."""
    return _plan()[1].is_file()


def headers() -> tuple[Path, ...]:
    """The headers whose declarations, between two marks, are the bridge's C ABI."""
    return NATIVE / "pyramulator.h", SOURCES / "bridge.h"


def cache_directory() -> Path:
    """$XDG_CACHE_HOME/pamsim, else ~/.cache/pamsim."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    return base / "pamsim"


def _version(root: Path) -> str | None:
    """The version of the project Ramulator in CMakeLists.txt; None where there is none."""
    path = root / "CMakeLists.txt"
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"project\s*\(\s*Ramulator\s+VERSION\s+(\d+\.\d+)", text)
    return found[1] if found else None


def _commit(root: Path) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--verify", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _checkout(root: Path) -> str:
    return f"git -C {shlex.quote(str(root))} checkout {COMMIT[:7]}, then {_HOW_TO_BUILD}"


def _core_files(root: Path) -> Iterator[Path]:
    source = root / "src" / "ramulator"
    for folder in ("base", "dram", "controller"):
        for path in sorted((source / folder).rglob("*")):
            if path.suffix in (".h", ".cpp") and "impl" not in path.relative_to(source).parts:
                yield path


def _plan() -> tuple[list[str], Path]:
    """The compiler's command line without its output, and where the bridge belongs."""
    ramulator = find()
    command = _compile_command(ramulator)
    return command, cache_directory() / f"ramulator_bridge-{_key(ramulator, command)}.so"


def _compile_command(ramulator: Ramulator) -> list[str]:
    sources = sorted(SOURCES.glob("*.cpp"))
    if not sources:
        raise EngineError(
            f"the bridge's sources must be in {SOURCES}: install pamsim again (pip install .)"
        )
    return [
        *shlex.split(os.environ.get("CXX", "g++")),
        *FLAGS,
        f"-I{NATIVE}",
        "-isystem",
        str(ramulator.root / "src"),
        f'-DRAMULATOR_BRIDGE_BUILD="{_build_name(ramulator)}"',
        *map(str, sources),
        str(ramulator.shared_object),
        # the library that was found, whatever LD_LIBRARY_PATH says
        f"-Wl,-rpath,{ramulator.root},--disable-new-dtags",
    ]


def _build_name(ramulator: Ramulator) -> str:
    library, sources = ramulator.digest[:16], _sources_hash()[:16]
    return f"ramulator {COMMIT[:7]} library {library} bridge {sources}"


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for path in [*sorted(SOURCES.glob("*.[hc]*")), NATIVE / "pyramulator.h"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _key(ramulator: Ramulator, command: list[str]) -> str:
    """Names Ramulator's commit and library, the compiler, the command line and our sources."""
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    try:
        version = subprocess.run([*compiler, "--version"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EngineError(
            f"the bridge must compile with a C++20 compiler, and {compiler[0]} fails: {error}"
        ) from None
    digest = hashlib.sha256(version)
    for part in (*command, CORE_DIGEST, ramulator.digest, _sources_hash()):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:24]


def _compile(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise EngineError(f"the bridge must compile, and {command[0]} fails: {error}") from None
    if done.returncode != 0:
        marks = ("error:", "undefined reference", "cannot find")
        reasons = (line for line in done.stderr.splitlines() if any(m in line for m in marks))
        raise EngineError(
            f"the bridge must compile against {ROOT_VARIABLE}, and does not: "
            + next(reasons, "no reason given")
        )
