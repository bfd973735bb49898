"""Changes to a case that bring out what random cases seldom have."""

from __future__ import annotations

from dataclasses import replace

from reference.generate import Case


def with_binding_windows(case: Case) -> Case:
    """Windows so long that they, and not the rows of window 1, decide; refreshes rarer by 1000."""
    rows = tuple(
        replace(row, latency=row.latency + 20 * row.window) if row.window > 1 else row
        for row in case.description.rows
    )
    return with_refresh_later(Case(replace(case.description, rows=rows), case.stream), 1000)


def with_refresh_later(case: Case, ticks: int) -> Case:
    """The refreshes at other phases of the streams, and further apart."""
    refresh = case.description.refresh
    if refresh is not None:
        refresh = replace(refresh, interval=refresh.interval + ticks)
    return Case(replace(case.description, refresh=refresh), case.stream)


def with_refresh_in_turn(case: Case, level: int) -> Case:
    """The nodes of the refresh's scope take turns in each node of a level above, if any."""
    refresh, levels = case.description.refresh, case.description.levels
    if refresh is not None:
        above = levels[: levels.index(refresh.scope) + 1]
        refresh = replace(refresh, in_turn=above[level % len(above)])
    return Case(replace(case.description, refresh=refresh), case.stream)
