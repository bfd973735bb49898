"""The commands of a log by index: what the family's rules know of each, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing.rule import (
    Bus,
    CommandKind,
    Family,
    RowUse,
    columns_of,
    cycles_to_ticks,
    split_operand,
)


class CommandTable:
    """Arrays over command indices, one entry more than there are commands for "no command".

    ticks int64 [n + 1], scope int8 (-1 unknown), row_use int8, row_bus, column_bus, falling_edge,
    names_row, names_column bool. `durations[i]` is in ticks, or None; `runs[i]` is in ticks.
    """

    def __init__(self, family: Family, device: DeviceSpec, commands: Sequence[str]) -> None:
        self.names = tuple(commands)
        kinds = {kind.name: kind for kind in family.kinds}
        self.kinds: list[CommandKind | None] = []
        self.durations: list[int | None] = []
        self.runs: list[int] = []
        for name in self.names:
            base, operand = split_operand(name)
            kind = kinds.get(base)
            if kind is not None and (kind.cycles is None) != (operand is None):
                kind = None  # an operand where there is none, or none where there is one
            duration = None
            if kind is not None and kind.cycles is not None and operand is not None:
                cycles = kind.cycles(device.pim, operand)
                duration = cycles_to_ticks(cycles, device.ticks_per_second, device.pim.clock_hz)
            run = 0
            if kind is not None and kind.run is not None and operand is not None:
                run = kind.run(device, operand, columns_of(name))
            self.runs.append(run)
            self.kinds.append(kind)
            self.durations.append(duration)
        padded: list[CommandKind | None] = [*self.kinds, None]
        self.known = np.array([k is not None for k in padded])
        self.ticks = np.array([_ticks(k, device) if k else 1 for k in padded], np.int64)
        self.scope = np.array([k.scope if k else -1 for k in padded], np.int8)
        self.row_use = np.array([k.row_use if k else 0 for k in padded], np.int8)
        self.row_bus = np.array([k is not None and k.bus is Bus.ROW for k in padded])
        self.column_bus = np.array([k is not None and k.bus is Bus.COLUMN for k in padded])
        self.falling_edge = np.array([k is None or k.falling_edge for k in padded])
        self.names_row = np.array([k is not None and k.names_row for k in padded])
        self.names_column = np.array([k is not None and k.names_column for k in padded])

    def __len__(self) -> int:
        return len(self.names)

    def with_rows(self, uses: Mapping[str, RowUse]) -> CommandTable:
        """The table with another row state in view; commands that are not in `uses` leave it."""
        other = copy(self)
        own = [uses.get(k.name, RowUse.NONE) if k else RowUse.NONE for k in [*self.kinds, None]]
        other.row_use = np.array(own, np.int8)
        return other

    def indices(self, bases: Sequence[str]) -> list[int]:
        """Indices of the known commands whose name without operand is in `bases`."""
        return [i for i, kind in enumerate(self.kinds) if kind is not None and kind.name in bases]


def _ticks(kind: CommandKind, device: DeviceSpec) -> int:
    if isinstance(kind.ticks, int):
        return kind.ticks
    return device.timing_ck[kind.ticks] * device.ticks_per_ck
