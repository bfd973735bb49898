"""Quick pictures of a collected sweep: lines, a heat map, a Pareto front."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pamsim.errors import InputError, did_you_mean, nearest

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("line", "heatmap", "pareto")
ENDINGS = (".png", ".svg", ".pdf")
_SIZE_INCHES = (7.0, 4.5)
_NO_DATE = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def column(table: pd.DataFrame, name: str) -> str:
    """The column that a name means: itself, or the only one that begins or ends so.

    `latency` is latency_ns, `nFAW` is tiers.hbm.device.timing.nFAW_ck. Raises InputError.
    """
    names = [str(n) for n in table.columns]
    if name in names:
        return name
    near = [n for n in names if n.startswith(f"{name}_")] or [
        n for n in names if f".{name}_" in f"{n}_"
    ]
    if len(near) == 1:
        return near[0]
    if near:
        raise InputError(f"column must be one, not {name!r}: {', '.join(near)}")
    raise InputError(f"column must be of the table, not {name!r}", None, did_you_mean(name, names))


def pareto_front(x: np.ndarray, y: np.ndarray, larger_x: bool, larger_y: bool) -> np.ndarray:
    """Indices of the points that no other beats, by x: none is as good in both, better in one."""
    across, up = (-x if larger_x else x), (-y if larger_y else y)
    order = np.lexsort((up, across))
    front, best, at = [], np.inf, np.nan
    for index in order:
        if up[index] < best or (up[index] == best and across[index] == at):
            front.append(index)
            best, at = up[index], across[index]
    return np.array(front, dtype=np.int64)


def draw(
    table: pd.DataFrame,
    target: Path,
    kind: str,
    x: str,
    y: str,
    by: str | None = None,
    larger: Iterable[str] = (),
) -> Path:
    """Draws the finished points of a collected table into a PNG, SVG or PDF file.

    line: y over x, one line for each value of `by`. heatmap: `by` as colours over x and y; where
    several points share a place, their mean. pareto: every point, and the front of small x and y;
    columns in `larger` are better when larger. Raises InputError.
    """
    if kind not in KINDS:
        hint = nearest(kind, KINDS)
        raise InputError(
            f"kind of plot must be one of {', '.join(KINDS)}, not {kind!r}", None, hint
        )
    if target.suffix not in ENDINGS:
        raise InputError(f"plot must be a file ending in {', '.join(ENDINGS)}, not {target.name!r}")
    if kind == "heatmap" and by is None:
        raise InputError("heatmap must have a column for its colours: --by COLUMN")
    try:
        import matplotlib
    except ImportError:
        raise InputError("plots must have matplotlib, which is not installed", None,
                         "pip install 'pamsim[plot]'") from None  # fmt: skip
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    done = table[table["status"] == "done"]
    if done.empty:
        raise InputError("plot must have finished points, not none")
    names = [column(table, n) for n in (x, y, *([by] if by else []))]
    better = {column(table, n) for n in larger}
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    if kind == "line":
        _line(axes, done, *names)
    elif kind == "heatmap":
        _heatmap(figure, axes, done, *names)
    else:
        _pareto(axes, done, better, *names)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Without dates, so that equal results are equal files.
        with matplotlib.rc_context({"svg.hashsalt": "pamsim"}):
            figure.savefig(target, metadata=_NO_DATE.get(target.suffix))
    except OSError as error:
        raise InputError(f"plot must be writable to {str(target)!r} ({error.strerror})") from error
    return target


def _line(axes: Any, done: pd.DataFrame, x: str, y: str, by: str | None = None) -> None:
    for value, group in done.groupby(by, sort=True) if by else [(None, done)]:
        means = group.groupby(x, sort=True)[y].mean()
        axes.plot(means.index, means.to_numpy(), marker="o", markersize=3,
                  label=None if by is None else str(value))  # fmt: skip
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if by:
        axes.legend(title=by, fontsize="small")


def _heatmap(figure: Any, axes: Any, done: pd.DataFrame, x: str, y: str, by: str) -> None:
    cells = done.pivot_table(index=y, columns=x, values=by, aggfunc="mean")
    image = axes.imshow(cells.to_numpy(float), origin="lower", aspect="auto")
    axes.set_xticks(range(len(cells.columns)), [str(v) for v in cells.columns], rotation=45)
    axes.set_yticks(range(len(cells.index)), [str(v) for v in cells.index])
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    figure.colorbar(image, label=by)


def _pareto(
    axes: Any, done: pd.DataFrame, larger: set[str], x: str, y: str, by: str | None = None
) -> None:
    for value, group in done.groupby(by, sort=True) if by else [(None, done)]:
        axes.scatter(group[x], group[y], s=14, alpha=0.6, label=None if by is None else str(value))
    known = done[[x, y]].dropna()
    across, up = known[x].to_numpy(float), known[y].to_numpy(float)
    front = pareto_front(across, up, x in larger, y in larger)
    axes.plot(across[front], up[front], color="black", linewidth=1, marker="o", markersize=4,
              fillstyle="none", label="Pareto front")  # fmt: skip
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend(title=by, fontsize="small")
