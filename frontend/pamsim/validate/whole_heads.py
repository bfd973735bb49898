"""The functional proof where a channel holds whole heads: which are run, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep
from pamsim.layout.whole_heads import HeadSegment
from pamsim.validate.functional import FunctionalVerdict, Mode
from pim_isa import IsaError


@dataclass(frozen=True)
class Head:
    """A (request, KV head) on a channel; `number`: of the binding's segments."""

    program: ChannelProgram
    binding: ChannelBinding
    number: int

    @property
    def segment(self) -> HeadSegment:
        segment = self.binding.segments[self.number]
        assert isinstance(segment, HeadSegment)
        return segment


@dataclass(frozen=True)
class HeadResult:
    """error and bound of a head's outputs, and what they were compared with; `fault`: what is wrong
    with it, or ''. largest: |V|. score_max: largest |score| in float64."""

    error: float
    bound: float
    reference: str
    largest: float | None
    score_max: float
    saturated: int
    clipped: int
    fault: str

    @property
    def share(self) -> float:
        """Error as a share of its bound; a wrong one comes first."""
        return float("inf") if self.fault else self.error / self.bound


def prove_heads(
    compiled: CompiledStep, mode: Mode, prove: Callable[[Head], HeadResult]
) -> FunctionalVerdict:
    """The verdict over the heads that a mode covers; prove: draws, runs and judges one, and may
    raise IsaError for a program that cannot run."""
    heads = [
        Head(program, binding, number)
        for program in compiled.programs
        for binding in program.bindings
        for number in range(len(binding.segments))
    ]
    programs = len(compiled.programs)
    if mode == "off" or not heads:
        return FunctionalVerdict(
            "not checked", None, None, None, "", "NOT CHECKED", 0, len(heads), 0, programs, 0, 0, 0,
            None,
        )  # fmt: skip
    chosen = heads if mode == "full" else _chosen(heads)
    results = [_proved(head, prove) for head in chosen]
    worst = max(results, key=lambda r: r.share)
    faults = [r.fault for r in results if r.fault]
    ran = len({head.program.sha256 for head in chosen})
    return FunctionalVerdict(
        verdict="violated" if faults else "passed",
        max_abs_error=worst.error,
        bound=worst.bound,
        max_abs_value=worst.largest,
        reference=worst.reference,
        coverage=(
            f"{len(chosen)} of {len(heads)} (request, KV head) of one layer, all their tokens; "
            f"{ran} of {programs} distinct channel programs"
        ),
        pairs_checked=len(chosen),
        pairs=len(heads),
        programs_checked=ran,
        programs=programs,
        tokens_checked=sum(head.segment.tokens for head in chosen),
        saturated=sum(r.saturated for r in results),
        clipped=sum(r.clipped for r in results),
        score_max=max(r.score_max for r in results),
        first_fault=faults[0] if faults else "",
    )


def _proved(head: Head, prove: Callable[[Head], HeadResult]) -> HeadResult:
    place = f"request {head.segment.request}, KV head {head.segment.kv_head}: "
    try:
        result = prove(head)
    except IsaError as fault:
        return HeadResult(float("inf"), 1.0, "", None, 0.0, 0, 0, f"{place}{fault}")
    if not result.fault:
        return result
    return replace(result, fault=place + result.fault)


def _chosen(heads: list[Head]) -> list[Head]:
    """The first and the last head of every program, the shortest and the longest of all."""
    by_length = sorted(heads, key=lambda h: h.segment.tokens)
    found = [by_length[0], by_length[-1]]
    for head in heads:
        last = len(head.binding.segments) - 1
        if head.binding is head.program.bindings[0] and head.number in (0, last):
            found.append(head)
    once = {(h.binding.channel, h.number): h for h in found}
    return [once[key] for key in sorted(once)]
