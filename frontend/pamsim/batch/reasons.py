"""Many failures for few reasons: each reason shown once, with how many points it stopped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pamsim.batch.store import Failure

_NUMBER = re.compile(r"[0-9a-f]{12,}|[0-9][0-9_,.]*")


@dataclass(frozen=True)
class Reason:
    """One reason: the words of its first point, how many points, and that point's key."""

    text: str
    points: int
    example: str


def same_reason(text: str) -> str:
    """What two reasons have in common that differ in numbers and hashes only."""
    return _NUMBER.sub("#", text)


def reasons(failures: Iterable[Failure]) -> list[Reason]:
    """The distinct reasons, the one of most points first."""
    found: dict[str, list[Failure]] = {}
    for failure in failures:
        found.setdefault(same_reason(failure.reason), []).append(failure)
    listed = [Reason(same[0].reason, len(same), same[0].key) for same in found.values()]
    return sorted(listed, key=lambda reason: (-reason.points, reason.text))
