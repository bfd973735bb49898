"""Descriptions and streams in the C structures of the native core: names become numbers here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyramulator._native import ffi
from pyramulator.description import Description
from pyramulator.errors import DescriptionError, StreamError
from pyramulator.stream import MAX_LEVELS, RECORD, CommandStream

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_ALIGNMENT = 4  # of a record in C; numpy has none for RECORD


class EncodedDescription:
    """A pyr_description and everything that it points to, kept alive together."""

    def __init__(self, description: Description) -> None:
        """Raises DescriptionError where a name is unknown or a number does not fit."""
        levels = {name: i for i, name in enumerate(description.levels)}
        names = [command.name for command in description.commands]
        commands = {name: i for i, name in enumerate(names)}
        if len(levels) != len(description.levels):
            raise DescriptionError("levels must be different names")
        if not 3 <= len(levels) <= MAX_LEVELS:
            raise DescriptionError(
                f"levels must be 3 to {MAX_LEVELS} names, the last two Row and Column, "
                f"not {len(levels)}"
            )
        if len(commands) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DescriptionError(f"command {twice} must be defined once")
        if len(description.sizes) != len(description.levels):
            raise DescriptionError("sizes must have one number a level")
        self._keep: list[Any] = []
        c = ffi.new("pyr_description *")
        c.n_levels = len(description.levels)
        c.n_commands = len(names)
        c.n_rows = len(description.rows)
        c.bus = int(description.bus)
        c.level_names = self._array("char *[]", [self._text(name) for name in description.levels])
        c.sizes = self._int32s(description.sizes, "size of a level")
        c.commands = self._commands(description, levels, commands)
        c.rows = self._rows(description, levels, commands)
        c.refresh_command = -1
        if description.refresh is not None:
            refresh = description.refresh
            c.refresh_command = _lookup(commands, refresh.command, "refresh: command")
            c.refresh_scope = _lookup(levels, refresh.scope, "refresh: scope")
            in_turn = refresh.in_turn or refresh.scope
            c.refresh_in_turn = _lookup(levels, in_turn, "refresh: in_turn")
            c.refresh_interval = _fit(refresh.interval, _INT64, "refresh: interval")
        self.pointer = c

    def _array(self, kind: str, values: Any) -> Any:
        array = ffi.new(kind, values)
        self._keep.append(array)
        return array

    def _text(self, text: str) -> Any:
        return self._array("char[]", text.encode())

    def _int32s(self, values: Sequence[int], what: str) -> Any:
        return self._array("int32_t[]", [_fit(value, _INT32, what) for value in values])

    def _commands(
        self, description: Description, levels: dict[str, int], commands: dict[str, int]
    ) -> Any:
        array = self._array("pyr_command[]", len(description.commands))
        for c, command in zip(array, description.commands, strict=True):
            who = f"command {command.name}: "
            c.name = self._text(command.name)
            c.scope = _lookup(levels, command.scope, who + "scope")
            c.slot = int(command.slot)
            c.cycles = _fit(command.cycles, _INT32, who + "cycles")
            c.row_use = int(command.row_use)
            c.opens = c.closes = -1
            if command.opens is not None:
                c.opens = _lookup(commands, command.opens, who + "opens")
            if command.closes is not None:
                c.closes = _lookup(commands, command.closes, who + "closes")
            c.falling_edge = bool(command.falling_edge)
            c.auto_precharge = bool(command.auto_precharge)
            c.refresh = bool(command.refresh)
            c.completion = _fit(command.completion, _INT64, who + "completion")
        return array

    def _rows(
        self, description: Description, levels: dict[str, int], commands: dict[str, int]
    ) -> Any:
        array = self._array("pyr_row[]", len(description.rows))
        for number, (c, row) in enumerate(zip(array, description.rows, strict=True)):
            who = f"timing row {number}: "
            c.level = _lookup(levels, row.level, who + "level")
            c.window = _fit(row.window, _INT32, who + "window")
            c.sibling = bool(row.sibling)
            c.latency = _fit(row.latency, _INT64, who + "latency")
            preceding = [_lookup(commands, name, who + "preceding") for name in row.preceding]
            following = [_lookup(commands, name, who + "following") for name in row.following]
            c.n_preceding, c.preceding = len(preceding), self._array("int32_t[]", preceding)
            c.n_following, c.following = len(following), self._array("int32_t[]", following)
        return array


class EncodedStream:
    """The targets and records of a CommandStream as C arrays; records are used in place."""

    def __init__(self, stream: CommandStream, target_levels: int) -> None:
        """Raises StreamError where an array has not the shape or dtype that stream.py names."""
        targets = np.asarray(stream.targets)
        if targets.ndim != 2 or targets.shape[1] != target_levels:
            raise StreamError(
                f"targets must have the shape (n, {target_levels}), not {targets.shape}"
            )
        if not np.issubdtype(targets.dtype, np.integer):
            raise StreamError(f"targets must be integers, not {targets.dtype}")
        if targets.size and (targets.min() < -(2**31) or targets.max() >= 2**31):
            raise StreamError("targets must fit 32 bits")
        if len(stream.fifo_window) != len(stream.streams):
            raise StreamError("fifo_window must have one number a stream")
        self._targets = np.require(targets, np.int32, ["C_CONTIGUOUS", "ALIGNED"])
        self.n_targets = len(targets)
        self.targets = ffi.cast("int32_t *", ffi.from_buffer(self._targets))
        self.records: list[tuple[Any, int, int]] = []  # buffer, records, window
        for number, (records, window) in enumerate(
            zip(stream.streams, stream.fifo_window, strict=True)
        ):
            if not isinstance(records, np.ndarray) or records.dtype != RECORD or records.ndim != 1:
                raise StreamError(f"stream {number} must be a one-dimensional array of RECORD")
            records = np.ascontiguousarray(records)
            if records.ctypes.data % _ALIGNMENT:
                records = records.copy()
            size = _fit(window, range(2**20 + 1), f"stream {number}: window of a fifo", StreamError)
            self.records.append((ffi.from_buffer(records.view(np.uint8)), len(records), size))


def _lookup(table: dict[str, int], name: str, what: str) -> int:
    if name not in table:
        raise DescriptionError(f"{what} must be one of {', '.join(table)}, not {name}")
    return table[name]


def _fit(value: int, allowed: range, what: str, error: type[Exception] = DescriptionError) -> int:
    if int(value) not in allowed:
        raise error(f"{what} must be {allowed.start} to {allowed.stop - 1}, not {value}")
    return int(value)
