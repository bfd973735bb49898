"""The summary a person reads after a run: where time and energy go, and what holds it up."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from pamsim.report import words
from pamsim.report.document import multiplicity

BAR_WIDTH = 16
TERMS_SHOWN = 8
REASONS_SHOWN = 6
GOOD, BAD, OPEN = "green", "bold red", "yellow"


def print_summary(document: dict[str, Any], console: Console, directory: str) -> None:
    """Writes the summary of a result document; `directory` is where the result lies."""
    workload = document["workload"]
    console.print(
        Text.assemble(
            (f"{document['model']} on {document['system']}", "bold"),
            f", batch {workload['batch']}, {words.contexts_words(workload['contexts'])}",
        )
    )
    held = {name: tier["kv_tokens"] for name, tier in document["tiers"].items()}
    if len(held) > 1:
        shares = (f"{name.upper()} {n / sum(held.values()):.1%}" for name, n in held.items())
        console.print(f"KV cache: {', '.join(shares)}", highlight=False)
    _section(
        console,
        f"One decode step takes {words.duration(document['latency_ns'])}",
        _latency(document, console),
    )
    _section(console, _energy_title(document), _energy(document, console))
    for name, tier in document["tiers"].items():
        _section(console, _tier_title(name, tier), _bandwidth(tier, console))
    _section(console, "Proofs", _proofs(document["validation"], console))
    constants = sum(1 for a in document["assumptions"] if a["value"] is not None)
    console.print(
        f"\nAssumptions: {constants} assumed constants and "
        f"{len(document['assumptions']) - constants} rules, each named under `assumptions`"
    )
    console.print(Text(f"Result: {directory}"), soft_wrap=True)


def print_proofs(validation: dict[str, Any], console: Console) -> None:
    """Writes the three verdicts, each with what it found and what it took."""
    for line in _proofs(validation, console):
        console.print(line, highlight=False)


def _section(console: Console, title: str, lines: Iterable[Text]) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    for line in lines:
        console.print(line, highlight=False)


def _latency(document: dict[str, Any], console: Console) -> Iterable[Text]:
    critical: Counter[str] = Counter()
    for task in document["timeline"]:
        if task["critical"]:
            critical[task["task"]] += task["end_ns"] - task["start_ns"]
    for name, time in critical.most_common():
        label = words.TASKS.get(name, name)
        yield _bar_line(label, time / document["latency_ns"], words.duration(time), console)


def _energy_title(document: dict[str, Any]) -> str:
    energy = document["energy_pj"]
    if energy is None:
        return "Energy unknown"
    tokens = document["workload"]["batch"]
    return (
        f"Energy {words.energy(energy['total'])}, {words.energy(energy['total'] / tokens)} a token"
    )


def _energy(document: dict[str, Any], console: Console) -> Iterable[Text]:
    energy = document["energy_pj"]
    if energy is None:
        for name in document["energy_missing"]:
            yield Text(f"  missing: {name}", style=OPEN)
        return
    terms = sorted(energy["terms"], key=lambda t: (-t["pj"], t["name"]))
    total = energy["total"]
    for term in terms[:TERMS_SHOWN]:
        label = words.term_words(term["tier"], term["name"])
        yield _bar_line(label, term["pj"] / total, words.energy(term["pj"]), console)
    rest = sum(t["pj"] for t in terms[TERMS_SHOWN:])
    if rest:
        label = f"{len(terms) - TERMS_SHOWN} other terms"
        yield _bar_line(label, rest / total, words.energy(rest), console)


def _tier_title(name: str, tier: dict[str, Any]) -> str:
    return (
        f"{name.upper()} reads {words.rate(tier['bandwidth_gbps'])} of "
        f"{words.rate(tier['peak_gbps'])} ({tier['peak_fraction']:.1%}) while attention runs"
    )


def _bandwidth(tier: dict[str, Any], console: Console) -> Iterable[Text]:
    yield from _wrapped(f"peak: {tier['peak_rule']}", console)
    channels = tier["channels"]
    busy = tier["busy_channels"]
    useful = sum(c["bytes_useful"] * multiplicity(c) for c in channels)
    internal = sum(c["bytes_internal"] * multiplicity(c) for c in channels)
    line = f"{busy} of {busy + tier['idle_channels']} channels busy"
    line += f", {len(channels)} distinct program{'s' * (len(channels) != 1)}"
    if useful:
        line += f"; every KV byte is read {internal / useful:.2f} times"
    if tier["tiling"]["passes"] > 1:
        line += f" ({tier['tiling']['passes']} passes: the PU buffer holds"
        line += f" {tier['tiling']['queries']} query head{'s' * (tier['tiling']['queries'] != 1)})"
    yield from _wrapped(line, console)
    reasons = _reasons(channels)
    total = sum(reasons.values())
    if total:
        yield Text("  the streams' time went to:")
        for reason, ticks in reasons.most_common(REASONS_SHOWN):
            yield _bar_line(reason, ticks / total, "", console, label_width=42)


def _wrapped(text: str, console: Console, indent: int = 2, style: str = "") -> Iterable[Text]:
    """A paragraph, indented."""
    for line in textwrap.wrap(text, max(20, console.width - indent), break_long_words=False):
        yield Text(" " * indent + line, style=style)


def _reasons(channels: list[dict[str, Any]]) -> Counter[str]:
    """Ticks of all streams of all channels by what they were spent on, in words."""
    reasons: Counter[str] = Counter()
    for channel in channels:
        times = multiplicity(channel)
        for classes in channel["stalls"] or []:
            for name, ticks in classes.items():
                if name != "timing":
                    reasons[words.CLASSES.get(name, name)] += ticks * times
        for rules in channel["stall_rules"] or []:
            for label, ticks in rules.items():
                reasons[words.rule_words(label)] += ticks * times
    return +reasons


def _proofs(validation: dict[str, Any], console: Console) -> Iterable[Text]:
    details = {
        "functional": ("the program computes attention", _functional_detail),
        "layout": ("every KV element has its place", _layout_detail),
        "timing": ("commands keep the device's timing", _timing_detail),
    }
    for name, (claim, detail) in details.items():
        proof = validation[name]
        verdict = proof["verdict"]
        style = {"passed": GOOD, "violated": BAD}.get(verdict, OPEN)
        yield Text.assemble("  ", (f"{verdict:<12}", style), claim)
        for text in (detail(proof), proof["first"], proof["coverage"]):
            if text:
                yield from _wrapped(text, console, 14, "dim")


def _functional_detail(proof: dict[str, Any]) -> str:
    if proof["max_abs_error"] is None:
        return ""
    bound = "" if proof["bound"] is None else f", bound {proof['bound']:.2e}"
    return f"largest error {proof['max_abs_error']:.2e}{bound}"


def _layout_detail(proof: dict[str, Any]) -> str:
    if proof["kv_elements"] is None:
        return ""
    return (
        f"{proof['kv_elements']:,} elements, {proof['duplicates']} doubled, "
        f"{proof['missing']} missing"
    )


def _timing_detail(proof: dict[str, Any]) -> str:
    if proof["violations"] is None:
        return ""
    return (
        f"{proof['commands_checked']:,} commands of {proof['logs_checked']} logs, "
        f"{len(proof['rules'])} rules, {proof['violations']} violations"
    )


def _bar_line(
    label: str, share: float, value: str, console: Console, label_width: int = 36
) -> Text:
    full = "█" if (console.encoding or "").lower().startswith("utf") else "#"
    filled = round(share * BAR_WIDTH)
    if len(label) > label_width:
        label = label[: label_width - 3] + "..."
    return Text.assemble(
        f"  {label:<{label_width}} ",
        (full * filled, "cyan"),
        " " * (BAR_WIDTH - filled),
        f" {share:6.1%}",
        f"  {value:>9}" if value else "",
    )
