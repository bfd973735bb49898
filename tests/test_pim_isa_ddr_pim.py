"""The instructions of DDR-PIM on numbers small enough to follow."""

from __future__ import annotations

import numpy as np
import pytest

from pim_isa import IsaError, Machine, Unit, assemble, check, disassemble, encode, load
from pim_isa.expansion import expand_counts
from pim_isa.semantics.hbm_pim import Partial

HEAD = ".family ddr_pim\n.stream rank=1 bg=1\n"
UNIT = Unit(1, 1)


def run(text: str, rows: np.ndarray, queries: dict[int, np.ndarray], **how: object) -> Machine:
    """rows: float16 [rows, 32 units, columns x 4], written before the program runs."""
    program = assemble(HEAD + text)
    assert check(program, rows=64) == ()
    machine = Machine(program, rows=64)
    unit = np.arange(32)
    for row, vectors in enumerate(rows):
        at = (unit, np.full(32, row), np.zeros(32, np.int64))
        machine.memory(UNIT).write(*at, vectors)
    machine.result = machine.run(queries, **how)  # type: ignore[attr-defined, arg-type]
    return machine


def one(elements: int, at: int, value: float = 1.0) -> np.ndarray:
    vector = np.zeros(elements, np.float16)
    vector[at] = value
    return vector


ATTEND = """
CFG queries=1 part=2 vector=2
WRQ slot=0 query=0 offset=0
ACT row=0
MACK row=0 column=0 slots=1 base=0 last=1 {masked}
PRE
MAX slots=1 base=0 first=1 {masked}
EXP slots=1 base=0 {masked}
SUM slots=1 base=0 first=1 {masked}
CLRO
ACT row=1
MACV row=1 column=0 slots=1 base=0 {masked}
PRE
REDG
REDL slot=0 query=0
BAR id=0
RDR query=0 normalise={normalise}
"""


def test_a_token_in_each_chip_and_bank() -> None:
    """Scores 0: every one of 32 tokens weighs 1/32; V of unit u is u in all 8 elements."""
    rows = np.zeros((2, 32, 8), np.float16)
    rows[1] = np.arange(32)[:, None]
    machine = run(ATTEND.format(masked="", normalise=1), rows, {0: np.zeros(8)})
    np.testing.assert_array_equal(machine.result.results[0], np.full(8, 15.5, np.float16))


def test_a_query_in_pieces_meets_its_columns() -> None:
    """Piece 0 of q is zeros, piece 1 ones; K of unit u is u / 4 in piece 1: u / 4 x 8."""
    text = """
    CFG queries=1 part=2 vector=4
    WRQ slot=0 query=0 offset=0
    ACT row=0
    MACK row=0 column=0 slots=1 base=0
    PRE
    WRQ slot=0 query=0 offset=2
    ACT row=0
    MACK row=0 column=2 slots=1 base=0 accumulate=1 last=1
    PRE
    """
    rows = np.full((1, 32, 16), 100, np.float16)
    rows[0, :, 8:] = np.arange(32)[:, None] / 4
    query = np.repeat([0, 1], 8)
    machine = run(text, rows, {0: query}, record=True)
    events = [e for e in machine.result.events if e.kind == "dot"]
    assert events[0].scores is None
    np.testing.assert_array_equal(events[1].scores[0, :, 0, 0], np.arange(32) * 2)


def test_the_mask_leaves_units_out() -> None:
    """Only bank 0, chips 0 and 1: V 0 and 1. V of the others was never written."""
    rows = np.zeros((2, 32, 8), np.float16)
    rows[1] = np.nan
    rows[1, :2] = np.arange(2)[:, None]
    text = "MASK units=3" + ATTEND.format(masked="masked=1", normalise=0)
    part = run(text, rows, {0: np.zeros(8)}).result.results[0]
    assert isinstance(part, Partial)
    assert (part.maximum, part.total) == (0, 2)
    np.testing.assert_array_equal(part.output, np.ones(8))


STRIPED = """
CFG queries=1 part=1 vector=1 striped=1
WRQ slot=0 query=0 offset=0
ACT row=0
MACK row=0 column=0 slots=1 base=0
PRE
{sumx}
MAX slots=1 base=0 first=1
EXP slots=1 base=0
SUM slots=1 base=0 first=1
CLRO
ACT row=1
MACV row=1 column=0 slots=1 base=0
PRE
REDG
REDL slot=0 query=0
BAR id=0
RDR query=0 normalise=1
"""


def test_striped_scores_cross_the_chips() -> None:
    """q = e_5 lies in chip 1; K of bank b has b there: scores b. V of bank b is b everywhere."""
    rows = np.zeros((2, 32, 4), np.float16)
    bank = np.arange(32) // 8
    rows[0, np.arange(32) % 8 == 1, 1] = np.arange(4)
    rows[1] = bank[:, None]
    machine = run(STRIPED.format(sumx="SUMX slots=1 base=0"), rows, {0: one(32, 5)}, record=True)
    weight = np.exp(np.arange(4.0))
    expected = (weight * np.arange(4)).sum() / weight.sum()
    found = machine.result.results[0].astype(float)
    assert len(found) == 32
    np.testing.assert_allclose(found, expected, rtol=2**-9)  # a few FP16 roundings
    (dot,) = (e for e in machine.result.events if e.kind == "dot")
    assert dot.mask == 0xF  # banks
    np.testing.assert_array_equal(dot.scores[0, :, 0, 0], np.arange(4))


def test_a_burst_is_four_elements_for_each_chip() -> None:
    """APPW column i: elements 32 i + 4 c .. + 3 to chip c. APP: one chip, the others untouched."""
    text = """
    APPW bank=2 row=3 column=5 columns=2 source=0
    PREB bank=2
    APP bank=2 row=3 column=7 columns=2 chip=6 source=1
    """
    whole, single = np.arange(64), np.arange(8) + 100
    machine = run(text, np.zeros((0, 32, 4)), {}, appends={0: whole, 1: single})
    units = np.arange(16, 24)
    at = (units, np.full(8, 3), np.full(8, 5))
    found = machine.memory(UNIT).read(*at, 4)
    np.testing.assert_array_equal(
        found[:, :8], whole.reshape(2, 8, 4).transpose(1, 0, 2).reshape(8, 8)
    )
    np.testing.assert_array_equal(found[6, 8:], single)
    assert np.isnan(np.delete(found, 6, axis=0)[:, 8:]).all()


def test_chips_are_merged_one_after_the_other() -> None:
    """Scores u / 8 of unit u in 8 chips and 4 banks, V = u: softmax in float64."""
    rows = np.zeros((2, 32, 8), np.float16)
    rows[0, :, 0] = np.arange(32) / 8
    rows[1] = np.arange(32)[:, None]
    found = run(ATTEND.format(masked="", normalise=1), rows, {0: one(8, 0)}).result.results[0]
    weight = np.exp(np.arange(32) / 8)
    expected = (weight * np.arange(32)).sum() / weight.sum()
    np.testing.assert_allclose(found.astype(float), expected, rtol=2**-8)


# -- what the hardware could not do ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ATTEND.replace("ACT row=0", "ACT row=2"), "MACK must find row 0 open in every bank"),
        (ATTEND.replace("ACT row=1", "ACT row=1\nACT row=1"), "banks must be closed before ACT"),
        (ATTEND.replace("last=1", "last=0"), r"MAX must work on scores \(MACK with last = 1, or"),
        (ATTEND.replace("MAX slots=1 base=0 first=1", ""), "EXP must come after the MAX"),
        (ATTEND.replace("REDG\n", ""), "REDL must come after the REDG of query 0"),
        (ATTEND.replace("CLRO\n", ""), "REDG must find outputs"),
        (ATTEND.replace("EXP slots=1 base=0", ""), r"SUM must work on exponentials \(EXP\)"),
        (ATTEND.replace("query=0 offset", "query=9 offset"), "query buffer must hold query 9"),
        (ATTEND.replace("last=1", "accumulate=1"), "MACK must accumulate onto partial scores"),
        (ATTEND.replace("PRE\nMAX", "PRE\nSUMX slots=1 base=0\nMAX"), "SUMX must work on striped"),
        (STRIPED.format(sumx=""), "MAX must work on scores"),
        (
            "MASK units=3\n" + STRIPED.format(sumx="SUMX slots=1 base=0 masked=1"),
            "SUMX must work on all chips of a bank",
        ),
        ("APP bank=0 row=0 column=0 columns=2 chip=0 source=4", "append buffer must hold source 4"),
        ("APPW bank=0 row=0 column=0 columns=1 source=1", "source 1 must be 32 elements, which"),
        (
            "ACT row=1\nAPP bank=0 row=0 column=0 columns=2 chip=0 source=1",
            "bank 0 must have row 0 open or none",
        ),
    ],
)
def test_impossible_programs_are_refused(text: str, message: str) -> None:
    rows = np.zeros((3, 32, 8), np.float16)
    filled = text.format(masked="", normalise=1) if "{masked}" in text else text
    with pytest.raises(IsaError, match=message):
        run(filled, rows, {0: np.zeros(32)}, appends={1: np.zeros(8)})


def test_memory_never_written_does_not_go_unnoticed() -> None:
    rows = np.zeros((2, 32, 8), np.float16)
    rows[0, 31] = np.nan
    with pytest.raises(IsaError, match="MAX must work on numbers"):
        run(ATTEND.format(masked="", normalise=1), rows, {0: np.zeros(8)})


# -- encoding and expansion ------------------------------------------------------------------------


def test_every_instruction_goes_through_text_and_binary() -> None:
    table = load("ddr_pim")
    for spec in table.instructions:
        for ends in ("minimum", "maximum"):
            instruction = table.make(
                spec.mnemonic, **{f.name: getattr(f, ends) for f in spec.fields}
            )
            text = HEAD + " ".join(
                [spec.mnemonic, *(f"{name}={value}" for name, value in instruction.operands)]
            )
            if spec.mnemonic in ("LOOP", "END"):
                continue  # a pair
            program = assemble(text)
            assert program.streams[0].instructions == (instruction,)
            assert assemble(disassemble(program)) == program
            assert len(encode(program)) > 8


@pytest.mark.parametrize(
    ("text", "state", "expected"),
    [
        # 8 columns of 4 elements: 64 B of FP16, or 128 B and m and l
        ("RDR query=0 normalise=1", {"part": 8}, [("RDRES", 1)]),
        ("RDR query=0 normalise=0", {"part": 8}, [("RDRES", 3)]),
        ("RDR query=0 normalise=1", {"part": 4, "striped": 1}, [("RDRES", 4)]),
        ("REDL slot=0 query=0", {"part": 8}, [("REDCB", 9)]),
        ("MASK units=1", {}, [("WRQ", 1)]),
        # 4 banks x 2 queries x 3 slots: 24 FP32 parts a chip, 24 FP16 sums
        ("SUMX slots=3 base=0", {"queries": 2}, [("RDSC", 12), ("WRSC", 6)]),
        ("SUMX slots=1 base=0", {"queries": 1}, [("RDSC", 2), ("WRSC", 1)]),
        ("MAX slots=17 base=0", {"queries": 1}, [("MAX_32", 1)]),
        ("REDG", {"part": 5, "queries": 1}, [("REDBG_32", 1)]),
    ],
)
def test_counts_by_hand(text: str, state: dict[str, int], expected: list[tuple[str, int]]) -> None:
    (instruction,) = assemble(HEAD + text).streams[0].instructions
    whole = {"queries": 1, "part": 1, "vector": 8, "striped": 0, **state}
    found = expand_counts(instruction, whole, "ddr_pim")
    assert [(e.command, e.commands) for e in found] == expected
