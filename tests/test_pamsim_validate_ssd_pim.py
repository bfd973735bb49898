"""The proofs of SSD-PIM steps: they pass, and a step that is wrong in one place does not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from ssd_cases import DEVICES, compile_small, model, share_of, system

from pamsim.compiler.compiled import CompiledStep
from pamsim.compiler.ssd_program import make
from pamsim.layout.table import BLOCK_TOKENS
from pamsim.report.proofs import prove_timing
from pamsim.sim import simulate
from pamsim.validate.functional import FunctionalVerdict, prove_function
from pamsim.validate.layout import prove_layout
from pim_isa import Instruction, Program, encode

CONTEXTS = (300, 64, 1, 640)


def prove(compiled: CompiledStep, shape, **how: str) -> FunctionalVerdict:  # type: ignore[no-untyped-def]
    assert compiled.held is not None
    return prove_function(compiled, shape, compiled.held.step, mode="full", **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("append", [False, True])
def test_all_proofs_pass(name: str, append: bool) -> None:
    shape, machine = model(8, 2, 128), system(name)
    compiled = compile_small(shape, CONTEXTS, machine, append=append)
    verdict = prove(compiled, shape)
    assert (verdict.verdict, verdict.first_fault) == ("passed", "")
    assert verdict.pairs_checked == verdict.pairs == 8
    assert verdict.programs_checked == verdict.programs
    assert compiled.held is not None
    layout = prove_layout(
        compiled.table, shape, compiled.held.step, machine, tier="ssd", layers=shape.layers
    )
    assert (layout.verdict, layout.missing, layout.duplicates) == ("passed", 0, 0)
    for run in simulate(compiled, log=True):
        timing = prove_timing(run, compiled.device)
        assert (timing.verdict, timing.first) == ("passed", None)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("contexts", [(2112,), (4000, 4000), (2048, 2048, 90)])
def test_more_than_a_round_of_pages(name: str, contexts: tuple[int, ...]) -> None:
    """32 planes: from 2049 tokens on a plane has several tiles, one of them in the write buffer."""
    shape, machine = model(2, 2, 128), system(name)
    compiled = compile_small(shape, contexts, machine)
    verdict = prove(compiled, shape)
    assert (verdict.verdict, verdict.first_fault) == ("passed", "")
    assert compiled.held is not None
    layout = prove_layout(
        compiled.table, shape, compiled.held.step, machine, tier="ssd", layers=shape.layers
    )
    assert layout.verdict == "passed", layout.first_fault


def test_equally_long_requests_fill_their_pages_on_many_planes() -> None:
    """8 requests x 2 KV heads of 2048 tokens, 32 tiles each: a round of the planes."""
    compiled = compile_small(model(2, 2, 128), (2048,) * 8, system())
    last = {
        (s.channel, s.group)
        for s in compiled.table.segments
        if s.blocks[-1] == 2048 // BLOCK_TOKENS - 1
    }
    assert len(last) == 16


@pytest.mark.parametrize(("query_heads", "head_dim"), [(5, 64), (1, 256), (3, 80), (2, 16)])
def test_head_dimensions_and_groups(query_heads: int, head_dim: int) -> None:
    shape = model(query_heads, 1, head_dim)
    compiled = compile_small(shape, (700, 5), system(devices=2))
    assert prove(compiled, shape).verdict == "passed"


@pytest.mark.parametrize("scores", ["huge", "dominant", "lowest", "alternating", "overflow"])
def test_hard_scores(scores: str) -> None:
    shape = model(2, 1, 128)
    verdict = prove(compile_small(shape, (300,), system()), shape, scores=scores)
    assert verdict.verdict == "passed"


def test_whole_pages_are_read() -> None:
    """1005 tokens of 16 KiB pages of 64: 5 + 1 + 1 + 10 pages of K and of V hold 1088."""
    shape, machine = model(8, 2, 128), system()
    share = share_of(shape, CONTEXTS, append=False)
    compiled = compile_small(shape, CONTEXTS, machine, append=False)
    found = prove_layout(compiled.table, shape, share.step, machine, tier="ssd", layers=2)
    assert found.bytes_needed == sum(CONTEXTS) * 2 * 2 * 128 * 2 * 2
    assert found.bytes_fetched == (5 + 1 + 1 + 10) * 2 * 16384 * 2 * 2
    assert found.over_fetch == pytest.approx(17 * 64 / 1005)


def test_a_page_used_twice_is_found() -> None:
    shape, machine = model(1, 1, 128), system()
    compiled = compile_small(shape, (640,), machine, append=False)
    first, *rest = compiled.table.segments
    wrong = replace(first, value=first.key)  # V where K lies
    table = replace(compiled.table, segments=(wrong, *rest))
    share = share_of(shape, (640,), append=False)
    found = prove_layout(table, shape, share.step, machine, tier="ssd", layers=2)
    assert found.verdict == "violated"


# -- programs that are wrong in one place --------------------------------------------------------

Change = Callable[[Instruction], list[Instruction] | None]


def changed(compiled: CompiledStep, change: Change) -> CompiledStep:
    """The step with what `change` makes of the first instruction that it does not leave (None)."""
    first = compiled.programs[0]
    streams, done = [], False
    for stream in first.program.streams:
        code: list[Instruction] = []
        for instruction in stream.instructions:
            new = None if done else change(instruction)
            done = done or new is not None
            code += [instruction] if new is None else new
        streams.append(replace(stream, instructions=tuple(code)))
    assert done
    program = Program(first.program.family, tuple(streams))
    binary = encode(program)
    other = replace(
        first, program=program, binary=binary, sha256=hashlib.sha256(binary).hexdigest()
    )
    return replace(compiled, programs=(other, *compiled.programs[1:]))


def operand(mnemonic: str, **values: int) -> Change:
    """The instruction with other operands: those in `values` are added."""

    def change(i: Instruction) -> list[Instruction] | None:
        if i.mnemonic != mnemonic:
            return None
        own = dict(i.operands)
        return [make(mnemonic, **{**own, **{n: own[n] + v for n, v in values.items()}})]

    return change


def without(mnemonic: str) -> Change:
    return lambda i: [] if i.mnemonic == mnemonic else None


def twice(mnemonic: str) -> Change:
    return lambda i: [i, i] if i.mnemonic == mnemonic else None


@pytest.mark.parametrize(
    "change",
    [
        operand("MACK", vectors=-1),  # leaves a token out
        operand("MACK", row=1),  # takes V for K
        operand("MACV", vectors=-1),
        operand("MAX", vectors=-8),
        operand("SUM", vectors=-8),
        operand("WRQ", query=1),  # another head's query
        operand("REDL", query=1),  # into another head's result
        operand("OUT", row=1),
        operand("APP", column=-8),  # over the token before
        without("REDL"),
        without("APP"),
        without("CLRO"),
        without("PRG"),
        twice("REDL"),
        twice("MACV"),
    ],
)  # fmt: skip
def test_a_wrong_program_is_found(change: Change) -> None:
    shape = model(2, 1, 128)
    compiled = compile_small(shape, (64 * 33,), system())  # channel 0: two tiles, one filled today
    assert prove(compiled, shape).verdict == "passed"
    verdict = prove(changed(compiled, change), shape)
    assert verdict.verdict == "violated", verdict
    assert verdict.first_fault
