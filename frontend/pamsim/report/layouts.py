"""Every layout for one decode step, side by side: `pamsim validate --layout-report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table

from pamsim.compiler import compile_parts
from pamsim.compiler.emit import FAMILY
from pamsim.config.spec import SystemSpec
from pamsim.config.units import shown_bytes
from pamsim.errors import InputError
from pamsim.layout import list_layouts
from pamsim.model.spec import ModelSpec
from pamsim.validate.layout_report import layout_report
from pamsim.validate.parts import prove_layouts
from pamsim.workload.step import DecodeStep


def layout_documents(
    model: ModelSpec, step: DecodeStep, system: SystemSpec
) -> list[dict[str, Any]]:
    """The figures of every layout, the system's own first: one entry a layout.

    parts: figures of each part of the step that lies on an HBM-PIM tier. A layout that cannot take
    the step has the reason as `error` and no parts.
    """
    names = sorted(list_layouts(), key=lambda name: (name != system.layout, name))
    return [_document(model, step, replace(system, layout=name)) for name in names]


def _document(model: ModelSpec, step: DecodeStep, system: SystemSpec) -> dict[str, Any]:
    named = {"layout": system.layout, "spread": system.spread}
    try:
        parts = compile_parts(model, step, system)
    except InputError as error:
        return {**named, "verdict": "not checked", "error": str(error), "parts": []}
    verdict = prove_layouts(parts, system)
    return {
        **named,
        "verdict": verdict.verdict,
        "error": verdict.first_fault or None,
        "parts": [
            {
                "tier": p.share.tier,
                "stage": p.shard.stage,
                "replica": p.shard.replica,
                "layers": len(p.share.layers),
                "kv_tokens": p.share.kv_tokens,
                **layout_report(p.step, p.shard.model, p.share.step).document(),
            }
            for p in parts
            if p.step.programs and p.step.programs[0].program.family == FAMILY
        ],
    }


Figures = dict[str, Any]

_ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("row hits", lambda p: f"{p['reads']['hit_rate']:.1%}"),
    ("columns an activate", lambda p: f"{p['reads']['columns_per_activate']:.1f}"),
    ("columns a row of an append", lambda p: f"{p['writes']['columns_per_activate']:.1f}"),
    *(
        (
            f"fullest {unit} / mean",
            lambda p, unit=name: f"{p['balance_tokens'][unit]['max_over_mean']:.2f}",
        )
        for name, unit in (("bank", "bank"), ("group", "bank group"), ("channel", "channel"))
    ),
    ("bytes read / needed", lambda p: f"{p['over_fetch']:.3f}"),
    ("rows taken of a channel", lambda p: str(p["capacity"]["channel_rows_used_max"])),
    ("rows free", lambda p: str(p["capacity"]["channel_rows_free_min"])),
    ("lost to padding", lambda p: shown_bytes(p["capacity"]["bytes_lost"])),
)


def print_layouts(documents: list[Figures], console: Console) -> None:
    """A table for every part of the step, with a column for every layout."""
    console.print(f"Layouts, spread by {documents[0]['spread']!r}", style="bold")
    sound = [d for d in documents if d["parts"]]
    for number in range(max((len(d["parts"]) for d in sound), default=0)):
        shown = [d for d in sound if number < len(d["parts"])]
        table = Table(box=None, pad_edge=False, header_style="bold")
        part = shown[0]["parts"][number]
        table.add_column(f"{part['tier']}, {part['layers']} layers")
        for document in shown:
            table.add_column(document["layout"], justify="right")
        for name, figure in _ROWS:
            table.add_row(name, *(figure(d["parts"][number]) for d in shown))
        table.add_row("places", *(d["verdict"] for d in shown))
        console.print()
        console.print(table)
    for document in documents:
        if document["error"]:
            console.print(f"{document['layout']}: {document['error']}", highlight=False)
