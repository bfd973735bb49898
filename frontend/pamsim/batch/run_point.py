"""From a point to the document that the store keeps."""

from __future__ import annotations

import datetime
import sys
import time
from typing import Any

from pamsim.batch.key import code_part, contexts_of, key_of, model_of, system_of
from pamsim.batch.point import Point, PointFailure
from pamsim.compiler import compile_parts
from pamsim.report.document import step_document
from pamsim.report.manifest import inputs_part, results_sha, run_part, versions
from pamsim.report.proofs import prove_step
from pamsim.report.text import sha256_of
from pamsim.system import simulate_parts
from pamsim.workload import make_step
from pyramulator import build_id

ENTRY_VERSION = 1
THREADS = 1  # points run side by side, so each takes one core


def evaluate_point(point: Point) -> dict[str, Any]:
    """Compiles, simulates and proves a point: `result` as `pamsim run --json`, and `manifest`.

    Raises PointFailure when this machine would compute something else than the key says, and what
    loading, compiling and running raise.
    """
    spec = point.spec
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    try:
        model, _ = model_of(spec["model"], spec["kv_dtype"])
        system = system_of(spec["system"], tuple(spec["overrides"]))
        step = make_step(contexts_of(spec["contexts"]))
        found = key_of(spec)
    except (KeyError, TypeError, ValueError) as error:
        raise PointFailure(
            f"point must be as `pamsim sweep submit` writes it ({error!r})"
        ) from None
    if found != point.key:
        raise PointFailure(
            "inputs must be those of the submission: a model, a system, pamsim or its engine has "
            "changed since, or is another one on this machine",
            hint="submit the sweep again",
        )
    validate, seed = spec["validate"], spec["seed"]
    parts = compile_parts(model, step, system)
    runs = simulate_parts(parts, threads=THREADS, log=validate != "off")
    validation = prove_step(system, runs, mode=validate, seed=seed)
    result = step_document(model, system, step, runs, engine=spec["engine"], validation=validation)
    inputs = inputs_part(
        model,
        system,
        step,
        engine=spec["engine"],
        engine_build=build_id(),
        seed=seed,
        validate=validate,
        versions=versions(),
    )
    return {
        "entry_version": ENTRY_VERSION,
        "spec": {name: value for name, value in spec.items() if name != "labels"},
        "code": code_part(),
        "result": result,
        "manifest": {
            "inputs": inputs,
            "inputs_sha": sha256_of(inputs),
            "results_sha": results_sha(result),
            "run": run_part(sys.argv, started, THREADS),
        },
        # By a clock that does not jump; `run` has the wall clock's dates.
        "seconds": round(time.perf_counter() - clock, 4),
    }
