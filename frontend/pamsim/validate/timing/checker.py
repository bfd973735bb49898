"""The timing checker: an issue log against the device's rules.

It shares nothing with the engines. Of the device it reads the organisation, the named timing
parameters and the PIM unit; of the description the names of levels and commands. The rules
themselves are tables, one module a family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.validate.timing.buses import BusChecker
from pamsim.validate.timing.families import family_names, rules_on
from pamsim.validate.timing.findings import AT_END, Findings, Outcome, TimingVerdict
from pamsim.validate.timing.geometry import Chunk, Geometry
from pamsim.validate.timing.pairwise import PairChecker
from pamsim.validate.timing.refresh import RefreshChecker
from pamsim.validate.timing.row_state import RowChecker
from pamsim.validate.timing.rule import Check, MissingParameter, gap_in_ticks
from pamsim.validate.timing.table import CommandTable
from pyramulator.stream import LOG

_PIECE = 1 << 18  # records worked on at a time: what a rule's arrays hold stays in the cache


class Checker:
    """Checks one channel's issue log, given in pieces in order of time.

    levels: level names of an address, outermost first. commands: names by index of the log.
    expected_counts: how often each named command must issue in all; commands not named are free.
    refresh: False for a run that was asked to refresh nothing; its intervals are not held then.
    Raises InputError when `levels` does not fit the device's organisation.
    """

    def __init__(
        self,
        device: DeviceSpec,
        levels: Sequence[str],
        commands: Sequence[str],
        *,
        expected_counts: Mapping[str, int] | None = None,
        refresh: bool = True,
    ) -> None:
        self._commands = tuple(commands)
        self._expected = dict(expected_counts or {})
        self._counts = np.zeros(len(self._commands), np.int64)
        self._checked = 0
        self._missing: dict[str, list[str]] = {}
        self.family = rules_on(device)
        self._device = device
        if self.family is None:
            return
        self._geometry = Geometry(device.organisation, levels)
        self._table = CommandTable(self.family, device, self._commands)
        self._findings = Findings(self.family.rules)
        checks = dict(self.family.checks)
        derived = self.family.derived(device)
        self._pairs = PairChecker(
            (*self.family.pairs, *self.family.windows),
            device,
            derived,
            self._geometry,
            self._table,
        )
        self._missing = self._pairs.missing
        idle = self.family.refresh is not None and not refresh
        self._notes = ("refresh intervals not held: the run refreshes nothing",) if idle else ()
        self._refresh = self._refresh_checker(device, derived, refresh)
        if self._refresh is None:
            for check in (Check.REFRESH_INTERVAL, Check.REFRESH_LIMIT, Check.REFRESH_TURN):
                checks.pop(check, None)
        if not self._expected:
            del checks[Check.COUNTS]
        self._checks = checks
        self._buses = BusChecker(checks, self._geometry, self._table)
        self._rows = [RowChecker(checks, self._geometry, self._table)]
        if (second := self.family.second_rows) is not None:
            own = self._table.with_rows(second.uses)
            self._rows.append(RowChecker(second.checks, self._geometry, own))

    def _refresh_checker(
        self, device: DeviceSpec, derived: Mapping[str, int], wanted: bool
    ) -> RefreshChecker | None:
        assert self.family is not None
        rule = self.family.refresh
        if not wanted or rule is None:
            return None
        try:
            interval = gap_in_ticks(rule.interval, device, derived, None)
        except MissingParameter as missing:
            name = self.family.checks[Check.REFRESH_INTERVAL].name
            self._missing.setdefault(missing.name, []).append(name)
            return None
        return RefreshChecker(rule, interval, self.family.checks, self._geometry, self._table)

    def feed(self, log: np.ndarray) -> None:
        """Check the next records, LOG [n]. How a log is cut makes no difference to the verdict."""
        if log.dtype != LOG:
            raise InputError(f"a log must be of dtype LOG, not {log.dtype}")
        command = log["command"]
        known = command[(command >= 0) & (command < len(self._commands))]
        self._counts += np.bincount(known, minlength=len(self._commands))
        for start in range(0, len(log), _PIECE):
            piece = log[start : start + _PIECE]
            if self.family is not None:
                chunk = Chunk(piece, self._checked, self._geometry, self._table)
                self._buses.feed(chunk, self._findings)
                for rows in self._rows:
                    rows.feed(chunk, self._findings)
                self._pairs.feed(chunk, self._findings)
                if self._refresh is not None:
                    self._refresh.feed(chunk, self._findings)
            self._checked += len(piece)

    def finish(self, ticks: int) -> TimingVerdict:
        """The verdict of a run that ended at tick `ticks`. Call once, after the last piece."""
        if self.family is None:
            note = (
                f"no timing rules for family {self._device.family!r}; "
                f"known: {', '.join(family_names())}"
            )
            return TimingVerdict("unchecked", 0, None, 0, (), notes=(note,))
        self._buses.finish(ticks, self._findings)
        if self._refresh is not None:
            self._refresh.finish(ticks, self._findings)
        self._check_counts(ticks)
        counts = self._findings.counts
        unknown = self._unknown()
        outcome: Outcome = "passed"
        if counts:
            outcome = "violated"
        elif unknown:
            outcome = "unchecked"
        held = {rule.name for rule, _ in self._pairs.active}
        held |= {rule.name for rule in self._checks.values()}
        held |= {r.name for checker in self._rows[1:] for r in checker.checks.values()}
        return TimingVerdict(
            verdict=outcome,
            violations=sum(counts.values()),
            first=self._findings.first,
            commands_checked=self._checked,
            rules=tuple(rule.name for rule in self.family.rules if rule.name in held),
            by_rule={r.name: counts[r.name] for r in self.family.rules if r.name in counts},
            notes=(*self._notes, *unknown, *self._beyond_ramulator(counts)),
        )

    def _check_counts(self, ticks: int) -> None:
        for name, expected in sorted(self._expected.items()):
            found = sum(
                int(count)
                for command, count in zip(self._commands, self._counts, strict=True)
                if command == name
            )
            text = f"{name} must issue {expected} times, not {found}"
            self._findings.add(
                self._checks[Check.COUNTS],
                abs(found - expected),
                AT_END,
                text,
            )

    def _unknown(self) -> tuple[str, ...]:
        """Why a log without violations is still not proved."""
        assert self.family is not None
        strangers = [
            name
            for name, kind, count in zip(
                self._commands, self._table.kinds, self._counts, strict=True
            )
            if kind is None and count
        ]
        notes = [f"no rules of family {self.family.name!r} for command {n}" for n in strangers]
        for parameter, rules in self._missing.items():
            notes.append(f"{', '.join(rules)} not held: the device gives no {parameter}")
        return tuple(notes)

    def _beyond_ramulator(self, counts: Mapping[str, int]) -> tuple[str, ...]:
        assert self.family is not None
        beyond = {rule.name for rule in self.family.pairs if rule.beyond_ramulator}
        if not counts or not set(counts) <= beyond:
            return ()
        return (
            f"only {', '.join(sorted(counts))} broken: JEDEC edges that Ramulator 2.1 does not "
            "have (CMU-SAFARI/ramulator2 issue 272), so a run that obeys Ramulator can break them",
        )


def check_log(
    device: DeviceSpec,
    levels: Sequence[str],
    commands: Sequence[str],
    log: np.ndarray,
    *,
    ticks: int,
    expected_counts: Mapping[str, int] | None = None,
    refresh: bool = True,
) -> TimingVerdict:
    """Check a whole log, LOG [n], of a run that ended at tick `ticks`. See `Checker`."""
    checker = Checker(device, levels, commands, expected_counts=expected_counts, refresh=refresh)
    checker.feed(log)
    return checker.finish(ticks)
