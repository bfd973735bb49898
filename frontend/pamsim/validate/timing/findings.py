"""What a check found: the verdict, and the collector that the rules report to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from pamsim.validate.timing.rule import Rule

if TYPE_CHECKING:
    from pamsim.validate.timing.geometry import Chunk

Outcome = Literal["passed", "violated", "unchecked"]

AT_END = 1 << 62  # the position of what shows only at the end of a log


@dataclass(frozen=True)
class TimingVerdict:
    """The result of checking one log, or several (`combine`).

    violations: broken (rule, command) pairs; first: the earliest of them in words, None without.
    rules: names of the rules that the log was held against; by_rule: violations of each broken one.
    'unchecked' when the family has no rules, a command or a parameter is unknown to them.
    """

    verdict: Outcome
    violations: int
    first: str | None
    commands_checked: int
    rules: tuple[str, ...]
    by_rule: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    logs_checked: int = 1


def combine(verdicts: Iterable[TimingVerdict]) -> TimingVerdict:
    """One verdict over several logs; `first` is that of the first log that has one."""
    parts = list(verdicts)
    by_rule: dict[str, int] = {}
    for part in parts:
        for name, count in part.by_rule.items():
            by_rule[name] = by_rule.get(name, 0) + count
    outcomes = {part.verdict for part in parts}
    outcome: Outcome = "passed"
    if "violated" in outcomes:
        outcome = "violated"
    elif "unchecked" in outcomes or not parts:
        outcome = "unchecked"
    return TimingVerdict(
        verdict=outcome,
        violations=sum(part.violations for part in parts),
        first=next((part.first for part in parts if part.first), None),
        commands_checked=sum(part.commands_checked for part in parts),
        rules=tuple(dict.fromkeys(name for part in parts for name in part.rules)),
        by_rule=by_rule,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        logs_checked=sum(part.logs_checked for part in parts),
    )


class Findings:
    """Counts violations by rule and keeps the earliest one's text."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._place = {rule.name: place for place, rule in enumerate(rules)}
        self.counts: dict[str, int] = {}
        self._first: tuple[tuple[int, int], str] | None = None

    @property
    def first(self) -> str | None:
        return self._first[1] if self._first else None

    def add(self, rule: Rule, count: int, position: int, text: str | Callable[[], str]) -> None:
        """Report `count` violations, the earliest by the log's record `position`."""
        if count <= 0:
            return
        self.counts[rule.name] = self.counts.get(rule.name, 0) + count
        order = (position, self._place[rule.name])
        if self._first is None or order < self._first[0]:
            self._first = (order, f"{rule.name}: {text if isinstance(text, str) else text()}")

    def report(self, rule: Rule | None, chunk: Chunk, positions: np.ndarray, what: str) -> None:
        """Report that the records at `positions` of the chunk break a rule (None: not held)."""
        if rule is None or len(positions) == 0:
            return
        first = int(positions.min())

        def text() -> str:
            record = chunk.log[first]
            return f"tick {record['tick']} {chunk.geometry.describe(record, chunk.table)} {what}"

        self.add(rule, len(positions), chunk.base + first, text)
