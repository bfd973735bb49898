"""The layout and functional proofs of a whole step, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pamsim.compiler import CompiledPart
from pamsim.config.spec import SystemSpec
from pamsim.validate.functional import FunctionalVerdict, Mode, prove_function
from pamsim.validate.functional_tiers import prove_tiers
from pamsim.validate.layout import LayoutVerdict, prove_layout


def prove_layouts(parts: Sequence[CompiledPart], system: SystemSpec) -> LayoutVerdict:
    """Every part's places, and that parts in the same banks do not meet."""
    verdicts = [
        prove_layout(
            p.step.table, p.shard.model, p.share.step, system,
            tier=p.share.tier, layers=len(p.share.layers),
        )
        for p in parts
    ]  # fmt: skip
    return _combined_layout(verdicts, _meeting_rows(parts))


def _meeting_rows(parts: Sequence[CompiledPart]) -> str:
    """A fault where two parts take the same rows, else ''."""
    free: dict[tuple[int, int, str], int] = {}
    for p in parts:
        place = p.shard.replica, p.shard.stage, p.share.tier
        if p.step.table.first_row < free.get(place, 0):
            return (
                f"layers {p.share.layers} in tier {p.share.tier!r} must begin at row "
                f"{free[place]}, not {p.step.table.first_row}"
            )
        free[place] = p.step.end_row
    return ""


def _combined_layout(verdicts: Sequence[LayoutVerdict], fault: str) -> LayoutVerdict:
    """Sums over the parts; the fullest bank and group, the mean over groups of all parts."""
    if len(verdicts) == 1 and not fault:
        return verdicts[0]
    first_fault = next((v.first_fault for v in verdicts if v.first_fault), fault)
    groups = sum(v.groups_used for v in verdicts)
    banks_mean = sum(v.tokens_per_bank_mean * v.groups_used for v in verdicts) / max(1, groups)
    return replace(
        verdicts[0],
        verdict="violated" if first_fault else "passed",
        **{
            name: sum(getattr(v, name) for v in verdicts)
            for name in (
                "kv_elements", "duplicates", "missing", "bytes_needed", "bytes_fetched",
                "column_accesses", "row_hits", "groups_used",
            )
        },
        tokens_per_group_max=max(v.tokens_per_group_max for v in verdicts),
        tokens_per_group_mean=(
            sum(v.tokens_per_group_mean * v.groups_used for v in verdicts) / max(1, groups)
        ),
        tokens_per_bank_max=max(v.tokens_per_bank_max for v in verdicts),
        tokens_per_bank_mean=banks_mean,
        rows_free=min(v.rows_free for v in verdicts),
        coverage=f"{len(verdicts)} parts, of each {verdicts[0].coverage}",
        first_fault=first_fault,
    )  # fmt: skip


def prove_functions(parts: Sequence[CompiledPart], *, seed: int, mode: Mode) -> FunctionalVerdict:
    """The programs of every part; the verdict's figures are those of the tightest part.

    Parts of the same layers, one a tier, are proved together where a query's tokens are divided.
    """
    by_layers: dict[object, list[CompiledPart]] = {}
    for part in parts:
        key = part.shard.replica, part.shard.stage, part.share.layers
        by_layers.setdefault(key, []).append(part)
    verdicts = []
    for own in by_layers.values():
        if any(any(p.share.divided) for p in own):
            verdicts.append(prove_tiers(own, seed=seed, mode=mode))
        else:
            verdicts += [
                prove_function(
                    p.step, p.shard.model, p.share.step, seed=seed, mode=mode, append=p.share.append
                )
                for p in own
            ]
    if len(verdicts) == 1:
        return verdicts[0]
    worst = max(verdicts, key=_share)
    faults = [v.first_fault for v in verdicts if v.first_fault]
    coverages = dict.fromkeys(v.coverage for v in verdicts)
    return replace(
        worst,
        verdict="violated" if faults else worst.verdict,
        coverage=f"{len(verdicts)} parts: {'; '.join(coverages)}",
        first_fault=faults[0] if faults else "",
        **{
            name: sum(getattr(v, name) for v in verdicts)
            for name in (
                "pairs_checked", "pairs", "programs_checked", "programs", "tokens_checked",
                "saturated", "clipped",
            )
        },
    )  # fmt: skip


def _share(verdict: FunctionalVerdict) -> float:
    """Error as a share of its bound; a violated part comes first."""
    if verdict.verdict == "violated" or verdict.max_abs_error is None or not verdict.bound:
        return float("inf")
    return verdict.max_abs_error / verdict.bound
