"""Measures the bridge to Ramulator 2.1 beside the embedded engine, on the program of case S1.

The three take turns in one process, so that their ratios hold when the machine's speed drifts. The
embedded engine keeps stalls, the bridge cannot. Says so and does nothing without RAMULATOR2_ROOT.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

from bench_cases import CASES

from pyramulator import ChannelResult, Engine
from pyramulator.bridge import bridge_id, run_bridge


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10^5 commands, 3 runs")
    options = parser.parse_args()
    if not os.environ.get("RAMULATOR2_ROOT"):
        print("bridge: not measured, RAMULATOR2_ROOT is not set")
        return 0
    n, runs = (100_000, 3) if options.quick else (10_000_000, 7)
    case = next(c for c in CASES if c.name == "S1")
    description, stream = case.build(n)

    def embedded() -> ChannelResult:
        engine = Engine(description, stream)
        engine.advance()
        return engine.result()

    engines: dict[str, Callable[[], ChannelResult]] = {
        "embedded": embedded,
        "bridge, ticking": lambda: run_bridge(description, stream),
        "bridge, replaying": lambda: run_bridge(description, stream, replay=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in engines}
    results = {}
    for _ in range(runs):
        for name, run in engines.items():
            start = time.process_time()
            result = run()
            rates[name].append(sum(result.counts.values()) / (time.process_time() - start))
            results[name] = (result.ticks, result.counts)
    if any(result != results["embedded"] for result in results.values()):
        print("the engines disagree on ticks or counts", file=sys.stderr)
        return 1
    print(f"S1 on the bridge {bridge_id()}, {n:,} commands, {runs} runs in turn;")
    print("million commands per CPU second, and how many times as fast the embedded engine is")
    print(f"{'engine':20}{'min':>8}{'median':>8}{'ratio, min':>12}{'median':>8}")
    for name, own in rates.items():
        ratios = [e / r for e, r in zip(rates["embedded"], own, strict=True)]
        print(
            f"{name:20}{min(own) / 1e6:8.2f}{statistics.median(own) / 1e6:8.2f}"
            f"{min(ratios):12.2f}{statistics.median(ratios):8.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
