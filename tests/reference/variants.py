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
