"""Directories of compiled programs: what `pamsim compile` writes and simulate and validate read.

programs/PROGRAM.bin, .asm   every distinct program, binary and text
blocks.npz, blocks-1.npz     the block tables of layer 0 of every part: keys (request, KV head,
                             block), places
step.json                    parts of the step; channels of every program, tiling, layers
manifest.json                inputs, hashes
"""

from __future__ import annotations

import datetime
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamsim.cli import pipeline
from pamsim.cli.evaluate import manifest_inputs
from pamsim.cli.options import Inputs
from pamsim.cli.output import Progress
from pamsim.errors import InputError, Position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pamsim.compiler import CompiledPart
    from pamsim.compiler.compiled import ChannelProgram, CompiledStep
    from pamsim.report.directory import OutputDirectory

STEP = "step.json"
SHORT = 12  # digits of a program's hash in file names
NO_DATE = (1980, 1, 1, 0, 0, 0)


def step_document(job: pipeline.Job, parts: Sequence[CompiledPart]) -> dict[str, Any]:
    """What step.json holds and `compile --json` prints."""
    return {
        "model": job.model.name,
        "system": job.system.name,
        "workload": {"batch": job.step.batch, "contexts": list(job.step.contexts)},
        "parts": [_part_document(part) for part in parts],
    }


def _part_document(part: CompiledPart) -> dict[str, Any]:
    compiled, shard = part.step, part.shard
    return {
        "tier": compiled.tier,
        "device": compiled.device.name,
        "replica": shard.replica,
        "stage": shard.stage,
        "instances": shard.copies,
        "layer_numbers": [shard.layers[n] for n in part.share.layers],
        "layers": compiled.layers,
        "layout": compiled.table.layout,
        "tiling": {
            "queries": compiled.tiling.queries,
            "tokens": compiled.tiling.tokens,
            "parts": compiled.tiling.parts,
            "passes": compiled.tiling.passes,
        },
        "idle_channels": compiled.idle_channels,
        "programs": [
            {
                "sha256": p.sha256,
                "binary": f"programs/{p.sha256[:SHORT]}.bin",
                "bytes": len(p.binary),
                "streams": len(p.program.streams),
                "instructions": sum(len(s.instructions) for s in p.program.streams),
                "channels": [b.channel for b in p.bindings],
            }
            for p in compiled.programs
        ],
    }


def write_compiled(
    directory: OutputDirectory,
    job: pipeline.Job,
    parts: Sequence[CompiledPart],
    started: datetime.datetime,
) -> dict[str, Any]:
    """Writes everything and puts it in place; returns step.json's document."""
    from pamsim.report.directory import MANIFEST
    from pamsim.report.manifest import manifest, run_part
    from pamsim.report.text import json_text, sha256_of
    from pim_isa import disassemble

    document = step_document(job, parts)
    files = {STEP: directory.write(STEP, json_text(document).encode())}
    for p in {p.sha256: p for part in parts for p in part.step.programs}.values():
        stem = f"programs/{p.sha256[:SHORT]}"
        files[f"{stem}.bin"] = directory.write(f"{stem}.bin", p.binary)
        files[f"{stem}.asm"] = directory.write(f"{stem}.asm", disassemble(p.program).encode())
    for number, part in enumerate(parts):
        name = f"blocks-{number}.npz" if number else "blocks.npz"
        files[name] = directory.write(name, _blocks(part.step))
    inputs = manifest_inputs(job, "off")
    run = run_part(sys.argv, started, 1)
    run["inputs"] = _as_given(job.inputs)
    whole = manifest(inputs, files, sha256_of(dict(sorted(files.items()))), run)
    directory.write(MANIFEST, json_text(whole).encode())
    directory.commit()
    return document


def _blocks(compiled: CompiledStep) -> bytes:
    """The block table as an npz without dates, so that equal tables are equal bytes."""
    import zipfile

    import numpy as np

    keys, places = compiled.table.places(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, array in (
            ("keys", keys),
            ("places", places),
            ("rows_per_layer", compiled.table.rows_per_layer),
        ):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", NO_DATE), member.getvalue())
    return buffer.getvalue()


def _as_given(inputs: Inputs) -> dict[str, Any]:
    """The options to compile again with; files by their full path."""

    def full(name: str) -> str:
        return str(Path(name).resolve()) if Path(name).exists() else name

    return {
        "model": full(inputs.model),
        "system": full(inputs.system),
        "context": inputs.context,
        "batch": inputs.batch,
        "overrides": list(inputs.overrides),
        "seed": inputs.seed,
        "engine": inputs.engine,
        "kv_dtype": inputs.kv_dtype,
    }


def read_compiled(
    path: Path, quiet: bool, progress: Progress
) -> tuple[pipeline.Job, tuple[CompiledPart, ...]]:
    """A directory's job and its programs, which may have been changed since they were compiled.

    What the programs' numbers stand for comes from compiling the recorded inputs once more; the
    binaries are those of the directory. Raises InputError when the two do not belong together.
    """
    from pamsim.report.directory import read_manifest
    from pamsim.report.text import sha256_of

    manifest = read_manifest(path)
    given = (manifest or {}).get("run", {}).get("inputs")
    if manifest is None or not isinstance(given, dict) or not (path / STEP).is_file():
        raise InputError(f"directory must be one that `pamsim compile` wrote, not {str(path)!r}")
    try:
        inputs = Inputs(**{**given, "overrides": tuple(given["overrides"])})
    except (KeyError, TypeError) as error:
        raise InputError("manifest must hold the inputs of `pamsim compile`",
                         Position(str(path / "manifest.json"))) from error  # fmt: skip
    job = pipeline.load(inputs, quiet)
    found = sha256_of(manifest_inputs(job, "off"))
    if found != manifest.get("inputs_sha"):
        raise InputError(
            f"directory must come from the same inputs and version of pamsim, not {str(path)!r}, "
            "whose inputs have another hash",
            hint="compile it again",
        )
    fresh = pipeline.compile_job(job, progress)
    try:
        said = json.loads((path / STEP).read_text(encoding="utf-8"))["parts"]
        files = {p["sha256"]: path / p["binary"] for part in said for p in part["programs"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("step must list its programs", Position(str(path / STEP))) from error
    return job, tuple(replace(p, step=_with_binaries(p.step, files)) for p in fresh)


def _with_binaries(compiled: CompiledStep, files: Mapping[str, Path]) -> CompiledStep:
    """The step with the programs that lie in the directory."""
    from pamsim.compiler import program_variants

    programs = tuple(_from_file(p, files.get(p.sha256)) for p in compiled.programs)
    if all(new is old for new, old in zip(programs, compiled.programs, strict=True)):
        return compiled
    variants = program_variants((p.program for p in programs), compiled.device.templates)
    return replace(compiled, programs=programs, variants=variants)


def _from_file(program: ChannelProgram, path: Path | None) -> ChannelProgram:
    from pamsim.cli.program_file import read_binary, read_bytes
    from pamsim.report.text import sha256_bytes

    if path is None:
        raise InputError(f"step must hold the program {program.sha256[:SHORT]}")
    binary = read_bytes(path)
    if binary == program.binary:
        return program
    changed = read_binary(path, binary)
    return replace(program, program=changed, binary=binary, sha256=sha256_bytes(binary))
