"""Proof 1: the programs compute attention.

The assembled binaries run on the functional machine, in the device's arithmetic, on random numbers;
the output is compared with dense softmax attention in float64. docs/functional-proof.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from pamsim.compiler.compiled import CompiledStep
from pamsim.model.spec import ModelSpec
from pamsim.validate import functional_bound as bounds
from pamsim.validate.functional_data import PairData, draw
from pamsim.validate.functional_latent import draw_latent, projected
from pamsim.validate.functional_quantise import stored_format
from pamsim.validate.functional_run import PairOutcome, PairRunner
from pamsim.workload.step import DecodeStep

Verdict = Literal["passed", "violated", "not checked"]
Mode = Literal["default", "full", "off"]
Pair = tuple[int, int]  # request, KV head


@dataclass(frozen=True)
class FunctionalVerdict:
    """The outcome of the proof.

    max_abs_error and bound, both absolute, belong to the output whose error is the largest share of
    its bound; max_abs_value is the largest |V| of that pair. They are None where nothing was
    checked. reference: what that output was compared with.
    """

    verdict: Verdict
    max_abs_error: float | None
    bound: float | None
    max_abs_value: float | None
    reference: str
    coverage: str
    pairs_checked: int
    pairs: int  # of a layer: (request, KV head)
    programs_checked: int
    programs: int
    tokens_checked: int
    saturated: int  # scores, outputs and results clipped to the FP16 range by the device
    clipped: int  # numbers of a bf16 model clipped on conversion to FP16
    score_max: float | None  # largest |score| in float64
    first_fault: str = ""


def prove_function(
    compiled: CompiledStep,
    model: ModelSpec,
    step: DecodeStep,
    *,
    seed: int = 0,
    mode: Mode = "default",
    scores: str = "random",
    append: Sequence[bool] | None = None,
) -> FunctionalVerdict:
    """Runs the programs of one layer on numbers and compares with float64 attention.

    mode "default": pairs of (request, KV head) such that every distinct channel program runs, and
    the shortest and the longest request; "full": every pair; "off": nothing, verdict "not checked".
    scores: "random" or a pattern of pamsim.validate.functional_data. append: whether the programs
    append the newest token of a request (else it lies in memory); all do if not given. Raises
    ValueError for an unknown pattern.
    """
    family = f"pamsim.validate.families.{compiled.device.family}"
    if find_spec(family):
        prove: Callable[..., FunctionalVerdict] = import_module(family).prove_function
        return prove(compiled, model, step, seed=seed, mode=mode, scores=scores)
    runner = PairRunner(
        compiled,
        model.value_dim,
        model.group_size,
        form=stored_format(model),
        softcap=model.softcap,
        append=append,
    )
    return prove_with(runner, model, step, seed=seed, mode=mode, scores=scores)


def prove_with(
    runner: PairRunner,
    model: ModelSpec,
    step: DecodeStep,
    *,
    seed: int,
    mode: Mode,
    scores: str,
) -> FunctionalVerdict:
    """`prove_function` with the runner of a family. step: the tokens that its devices attend over;
    requests without any are passed over."""
    compiled = runner.compiled
    total = sum(context > 0 for context in step.contexts) * model.kv_heads
    if mode == "off" or not total:
        return FunctionalVerdict(
            "not checked", None, None, None, "", "NOT CHECKED", 0, total, 0,
            len(compiled.programs), 0, 0, 0, None,
        )  # fmt: skip
    pairs = select_pairs(runner, model, step, mode)
    results = [_prove_pair(runner, model, step, pair, seed, scores) for pair in pairs]
    # The tightest pair: the one whose error is the largest share of its bound.
    worst = max(results, key=lambda r: r.share)
    faults = [r.fault for r in results if r.fault]
    programs = {
        program.sha256
        for request, kv_head in pairs
        for s in runner.segments(request, kv_head)
        if (program := runner.program_of(s.channel)) is not None
    }
    known = {program.sha256 for program in compiled.programs}
    if missing := known - programs:
        faults.append(f"{len(missing)} programs hold no pair")
    coverage = (
        f"{len(pairs)} of {total} (request, KV head) of one layer, all their tokens; "
        f"{len(programs)} of {len(known)} distinct channel programs"
    )
    return FunctionalVerdict(
        verdict="violated" if faults else "passed",
        max_abs_error=worst.error,
        bound=worst.bound,
        max_abs_value=worst.max_abs_value,
        reference=worst.reference,
        coverage=coverage,
        pairs_checked=len(pairs),
        pairs=total,
        programs_checked=len(programs),
        programs=len(known),
        tokens_checked=sum(step.contexts[request] for request, _ in pairs),
        saturated=sum(r.saturated for r in results),
        clipped=sum(r.clipped for r in results),
        score_max=max(r.score_max for r in results),
        first_fault=faults[0] if faults else "",
    )


def select_pairs(
    runner: PairRunner, model: ModelSpec, step: DecodeStep, mode: Mode
) -> tuple[Pair, ...]:
    """The pairs that a mode covers, ascending."""
    held = [r for r, context in enumerate(step.contexts) if context]
    if mode == "full":
        return tuple((r, h) for r in held for h in range(model.kv_heads))
    shortest = min(held, key=lambda r: (step.contexts[r], r))
    longest = max(held, key=lambda r: (step.contexts[r], -r))
    chosen = {(shortest, 0), (longest, model.kv_heads - 1)}
    covered: set[str] = set()

    def cover(pair: Pair) -> None:
        for segment in runner.segments(*pair):
            program = runner.program_of(segment.channel)
            if program is not None:
                covered.add(program.sha256)

    for pair in chosen:
        cover(pair)
    for program in runner.compiled.programs:
        if program.sha256 in covered:
            continue
        for binding in program.bindings:
            if binding.segments:
                pair = (binding.segments[0].request, binding.segments[0].kv_head)
                chosen.add(pair)
                cover(pair)
                break
    return tuple(sorted(chosen))


@dataclass(frozen=True)
class _PairResult:
    error: float | None  # None: the pair gave no number
    bound: float | None
    reference: str
    max_abs_value: float
    score_max: float
    saturated: int
    clipped: int
    fault: str

    @property
    def share(self) -> float:
        """Error as a share of the bound; a pair with a fault comes first."""
        if self.fault or self.error is None or self.bound is None:
            return float("inf")
        return self.error / self.bound


def _prove_pair(
    runner: PairRunner, model: ModelSpec, step: DecodeStep, pair: Pair, seed: int, scores: str
) -> _PairResult:
    """Draws, runs and judges; the numbers of one pair at a time are in memory."""
    request, kv_head = pair
    common: dict[str, Any] = {
        "seed": seed,
        "request": request,
        "heads": model.group_size,
        "tokens": step.contexts[request],
        "dtype": model.dtype,
        "scores": scores,
        "form": runner.form,
        "softcap": model.softcap,
    }
    if model.mla:
        data = draw_latent(model.mla, scale=model.attention_scale, **common)
    else:
        data = draw(kv_head=kv_head, head_dim=model.head_dim, scale=model.softmax_scale, **common)
    return _judge(runner, pair, data, runner.run(request, kv_head, data))


def _judge(runner: PairRunner, pair: Pair, data: PairData, outcome: PairOutcome) -> _PairResult:
    """All statements of docs/functional-proof.md about one pair."""
    tiling, table = runner.compiled.tiling, runner.compiled.table
    scaled = runner.form.scaled
    columns = table.key_columns * runner.form.pack + scaled
    ref = bounds.reference(data)
    segments = runner.segments(*pair)
    merges = runner.partials * bounds.merge_count(
        [-(-s.tokens // table.banks) for s in segments],
        tiling.tokens,
        len({s.channel for s in segments}),
    )
    faults = list(outcome.faults)
    error: float | None = None
    bound: float | None = None
    name = "dense attention in float64"
    if not faults and not np.isfinite(outcome.output).all():
        faults.append("output is not finite")
    if not faults:
        output = outcome.output.astype(np.float64)
        stored = outcome.scores.astype(np.float64)
        additions = tiling.tokens + scaled  # the product with a scaled exponential rounds too
        values = bounds.value_bound(stored, ref.largest, additions, merges, runner.arithmetic)
        rounding = bounds.rounding_bound(ref.largest, additions, merges)
        faults += _check_scores(runner, ref, stored, columns)
        if not bounds.within_hull(output, ref, rounding):
            faults.append("output leaves the hull of V")
        own = np.abs(output - bounds.softmax_mean(stored, data.value)).max(axis=1)
        if (own > values).any():
            faults.append(
                f"error against the softmax of the stored scores must be at most "
                f"{values[np.argmax(own - values)]:.3g}, not {own.max():.3g}"
            )
        if ref.score_max <= bounds.SCORE_LIMIT:
            if data.latent is None:
                limits = bounds.attention_bound(ref, columns, values, runner.arithmetic)
            else:
                moved = (values - rounding) / ref.largest
                moved += 1.001 * bounds.score_bound(ref, columns, runner.arithmetic)
                output, limits = projected(output, moved * ref.largest_value, rounding, data.latent)
            errors = np.abs(output - ref.output).max(axis=1)
            if (errors > limits).any():
                faults.append(
                    f"error against dense attention must be at most "
                    f"{limits[np.argmax(errors - limits)]:.3g}, not {errors.max():.3g}"
                )
        else:
            errors, limits, name = own, values, "float64 softmax of the stored scores"
        head = int(np.argmax(errors / limits))
        error, bound = float(errors[head]), float(limits[head])
    return _PairResult(
        error,
        bound,
        name,
        ref.largest_value if "dense" in name else ref.largest,
        ref.score_max,
        outcome.saturations.total,
        data.clipped,
        f"request {pair[0]}, KV head {pair[1]}: {faults[0]}" if faults else "",
    )


def _check_scores(
    runner: PairRunner, ref: bounds.Reference, stored: np.ndarray, columns: int
) -> list[str]:
    """Every stored score is q.k, capped, up to its rounding; beyond the FP16 range it saturates."""
    expected = bounds.expected_scores(ref, runner.arithmetic)
    tolerance = bounds.score_tolerance(ref, columns, runner.arithmetic)
    wrong = ~(np.abs(stored - expected) <= tolerance)
    if not wrong.any():
        return []
    head, token = np.argwhere(wrong)[0]
    return [
        f"score of token {token} with head {head} of the group must be "
        f"{expected[head, token]:.6g} +- {tolerance[head, token]:.2g}, "
        f"not {stored[head, token]:.6g}"
    ]
