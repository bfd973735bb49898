"""Dropped, duplicated and altered commands: a log against what each stream asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError, did_you_mean
from pamsim.validate.timing.families import family_names, rules_on
from pamsim.validate.timing.geometry import Geometry
from pamsim.validate.timing.rule import RowUse, Scope
from pamsim.validate.timing.table import CommandTable

_AHEAD = 64  # commands compared behind a mismatch to tell a dropped one from an altered one

FaultKind = Literal["dropped", "duplicated", "added", "altered"]


@dataclass(frozen=True)
class SequenceFault:
    """The first command of a stream that did not issue as asked.

    index: its place in the stream's expected sequence. tick: of the log's record, None for a
    dropped command behind the log's end.
    """

    stream: int
    kind: FaultKind
    index: int
    tick: int | None
    text: str


def check_sequence(
    device: DeviceSpec,
    levels: Sequence[str],
    commands: Sequence[str],
    expected: Sequence[np.ndarray],
    log: np.ndarray,
    *,
    unordered: Collection[int] = (),
) -> list[SequenceFault]:
    """The first fault of every stream; empty when each issued what it was asked, in its order.

    expected: per stream a structured array with fields `command` (index) and `address` (as in
    LOG), one record a final command. Activates and precharges in the log that no expected one
    asks for are prerequisites. Address parts that a command does not name are not compared.
    unordered: streams whose finals may change places (`fifo` streams); their sets are compared.
    Raises InputError for a family without a command table, or levels that do not fit.
    """
    family = rules_on(device)
    if family is None:
        raise InputError(
            f"family must be one with timing rules, not {device.family!r}",
            hint=did_you_mean(device.family, family_names()),
        )
    geometry = Geometry(device.organisation, levels)
    table = CommandTable(family, device, commands)
    comparer = _Comparer(geometry, table)
    faults = []
    strangers = np.flatnonzero((log["source"] >= len(expected)) | (log["source"] < -1))
    if len(strangers):
        record = log[strangers[0]]
        text = (
            f"stream {record['source']} is none of the program's {len(expected)}; tick "
            f"{record['tick']} {geometry.describe(record, table)} is its first command"
        )
        faults.append(SequenceFault(int(record["source"]), "added", 0, int(record["tick"]), text))
    for stream, wanted in enumerate(expected):
        issued = log[log["source"] == stream]
        fault = comparer.compare(stream, wanted, issued, ordered=stream not in unordered)
        if fault is not None:
            faults.append(fault)
    return faults


class _Comparer:
    def __init__(self, geometry: Geometry, table: CommandTable) -> None:
        self.geometry, self.table = geometry, table
        self.moves_row = np.isin(table.row_use, (RowUse.OPEN, RowUse.CLOSE))

    def compare(
        self, stream: int, wanted: np.ndarray, issued: np.ndarray, *, ordered: bool
    ) -> SequenceFault | None:
        issued = issued[self._answers(wanted, issued)]
        both = np.concatenate([self._plain(wanted), self._plain(issued)])
        numbers = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
        want, have = numbers[: len(wanted)], numbers[len(wanted) :]
        if not ordered:
            by_want, by_have = np.argsort(want, kind="stable"), np.argsort(have, kind="stable")
            wanted, issued = wanted[by_want], issued[by_have]
            want, have = want[by_want], have[by_have]
        shorter = min(len(want), len(have))
        differ = np.flatnonzero(want[:shorter] != have[:shorter])
        if len(differ):
            index = int(differ[0])
        elif len(want) != len(have):
            index = shorter
        else:
            return None
        kind = _classify(want, have, index)
        expected = self.geometry.describe(wanted[index], self.table) if index < len(want) else ""
        place = f"stream {stream}, command {index}"
        if index >= len(have):
            text = f"{place} was dropped: {expected} is not in the log"
            return SequenceFault(stream, kind, index, None, text)
        record = issued[index]
        found = f"tick {record['tick']} {self.geometry.describe(record, self.table)}"
        text = {
            "dropped": f"{place} was dropped: {expected} is missing before {found}",
            "duplicated": f"{place}: {found} issued twice",
            "added": f"{place}: {found} was never asked for",
            "altered": f"{place} was altered: {found} issued for {expected}",
        }[kind]
        return SequenceFault(stream, kind, index, int(record["tick"]), text)

    def _answers(self, wanted: np.ndarray, issued: np.ndarray) -> np.ndarray:
        """Which issued commands answer the stream: all but prerequisites, bool [n].

        An activate or precharge answers when the next expected command is that very one.
        """
        answers = ~self.moves_row[self._indices(issued)]
        if not self.moves_row[self._indices(wanted)].any():
            return answers
        want = list(map(tuple, self._plain(wanted).tolist()))
        place = 0
        for i, have in enumerate(map(tuple, self._plain(issued).tolist())):
            if not answers[i]:
                answers[i] = place < len(want) and want[place] == have
            place += int(answers[i])
        return answers

    def _indices(self, records: np.ndarray) -> np.ndarray:
        index = records["command"].astype(np.intp)
        return np.where((index < 0) | (index >= len(self.table)), len(self.table), index)

    def _plain(self, records: np.ndarray) -> np.ndarray:
        """int32 [n, 1 + levels]: the command and what its address names, 0 for the rest."""
        index = self._indices(records)
        plain = np.zeros((len(records), 1 + records["address"].shape[1]), np.int32)
        plain[:, 0] = records["command"]
        address = records["address"]
        for scope in Scope:
            place = self.geometry.places[scope]
            if place is not None and scope is not Scope.CHANNEL:
                named = self.table.scope[index] >= scope
                plain[:, 1 + place] = np.where(named, address[:, place], 0)
        for place, named in (
            (self.geometry.row_place, self.table.names_row[index]),
            (self.geometry.column_place, self.table.names_column[index]),
        ):
            plain[:, 1 + place] = np.where(named, address[:, place], 0)
        strange = ~self.table.known[index]  # a command without a table entry names all it says
        plain[strange, 1:] = address[strange]
        return plain


def _classify(want: np.ndarray, have: np.ndarray, index: int) -> FaultKind:
    """What happened at the first mismatch: the reading under which most of what follows agrees."""
    if index >= len(have):
        return "dropped"
    twice = index > 0 and have[index - 1] == have[index]
    extra: FaultKind = "duplicated" if twice else "added"
    if index >= len(want):
        return extra

    def agreement(skip_wanted: int, skip_have: int) -> int:
        a, b = want[index + skip_wanted :][:_AHEAD], have[index + skip_have :][:_AHEAD]
        shorter = min(len(a), len(b))
        return int((a[:shorter] == b[:shorter]).sum())

    likelier = (len(want) > len(have), len(want) == len(have), len(want) < len(have))
    scores: list[tuple[int, bool, FaultKind]] = [
        (agreement(1, 0), likelier[0], "dropped"),
        (agreement(1, 1), likelier[1], "altered"),
        (agreement(0, 1), likelier[2], extra),
    ]
    return max(scores, key=lambda score: score[:2])[2]
