"""Results of the same step side by side: one column a case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pamsim.report import words
from pamsim.report.document import multiplicity

Document = dict[str, Any]

LABEL_WIDTH, CELL_WIDTH = 34, 23


@dataclass(frozen=True)
class Case:
    """A result under its name, or why there is none."""

    name: str
    document: Document | None
    fault: str = ""


def compare_document(cases: Sequence[Case]) -> dict[str, Any]:
    """What `compare --json` prints: the figures of every case, and the whole result."""
    return {
        "cases": [
            {
                "name": case.name,
                "fault": case.fault or None,
                "figures": case.document and {k: f(case.document) for k, f in FIGURES.items()},
                "result": case.document,
            }
            for case in cases
        ]
    }


def print_comparison(cases: Sequence[Case], console: Console) -> None:
    """The cases by number, then a row a figure, with the ratio to the first case."""
    for number, case in enumerate(cases, start=1):
        console.print(Text(f"{number}  {case.name}", style="bold"), soft_wrap=True)
        if case.fault:
            console.print(Text(f"   {case.fault}", style="red"), soft_wrap=True)
    console.print()
    ran = [(str(n), c) for n, c in enumerate(cases, start=1) if c.document is not None]
    if not ran:
        return
    each = max(2, (console.width - LABEL_WIDTH) // CELL_WIDTH) - 1
    for start in range(1, max(2, len(ran)), each):  # the first case stands in every table
        shown = ran[:1] + ran[start : start + each]
        console.print(_table([n for n, _ in shown], [c for _, c in shown]))


def _table(numbers: Sequence[str], cases: Sequence[Case]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True, width=LABEL_WIDTH - 2)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True, width=CELL_WIDTH - 2)
    for name, figure in FIGURES.items():
        values = [None if c.document is None else figure(c.document) for c in cases]
        if any(value is not None for value in values):
            table.add_row(_LABELS[name], *(_shown(name, v, values[0]) for v in values))
    table.add_row("the step waits for")
    for task in _tasks(cases):
        label = Text(f"  {words.TASKS.get(task, task)}", style="dim")
        table.add_row(label, *(_share(c, task) for c in cases))
    for proof in ("functional", "layout", "timing"):
        table.add_row(f"proof: {proof}", *(_verdict(c, proof) for c in cases))
    return table


def _shown(name: str, value: float | None, first: float | None) -> Text:
    if value is None:
        return Text("-", style="dim")
    text = Text(_FORMATS[name](value))
    if first and value != first and name in _RATIOS:
        text.append(f"  x{value / first:.3g}", style="dim")
    return text


def _share(case: Case, task: str) -> Text:
    if case.document is None:
        return Text("")
    share = _critical(case.document).get(task, 0.0) / case.document["latency_ns"]
    return Text(f"{share:.1%}" if share else "-", style="dim")


def _verdict(case: Case, proof: str) -> Text:
    if case.document is None:
        return Text("")
    verdict = case.document["validation"][proof]["verdict"]
    style = {"passed": "green", "violated": "bold red"}.get(verdict, "yellow")
    return Text(verdict, style=style)


def _critical(document: Document) -> dict[str, float]:
    found: dict[str, float] = {}
    for task in document["timeline"]:
        if task["critical"]:
            found[task["task"]] = found.get(task["task"], 0.0) + task["end_ns"] - task["start_ns"]
    return found


def _tasks(cases: Sequence[Case]) -> list[str]:
    """Tasks that some step waits for, longest first."""
    total: dict[str, float] = {}
    for case in cases:
        if case.document is not None:
            for task, time in _critical(case.document).items():
                share = time / case.document["latency_ns"]
                total[task] = max(total.get(task, 0.0), share)
    return sorted(total, key=lambda task: -total[task])


def _attention_ns(document: Document) -> float | None:
    spans = [(t["start_ns"], t["end_ns"]) for t in document["timeline"] if t["task"] == "attention"]
    return sum(end - start for start, end in _union(spans)) if spans else None


def _union(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _energy_pj_per_token(document: Document) -> float | None:
    energy = document["energy_pj"]
    return None if energy is None else energy["total"] / document["workload"]["batch"]


def _bandwidth(document: Document) -> float | None:
    tiers = document["tiers"].values()
    return sum(t["bandwidth_gbps"] for t in tiers) if tiers else None


def _peak_fraction(document: Document) -> float | None:
    return max((t["peak_fraction"] for t in document["tiers"].values()), default=None)


def _reads_per_byte(document: Document) -> float | None:
    channels = [c for t in document["tiers"].values() for c in t["channels"]]
    useful = sum(c["bytes_useful"] * multiplicity(c) for c in channels)
    internal = sum(c["bytes_internal"] * multiplicity(c) for c in channels)
    return internal / useful if useful else None


def _activates(document: Document) -> float | None:
    total = sum(
        n * c["banks_per_command"][name] * multiplicity(c)
        for t in document["tiers"].values()
        for c in t["channels"]
        for name, n in c["commands"].items()
        if name.startswith("ACT") and c["banks_per_command"][name]
    )
    return total or None


def _busy_channels(document: Document) -> float | None:
    tiers = document["tiers"].values()
    if not tiers:
        return None
    busy = sum(t["busy_channels"] for t in tiers)
    return busy / (busy + sum(t["idle_channels"] for t in tiers))


FIGURES: dict[str, Callable[[Document], float | None]] = {
    "latency_ns": lambda d: float(d["latency_ns"]),
    "tokens_per_second": lambda d: d["workload"]["batch"] * 1e9 / d["latency_ns"],
    "attention_ns": _attention_ns,
    "reduction_share": lambda d: float(d["reduction"]["share"]) if d["tiers"] else None,
    "energy_pj_per_token": _energy_pj_per_token,
    "bandwidth_gbps": _bandwidth,
    "peak_fraction": _peak_fraction,
    "reads_per_kv_byte": _reads_per_byte,
    "bank_activates": _activates,
    "busy_channels": _busy_channels,
    "row_hit_rate": lambda d: d["validation"]["layout"].get("row_hit_rate"),
}
_LABELS = {
    "latency_ns": "decode step",
    "tokens_per_second": "tokens a second",
    "attention_ns": "attention",
    "reduction_share": "reduction, of attention",
    "energy_pj_per_token": "energy a token",
    "bandwidth_gbps": "internal bandwidth",
    "peak_fraction": "of the peak, best tier",
    "reads_per_kv_byte": "reads of a KV byte",
    "bank_activates": "bank activates",
    "busy_channels": "channels busy",
    "row_hit_rate": "row hits",
}
_RATIOS = (
    "latency_ns", "tokens_per_second", "attention_ns", "energy_pj_per_token", "bandwidth_gbps",
    "bank_activates",
)  # fmt: skip


def _percent(value: float) -> str:
    return f"{value:.1%}"


_FORMATS: dict[str, Callable[[float], str]] = {
    "latency_ns": words.duration,
    "tokens_per_second": lambda v: f"{v:,.4g}",
    "attention_ns": words.duration,
    "reduction_share": _percent,
    "energy_pj_per_token": words.energy,
    "bandwidth_gbps": words.rate,
    "peak_fraction": _percent,
    "reads_per_kv_byte": lambda v: f"{v:.2f}",
    "bank_activates": lambda v: f"{v:,.0f}",
    "busy_channels": _percent,
    "row_hit_rate": _percent,
}
