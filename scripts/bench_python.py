"""Measures what is written in Python: compiling a step, programs as bytes and back, their proof.

CPU seconds of one core; importing and loading descriptions are not in them. The engine, whole jobs
and batches have scripts of their own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

from pamsim.compiler import compile_step
from pamsim.config import load_system
from pamsim.model import load_model
from pamsim.validate import prove_function
from pamsim.workload import make_step
from pim_isa import Program, Stream, Unit, decode, encode, load

INSTRUCTIONS = 100_000


def long_program() -> Program:
    """One stream of MACs, no two alike."""
    table = load("hbm_pim")
    macs = [
        table.make("MACK", row=i % 32768, column=i % 32, slots=1, base=i % 512, mask=i % 16)
        for i in range(INSTRUCTIONS)
    ]
    return Program("hbm_pim", (Stream(Unit(0, 0, 0), tuple(macs)),))


def cases() -> dict[str, tuple[Callable[[], object], float]]:
    """What is measured, and the most CPU seconds it should take."""
    program = long_program()
    binary = encode(program)
    large, machine = load_model("llama-3-70b"), load_system("pam-hbm", ["tiers.hbm.devices=40"])
    million = make_step("8192", 128)
    model, system, step = load_model("llama-3-8b"), load_system("pam-hbm"), make_step("8192", 4)
    compiled = compile_step(model, step, system)
    return {
        "compile 2^20 tokens of llama-3-70b": (lambda: compile_step(large, million, machine), 2.0),
        f"encode {INSTRUCTIONS:,} instructions": (lambda: encode(program), 1.0),
        f"decode {INSTRUCTIONS:,} instructions": (lambda: decode(binary), 1.5),
        "prove 4 x 8192 tokens of llama-3-8b": (
            lambda: prove_function(compiled, model, step, seed=0, mode="default"), 1.0,
        ),
    }  # fmt: skip


def measure(work: Callable[[], object], runs: int) -> list[float]:
    """CPU seconds of each run."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="one run")
    options = parser.parse_args()
    runs = 1 if options.quick else 5
    figures = []
    if not options.json:
        print(f"{runs} runs; CPU seconds")
        print(f"{'what':38}{'min':>8}{'median':>8}{'target':>8}")
    for what, (work, target) in cases().items():
        seconds = measure(work, runs)
        median = statistics.median(seconds)
        figures.append({"what": what, "seconds": seconds, "median": median, "target": target})
        if not options.json:
            print(f"{what:38}{min(seconds):8.2f}{median:8.2f}{target:8.1f}", flush=True)
    if options.json:
        print(json.dumps({"unit": "CPU seconds", "cases": figures}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
