"""Proof 1: the programs compute attention.

The assembled binaries run on the functional machine, in the device's arithmetic, on random numbers;
the output is compared with dense softmax attention in float64. docs/functional-proof.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

from pamsim.compiler.compiled import CompiledStep
from pamsim.model.spec import ModelSpec
from pamsim.validate.functional_judge import Pair, PairResult, draw_pair, judge, roundings_of
from pamsim.validate.functional_quantise import stored_format
from pamsim.validate.functional_run import PairRunner
from pamsim.workload.step import DecodeStep

Verdict = Literal["passed", "violated", "not checked"]
Mode = Literal["default", "full", "off"]


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
    own = _family(compiled)
    if own is not None and not hasattr(own, "make_runner"):
        prove: Callable[..., FunctionalVerdict] = own.prove_function
        return prove(compiled, model, step, seed=seed, mode=mode, scores=scores)
    runner = make_runner(compiled, model, append)
    step = compiled.held.step if compiled.held else step
    return prove_with(runner, model, step, seed=seed, mode=mode, scores=scores)


def make_runner(
    compiled: CompiledStep, model: ModelSpec, append: Sequence[bool] | None = None
) -> PairRunner:
    """What runs the pairs of a compiled step; append: as of `prove_function`."""
    own = _family(compiled)
    if own is not None:
        made: PairRunner = own.make_runner(compiled, model, append)
        return made
    return PairRunner(
        compiled,
        model.value_dim,
        model.group_size,
        form=stored_format(model),
        softcap=model.softcap,
        append=append,
    )


def _family(compiled: CompiledStep) -> ModuleType | None:
    """The module of a family that is proved in its own way: with a `make_runner`, or whole."""
    name = f"pamsim.validate.families.{compiled.device.family}"
    return import_module(name) if find_spec(name) else None


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
    programs = {
        program.sha256
        for request, kv_head in pairs
        for s in runner.segments(request, kv_head)
        if (program := runner.program_of(s.channel)) is not None
    }
    known = {program.sha256 for program in compiled.programs}
    tokens = sum(step.contexts[request] for request, _ in pairs)
    return verdict_of(results, total, programs, known, tokens)


def verdict_of(
    results: Sequence[PairResult],
    pairs: int,
    ran: AbstractSet[str],
    known: AbstractSet[str],
    tokens: int,
) -> FunctionalVerdict:
    """The verdict over the results of some of `pairs` pairs; ran, known: programs by hash."""
    worst = max(results, key=lambda r: r.share)  # its error is the largest share of its bound
    faults = [r.fault for r in results if r.fault]
    if missing := known - ran:
        faults.append(f"{len(missing)} programs hold no pair")
    coverage = (
        f"{len(results)} of {pairs} (request, KV head) of one layer, all their tokens; "
        f"{len(ran)} of {len(known)} distinct channel programs"
    )
    return FunctionalVerdict(
        verdict="violated" if faults else "passed",
        max_abs_error=worst.error,
        bound=worst.bound,
        max_abs_value=worst.max_abs_value,
        reference=worst.reference,
        coverage=coverage,
        pairs_checked=len(results),
        pairs=pairs,
        programs_checked=len(ran),
        programs=len(known),
        tokens_checked=tokens,
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


def _prove_pair(
    runner: PairRunner, model: ModelSpec, step: DecodeStep, pair: Pair, seed: int, scores: str
) -> PairResult:
    """Draws, runs and judges; the numbers of one pair at a time are in memory."""
    data = draw_pair(model, pair, step.contexts[pair[0]], seed, scores)
    return judge(roundings_of(runner, pair), pair, data, runner.run(*pair, data))
