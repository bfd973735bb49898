"""The three proofs' verdicts as the `validation` part of a result document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pamsim.validate.functional import FunctionalVerdict
    from pamsim.validate.layout import LayoutVerdict
    from pamsim.validate.timing import TimingVerdict

NOT_CHECKED = "NOT CHECKED"


def validation_entry(
    functional: FunctionalVerdict | None,
    layout: LayoutVerdict | None,
    timing: TimingVerdict | None,
    logs: int = 0,
) -> dict[str, Any]:
    """`validation` of a result; a proof that is None, or that looked at nothing, is NOT CHECKED.

    logs: distinct engine runs of the step, all of whose logs the timing proof takes.
    """
    return {
        "functional": functional_entry(functional),
        "layout": layout_entry(layout),
        "timing": timing_entry(timing, logs),
    }


def violated(entry: dict[str, Any]) -> bool:
    """Whether any proof found a violation."""
    return any(proof["verdict"] == "violated" for proof in entry.values())


def functional_entry(verdict: FunctionalVerdict | None) -> dict[str, Any]:
    if verdict is None or verdict.verdict == "not checked":
        return {
            "max_abs_error": None,
            "bound": None,
            "max_abs_value": None,
            "reference": "",
            "saturated": 0,
            "clipped": 0,
            "first": None,
            "coverage": "nothing",
            "verdict": NOT_CHECKED,
        }
    finite = verdict.max_abs_error is not None and verdict.max_abs_error < float("inf")
    return {
        "max_abs_error": verdict.max_abs_error if finite else None,
        "bound": verdict.bound,
        "max_abs_value": verdict.max_abs_value,
        "reference": verdict.reference,
        "saturated": verdict.saturated,
        "clipped": verdict.clipped,
        "first": verdict.first_fault or None,
        "coverage": verdict.coverage,
        "verdict": verdict.verdict,
    }


def layout_entry(verdict: LayoutVerdict | None) -> dict[str, Any]:
    if verdict is None or verdict.verdict not in ("passed", "violated"):
        return {
            "kv_elements": None,
            "duplicates": None,
            "missing": None,
            "bytes_fetched": None,
            "bytes_needed": None,
            "first": None,
            "coverage": "nothing",
            "verdict": NOT_CHECKED,
        }
    return {
        "kv_elements": verdict.kv_elements,
        "duplicates": verdict.duplicates,
        "missing": verdict.missing,
        "bytes_fetched": verdict.bytes_fetched,
        "bytes_needed": verdict.bytes_needed,
        "first": getattr(verdict, "first", None) or None,
        "coverage": verdict.coverage,
        "verdict": verdict.verdict,
    }


def timing_entry(verdict: TimingVerdict | None, logs: int) -> dict[str, Any]:
    if verdict is None:
        return {
            "violations": None,
            "first": None,
            "commands_checked": 0,
            "logs_checked": 0,
            "rules": [],
            "by_rule": {},
            "notes": [],
            "coverage": "nothing",
            "verdict": NOT_CHECKED,
        }
    return {
        "violations": verdict.violations,
        "first": verdict.first,
        "commands_checked": verdict.commands_checked,
        "logs_checked": verdict.logs_checked,
        "rules": list(verdict.rules),
        "by_rule": dict(sorted(verdict.by_rule.items())),
        "notes": list(verdict.notes),
        "coverage": f"every command of {verdict.logs_checked} of {logs} distinct engine runs",
        "verdict": verdict.verdict,
    }
