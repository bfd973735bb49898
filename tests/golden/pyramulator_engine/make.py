"""Makes the golden files of this folder from recorded runs; see README.md."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from test_pyramulator_golden import VARIANTS, golden_case, own_figures  # noqa: E402

from pyramulator import Bus, Command, Description, RowUse, Slot, TimingRow, run  # noqa: E402

ROW_USE = {
    "ACT": RowUse.OPEN, "ACTab": RowUse.OPEN,
    "PREpb": RowUse.CLOSE, "PREab": RowUse.CLOSE,
    "RD": RowUse.ACCESS, "WR": RowUse.ACCESS, "RDA": RowUse.ACCESS, "WRA": RowUse.ACCESS,
    "MACab": RowUse.ACCESS,
    "REFab": RowUse.ALL_CLOSED, "REFpb": RowUse.ALL_CLOSED,
    "RFMab": RowUse.ALL_CLOSED, "RFMpb": RowUse.ALL_CLOSED,
}  # fmt: skip
OF_A_BANK = ("ACT", "PREpb", "RD", "WR", "RDA", "WRA", "REFpb", "RFMpb")


def description(folder: Path) -> Description:
    spec = json.loads((folder / "spec.json").read_text())
    config = json.loads((folder / "stream/norefresh/config.json").read_text())
    dram = config["controllers"][0]["dram"]
    names, levels = spec["commands"], spec["levels"]
    commands = []
    for name, cycles in zip(names, dram["command_cycles"], strict=True):
        use, bank = ROW_USE.get(name, RowUse.NONE), name in OF_A_BANK
        opens = ("ACT" if bank else "ACTab") if use == RowUse.ACCESS else None
        closes = None if use in (RowUse.NONE, RowUse.CLOSE) else ("PREpb" if bank else "PREab")
        commands.append(Command(
            name, "Bank" if bank else "PseudoChannel",
            Slot.ROW if name in spec["row_commands"] else Slot.COLUMN, cycles, use, opens, closes,
            falling_edge=use == RowUse.CLOSE, auto_precharge=name in ("RDA", "WRA"),
            refresh=name.startswith("REF"),
        ))  # fmt: skip
    rows = [
        TimingRow(
            levels[level], tuple(names[i] for i in p), tuple(names[i] for i in f), latency,
            *more,
        )
        for level, p, f, latency, *more in dram["timing_constraints"]
    ]  # fmt: skip
    ticks = spec["timing_params_ticks"]["rate"] * 500_000  # two bits a pin and tick
    sizes = tuple(dram["org"]["count"])
    return Description(
        "HBM3PIM", tuple(levels), sizes, ticks, Bus.HALF_CLOCK, tuple(commands), tuple(rows)
    )


def main(folder: Path) -> None:
    device = description(folder)
    (HERE / "hbm3pim.json").write_text(json.dumps(asdict(device), separators=(",", ":")) + "\n")
    arrays = {"requests": []}
    with gzip.open(folder / "stream/stream.txt.gz", "rt") as lines:
        for line in lines:
            name, address = line.split()
            numbers = [int(n) for n in address.split(",")]
            arrays["requests"].append([0, device.command_index(name), *numbers])
    for variant, recorded in VARIANTS.items():
        with gzip.open(folder / "stream" / recorded / "commands.csv.gz", "rt") as lines:
            rows = list(csv.reader(lines))[1:]
        arrays[variant] = [
            [int(row[0]), device.command_index(row[1]), *(int(n) for n in row[2:9])] for row in rows
        ]
    as_numbers = {name: np.array(array, np.int32) for name, array in arrays.items()}
    np.savez_compressed(HERE / "hbm3pim.npz", **as_numbers)
    own = {variant: own_figures(run(*golden_case(variant))) for variant in VARIANTS}
    (HERE / "stalls.json").write_text(json.dumps(own, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "HBM3PIM")
