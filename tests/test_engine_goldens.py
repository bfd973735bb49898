"""The reference and the engine against Ramulator 2.1, driven by one fifo stream of window 4.

The environment variable PAMSIM_GOLDEN names a folder with `<standard>/<case>/<variant>` runs; the
runs hold the integers of the device (config.json), the requests and every issued command. Without
it these tests are skipped.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import engine as reference

import pyramulator
from pyramulator.description import (
    Bus,
    Command,
    Description,
    Refresh,
    RowUse,
    Slot,
    TimingRow,
)
from pyramulator.result import ChannelResult
from pyramulator.stream import RECORD, CommandStream

FOLDER = os.environ.get("PAMSIM_GOLDEN")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="PAMSIM_GOLDEN names no folder")

BANK_COMMANDS: dict[str, dict[str, Any]] = {
    "ACT": dict(row_use=RowUse.OPEN, closes="PREpb"),
    "PREpb": dict(row_use=RowUse.CLOSE),
    "RD": dict(row_use=RowUse.ACCESS, opens="ACT", closes="PREpb"),
    "WR": dict(row_use=RowUse.ACCESS, opens="ACT", closes="PREpb"),
    "RDA": dict(row_use=RowUse.ACCESS, opens="ACT", closes="PREpb", auto_precharge=True),
    "WRA": dict(row_use=RowUse.ACCESS, opens="ACT", closes="PREpb", auto_precharge=True),
    "REFpb": dict(row_use=RowUse.ALL_CLOSED, closes="PREpb", refresh=True),
    "RFMpb": dict(row_use=RowUse.ALL_CLOSED, closes="PREpb", refresh=True),
}
WIDE_COMMANDS: dict[str, dict[str, Any]] = {  # of a pseudo-channel
    "PREab": dict(row_use=RowUse.CLOSE),
    "REFab": dict(row_use=RowUse.ALL_CLOSED, closes="PREab", refresh=True),
    "RFMab": dict(row_use=RowUse.ALL_CLOSED, closes="PREab", refresh=True),
    "ACTab": dict(row_use=RowUse.OPEN, closes="PREab"),
    "MACab": dict(row_use=RowUse.ACCESS, opens="ACTab", closes="PREab"),
    "WRGB": dict(row_use=RowUse.NONE),
    "RDRES": dict(row_use=RowUse.NONE),
    "SFMX": dict(row_use=RowUse.NONE),
}


def golden_description(run: Path) -> Description:
    """The device of a run, from its own integers."""
    spec = json.loads((run.parent.parent / "spec.json").read_text())
    controller = json.loads((run / "config.json").read_text())["controllers"][0]
    dram = controller["dram"]
    timing = spec["timing_params_ticks"]
    names = spec["commands"]
    commands = tuple(
        Command(
            name=name,
            scope="Bank" if name in BANK_COMMANDS else "PseudoChannel",
            slot=Slot.ROW if name in spec["row_commands"] else Slot.COLUMN,
            cycles=cycles,
            falling_edge=name in ("PREpb", "PREab"),
            **(BANK_COMMANDS | WIDE_COMMANDS)[name],
        )
        for name, cycles in zip(names, dram["command_cycles"], strict=True)
    )
    rows = tuple(
        TimingRow(
            spec["levels"][level],
            tuple(names[p] for p in preceding),
            tuple(names[f] for f in following),
            latency,
            window=more[0] if more else 1,
            sibling=len(more) > 1 and more[1],
        )
        for level, preceding, following, latency, *more in dram["timing_constraints"]
    )
    refresh = None
    if run.name == "scoped_allbank":
        refresh = Refresh("REFab", "PseudoChannel", timing["nREFI"])
    return Description(
        name=spec["standard"],
        levels=tuple(spec["levels"]),
        sizes=tuple(dram["org"]["count"]),
        ticks_per_second=timing["rate"] * 500_000,  # two bits a pin and tick; rate in Mbit/s
        bus=Bus.HALF_CLOCK,
        commands=commands,
        rows=rows,
        refresh=refresh,
    )


def golden_stream(run: Path, description: Description) -> CommandStream:
    """The run's requests as one fifo stream of window 4."""
    targets: dict[tuple[int, ...], int] = {}
    records = []
    with gzip.open(run.parent / "stream.txt.gz", "rt") as lines:
        for line in lines:
            name, address = line.split()
            numbers = [int(n) for n in address.split(",")]
            target = tuple(numbers[: description.target_levels])
            place = targets.setdefault(target, len(targets))
            row, column = numbers[-2:]
            records.append((description.command_index(name), place, row, column, 0, 1))
    return CommandStream(
        np.array(list(targets), dtype=np.int32), (np.array(records, dtype=RECORD),), (4,)
    )


def issued(run: Path, description: Description) -> list[tuple]:
    with gzip.open(run / "commands.csv.gz", "rt") as lines:
        rows = list(csv.DictReader(lines))
    levels = description.levels[:-2]
    return [(int(r["clock"]), r["command"], *(int(r[level]) for level in levels)) for r in rows]


Engine = Callable[[Description, CommandStream], ChannelResult]


def run_engine(description: Description, stream: CommandStream) -> ChannelResult:
    return pyramulator.run(description, stream, log=True)


@pytest.mark.parametrize("engine", [reference.run, run_engine], ids=["reference", "engine"])
@pytest.mark.parametrize("variant", ["norefresh", "scoped_allbank"])
def test_issues_what_ramulator_issues_on_the_tick(engine: Engine, variant: str) -> None:
    run = Path(FOLDER or "") / "HBM3PIM" / "stream" / variant
    description = golden_description(run)
    result = engine(description, golden_stream(run, description))
    assert result.log is not None
    depth = description.target_levels
    log = [
        (int(r["tick"]), description.commands[r["command"]].name, *r["address"][:depth].tolist())
        for r in result.log
    ]
    expected = issued(run, description)
    for place, (mine, theirs) in enumerate(zip(log, expected, strict=False)):
        assert mine == theirs, f"command {place}"
    assert len(log) == len(expected)
    # every completion is 0 here: the end is the tick of the last command
    assert result.ticks == expected[-1][0]
