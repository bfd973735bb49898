"""Builds the native core with sanitizers and drives its C ABI, or fuzzes it.

    python scripts/sanitize.py [--seconds 12] [--seed N]
    python scripts/sanitize.py --fuzz [--seconds 60] [--corpus DIR]

Under AddressSanitizer with UndefinedBehaviorSanitizer, then under ThreadSanitizer with engines in
threads (tests/native/driver.cpp); any report fails. With RAMULATOR2_ROOT set, the sources of
third_party/ramulator_bridge are built and driven in the same way, with Ramulator's own library as
it was built. --fuzz needs clang++ with libFuzzer (tests/native/fuzz_abi.cpp).
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "frontend" / "pyramulator" / "native"
BRIDGE = ROOT / "third_party" / "ramulator_bridge"
TESTS = ROOT / "tests" / "native"
CASES = [TESTS / "abi_case.cpp", TESTS / "abi_run.cpp"]
FLAGS = ["-std=c++20", "-O1", "-g", "-fno-omit-frame-pointer", "-Wall", "-Wextra"]
MEMORY = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREADS = ["-fsanitize=thread"]
FUZZER = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined"]
LIBFUZZER = [
    "-max_len=1024",
    "-len_control=0",
    "-timeout=120",  # of wall time: the machine may have other work
    "-rss_limit_mb=6000",
    "-print_final_stats=1",
]
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


@dataclass(frozen=True)
class Engine:
    """Sources behind the C ABI, and what they are compiled and linked with."""

    name: str
    sources: tuple[Path, ...]
    compile_flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()


def engines() -> list[Engine]:
    """The native core; the bridge too where RAMULATOR2_ROOT is set."""
    found = [Engine("native core", tuple(sorted(NATIVE.glob("*.cpp"))))]
    root = os.environ.get("RAMULATOR2_ROOT")
    if root:
        where = Path(root).expanduser().resolve()
        library = where / "libramulator.so"
        if not library.is_file():
            sys.exit(f"RAMULATOR2_ROOT must name a built checkout of Ramulator 2.1, not {root}")
        found.append(
            Engine(
                "Ramulator bridge",
                tuple(sorted(BRIDGE.glob("*.cpp"))),
                ("-isystem", str(where / "src"), "-DWITH_REPLAY", f"-I{BRIDGE}"),
                (str(library), f"-Wl,-rpath,{where}"),
            )
        )
    return found


def build(
    compiler: Sequence[str], engine: Engine, flags: Sequence[str], main: str, out: Path
) -> None:
    """Compiles each source by itself, two at a time, and links. Raises SystemExit."""
    jobs = []
    for source in (*engine.sources, *CASES, TESTS / main):
        made = out.parent / f"{out.name}-{source.parent.name}-{source.stem}.o"
        command = [*compiler, *FLAGS, *flags, f"-I{NATIVE}", *engine.compile_flags]
        jobs.append(([*command, "-c", str(source), "-o", str(made)], made))
    running: list[subprocess.Popen[bytes]] = []
    for command, _ in jobs:
        if len(running) == 2:
            _succeed(running.pop(0))
        running.append(subprocess.Popen(command))
    for process in running:
        _succeed(process)
    objects = [str(made) for _, made in jobs]
    link = [*compiler, *flags, *objects, *engine.link_flags, "-pthread", "-o", str(out)]
    _succeed(subprocess.Popen(link))


def _succeed(process: subprocess.Popen[bytes]) -> None:
    if process.wait() != 0:
        sys.exit(f"failed with status {process.returncode}: {shlex.join(map(str, process.args))}")


def run(what: str, command: Sequence[str | Path], cwd: Path | None = None) -> None:
    print(f"{what}: {shlex.join(str(part) for part in command)}", flush=True)
    environment = os.environ | OPTIONS
    status = subprocess.run([str(part) for part in command], env=environment, cwd=cwd).returncode
    if status != 0:
        sys.exit(f"{what}: failed with status {status}")


def sanitize(seconds: int, seed: int) -> None:
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    for engine in engines():
        with tempfile.TemporaryDirectory() as folder:
            for name, flags, mode in (
                ("address and undefined behaviour", MEMORY, "cases"),
                ("threads", THREADS, "threads"),
            ):
                driver = Path(folder) / f"driver-{mode}"
                build(compiler, engine, flags, "driver.cpp", driver)
                run(f"{engine.name}, {name}", [driver, mode, str(seconds), str(seed)])


def fuzz(seconds: int, seed: int, corpus: Path) -> None:
    compiler = shlex.split(os.environ.get("FUZZ_CXX", "clang++"))
    for engine in engines():
        inputs = (corpus / engine.name.replace(" ", "-")).resolve()
        inputs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            fuzzer = Path(folder) / "fuzzer"
            build(compiler, engine, FUZZER, "fuzz_abi.cpp", fuzzer)
            options = [f"-max_total_time={seconds}", f"-seed={seed}", *LIBFUZZER]
            run(f"{engine.name}, fuzzed", [fuzzer, *options, inputs], cwd=inputs.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fuzz", action="store_true", help="fuzz the C ABI with libFuzzer")
    parser.add_argument("--seconds", type=int, help="a run's time (default 12; 60 to fuzz)")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--corpus", type=Path, default=ROOT / "build" / "fuzz", help="kept inputs")
    given = parser.parse_args()
    if given.fuzz:
        fuzz(given.seconds or int(os.environ.get("FUZZ_SECONDS", "60")), given.seed, given.corpus)
    else:
        sanitize(given.seconds or 12, given.seed)


if __name__ == "__main__":
    main()
