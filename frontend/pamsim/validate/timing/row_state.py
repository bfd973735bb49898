"""Row state by replay: what is open when a command comes, bank by bank, vectorised.

Each command that changes a bank leaves a state there; a command meets the state that the last such
command before it left. Commands of several banks are spread over their banks, but accesses, which
are most of a log, are compared with a timeline of their whole scope.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pamsim.validate.timing.findings import Findings
from pamsim.validate.timing.geometry import Chunk, Geometry
from pamsim.validate.timing.rule import Check, RowUse, Rule, Scope
from pamsim.validate.timing.table import CommandTable

CLOSED = -1
PARTLY = -2  # some banks of the scope open, others closed
DIFFERENT = -3  # all open, at different rows


def _summary(states: np.ndarray) -> np.ndarray:
    """[n, banks] states to [n]: the common row, or CLOSED, PARTLY, DIFFERENT."""
    first = states[:, 0]
    uniform = (states == first[:, None]).all(axis=1)
    partly = (states == CLOSED).any(axis=1)
    return np.where(uniform, first, np.where(partly, PARTLY, DIFFERENT))


class RowChecker:
    """The rows of one channel's banks. All banks start closed."""

    def __init__(
        self, checks: Mapping[Check, Rule], geometry: Geometry, table: CommandTable
    ) -> None:
        self.checks, self.geometry, self.table = checks, geometry, table
        self.n_banks = geometry.nodes[Scope.BANK]
        self.state = np.full(self.n_banks, CLOSED, np.int64)
        use = table.row_use
        self.changes = np.isin(
            use, (RowUse.OPEN, RowUse.CLOSE, RowUse.ACCESS_CLOSE, RowUse.REFRESH)
        )
        self.accesses = np.isin(use, (RowUse.ACCESS, RowUse.ACCESS_CLOSE))
        self.access_scopes = sorted({int(s) for s in table.scope[self.accesses]})
        self.change_scopes = sorted({int(s) for s in table.scope[self.changes]})

    def feed(self, chunk: Chunk, findings: Findings) -> None:
        stride = len(chunk)
        position, bank = self._spread(chunk)
        order = np.argsort(bank * stride + position)
        position, bank = position[order], bank[order]
        moment = bank * stride + position  # ascending: by bank, then as in the log
        use = self.table.row_use[chunk.command[position]]
        after = np.where(use == RowUse.OPEN, chunk.row[position], CLOSED).astype(np.int64)
        before = np.empty_like(after)
        before[1:] = after[:-1]
        fresh = np.append(True, bank[1:] != bank[:-1])[: len(bank)]
        before[fresh] = self.state[bank[fresh]]

        met_open = before != CLOSED
        opened = np.unique(position[(use == RowUse.OPEN) & met_open])
        findings.report(self.checks.get(Check.OPEN_BANK), chunk, opened, "meets an open bank")
        refreshed = np.unique(position[(use == RowUse.REFRESH) & met_open])
        findings.report(self.checks.get(Check.REFRESH_OPEN), chunk, refreshed, "meets an open bank")

        met, asked = [], []
        for scope in self.access_scopes:
            wanted = self.accesses & (self.table.scope == scope)
            chosen = np.flatnonzero(wanted[chunk.command])
            if len(chosen):
                met.append(self._met(chunk, Scope(scope), chosen, moment, bank, after))
                asked.append(chosen)
        if asked:
            self._accesses(chunk, findings, np.concatenate(asked), np.concatenate(met))
        last = np.append(bank[1:] != bank[:-1], True)[: len(bank)]
        self.state[bank[last]] = after[last]

    def _spread(self, chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
        """(position, bank) of every change, one entry for each bank it touches."""
        changing = np.flatnonzero(self.changes[chunk.command])
        scopes = self.table.scope[chunk.command[changing]]
        positions, banks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for scope in self.change_scopes:
            chosen = changing[scopes == scope]
            width = self.n_banks // self.geometry.nodes[scope]
            node = chunk.keys[scope][chosen].astype(np.int64)
            banks.append((node[:, None] * width + np.arange(width)).ravel())
            positions.append(np.repeat(chosen, width))
        return np.concatenate(positions), np.concatenate(banks)

    def _met(
        self,
        chunk: Chunk,
        scope: Scope,
        chosen: np.ndarray,
        moment: np.ndarray,
        bank: np.ndarray,
        after: np.ndarray,
    ) -> np.ndarray:
        """The state of the whole scope that each chosen access meets: a row, or CLOSED etc."""
        stride = len(chunk)
        width = self.n_banks // self.geometry.nodes[scope]
        key = chunk.keys[scope][chosen].astype(np.int64)
        start = _summary(self.state.reshape(-1, width))
        if len(moment) == 0:
            return start[key]
        node = bank
        if width > 1:
            # the scope's own timeline: after each change of any of its banks, the state of all
            scope_moment = np.unique(bank // width * stride + moment % stride)
            node, position = np.divmod(scope_moment, stride)
            banks = node[:, None] * width + np.arange(width)
            last = np.searchsorted(moment, banks * stride + position[:, None], side="right") - 1
            known = (last >= 0) & (bank[last] == banks)
            after = _summary(np.where(known, after[last], self.state[banks]))
            moment = scope_moment
        found = np.searchsorted(moment, key * stride + chosen) - 1
        hit = (found >= 0) & (node[found] == key)
        return np.where(hit, after[found], start[key])

    def _accesses(
        self, chunk: Chunk, findings: Findings, position: np.ndarray, met: np.ndarray
    ) -> None:
        closed, partly = met == CLOSED, met == PARTLY
        if Check.HALF_OPEN not in self.checks:
            closed, partly = closed | partly, np.zeros_like(partly)
        wrong = ~closed & ~partly & (met != chunk.row[position])
        findings.report(
            self.checks.get(Check.CLOSED_ROW), chunk, position[closed], "finds no row open"
        )
        findings.report(
            self.checks.get(Check.HALF_OPEN),
            chunk,
            position[partly],
            "finds some of its banks closed",
        )
        findings.report(
            self.checks.get(Check.WRONG_ROW), chunk, position[wrong], "finds another row open"
        )
