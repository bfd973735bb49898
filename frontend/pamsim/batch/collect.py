"""Results of a submitted sweep as a table: one row a point, units in the names of columns."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamsim.batch.key import contexts_of
from pamsim.batch.point import Point
from pamsim.batch.store import Store, StoreCorrupt, StoreError
from pamsim.batch.submission import Submission
from pamsim.config import config_constants
from pamsim.errors import PamsimError

if TYPE_CHECKING:
    import pandas as pd

DONE, FAILED, MISSING, DAMAGED = "done", "failed", "missing", "damaged"
# Fields of a sweep whose column has another name: its unit, or what it counts.
COLUMNS = {
    "batch": "batch_requests",
    "context": "context_tokens",
    "contexts": "contexts_tokens",
    "max_context": "max_context_tokens",
}
_UNITS = {"": "", "1": "", "CK": "_ck", "%": "_percent"}

Advance = Callable[[int, int], None]


def collect(submission: Submission, advance: Advance = lambda done, total: None) -> pd.DataFrame:
    """The table of a submission, in the order of its points. Raises StoreError.

    Every point has its row: `status` is done, failed (then `reason` says why), missing, or damaged
    (its entry is not what was written; the next submit runs it again).
    """
    import pandas as pd

    store = Store(submission.store)
    points = submission.points
    rows = []
    for number, point in enumerate(points):
        advance(number, len(points))
        rows.append(row(point, store))
    advance(len(points), len(points))
    return pd.DataFrame(rows)


def row(point: Point, store: Store) -> dict[str, Any]:
    """One row: what the point is, what came out, where it comes from."""
    contexts = contexts_of(point.spec["contexts"])
    found: dict[str, Any] = {
        **dict(_labels(point)),
        "model": point.spec["model"],
        "system": point.spec["system"],
        "batch_requests": len(contexts),
        "context_min_tokens": min(contexts),
        "context_mean_tokens": sum(contexts) / len(contexts),
        "context_max_tokens": max(contexts),
        "status": DONE,
        "reason": None,
    }
    try:
        document = store.get(point.key)
        found.update(_results(document["result"]))
        found.update(_provenance(document, point))
    except KeyError:
        found["status"], found["reason"] = _why(point, store)
    except StoreCorrupt as error:
        found["status"], found["reason"] = DAMAGED, str(error)
    found["key"] = point.key
    return found


def _why(point: Point, store: Store) -> tuple[str, str | None]:
    try:
        return FAILED, store.failure(point.key).reason
    except KeyError:
        return MISSING, None


def _labels(point: Point) -> Iterator[tuple[str, Any]]:
    """What tells this point from the others of its sweep."""
    given = dict(text.split("=", 1) for text in point.spec["overrides"])
    for name, value in point.spec["labels"].items():
        if isinstance(value, list):
            value = ",".join(str(item) for item in value)
        if name in given:
            yield name + _suffix(point.spec["system"], name, given[name]), value
        else:
            yield COLUMNS.get(name, name), value


def _suffix(system: str, path: str, text: str) -> str:
    """The unit of a set field as the end of its column's name."""
    unit = text.partition(" ")[2] or _unit(system, path)
    if unit in _UNITS:
        return _UNITS[unit]
    return "_" + "".join(c if c.isalnum() else "_" for c in unit.lower().replace("/", "_per_"))


@lru_cache(maxsize=1024)
def _unit(system: str, path: str) -> str:
    try:
        return next((c.unit for c in config_constants("system", system) if c.name == path), "")
    except PamsimError:  # the file is gone by now; results stand
        return ""


def _results(result: dict[str, Any]) -> dict[str, Any]:
    batch = result["workload"]["batch"]
    energy = result["energy_pj"]
    total = energy["total"] if energy else None
    found = {
        "kv_dtype": result["kv_dtype"],
        "latency_ns": result["latency_ns"],
        "tokens_per_s": batch / (result["latency_ns"] * 1e-9),
        "energy_pj": total,
        "energy_per_token_pj": total / batch if total is not None else None,
        "reduction_ns": result["reduction"]["latency_ns"],
    }
    for name, tier in result["tiers"].items():
        found[f"{name}_attention_ns"] = tier["latency_ns"]
        found[f"{name}_bandwidth_gb_per_s"] = tier["bandwidth_gbps"]
        found[f"{name}_peak_fraction"] = tier["peak_fraction"]
        found[f"{name}_idle_channels"] = tier["idle_channels"]
    for proof, verdict in result["validation"].items():
        found[f"{proof}_proof"] = verdict["verdict"]
    return found


def _provenance(document: dict[str, Any], point: Point) -> dict[str, Any]:
    manifest, code = document["manifest"], document["code"]
    return {
        "seed": point.spec["seed"],
        "validate": point.spec["validate"],
        "pamsim_version": code["pamsim"],
        "code_sha": code["code"],
        "engine_build": code["engine_build"],
        "inputs_sha": manifest["inputs_sha"],
        "results_sha": manifest["results_sha"],
        "host": manifest["run"]["host"],
        "started": manifest["run"]["started"],
        "run_s": document["seconds"],
    }


def write_table(table: pd.DataFrame, csv: Path, parquet: bool | None = None) -> list[Path]:
    """Writes `csv`, and the same as parquet beside it; None: where pyarrow is installed.

    Raises StoreError where a file cannot be written, or parquet is asked for without pyarrow.
    """
    if parquet and not has_parquet():
        raise StoreError("parquet must have pyarrow, which is not installed", None,
                         "pip install 'pamsim[parquet]'")  # fmt: skip
    written = [_written(csv, lambda path: table.to_csv(path, index=False, lineterminator="\n"))]
    if parquet or (parquet is None and has_parquet()):
        target = csv.with_suffix(".parquet")
        written.append(_written(target, lambda path: table.to_parquet(path, index=False)))
    return written


def has_parquet() -> bool:
    return find_spec("pyarrow") is not None


def _written(target: Path, write: Callable[[Path], Any]) -> Path:
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(aside)
        os.replace(aside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        reason = error.strerror or str(error)
        raise StoreError(f"table must be writable to {str(target)!r} ({reason})") from error
    return target
