"""Recorded runs as files: cases and what an engine made of them, many in one, packed with xz.

A file is an npz inside xz. `index` is JSON, one entry a run: its name, description, windows, the
lengths of its parts in the other arrays, ticks, counts and residency; `ticks` null is a deadlock.
The other arrays hold the parts of all runs one after the other; the log's ticks are differences.
"""

from __future__ import annotations

import io
import json
import lzma
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyramulator.description import (
    Bus,
    Command,
    Description,
    Refresh,
    RowUse,
    Slot,
    TimingRow,
)
from pyramulator.errors import Deadlock
from pyramulator.result import ChannelResult, Residency
from pyramulator.stream import LOG, RECORD, CommandStream
from reference.generate import Case

FORMAT = 1
RESIDENCY = ("active", "precharged", "refreshing", "open_bank_ticks")


@dataclass(frozen=True)
class Recorded:
    """A case and its outcome, without stalls."""

    name: str
    case: Case
    outcome: ChannelResult | type[Exception]


def pack(runs: Iterable[Recorded]) -> bytes:
    """The bytes of a file; the same runs give the same."""
    index: list[dict[str, Any]] = []
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("targets", "records", "tick", "command", "source")
    }
    addresses = []
    for run in runs:
        stream, result = run.case.stream, run.outcome
        entry: dict[str, Any] = {
            "name": run.name,
            "description": asdict(run.case.description),
            "windows": list(stream.fifo_window),
            "targets": len(stream.targets),
            "records": [len(records) for records in stream.streams],
            "ticks": None,
            "log": 0,
        }
        parts["targets"].append(np.asarray(stream.targets, np.int32).reshape(-1))
        parts["records"] += stream.streams
        if isinstance(result, ChannelResult):
            assert result.log is not None
            entry |= {
                "ticks": result.ticks,
                "counts": result.counts,
                "level": result.residency.level,
                **{name: getattr(result.residency, name).tolist() for name in RESIDENCY},
                "log": len(result.log),
            }
            parts["tick"].append(np.diff(result.log["tick"], prepend=0).astype(np.int64))
            parts["command"].append(result.log["command"].astype(np.int16))
            parts["source"].append(result.log["source"].astype(np.int16))
            addresses.append(result.log["address"])
        index.append(entry)
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    columns = np.concatenate(addresses).T  # by level: neighbours are alike
    text = json.dumps({"format": FORMAT, "runs": index}, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    np.savez(
        buffer,
        index=np.frombuffer(text, np.uint8),
        address=np.ascontiguousarray(columns),
        **arrays,
    )
    return lzma.compress(buffer.getvalue(), preset=9)


def read(path: Path) -> list[Recorded]:
    """The runs of a file."""
    with np.load(io.BytesIO(lzma.decompress(path.read_bytes()))) as arrays:
        whole = {name: arrays[name] for name in arrays.files}
    index = json.loads(whole.pop("index").tobytes())
    assert index["format"] == FORMAT
    whole["address"] = whole["address"].T
    log_columns = ("tick", "command", "source", "address")
    taken = dict.fromkeys(whole, 0)

    def take(name: str, n: int) -> np.ndarray:
        taken[name] += n
        return whole[name][taken[name] - n : taken[name]]

    runs = []
    for entry in index["runs"]:
        description = read_description(entry["description"])
        depth = description.target_levels
        stream = CommandStream(
            take("targets", entry["targets"] * depth).reshape(-1, depth),
            tuple(take("records", n).astype(RECORD) for n in entry["records"]),
            tuple(entry["windows"]),
        )
        log = np.zeros(entry["log"], LOG)
        for name in log_columns:
            log[name] = take(name, entry["log"])
        log["tick"] = np.cumsum(log["tick"])
        outcome: ChannelResult | type[Exception] = Deadlock
        if entry["ticks"] is not None:
            residency = (np.array(entry[name], np.int64) for name in RESIDENCY)
            outcome = ChannelResult(
                ticks=entry["ticks"],
                counts=entry["counts"],
                stalls=None,
                residency=Residency(entry["level"], *residency),
                log=log,
            )
        runs.append(Recorded(entry["name"], Case(description, stream), outcome))
    assert taken == {name: len(array) for name, array in whole.items()}  # nothing left over
    return runs


def read_description(text: dict[str, Any]) -> Description:
    """A description from its asdict, gone through JSON."""
    rows = [
        {**row, "preceding": tuple(row["preceding"]), "following": tuple(row["following"])}
        for row in text["rows"]
    ]
    return Description(
        **{
            **text,
            "levels": tuple(text["levels"]),
            "sizes": tuple(text["sizes"]),
            "bus": Bus(text["bus"]),
            "commands": tuple(
                Command(**{**c, "slot": Slot(c["slot"]), "row_use": RowUse(c["row_use"])})
                for c in text["commands"]
            ),
            "rows": tuple(TimingRow(**row) for row in rows),
            "refresh": Refresh(**text["refresh"]) if text["refresh"] else None,
        }
    )
