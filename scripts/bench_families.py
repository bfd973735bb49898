"""Measures the embedded engine on every family's own programs: commands per CPU second of one core.

One channel of a real decode step (llama-2-7b), the one with the most commands, run again and again;
stalls on, log off. Expanding the program is not in the time; setting the engine up is a time of its
own. Ratios are to HBM-PIM in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass

from pamsim.compiler import compile_parts
from pamsim.config import load_system
from pamsim.model import load_model
from pamsim.sim import simulate
from pamsim.sim.run import ChannelRun
from pamsim.workload import make_step
from pyramulator import Engine

ONLY_SSD = ("tiers.hbm.kv_gib=0", "tiers.ddr.kv_gib=0")
CASES = {  # family -> system, what is set in it
    "hbm_pim": ("pam-hbm", ()),
    "ddr_pim": ("ddr-only", ()),
    "ssd_pim": ("pam-node", ONLY_SSD),
    "attacc": ("attacc", ()),
    "aim": ("aim", ()),
}
CONTEXT = 8192


@dataclass(frozen=True)
class FamilyRate:
    """Medians; a run is the whole program of one channel and layer."""

    family: str
    streams: int
    commands: int
    ticks: int
    commands_per_second: float
    ns_per_command: float
    setup_ms: float


def busiest_run(family: str, context: int = CONTEXT) -> ChannelRun:
    """The channel program of the family's case that issues most, run once."""
    system = load_system(*CASES[family])
    parts = compile_parts(load_model("llama-2-7b"), make_step([context]), system)
    runs = [run for part in parts for run in simulate(part.step, threads=1)]
    return max(runs, key=lambda run: sum(run.result.counts.values()))


def measure(family: str, run: ChannelRun, least_s: float) -> FamilyRate:
    """At least three runs and `least_s` CPU seconds of them."""
    setups: list[float] = []
    times: list[float] = []
    while len(times) < 3 or sum(times) < least_s:
        start = time.process_time()
        engine = Engine(run.description, run.stream)
        made = time.process_time()
        engine.advance()
        result = engine.result()
        times.append(time.process_time() - made)
        setups.append(made - start)
    seconds, commands = statistics.median(times), sum(result.counts.values())
    return FamilyRate(
        family, len(run.stream.streams), commands, result.ticks, commands / seconds,
        seconds / commands * 1e9, statistics.median(setups) * 1e3,
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="half a second a family")
    options = parser.parse_args()
    least_s = 0.5 if options.quick else 3.0
    rates = [measure(family, busiest_run(family), least_s) for family in CASES]
    if options.json:
        print(json.dumps([asdict(rate) for rate in rates], indent=1))
        return 0
    print(f"one channel and layer of llama-2-7b, context {CONTEXT}; CPU time, medians")
    print(f"{'family':10}{'streams':>8}{'commands':>10}{'ticks':>12}{'M/s':>8}{'ns':>7}"
          f"{'setup ms':>10}{'of hbm_pim':>12}")  # fmt: skip
    for rate in rates:
        share = rate.commands_per_second / rates[0].commands_per_second
        print(f"{rate.family:10}{rate.streams:8}{rate.commands:10,}{rate.ticks:12,}"
              f"{rate.commands_per_second / 1e6:8.1f}{rate.ns_per_command:7.1f}"
              f"{rate.setup_ms:10.2f}{share:12.2f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
