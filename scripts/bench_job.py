"""Measures the main job and `pamsim --help` as a user meets them: fresh process, time, memory."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

PAMSIM = [sys.executable, "-m", "pamsim.cli.main"]
JOBS = {  # what, arguments, most seconds, most MiB
    "main job": (
        ["run", "--model", "llama-3-8b", "--system", "pam-hbm", "--context", "8192",
         "--batch", "4", "--quiet", "-o", "out", "--force"],
        5.0, 300.0,
    ),
    "pamsim --help": (["--help"], 0.3, 300.0),
}  # fmt: skip


def measure(arguments: list[str], folder: str) -> tuple[float, float]:
    """Wall seconds and peak resident MiB of one run. Raises CalledProcessError when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen([*PAMSIM, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return seconds, usage.ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 runs")
    runs = 3 if parser.parse_args().quick else 7
    print(f"fresh processes, {runs} runs; wall seconds and peak MiB")
    print(f"{'what':16}{'min':>8}{'median':>8}{'target':>8}{'MiB':>8}{'target':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for what, (arguments, most_seconds, most_mib) in JOBS.items():
            measured = [measure(arguments, folder) for _ in range(runs)]
            seconds = [m[0] for m in measured]
            print(
                f"{what:16}{min(seconds):8.2f}{statistics.median(seconds):8.2f}{most_seconds:8.1f}"
                f"{max(m[1] for m in measured):8.0f}{most_mib:8.0f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
