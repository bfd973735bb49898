"""Refresh intervals: the k-th refresh of a node lies in its window, and none is missing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pamsim.validate.timing.findings import AT_END, Findings
from pamsim.validate.timing.geometry import Chunk, Geometry
from pamsim.validate.timing.rule import Check, RefreshRule, Rule, Scope
from pamsim.validate.timing.table import CommandTable

_NODES = {Scope.PSEUDO_CHANNEL: "pseudo-channel", Scope.SID: "rank"}


class RefreshChecker:
    """Counts the refreshes of every node. `interval` is in ticks."""

    def __init__(
        self,
        rule: RefreshRule,
        interval: int,
        checks: Mapping[Check, Rule],
        geometry: Geometry,
        table: CommandTable,
    ) -> None:
        self.rule, self.interval, self.checks = rule, interval, checks
        self.issued = [0] * geometry.nodes[rule.scope]
        self.turns = geometry.nodes[rule.in_turn or rule.scope] // geometry.nodes[rule.scope]
        self.member = np.zeros(len(table) + 1, bool)
        self.member[table.indices((rule.command,))] = True

    def feed(self, chunk: Chunk, findings: Findings) -> None:
        chosen = np.flatnonzero(self.member[chunk.command])
        node = chunk.keys[self.rule.scope][chosen]
        early, late, far, out_of_turn = [], [], [], []
        for place in np.unique(node).tolist():
            positions = chosen[node == place]
            number = self.issued[place] + 1 + np.arange(len(positions))
            self.issued[place] += len(positions)
            tick = chunk.tick[positions]
            early.append(positions[tick < number * self.interval])
            late.append(positions[tick > (number + self.rule.late) * self.interval])
            far.append(positions[tick > (number + self.rule.postponed) * self.interval])
            if self.rule.in_turn is not None:
                whose = chunk.keys[self.rule.in_turn][positions] % self.turns
                out_of_turn.append(positions[whose != (number - 1) % self.turns])
        if not early:
            return
        window, limit = self.checks[Check.REFRESH_INTERVAL], self.checks[Check.REFRESH_LIMIT]
        findings.report(window, chunk, np.concatenate(early), "comes before its interval")
        findings.report(window, chunk, np.concatenate(late), "comes after its interval")
        findings.report(limit, chunk, np.concatenate(far), "was postponed too long")
        if out_of_turn:
            turn = self.checks[Check.REFRESH_TURN]
            findings.report(
                turn, chunk, np.concatenate(out_of_turn), "is not the one whose turn it is"
            )

    def finish(self, ticks: int, findings: Findings) -> None:
        """What must have come before `ticks` and did not."""
        node = _NODES.get(self.rule.scope, "node")
        for check, intervals in (
            (Check.REFRESH_INTERVAL, self.rule.late),
            (Check.REFRESH_LIMIT, self.rule.postponed),
        ):
            due = (ticks - 1) // self.interval - intervals  # (due + intervals) x interval < ticks
            for place, issued in enumerate(self.issued):
                deadline = (issued + 1 + intervals) * self.interval
                text = (
                    f"{self.rule.command} number {issued + 1} of {node} {place} is due by "
                    f"tick {deadline} and missing at the end, tick {ticks}"
                )
                findings.add(self.checks[check], due - issued, AT_END, text)
