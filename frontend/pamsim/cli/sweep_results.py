"""`pamsim sweep collect` and `plot`: what a sweep gave, as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pamsim.cli.output import Progress, console, note, print_json
from pamsim.cli.sweep_run import say_edited, submitted
from pamsim.errors import EXIT_OK, EXIT_POINTS_FAILED


def collect_table(
    sweep: Path,
    out_dir: Path | None,
    table: Path | None,
    parquet: bool | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Writes the table; exit code 3 when some points have no result."""
    from pamsim.batch.collect import DAMAGED, DONE, FAILED, collect, write_table

    submission = submitted(sweep, out_dir)
    say_edited(submission)
    with Progress(quiet or as_json) as progress:
        progress.phase("collecting")
        found = collect(submission, progress.advance)
        target = table or submission.directory / "results.csv"
        written = write_table(found, target, parquet)
    counts = {str(k): int(v) for k, v in found["status"].value_counts().items()}
    if damaged := counts.get(DAMAGED, 0):
        note(f"{damaged} damaged entr{'y' if damaged == 1 else 'ies'}: submit again to run them")
    document: dict[str, Any] = {
        "schema_version": 1,
        "sweep": str(submission.sweep_path),
        "edited": submission.edited,
        "rows": len(found),
        "columns": [str(name) for name in found.columns],
        "status": counts,
        "files": [str(path) for path in written],
    }
    if as_json:
        print_json(document)
    elif not quiet:
        said = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
        files = " and ".join(_shown(path) for path in written)
        console().print(f"{len(found)} rows ({said}) in {files}",
                        soft_wrap=True, markup=False, highlight=False)  # fmt: skip
    bad = counts.get(FAILED, 0) + counts.get(DAMAGED, 0)
    return EXIT_POINTS_FAILED if bad or counts.get(DONE, 0) < len(found) else EXIT_OK


def draw_plot(
    sweep: Path,
    out_dir: Path | None,
    kind: str,
    x: str,
    y: str,
    by: str | None,
    larger: tuple[str, ...],
    target: Path | None,
) -> int:
    from pamsim.batch.collect import collect
    from pamsim.batch.plot import draw

    submission = submitted(sweep, out_dir)
    say_edited(submission)
    with Progress(False) as progress:
        progress.phase("collecting")
        table = collect(submission, progress.advance)
    written = draw(table, target or submission.directory / "plot.svg", kind, x, y, by, larger)
    console().print(f"{kind} in {_shown(written)}", soft_wrap=True, markup=False, highlight=False)
    return EXIT_OK


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
