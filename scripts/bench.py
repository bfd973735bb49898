"""Measures the embedded engine: commands issued per CPU second of one core.

Counts, end and stalls on, log off, refresh on; decoding and checking the records is in the time,
importing and building them is not. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass

from bench_cases import CASES, BenchCase

from pyramulator import Engine, build_id


@dataclass(frozen=True)
class Rate:
    """Rates in commands per CPU second."""

    case: str
    what: str
    commands: int
    ticks: int
    runs: int
    slowest: float
    median: float
    fastest: float
    target: float

    @property
    def ratio(self) -> float:
        return self.median / self.target


def measure(case: BenchCase, n: int, runs: int) -> Rate:
    description, stream = case.build(n)
    rates = []
    for _ in range(runs):
        start = time.process_time()
        engine = Engine(description, stream)
        engine.advance()
        result = engine.result()
        seconds = time.process_time() - start
        commands = sum(result.counts.values())
        rates.append(commands / seconds)
    return Rate(
        case.name,
        case.what,
        commands,
        result.ticks,
        runs,
        min(rates),
        statistics.median(rates),
        max(rates),
        case.target,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="10^6 commands, 3 runs")
    parser.add_argument("--case", choices=[case.name for case in CASES], help="only this one")
    options = parser.parse_args()
    n, runs = (1_000_000, 3) if options.quick else (10_000_000, 7)
    rates = []
    if not options.json:
        print(f"engine {build_id()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
        print(f"{n:,} commands, {runs} runs; million commands per CPU second")
        print(f"{'case':5}{'what':30}{'min':>8}{'median':>8}{'max':>8}{'target':>8}{'ratio':>7}")
    for case in CASES:
        if options.case not in (None, case.name):
            continue
        rate = measure(case, n, runs)
        rates.append(rate)
        if not options.json:
            numbers = (rate.slowest, rate.median, rate.fastest, rate.target)
            columns = "".join(f"{number / 1e6:8.1f}" for number in numbers)
            print(f"{rate.case:5}{rate.what:30}{columns}{rate.ratio:7.2f}", flush=True)
    if options.json:
        print(
            json.dumps(
                {
                    "build_id": build_id(),
                    "unit": "commands per CPU second",
                    "cases": [{**asdict(rate), "ratio": rate.ratio} for rate in rates],
                },
                indent=1,
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
