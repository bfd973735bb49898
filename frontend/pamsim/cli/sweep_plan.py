"""`pamsim sweep plan`: from a file to numbers, without running anything."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamsim.cli.output import console, print_json
from pamsim.errors import EXIT_OK

if TYPE_CHECKING:
    from pamsim.batch.expand import Expansion
    from pamsim.batch.plan import Plan
    from pamsim.batch.reasons import Reason

_REASONS_SHOWN = 10


def store_of(given: Path | None, directory: Path) -> Path:
    """The store: as given, else the one of the submission, else the default."""
    from pamsim.batch.submission import STORE, load

    if given is not None:
        return given
    submission = load(directory)
    return submission.store if submission else STORE


def show_plan(sweep: Path, out_dir: Path | None, store: Path | None, as_json: bool) -> int:
    from pamsim.batch.expand import Expansion
    from pamsim.batch.plan import plan
    from pamsim.batch.store import Store
    from pamsim.batch.submission import directory_of
    from pamsim.batch.sweep import read_sweep

    expansion = Expansion(read_sweep(sweep))
    points = expansion.points
    checked, configurations = expansion.check()
    place = store_of(store, directory_of(sweep, out_dir))
    found = plan(points, Store(place))
    if as_json:
        print_json(plan_document(expansion, found, checked, configurations, place))
    else:
        _print(expansion, found, checked, configurations, place)
    return EXIT_OK


def plan_document(
    expansion: Expansion, found: Plan, checked: int, configurations: int, store: Path
) -> dict[str, Any]:
    """What `plan --json` prints."""
    return {
        "schema_version": 1,
        "sweep": str(expansion.sweep.path),
        "store": str(store),
        "points": found.points,
        "distinct": found.distinct,
        "done": found.done,
        "failed": found.failed,
        "to_run": len(found.to_run),
        "configurations": configurations,
        "configurations_checked": checked,
        "estimated_core_seconds": found.estimate.seconds,
        "estimate_from_measured_points": found.estimate.measured,
        "fields": list(expansion.sweep.varying),
        "reasons": [asdict(reason) for reason in found.reasons],
    }


def _print(
    expansion: Expansion, found: Plan, checked: int, configurations: int, store: Path
) -> None:
    out = console()

    def say(text: str) -> None:
        out.print(text, soft_wrap=True, markup=False, highlight=False)

    sweep = expansion.sweep
    same = found.points - found.distinct
    say(f"{sweep.name}: {found.points} points" + (f", {same} of them like another" * (same > 0)))
    for name in sweep.varying:
        axis = sweep.axes[name]
        if axis.distribution:
            kind, bounds = axis.distribution.kind, axis.distribution.bounds
            said = f"{kind} of {', '.join(str(b) for b in bounds)} {axis.unit}".rstrip()
        else:
            shown = [str(v) for v in axis.values[:6]]
            more = len(axis.values) - len(shown)
            said = ", ".join(shown) + (f", ... {more} more" if more > 0 else "")
        say(f"  {name:<12}  {said}")
    say(f"Store {store}: {found.done} done, {found.failed} failed, {len(found.to_run)} to run")
    for line in reason_lines(list(found.reasons)):
        say(line)
    say(f"Cost of the rest: {cost_words(found)}")
    if checked < configurations:
        say(f"Checked {checked} of {configurations} machine configurations in full, evenly spread; "
            "submit checks every one")  # fmt: skip


def cost_words(found: Plan) -> str:
    """The estimate, labelled as one."""
    if not found.to_run:
        return "nothing"
    seconds, measured = found.estimate.seconds, found.estimate.measured
    if seconds is None:
        return "not known: no point of this sweep has been measured yet"
    return (
        f"about {words_of_seconds(seconds)} of one core (estimate from {measured} measured points)"
    )


def words_of_seconds(seconds: float) -> str:
    """A time for people."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86_400:.3g} days"


def reason_lines(found: list[Reason]) -> list[str]:
    """Each reason once, with its count."""
    lines = []
    for reason in found[:_REASONS_SHOWN]:
        points = f"{reason.points} point" + "s" * (reason.points != 1)
        lines.append(f"  {points} failed: {reason.text}")
    if len(found) > _REASONS_SHOWN:
        lines.append(f"  and {len(found) - _REASONS_SHOWN} more reasons")
    return lines
