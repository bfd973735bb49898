"""Binary and text form: both round trip, and every malformed input is an error at its place."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_isa import (
    Instruction,
    IsaError,
    Program,
    Stream,
    Unit,
    assemble,
    decode,
    disassemble,
    encode,
    load,
)
from pim_isa.decode import decode_word
from pim_isa.encode import encode_word

TABLE = load("hbm_pim")
HEADER, ENTRY = 32, 8  # bytes: 4 + 2 + 2 + 16 + 4 + 4; 1 + 1 + 1 + 1 + 4


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    spec = draw(st.sampled_from(TABLE.instructions))
    return Instruction(
        spec.mnemonic,
        tuple((f.name, draw(st.integers(f.minimum, f.maximum))) for f in spec.fields),
    )


byte = st.integers(0, 255)
streams = st.builds(Stream, st.builds(Unit, byte, byte, byte), st.lists(instructions()).map(tuple))
programs = st.builds(Program, st.just("hbm_pim"), st.lists(streams, max_size=3).map(tuple))


@given(programs)
@settings(max_examples=150, deadline=None)
def test_round_trips(program: Program) -> None:
    assert decode(encode(program)) == program
    assert assemble(disassemble(program)) == program


@pytest.mark.parametrize("spec", TABLE.instructions, ids=lambda s: s.mnemonic)
def test_ends_of_every_range(spec: object) -> None:
    for end in ("minimum", "maximum"):
        one = Instruction(
            spec.mnemonic,  # type: ignore[attr-defined]
            tuple((f.name, getattr(f, end)) for f in spec.fields),  # type: ignore[attr-defined]
        )
        word = encode_word(TABLE, one)
        assert 0 <= word < 2**64 and decode_word(TABLE, word) == one


def test_word_by_hand() -> None:
    # MACK: opcode 10, row 5 at bit 6, column 8 at 21, slots 4 at 26, mask 15 at 41, last at 46
    one = TABLE.make("MACK", row=5, column=8, slots=4, base=0, mask=15, last=1)
    expected = 10 | 5 << 6 | 8 << 21 | 4 << 26 | 15 << 41 | 1 << 46
    binary = encode(Program("hbm_pim", (Stream(Unit(1, 0, 3), (one,)),)))
    assert binary[:4] == b"PIMB" and binary[8:24] == b"hbm_pim".ljust(16, b"\0")
    assert binary[HEADER : HEADER + ENTRY] == bytes([1, 0, 3, 0, 1, 0, 0, 0])
    assert binary[-8:] == struct.pack("<Q", expected)


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (Instruction("ACT", (("row", 32768),)), "ACT row must be between 0 and 32767, not 32768"),
        (Instruction("ACT", (("row", -1),)), "ACT row must be between 0 and 32767, not -1"),
        (Instruction("ACT", (("row", 1.5),)), "ACT row must be an integer, not 1.5"),  # type: ignore[arg-type]
        (Instruction("ACT", ()), "ACT must be given 'row'"),
        (Instruction("ACT", (("row", 1), ("row", 1))), "must name each operand once"),
        (Instruction("ACT", (("rwo", 1),)), "no operand 'rwo'"),
        (Instruction("ATC", ()), r"no instruction 'ATC'.*\[stream 0, instruction 1\]"),
    ],
)
def test_encode_refuses(instruction: Instruction, message: str) -> None:
    program = Program("hbm_pim", (Stream(Unit(0, 0, 0), (Instruction("NOP"), instruction)),))
    with pytest.raises(IsaError, match=message):
        encode(program)


def test_encode_refuses_a_unit() -> None:
    with pytest.raises(IsaError, match="unit must be 3 numbers between 0 and 255"):
        encode(Program("hbm_pim", (Stream(Unit(0, 0, 256), ()),)))


GOOD = encode(
    Program("hbm_pim", (Stream(Unit(0, 0, 1), (TABLE.make("NOP"), TABLE.make("ACT", row=7))),))
)


def patched(offset: int, data: bytes) -> bytes:
    return GOOD[:offset] + data + GOOD[offset + len(data) :]


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (b"", 0, "must begin with a header of 32 bytes, not 0"),
        (GOOD[:31], 31, "must begin with a header"),
        (patched(0, b"ELF!"), 0, "must begin with 'PIMB', not 45 4c 46 21"),
        (patched(4, b"\2"), 4, "container version must be 1, not 2"),
        (patched(6, b"\x09"), 6, "version of hbm_pim must be 1, not 9"),
        (patched(8, b"xbm"), 8, "must be one of .*hbm_pim.*, not 'xbm_pim'"),
        (patched(8, b"\xff\0\xff"), 8, "must be one of"),
        (patched(28, b"\1"), 28, "reserved bytes must be 0"),
        (patched(24, b"\xff\xff\xff\xff"), len(GOOD), "stream table must hold 4294967295 streams"),
        (patched(35, b"\1"), 35, "reserved bytes must be 0"),
        (patched(36, b"\xff\xff\xff\xff"), len(GOOD), "for 4294967295 instructions"),
        (GOOD[:-1], len(GOOD) - 1, "must have 56 bytes for 2 instructions, not 55"),
        (GOOD + b"\0", len(GOOD), "must have 56 bytes for 2 instructions, not 57"),
        (patched(40, b"\x3f"), 40, "opcode must be one of hbm_pim, not 63"),
        (patched(47, b"\1"), 40, "unused bits of NOP must be 0"),
        (patched(55, b"\1"), 48, "unused bits of ACT must be 0, not 0x100000000000000"),
        (patched(40, b"\2"), 40, "LOOP count must be between 1 and 1048575, not 0"),
    ],
)
def test_malformed_binary_is_an_error_at_its_offset(data: bytes, offset: int, message: str) -> None:
    with pytest.raises(IsaError, match=message) as caught:
        decode(data)
    assert caught.value.offset == offset


@given(
    st.binary(max_size=80)
    | st.tuples(st.integers(0, 55), byte).map(lambda change: patched(change[0], bytes([change[1]])))
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_decode_to_what_encodes_back_or_fail(data: bytes) -> None:
    try:
        program = decode(data)
    except IsaError as error:
        assert error.offset is not None and 0 <= error.offset <= len(data)
    else:
        assert encode(program) == data


def test_text_form() -> None:
    text = """\
.family hbm_pim

.stream pc=0 sid=1 bg=3
  CFG queries=1 part=8 vector=8
  LOOP count=32 row_step=1 base_step=4
    ACT row=5
    MACK row=5 column=0 slots=4 base=0 mask=0b1111 last=1
    PRE
  END
"""
    program = assemble(text)
    assert program.streams[0].unit == Unit(0, 1, 3)
    assert program.streams[0].instructions[3]["accumulate"] == 0
    assert disassemble(program) == text
    free = text.replace("  ", "").replace("row=5", "row=0x5").replace("PRE", "PRE ; done")
    assert assemble(free) == program


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("  MACC row=1", (3, 3), r"not 'MACC' \[3:3\] \(did you mean 'MAC[KV]'\?\)"),
        ("  act row=1", (3, 3), r"did you mean 'ACT'\?"),
        ("  ACT rwo=1", (3, 7), r"ACT has no operand 'rwo' \[3:7\] \(did you mean 'row'\?\)"),
        ("  ACT row=x", (3, 11), "ACT row must be a number, not 'x'"),
        ("  ACT row=-1", (3, 11), "ACT row must be a number, not '-1'"),
        ("  ACT row=32768", (3, 11), "ACT row must be between 0 and 32767, not 32768"),
        ("  ACT row=1 row=1", (3, 13), "ACT row must be given once"),
        ("  ACT 5", (3, 7), "operand of ACT must be name=value, not '5'"),
        ("  ACT ; row=5", (3, 3), "ACT must be given 'row'"),
        (".strem pc=0", (3, 1), r"did you mean '.stream'\?"),
        (".stream pc=0 sid=0", (3, 1), "'.stream' must be given 'bg'"),
        (".stream pc=0 sid=0 bg=256", (3, 23), "bg must be between 0 and 255, not 256"),
        (".family hbm_pim", (3, 1), "'.family' must come once"),
    ],
)
def test_text_error_has_line_and_column(line: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(IsaError, match=message) as caught:
        assemble(f".family hbm_pim\n.stream pc=0 sid=0 bg=0\n{line}\n")
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with '.family'"),
        (".family", "must be followed by one name"),
        (".family hbm_pum", r"did you mean 'hbm_pim'\?"),
        ("NOP", "'.family' must come before 'NOP'"),
        (".family hbm_pim\nNOP", "'.stream' must come before 'NOP'"),
    ],
)
def test_text_has_to_begin_right(text: str, message: str) -> None:
    with pytest.raises(IsaError, match=message):
        assemble(text)


def test_a_hundred_thousand_instructions_are_read_back() -> None:
    made = [
        TABLE.make("MACK", row=i % 32768, column=i % 32, slots=1, base=i % 512, mask=i % 16)
        for i in range(100_000)
    ]
    program = Program("hbm_pim", (Stream(Unit(0, 0, 0), tuple(made)),))
    assert decode(encode(program)) == program
