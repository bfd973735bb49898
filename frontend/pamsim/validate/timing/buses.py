"""The command buses: records in order, no overlap, clock edges, and the falling-edge pairing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pamsim.validate.timing.findings import AT_END, Findings
from pamsim.validate.timing.geometry import MAX_TICK, Chunk, Geometry
from pamsim.validate.timing.rule import Check, Rule, Scope
from pamsim.validate.timing.table import CommandTable
from pyramulator.stream import LOG


class BusChecker:
    """Checks of one channel's row and column command bus. Keeps the last record of each."""

    def __init__(
        self, checks: Mapping[Check, Rule], geometry: Geometry, table: CommandTable
    ) -> None:
        self.checks, self.geometry, self.table = checks, geometry, table
        self.last = {Check.ROW_BUS: np.zeros(0, LOG), Check.COLUMN_BUS: np.zeros(0, LOG)}
        self.last_tick = 0

    def feed(self, chunk: Chunk, findings: Findings) -> None:
        self._records(chunk, findings)
        self._overlap(chunk, findings, Check.ROW_BUS, self.table.row_bus)
        self._overlap(chunk, findings, Check.COLUMN_BUS, self.table.column_bus)
        rising = np.flatnonzero(~self.table.falling_edge[chunk.raw_command] & (chunk.tick % 2 == 0))
        findings.report(
            self.checks.get(Check.RISING_EDGE), chunk, rising, "starts on a falling edge"
        )

    def finish(self, ticks: int, findings: Findings) -> None:
        if self.last_tick > ticks and Check.RECORD in self.checks:
            text = f"tick {self.last_tick} is the last command's, after the end at tick {ticks}"
            findings.add(self.checks[Check.RECORD], 1, AT_END, text)

    def _records(self, chunk: Chunk, findings: Findings) -> None:
        before = np.append(self.last_tick, chunk.tick[:-1])
        bad = np.flatnonzero(chunk.tick < before)
        findings.report(
            self.checks.get(Check.RECORD), chunk, bad, "comes after a later tick in the log"
        )
        outside = np.flatnonzero((chunk.tick < 0) | (chunk.tick >= MAX_TICK))
        findings.report(self.checks.get(Check.RECORD), chunk, outside, "is no tick of a run")
        invalid = np.flatnonzero(~chunk.valid)
        findings.report(
            self.checks.get(Check.RECORD), chunk, invalid, "has no address of its scope"
        )
        self.last_tick = int(chunk.tick[-1])

    def _overlap(self, chunk: Chunk, findings: Findings, check: Check, member: np.ndarray) -> None:
        chosen = np.flatnonzero(member[chunk.raw_command])
        if len(chosen) == 0:
            return
        carried = len(self.last[check])
        command = np.append(self.last[check]["command"].astype(np.intp), chunk.raw_command[chosen])
        tick = np.append(self.last[check]["tick"], chunk.tick[chosen])
        position = np.append(np.full(carried, -1, np.int64), chosen)
        ends = tick + self.table.ticks[command]
        bad = np.flatnonzero(tick[1:] < ends[:-1])
        findings.report(
            self.checks.get(check), chunk, position[bad + 1], "finds its bus still taken"
        )
        if check is Check.ROW_BUS and Check.FALLING_PAIR in self.checks:
            paired = np.flatnonzero((tick[1:] == ends[:-1]) & (tick[1:] % 2 == 0))
            self._pairs(chunk, findings, position[paired], position[paired + 1])
        self.last[check] = chunk.log[chosen[-1:]].copy()

    def _pairs(
        self, chunk: Chunk, findings: Findings, earlier: np.ndarray, later: np.ndarray
    ) -> None:
        """A falling-edge precharge exactly behind the last tick of another row command."""
        refused = []
        for before, position in zip(earlier.tolist(), later.tolist(), strict=True):
            previous = chunk.log[before] if before >= 0 else self.last[Check.ROW_BUS][0]
            record = chunk.log[position]
            if self._refused(previous, record):
                refused.append(position)
        findings.report(
            self.checks.get(Check.FALLING_PAIR),
            chunk,
            np.array(refused, np.int64),
            "is no falling-edge partner of the row command right before it",
        )

    def _refused(self, previous: np.void, record: np.void) -> bool:
        def same(scope: Scope) -> bool:
            place = self.geometry.places[scope]
            return place is None or bool(previous["address"][place] == record["address"][place])

        if not same(Scope.PSEUDO_CHANNEL):
            return False
        scopes = (self.table.scope[previous["command"]], self.table.scope[record["command"]])
        many = min(scopes) < Scope.BANK
        return bool(many) or all(same(s) for s in (Scope.SID, Scope.GROUP, Scope.BANK))
