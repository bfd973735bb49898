"""The benchmark of compiler and proofs: what it measures is the work that it names."""

from __future__ import annotations

from bench_python import INSTRUCTIONS, cases, measure

from pim_isa import Program


def test_the_work_is_what_its_name_says() -> None:
    work = {what: run() for what, (run, _) in cases().items()}
    compiled, binary, decoded, verdict = work.values()
    # 128 requests of 8192 tokens
    assert sum(s.tokens for s in compiled.table.segments) == 8 * 2**20  # type: ignore[attr-defined]
    assert isinstance(decoded, Program) and isinstance(binary, bytes)
    assert len(decoded.streams[0].instructions) == INSTRUCTIONS < len(binary)
    assert verdict.verdict == "passed"  # type: ignore[attr-defined]


def test_a_measurement_has_a_figure_a_run() -> None:
    done: list[int] = []
    assert len(measure(lambda: done.append(1), 3)) == len(done) == 3
