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


_LAYOUT_FIELDS = (
    "kv_elements",
    "duplicates",
    "missing",
    "bytes_fetched",
    "bytes_needed",
    "row_hit_rate",
    "tokens_per_group_max",
    "tokens_per_group_mean",
    "tokens_per_bank_max",
    "tokens_per_bank_mean",
    "rows_free",
)


def layout_entry(verdict: LayoutVerdict | None) -> dict[str, Any]:
    """One part; figures are null where nothing was checked."""
    figures = {name: verdict and getattr(verdict, name) for name in _LAYOUT_FIELDS}
    return {
        **figures,
        "first": (verdict.first_fault or None) if verdict else None,
        "coverage": verdict.coverage if verdict else "nothing",
        "verdict": verdict.verdict if verdict else NOT_CHECKED,
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
