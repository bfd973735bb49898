"""`pamsim sweep submit`, `retry` and `status`: starting points and watching them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamsim.cli.output import Progress, console, note, print_json
from pamsim.cli.sweep_plan import cost_words, reason_lines, store_of
from pamsim.cli.sweep_progress import Bar
from pamsim.errors import EXIT_OK, EXIT_POINTS_FAILED, InputError

if TYPE_CHECKING:
    from pamsim.batch.executors import Executor, Handle
    from pamsim.batch.point import Point
    from pamsim.batch.status import Status
    from pamsim.batch.store import Store
    from pamsim.batch.submission import Submission

WATCH_S = 2.0  # between two looks of `status --watch`


def submit(
    sweep: Path, out_dir: Path | None, store: Path | None, shard: str | None, **options: Any
) -> int:
    """Checks everything, records the submission, runs what is neither finished nor failed."""
    from pamsim.batch.expand import Expansion
    from pamsim.batch.plan import distinct
    from pamsim.batch.store import Store
    from pamsim.batch.submission import directory_of, record
    from pamsim.batch.sweep import read_sweep
    from pamsim.batch.work import shard as share_of

    quiet = options["quiet"]
    expansion = Expansion(read_sweep(sweep))
    with Progress(quiet) as progress:
        progress.phase("expanding the sweep")
        points = expansion.points
        progress.phase("checking every machine configuration")
        expansion.check(None, progress.advance)
        directory = directory_of(sweep, out_dir)
        results = Store(store_of(store, directory))
        progress.phase("checking the store")
        results.check_writable()
        results.clean()
    submission = record(expansion.sweep, points, directory, results.path)
    mine = distinct(points)
    if shard is not None:
        number, _, count = shard.partition("/")
        if not (number.isdecimal() and count.isdecimal()):
            raise InputError(f"shard must be i/n, such as 1/8, not {shard!r}")
        mine = share_of(mine, int(number), int(count))
    return _run(submission, mine, results, again=False, **options)


def retry(sweep: Path, out_dir: Path | None, **options: Any) -> int:
    """Runs what failed or is missing of what was submitted."""
    from pamsim.batch.plan import distinct
    from pamsim.batch.store import Store

    submission = submitted(sweep, out_dir)
    store = Store(submission.store)
    store.check_writable()
    say_edited(submission)
    return _run(submission, distinct(submission.points), store, again=True, **options)


def submitted(sweep: Path, out_dir: Path | None) -> Submission:
    """What was submitted of a sweep file. Raises InputError where nothing was."""
    from pamsim.batch.submission import directory_of, load

    directory = directory_of(sweep, out_dir)
    found = load(directory)
    if found is None:
        raise InputError(f"sweep must have been submitted, not {str(sweep)!r}: there is no "
                         f"{str(directory)!r}", hint="pamsim sweep submit")  # fmt: skip
    return found


def show_status(sweep: Path, out_dir: Path | None, watch: bool, as_json: bool) -> int:
    """Prints how far a submission is; exit code 3 when points failed."""
    import time

    from pamsim.batch.status import status

    submission = submitted(sweep, out_dir)
    found = status(submission)
    if watch:
        with Bar(found.points, as_json, done_before=found.done) as bar:
            while not found.finished:
                bar.show(found.done, found.failed)
                time.sleep(WATCH_S)
                found = status(submission, explain=False)
            found = status(submission)
    _show(submission, found, as_json)
    return _exit_code(found)


def _run(
    submission: Submission,
    points: list[Point],
    store: Store,
    *,
    again: bool,
    as_json: bool,
    quiet: bool,
    wait: bool,
    **options: Any,
) -> int:
    from pamsim.batch.executors import in_flight, make_executor
    from pamsim.batch.plan import damaged, plan
    from pamsim.batch.status import status

    with Progress(quiet) as progress:
        progress.phase("checking finished points")
        bad = damaged(points, store, progress.advance)
    if bad:
        note(f"{len(bad)} damaged entr{'y is' if len(bad) == 1 else 'ies are'} set aside and run "
             f"again, the first: {bad[0]}")  # fmt: skip
        for error in bad:
            store.set_aside(error.key)
    busy = in_flight(submission.runs)  # before the plan: what ends in between is then done in it
    found = plan(points, store, again)
    if not quiet:
        note(f"{found.distinct} points: {found.done} done, {found.failed} failed, "
             f"{len(found.to_run)} to run; cost: {cost_words(found)}")  # fmt: skip
    stays = wait or options["executor"] != "slurm"
    to_run = [point for point in found.to_run if point.key not in busy]
    if len(to_run) < len(found.to_run):
        note(f"{len(found.to_run) - len(to_run)} of these are with an earlier submission, "
             "which is left to run them")  # fmt: skip
    if to_run:
        with make_executor(options["executor"], **_executor_options(options)) as executor:
            handle = executor.submit(to_run, store.path, submission.runs)
            if stays:
                _watch(executor, handle, len(to_run), quiet)
            elif not quiet:
                note(f"submitted; `pamsim sweep status {submission.sweep_path.name}` says how far")
    end = status(submission)
    if as_json or not quiet:
        _show(submission, end, as_json)
    return _exit_code(end) if stays else EXIT_OK


def _watch(executor: Executor, handle: Handle, total: int, quiet: bool) -> None:
    """Waits for the end with progress; an interrupt stops what runs and keeps what is done."""
    with Bar(total, quiet) as bar:
        try:
            executor.wait(handle, watch=lambda now: bar.show(now.done, now.failed))
        except KeyboardInterrupt:
            executor.cancel(handle)
            now = executor.poll(handle)
            bar.close()
            note(f"stopped: {now.done} of {total} points are done and kept; "
                 "submit again to go on")  # fmt: skip
            raise


def _executor_options(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the executor's class that the command line gives."""
    name = options["executor"]
    if name == "dask":
        return {"jobs": options["jobs"], "address": options["address"]}
    found = {"jobs": options["jobs"], "timeout_s": options["timeout_s"]}
    if name == "slurm":
        from pamsim.batch.executors.slurm import TEMPLATE, SlurmOptions

        found["options"] = SlurmOptions(
            partition=options["partition"],
            account=options["account"],
            time=options["time_limit"],
            memory=options["memory"],
            modules=options["modules"],
            directives=options["directives"],
            template=options["template"] or TEMPLATE,
        )
    return found


def say_edited(submission: Submission) -> None:
    if submission.edited:
        note(f"{submission.sweep_path.name} is another text now than the one that was submitted: "
             f"these are the {len(submission.points)} points of the submission; submit again to "
             "take the change")  # fmt: skip


def _show(submission: Submission, found: Status, as_json: bool) -> None:
    from pamsim.batch.status import status_document

    say_edited(submission)
    if as_json:
        print_json(status_document(submission, found))
        return
    out = console()
    states = {"done": found.done, "failed": found.failed, "running": found.running,
              "waiting": found.pending, "missing": found.missing}  # fmt: skip
    said = ", ".join(f"{count} {name}" for name, count in states.items() if count or name == "done")
    lines = [f"{found.points} points: {said}", *reason_lines(list(found.reasons))]
    lines += [f"  {text}" for text in found.notes]
    if found.missing and found.finished:
        lines.append("  submit again to run the missing points")
    for line in lines:
        out.print(line, soft_wrap=True, markup=False, highlight=False)


def _exit_code(found: Status) -> int:
    ended_short = found.finished and found.missing > 0
    return EXIT_POINTS_FAILED if found.failed or ended_short else EXIT_OK
