"""The engine against recorded issue ticks of Ramulator 2.1: tests/golden/pyramulator_engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyramulator import (
    RECORD,
    STALL_CLASSES,
    Bus,
    ChannelResult,
    Command,
    CommandStream,
    Description,
    Refresh,
    RowUse,
    Slot,
    TimingRow,
    run,
)

FOLDER = Path(__file__).parent / "golden" / "pyramulator_engine"
VARIANTS = {"norefresh": "norefresh", "allbank": "scoped_allbank"}  # ours: the recording's
WINDOW = 4  # requests in the FIFO at a time
REFRESH = Refresh("REFab", "PseudoChannel", 12480)  # nREFI of the preset, in ticks


def golden_description(refresh: bool) -> Description:
    read = json.loads((FOLDER / "hbm3pim.json").read_text())
    commands = tuple(
        Command(**{**c, "slot": Slot(c["slot"]), "row_use": RowUse(c["row_use"])})
        for c in read["commands"]
    )
    rows = tuple(
        TimingRow(**{**r, "preceding": tuple(r["preceding"]), "following": tuple(r["following"])})
        for r in read["rows"]
    )
    return Description(
        read["name"],
        tuple(read["levels"]),
        tuple(read["sizes"]),
        read["ticks_per_second"],
        Bus(read["bus"]),
        commands,
        rows,
        REFRESH if refresh else None,
    )


def golden_case(variant: str) -> tuple[Description, CommandStream]:
    requests = np.load(FOLDER / "hbm3pim.npz")["requests"]
    targets, place = np.unique(requests[:, 2:7], axis=0, return_inverse=True)
    records = np.zeros(len(requests), RECORD)
    records["command"] = requests[:, 1]
    records["target"] = place
    records["row"] = requests[:, 7]
    records["column"] = requests[:, 8]
    records["count"] = 1
    stream = CommandStream(targets.astype(np.int32), (records,), (WINDOW,))
    return golden_description(variant == "allbank"), stream


def own_figures(result: ChannelResult) -> dict[str, Any]:
    """What Ramulator has no figures for."""
    assert result.stalls is not None
    residency = result.residency
    return {
        "ticks": result.ticks,
        "classes": dict(zip(STALL_CLASSES, result.stalls.classes[0].tolist(), strict=True)),
        "rows": {str(i): n for i, n in enumerate(result.stalls.rows[0].tolist()) if n},
        "active": residency.active.tolist(),
        "precharged": residency.precharged.tolist(),
        "refreshing": residency.refreshing.tolist(),
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_command_issues_when_ramulator_issues_it(variant: str) -> None:
    result = run(*golden_case(variant), log=True)
    assert result.log is not None
    ours = np.column_stack(
        (result.log["tick"], result.log["command"], result.log["address"][:, :7])
    )
    recorded = np.load(FOLDER / "hbm3pim.npz")[variant]
    assert len(ours) == len(recorded)
    different = np.flatnonzero((ours != recorded).any(axis=1))
    assert len(different) == 0, (ours[different[0]], recorded[different[0]])


@pytest.mark.parametrize("variant", VARIANTS)
def test_stalls_and_residency_are_those_of_before(variant: str) -> None:
    """On a difference that is meant: python tests/golden/pyramulator_engine/make.py FOLDER."""
    recorded = json.loads((FOLDER / "stalls.json").read_text())[variant]
    assert own_figures(run(*golden_case(variant))) == recorded
