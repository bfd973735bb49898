"""Attention of a model on GDDR6-AiM: mapping, programs, proofs, softmax, energy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from pamsim.compiler import CompiledStep, compile_step
from pamsim.compiler.aim_program import registers
from pamsim.compiler.families.aim import softmax_ps
from pamsim.config import load_device, load_system
from pamsim.config.spec import SystemSpec
from pamsim.errors import CapacityError, InputError
from pamsim.layout.whole_heads import HeadTable
from pamsim.model import load_model
from pamsim.model.spec import ModelSpec
from pamsim.report.proofs import prove_timing
from pamsim.sim.program import run_program
from pamsim.validate.families.aim import prove_function, prove_layout
from pamsim.workload import make_step
from pamsim.workload.step import DecodeStep
from pim_isa import Program, Stream, encode

GQA, MHA = "llama-3-8b", "opt-13b"  # 8 KV heads of 4 query heads, 40 of 1; vectors of 128


@cache
def system() -> SystemSpec:
    return load_system("aim")


@cache
def model(name: str, **changes: int) -> ModelSpec:
    return replace(load_model(name), layers=2, **changes)


def compiled(name: str, *contexts: int, **changes: int) -> tuple[CompiledStep, DecodeStep]:
    step = make_step(",".join(map(str, contexts)), len(contexts))
    return compile_step(model(name, **changes), step, system(), "aim"), step


@pytest.mark.parametrize(
    ("name", "contexts", "changes"),
    [
        (MHA, (1,), {}),  # only the new token
        (MHA, (1024,), {}),  # a full block
        (GQA, (2500, 17, 1025), {}),  # several heads in a channel, tails
        (MHA, (130,), {"head_dim": 80}),  # 5 columns a vector: 12 in a row, 4 columns unused
        (MHA, (40,), {"head_dim": 100}),  # no multiple of 16
    ],
)
def test_programs_compute_attention_in_their_places(
    name: str, contexts: tuple[int, ...], changes: dict[str, int]
) -> None:
    step, decode = compiled(name, *contexts, **changes)
    spec = model(name, **changes)
    function = prove_function(step, spec, decode)
    assert function.verdict == "passed", function.first_fault
    layout = prove_layout(step.table, spec, decode, system(), tier="aim")
    assert layout.verdict == "passed", layout.first_fault
    for program in step.programs:
        run = run_program(program.program, step.device)
        assert prove_timing(run, step.device).verdict == "passed"


@pytest.mark.parametrize("scores", ["huge", "equal", "dominant", "ascending"])
def test_hard_scores(scores: str) -> None:
    step, decode = compiled(GQA, 300)
    found = prove_function(step, model(GQA), decode, scores=scores)
    assert found.verdict == "passed", found.first_fault


def altered(step: CompiledStep, mnemonic: str, operand: str, by: int) -> CompiledStep:
    """The last instruction of that name in every program, with another operand."""
    programs = []
    for p in step.programs:
        (stream,) = p.program.streams
        code = list(stream.instructions)
        at = max(i for i, c in enumerate(code) if c.mnemonic == mnemonic)
        values = {n: v + by * (n == operand) for n, v in code[at].operands}
        code[at] = type(code[at])(mnemonic, tuple(values.items()))
        program = Program("aim", (Stream(stream.unit, tuple(code)),))
        programs.append(replace(p, program=program, binary=encode(program)))
    return replace(step, programs=tuple(programs))


@pytest.mark.parametrize(
    ("mnemonic", "operand", "by"),
    [
        ("MAC_ABK", "row", -1),
        ("MAC_ABK", "size", -1),
        ("WR_GB", "gpr", -1),
        ("WR_ABK", "lane", -1),
        ("WR_SBK", "column", -8),
        ("RD_MAC", "gpr", -1),
    ],
)
def test_an_altered_program_does_not_pass(mnemonic: str, operand: str, by: int) -> None:
    step, decode = compiled(MHA, 1500)
    assert prove_function(step, model(MHA), decode).verdict == "passed"
    broken = altered(step, mnemonic, operand, by)
    assert prove_function(broken, model(MHA), decode).verdict == "violated"


def test_a_program_that_cannot_run_does_not_pass() -> None:
    step, decode = compiled(MHA, 40)
    (program,) = step.programs
    (stream,) = program.program.streams
    code = tuple(i for i in stream.instructions if i.mnemonic != "SYNC")
    binary = encode(Program("aim", (Stream(stream.unit, code),)))
    broken = replace(step, programs=(replace(program, binary=binary),))
    found = prove_function(broken, model(MHA), decode)
    assert found.verdict == "violated"
    assert "program must have a stream with a SYNC, not 0" in found.first_fault


@pytest.mark.parametrize("field", ["key_row", "value_row", "tokens", "request"])
def test_an_altered_placement_does_not_pass(field: str) -> None:
    step, decode = compiled(GQA, 900, 900)
    table = step.table
    assert isinstance(table, HeadTable)
    first = table.heads[0]
    segments = (replace(first, **{field: getattr(first, field) + 1}), *table.segments[1:])
    broken = replace(table, segments=segments)
    found = prove_layout(broken, model(GQA), decode, system(), tier="aim")
    assert found.verdict == "violated"


def test_ticks_of_a_channel_by_hand() -> None:
    """One query head of 128 elements, 1,024 tokens, nothing appended, nothing refreshed."""
    step, _ = compiled(MHA, 1024)
    (stream,) = step.programs[0].program.streams
    code = tuple(i for i in stream.instructions if i.mnemonic not in ("WR_SBK", "WR_ABK"))
    program = Program("aim", (Stream(stream.unit, code),))

    run = run_program(program, load_device("gddr6-aim-norefresh"))
    # Two products of MACs: TMOD and 32 to the first MAC (or to PREA), then TMOD and 32 to RD_MAC;
    # RDMAC16 to the next WRMAC16 is nXTWREG = 5, two of either are 2 apart.
    k_pair = 2 + 1 + 32 + 15 * 2 + 1 + 32 + 2 + 5  # 16 MAC16 of one row
    k_row = 4 * k_pair + 32 + 56  # of 8 slots; PREA and ACT16 before its first MAC
    # V: a row a product, 64 MAC16; PREA waits 32 after TMOD, rows change inside a pair
    v_pair = 2 + 1 + 32 + 32 + 56 + 63 * 2 + 12 + 32 + 56 + 63 * 2 + 1 + 32 + 2 + 5
    assert run.result.counts["MAC16"] == 64 * 8 + 8 * 64
    assert run.result.counts["ACT16"] == 8 + 8
    # TMOD + 64 WRGB before each phase, the first row without PREA, the end: within 1 %
    expected = 8 * k_row + 4 * v_pair + 2 * (32 + 64 * 2)
    assert run.result.ticks == pytest.approx(expected, rel=0.01)


def test_the_softmax_outside_by_hand() -> None:
    step, _ = compiled(GQA, 5000)
    # 8 heads in channels 0 to 7 of one controller: 40,000 x 4 scores over 32 x 16 lanes
    passes = -(-5000 * 8 * 4 // 512)
    assert step.outside_ps == (passes * (44 + 66) + 32 * 19) * 500
    two, _ = compiled(MHA, 5000)  # 40 heads: 32 in one controller's channels, 8 in the next's
    passes = -(-5000 * 32 // 512)
    assert two.outside_ps == (passes * 110 + 32 * 19) * 500
    assert isinstance(two.table, HeadTable)
    assert softmax_ps(two.table, two.device, 1) == two.outside_ps


def test_heads_go_to_the_emptiest_channel_and_share_programs() -> None:
    step, _ = compiled(GQA, 4096, 16)
    assert len(step.programs) == 2  # a long head, a short head; 112 channels idle
    assert step.idle_channels == 128 - 16
    assert sum(len(p.bindings) for p in step.programs) == 16


def test_registers_follow_one_another() -> None:
    step, _ = compiled(GQA, *([2000] * 20))  # 160 heads on 128 channels
    table = step.table
    assert isinstance(table, HeadTable)
    heads = [s for s in table.heads if s.channel == 0]
    first, second = registers(heads, table.shape, 4)
    # after register 0: 4 queries of 8, scores and outputs of 2 blocks of 64, K and V of 8
    assert (first.queries, first.scores, first.outputs) == (1, 33, 33 + 4 * 128)
    assert second.queries == first.end == 33 + 2 * 4 * 128 + 16


def test_what_aim_cannot_do_is_said() -> None:
    wide = replace(model(MHA), head_dim=1040)
    for spec, kind, message in (
        (wide, InputError, "head_dim of .* must be at most 1024"),
        (replace(model(MHA), kv_dtype="int8"), InputError, "kv_dtype of .* must be of 16 bits"),
    ):
        with pytest.raises(kind, match=message):
            compile_step(spec, make_step("16", 1), system(), "aim")
    with pytest.raises(InputError, match="layout of gddr6-aim must be transposed-value"):
        other = replace(system(), layout="head-split")
        compile_step(model(MHA), make_step("16", 1), other, "aim")
    with pytest.raises(CapacityError):
        compile_step(model(MHA), make_step("10000000", 1), system(), "aim")
