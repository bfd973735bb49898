"""`pamsim sweep`: batches of runs, from a file to a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pamsim.cli.options import PlainGroup
from pamsim.errors import EXIT_OK

EXECUTORS = ("local", "slurm", "dask")
KINDS = ("line", "heatmap", "pareto")

file_argument = click.argument("sweep", metavar="SWEEP.yaml", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True,
                           help="Print one JSON document on stdout.")  # fmt: skip
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
directory_option = click.option("--out-dir", "-o", metavar="DIR", type=click.Path(path_type=Path),
    default=None, help="The sweep's directory.  [default: pamsim-out/sweep/SWEEP]")  # fmt: skip
store_option = click.option("--store", metavar="DIR", type=click.Path(path_type=Path), default=None,
    help="Where results are kept, for all sweeps.  [default: pamsim-out/store]")  # fmt: skip


def executor_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of submit and retry: where points run, how many at a time, and what Slurm is told."""
    options = (
        click.option("--executor", type=click.Choice(EXECUTORS), default="local",
                     show_default=True, help="Where points run."),
        click.option("--jobs", metavar="N", type=click.IntRange(1, 100_000), default=None,
                     help="Points at a time.  [default: one a core; slurm: no limit]"),
        click.option("--timeout", "timeout_s", metavar="S", type=click.FloatRange(0, min_open=True),
                     default=None, help="A point that takes longer has failed (local, slurm)."),
        click.option("--wait/--no-wait", default=False,
                     help="slurm: stay until every point is done, and show progress."),
        click.option("--address", metavar="HOST:PORT", default=None,
                     help="dask: a scheduler that is there; without, one on this machine."),
        click.option("--partition", default="", help="slurm: as sbatch takes it."),
        click.option("--account", default="", help="slurm: as sbatch takes it."),
        click.option("--time", "time_limit", default="", metavar="LIMIT",
                     help="slurm: as sbatch takes it, e.g. 1:30:00."),
        click.option("--memory", default="", help="slurm: of a node, e.g. 4G."),
        click.option("--module", "modules", multiple=True, help="slurm: to load. Repeatable."),
        click.option("--sbatch", "directives", multiple=True, metavar="OPTION",
                     help="slurm: further line after #SBATCH, e.g. --qos=low. Repeatable."),
        click.option("--template", type=click.Path(path_type=Path), default=None,
                     help="slurm: a batch script of your own (jinja2)."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.group("sweep", cls=PlainGroup)
def command() -> None:
    """Batches of runs: plan, submit, status, collect, retry, plot.

    A finished point is kept by the hash of all that can change its result, and never run again.
    Exit code 3 when some points failed.
    """


@command.command("plan")
@file_argument
@directory_option
@store_option
@json_option
def plan_command(sweep: Path, out_dir: Path | None, store: Path | None, as_json: bool) -> int:
    """Say how many points there are, what is done, and what the rest would cost.

    The cost is an estimate from points that were measured; nothing is run.
    """
    from pamsim.cli.sweep_plan import show_plan

    return show_plan(sweep, out_dir, store, as_json)


@command.command("submit")
@file_argument
@directory_option
@store_option
@executor_options
@click.option(
    "--shard",
    metavar="i/n",
    default=None,
    help="Only every n-th point from the i-th: for schedulers of your own.",
)
@json_option
@quiet_option
def submit_command(**options: Any) -> int:
    """Run what is neither finished nor failed.

    local and dask stay until it is done; slurm returns when the jobs are queued. Ctrl-C stops the
    points that run; finished ones are kept, and the next submit goes on.
    """
    from pamsim.cli.sweep_run import submit

    return submit(**options)


@command.command("retry")
@file_argument
@directory_option
@executor_options
@json_option
@quiet_option
def retry_command(**options: Any) -> int:
    """Run what was submitted and failed or is missing, once more."""
    from pamsim.cli.sweep_run import retry

    return retry(**options)


@command.command("status")
@file_argument
@directory_option
@click.option("--watch", is_flag=True, help="Show progress until every point is done.")
@json_option
def status_command(sweep: Path, out_dir: Path | None, watch: bool, as_json: bool) -> int:
    """Say how many points are done, failed, running, waiting, and why some failed."""
    from pamsim.cli.sweep_run import show_status

    return show_status(sweep, out_dir, watch, as_json)


@command.command("collect")
@file_argument
@directory_option
@click.option(
    "--table",
    metavar="FILE.csv",
    type=click.Path(path_type=Path),
    default=None,
    help="Where the table goes.  [default: results.csv in the sweep's directory]",
)
@click.option(
    "--parquet/--no-parquet",
    default=None,
    help="The table as parquet, too.  [default: where pyarrow is installed]",
)
@json_option
@quiet_option
def collect_command(**options: Any) -> int:
    """Write a table of what was submitted: one row a point, units in the names of columns."""
    from pamsim.cli.sweep_results import collect_table

    return collect_table(**options)


@command.command("plot")
@file_argument
@directory_option
@click.option(
    "--kind", type=click.Choice(KINDS), default="line", show_default=True, help="What is drawn."
)
@click.option("--x", "x", metavar="COLUMN", required=True, help="Column across.")
@click.option("--y", "y", metavar="COLUMN", required=True, help="Column up.")
@click.option(
    "--by",
    metavar="COLUMN",
    default=None,
    help="A line or colour for each value; the colours of a heat map.",
)
@click.option(
    "--larger",
    metavar="COLUMN",
    multiple=True,
    help="pareto: this column is better when larger. Repeatable.",
)
@click.option(
    "--file",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=None,
    help="PNG, SVG or PDF.  [default: plot.svg in the sweep's directory]",
)
def plot_command(**options: Any) -> int:
    """Draw a quick line, heat map or Pareto front of the finished points."""
    from pamsim.cli.sweep_results import draw_plot

    return draw_plot(**options)


@command.command("work")
@click.option(
    "--points",
    type=click.Path(path_type=Path),
    required=True,
    help="points.jsonl of a sweep's directory.",
)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Where results go.")
@click.option("--shard", metavar="i/n", default="1/1", show_default=True, help="Which share.")
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 4096),
    default=1,
    show_default=True,
    help="Points at a time.",
)
@click.option(
    "--timeout",
    metavar="S",
    type=click.FloatRange(0, min_open=True),
    default=None,
    help="A point that takes longer has failed.",
)
def work_command(points: Path, store: Path, shard: str, jobs: int, timeout: float | None) -> int:
    """Run a share of submitted points here: what a scheduler's task calls.

    It may be killed, run again and run twice at once; what is done already is not done again.
    """
    from pamsim.batch.executors import shard as share

    limit = [] if timeout is None else ["--timeout", str(timeout)]
    return share.main(["--points", str(points), "--store", str(store), "--shard", shard,
                       "--jobs", str(jobs), *limit]) or EXIT_OK  # fmt: skip
