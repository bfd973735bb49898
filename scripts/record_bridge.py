"""Records runs on the real Ramulator 2.1 for tests/golden/pyramulator_bridge.

Needs RAMULATOR2_ROOT, a built checkout of the verified commit. Every run is made tick by tick and
in replay, which must be equal. --check: the files hold what Ramulator gives today.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from reference import generate, hbm3  # noqa: E402
from reference.compare import disagreement, outcome  # noqa: E402
from reference.generate import Case  # noqa: E402
from reference.recorded import Recorded, pack  # noqa: E402
from reference.variants import with_binding_windows  # noqa: E402

from pamsim.compiler import compile_step  # noqa: E402
from pamsim.config import describe, load_system  # noqa: E402
from pamsim.model import load_model  # noqa: E402
from pamsim.sim import expand  # noqa: E402
from pamsim.workload import make_step  # noqa: E402
from pyramulator.bridge import bridge_id, run_bridge  # noqa: E402
from pyramulator.description import Description  # noqa: E402
from pyramulator.errors import EngineError  # noqa: E402
from pyramulator.result import ChannelResult  # noqa: E402
from pyramulator.stream import CommandStream  # noqa: E402

FOLDER = ROOT / "tests" / "golden" / "pyramulator_bridge"
MODEL = "llama-3-8b"
SEEDS = 300
OFTEN = 2_500  # ticks between refreshes, so that short runs meet some; after nRFC at least
# HBM3 at two clocks, HBM2's buses, macro commands, refresh in turn
SYSTEMS = (
    "pam-hbm", "pam-hbm-gqa", "pam-hbm-6400", "pam-hbm2e", "pam-hbm-seq", "pam-hbm-refpb",
)  # fmt: skip
STEPS = (("300,100", 2), ("200", 40), ("64", 96))  # contexts, batch: 1, 4 and 10 streams a channel


def random_cases() -> Iterator[tuple[str, Case]]:
    for seed in range(SEEDS):
        case = generate.case(random.Random(seed))
        yield f"seed {seed}", case
        if seed % 4 == 0 and any(row.window > 1 for row in case.description.rows):
            yield f"seed {seed}, binding windows", with_binding_windows(case)
    for kind in sorted(hbm3.STREAMS):
        for refresh in (False, True):
            yield f"{kind}, refresh {refresh}", hbm3.case(kind, refresh)


def device_cases(system_name: str) -> Iterator[tuple[str, Case]]:
    """Every distinct channel program of small decode steps on the device of a system."""
    system = load_system(system_name, ())
    for contexts, batch in STEPS:
        step = make_step(contexts, batch)
        compiled = compile_step(load_model(MODEL), step, system, system.tiers[0].name)
        description = describe(compiled.device, compiled.variants)
        assert description.refresh is not None
        often = replace(description.refresh, interval=OFTEN)
        for number, program in enumerate(compiled.programs):
            stream = expand(program.program, description)
            for refresh in (None, description.refresh, often):
                every = refresh.interval if refresh else "never"
                yield (
                    f"{MODEL}, {batch} at {contexts}, program {number}, refresh {every}",
                    Case(replace(description, refresh=refresh), stream),
                )


def tick_by_tick(description: Description, stream: CommandStream) -> ChannelResult:
    return run_bridge(description, stream, log=True)


def in_replay(description: Description, stream: CommandStream) -> ChannelResult:
    return run_bridge(description, stream, log=True, replay=True)


def record(cases: Iterator[tuple[str, Case]]) -> Iterator[Recorded]:
    for name, case in cases:
        result = outcome(tick_by_tick, case)
        found = disagreement(result, outcome(in_replay, case), case.description)
        if found is not None:
            raise SystemExit(f"{name}: tick by tick, in replay: {found}")
        yield Recorded(name, case, result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 on a difference")
    parser.add_argument("systems", nargs="*", help="only the devices of these, and no random cases")
    arguments = parser.parse_args()
    check: bool = arguments.check
    try:
        print(bridge_id())
    except EngineError as error:
        print(f"record_bridge: {error}", file=sys.stderr)
        return 5
    groups = {} if arguments.systems else {"random": random_cases()}
    for system in arguments.systems or SYSTEMS:
        groups[load_system(system, ()).tiers[0].device.name] = device_cases(system)
    FOLDER.mkdir(parents=True, exist_ok=True)
    changed = 0
    for name, cases in groups.items():
        path = FOLDER / f"{name}.npz.xz"
        before = path.read_bytes() if path.exists() else b""
        runs = list(record(cases))
        after = pack(runs)
        commands = sum(
            sum(run.outcome.counts.values())
            for run in runs
            if isinstance(run.outcome, ChannelResult)
        )
        state = "as before" if after == before else "changed"
        print(f"{path.name}: {len(runs)} runs, {commands} commands, {len(after)} bytes, {state}")
        changed += after != before
        if not check:
            path.write_bytes(after)
    return int(check and changed > 0)


if __name__ == "__main__":
    sys.exit(main())
