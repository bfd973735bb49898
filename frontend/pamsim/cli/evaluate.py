"""Running a job to its result document, and writing the result directory."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamsim.cli import pipeline
from pamsim.cli.options import Conduct
from pamsim.cli.output import Progress, console, note, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pamsim.compiler import CompiledPart
    from pamsim.report.directory import OutputDirectory


def evaluate(
    job: pipeline.Job,
    parts: Sequence[CompiledPart],
    conduct: Conduct,
    validate: str,
    progress: Progress,
) -> dict[str, Any]:
    """Simulates, proves (unless `validate` is off), accounts: the document but for `manifest`."""
    from pamsim.report.document import step_document

    runs = pipeline.simulate_job(job, parts, conduct.threads, progress, log=validate != "off")
    validation = pipeline.prove(job, runs, validate, progress)
    progress.phase("accounting")
    return step_document(
        job.model,
        job.system,
        job.step,
        runs,
        engine=job.inputs.engine,
        validation=validation,
    )


def default_directory(job: pipeline.Job, verb: str) -> Path:
    """A name that follows from the inputs: model, system, workload and a hash of all of them."""
    from dataclasses import asdict

    from pamsim.report.text import sha256_of

    contexts = sorted(set(job.step.contexts))
    shown = str(contexts[0]) if len(contexts) == 1 else f"{contexts[0]}-{contexts[-1]}"
    inputs = asdict(job.inputs)
    digest = sha256_of({**inputs, "contexts": list(job.step.contexts)})[:8]
    name = f"{job.model.name}-{job.system.name}-{job.step.batch}x{shown}-{digest}"
    safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in name)
    return Path("pamsim-out") / verb / safe


def place(job: pipeline.Job, verb: str, conduct: Conduct) -> tuple[Path, bool]:
    """Where the output goes, and whether a result that is there may be replaced.

    In the default place it always may: the name follows from the inputs, so what stands there is an
    earlier result of the same job.
    """
    if conduct.out_dir is not None:
        return conduct.out_dir, conduct.force
    return default_directory(job, verb), True


def finish(
    directory: OutputDirectory,
    document: dict[str, Any],
    job: pipeline.Job,
    conduct: Conduct,
    validate: str,
    started: datetime.datetime,
) -> dict[str, Any]:
    """Writes result.json and manifest.json, puts them in place; returns the whole document."""
    from pamsim.report.directory import MANIFEST
    from pamsim.report.manifest import manifest, results_sha, run_part
    from pamsim.report.text import json_text, sha256_of

    inputs = manifest_inputs(job, validate)
    results = results_sha(document)
    document = {
        **document,
        "manifest": {
            "path": MANIFEST,
            "inputs_sha": sha256_of(inputs),
            "results_sha": results,
        },
    }
    files = {"result.json": directory.write("result.json", json_text(document).encode())}
    run = run_part(sys.argv, started, conduct.threads)
    directory.write(MANIFEST, json_text(manifest(inputs, files, results, run)).encode())
    directory.commit()
    return document


def manifest_inputs(job: pipeline.Job, validate: str) -> dict[str, Any]:
    """The deterministic part of the manifest."""
    from pamsim.report.manifest import inputs_part, versions
    from pamsim.sim import engine_build

    build, commit = engine_build(job.inputs.engine)
    return inputs_part(
        job.model,
        job.system,
        job.step,
        engine=job.inputs.engine,
        engine_build=build,
        ramulator_commit=commit,
        seed=job.inputs.seed,
        validate=validate,
        versions=versions(),
    )


def show(document: dict[str, Any], conduct: Conduct, directory: Path) -> None:
    """The document on stdout with --json, else the summary; with --quiet only what --json says."""
    if conduct.json:
        print_json(document)
        if not conduct.quiet:
            note(f"result in {directory}")
    elif not conduct.quiet:
        from pamsim.report.summary import print_summary

        print_summary(document, console(), str(directory))
