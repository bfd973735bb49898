"""Pairwise and windowed rules over the log, vectorised and in pieces.

Per node, the latest tick that any earlier command forbids is a running maximum; a later command
is too early when it ends before that. The maximum at the end of a piece is carried to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing.findings import Findings
from pamsim.validate.timing.geometry import Chunk, Geometry
from pamsim.validate.timing.rule import (
    MissingParameter,
    PairRule,
    Rule,
    Scope,
    WindowRule,
    gap_in_ticks,
)
from pamsim.validate.timing.table import CommandTable
from pyramulator.stream import LOG

_SHIFT = 1 << 44  # more than any tick
_EARLIER, _LATER = np.uint8(1), np.uint8(2)


@dataclass(frozen=True)
class _Broken:
    """Positions in the chunk, in any order; of the lowest, by how much and after which record."""

    positions: np.ndarray
    early: int
    earlier: np.void


class _Relation:
    """One set of earlier commands against one set of later ones, at the level that both name."""

    def __init__(
        self,
        level: Scope,
        releases: Mapping[int, int],
        later: frozenset[int],
        nodes: int,
        table: CommandTable,
        sid: int | None = None,
    ) -> None:
        self.level, self.sid = level, sid
        self.earlier, self.later = sorted(releases), sorted(later)
        self.role = np.zeros(len(table) + 1, np.uint8)
        self.role[self.earlier] |= _EARLIER
        self.role[self.later] |= _LATER
        self.release = np.zeros(len(table) + 1, np.int64)  # from a start to the allowed last tick
        self.release[self.earlier] = [releases[i] for i in self.earlier]
        self.last_tick = table.ticks - 1
        self.carry = np.full(nodes, -1, np.int64)
        self.carried = np.zeros(nodes, LOG)

    def run(self, chunk: Chunk) -> _Broken | None:
        """What of the chunk is too early."""
        has_earlier = chunk.present[self.earlier].any()
        if not has_earlier and not (chunk.present[self.later].any() and (self.carry >= 0).any()):
            return None
        order, command, key, tick = chunk.by_level(self.level)
        role = self.role[command]
        if self.sid is not None:
            here = chunk.sid_in_channel[order] == self.sid
            role &= np.where(here, _EARLIER, _LATER)
        chosen = np.flatnonzero(role)
        if len(chosen) == 0:
            return None
        role, command = role[chosen], command[chosen]
        key, tick = key[chosen], tick[chosen]
        floor = key * _SHIFT  # no key's release reaches the next key's floor
        forbids = np.where(role & _EARLIER, tick + self.release[command] + 1, 0) + floor
        latest = np.maximum.accumulate(forbids)
        before = np.empty_like(latest)
        before[0] = -1
        before[1:] = latest[:-1]
        carried = self.carry[key]
        bound = np.maximum(before - floor - 1, carried)
        early = bound - tick - self.last_tick[command]
        bad = np.flatnonzero((early > 0) & (role & _LATER > 0))

        broken = None
        if len(bad):
            positions = order[chosen[bad]]
            i = bad[np.argmin(positions)]
            if carried[i] == bound[i]:
                record = self.carried[key[i]]
            else:
                record = chunk.log[order[chosen[np.searchsorted(latest, before[i])]]]
            broken = _Broken(positions, int(early[i]), record.copy())

        ends = np.append(np.flatnonzero(key[1:] != key[:-1]), len(key) - 1)
        best = latest[ends] - floor[ends] - 1
        ends = ends[best > self.carry[key[ends]]]
        if len(ends):
            nodes = key[ends]
            self.carry[nodes] = latest[ends] - floor[ends] - 1
            sources = np.searchsorted(latest, latest[ends])
            self.carried[nodes] = chunk.log[order[chosen[sources]]]
        return broken


def _relations(
    rule: PairRule,
    device: DeviceSpec,
    derived: Mapping[str, int],
    geometry: Geometry,
    table: CommandTable,
) -> list[_Relation]:
    """The rule's edges, split so that both sides name the level at which they are compared."""
    merged: dict[tuple[Scope, frozenset[int]], dict[int, int]] = {}
    for earlier_names, later_names in rule.edges:
        earlier_indices, later_indices = table.indices(earlier_names), table.indices(later_names)
        for deep in sorted({int(table.scope[i]) for i in later_indices}):
            later = frozenset(i for i in later_indices if table.scope[i] == deep)
            for i in earlier_indices:
                own = {**derived, "run": table.runs[i]}
                gap = gap_in_ticks(rule.gap, device, own, table.durations[i])
                level = Scope(min(rule.scope, deep, int(table.scope[i])))
                releases = merged.setdefault((level, later), {})
                releases[i] = gap + int(table.ticks[i]) - 1
    sids: list[int | None] = [None]
    if rule.other_sid:
        sids = list(range(geometry.children[Scope.SID]))
        if len(sids) == 1:
            return []
    return [
        _Relation(level, releases, later, geometry.nodes[level], table, sid)
        for (level, later), releases in merged.items()
        for sid in sids
    ]


class _Window:
    """At most `count` of some commands within a gap, per node."""

    def __init__(
        self, rule: WindowRule, gap_ticks: int, geometry: Geometry, table: CommandTable
    ) -> None:
        self.count, self.gap = rule.count, gap_ticks
        self.commands = table.indices(rule.commands)
        self.member = np.zeros(len(table) + 1, bool)
        self.member[self.commands] = True
        self.level = rule.scope
        self.history = np.zeros(0, LOG)  # the last `count` of each node, sorted by node
        self.history_key = np.zeros(0, np.int64)

    def run(self, chunk: Chunk) -> _Broken | None:
        """As `_Relation.run`; the earlier record is the first of the full window."""
        if not chunk.present[self.commands].any():
            return None
        chosen = np.flatnonzero(self.member[chunk.command])
        key = np.append(self.history_key, chunk.keys[self.level][chosen].astype(np.int64))
        records = np.append(self.history, chunk.log[chosen])
        position = np.append(np.full(len(self.history), -1, np.int64), chosen)
        order = np.argsort(key, kind="stable")
        key, records, position = key[order], records[order], position[order]
        tick = records["tick"]
        broken = None
        if len(key) > self.count:
            same = key[self.count :] == key[: -self.count]
            early = self.gap - (tick[self.count :] - tick[: -self.count])
            new = position[self.count :] >= 0
            bad = np.flatnonzero(same & new & (early > 0))
            if len(bad):
                positions = position[bad + self.count]
                i = bad[np.argmin(positions)]
                broken = _Broken(positions, int(early[i]), records[i].copy())
        starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        ends = np.append(starts[1:], len(key))
        from_end = np.repeat(ends, ends - starts) - np.arange(len(key))
        keep = from_end <= self.count
        self.history, self.history_key = records[keep], key[keep]
        return broken


class PairChecker:
    """All pairwise and windowed rules of a family, for one channel.

    `missing` names the parameters that rules need and the device does not give.
    """

    def __init__(
        self,
        rules: tuple[PairRule | WindowRule, ...],
        device: DeviceSpec,
        derived: Mapping[str, int],
        geometry: Geometry,
        table: CommandTable,
    ) -> None:
        self.geometry, self.table = geometry, table
        self.missing: dict[str, list[str]] = {}
        self.active: list[tuple[Rule, list[_Relation | _Window]]] = []
        for rule in rules:
            parts: list[_Relation | _Window] = []
            try:
                if isinstance(rule, PairRule):
                    parts += _relations(rule, device, derived, geometry, table)
                elif table.indices(rule.commands):
                    gap = gap_in_ticks(rule.gap, device, derived, None)
                    parts.append(_Window(rule, gap, geometry, table))
            except MissingParameter as missing:
                self.missing.setdefault(missing.name, []).append(rule.name)
                continue
            if parts:
                self.active.append((rule, parts))

    def feed(self, chunk: Chunk, findings: Findings) -> None:
        for rule, parts in self.active:
            broken = [found for part in parts if (found := part.run(chunk)) is not None]
            if not broken:
                continue
            positions = np.unique(np.concatenate([b.positions for b in broken]))
            first = int(positions[0])
            worst = max((b for b in broken if first in b.positions), key=lambda b: b.early)
            findings.add(
                rule,
                len(positions),
                chunk.base + first,
                partial(self._text, chunk, first, worst.early, worst.earlier),
            )

    def _text(self, chunk: Chunk, position: int, early: int, earlier: np.void) -> str:
        later = chunk.log[position]
        ticks = "tick" if early == 1 else "ticks"
        return (
            f"tick {later['tick']} {self.geometry.describe(later, self.table)} is {early} {ticks} "
            f"too early after tick {earlier['tick']} {self.geometry.describe(earlier, self.table)}"
        )
