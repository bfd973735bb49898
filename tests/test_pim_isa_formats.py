"""Formats of K and V elements: numbers and bytes by hand, and what does not change on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_isa import load
from pim_isa.formats import BY_CODE, FORMATS
from pim_isa.memory import GroupMemory

FP8, INT8, INT4 = FORMATS["fp8"], FORMATS["int8"], FORMATS["int4"]


def byte_of(number: float) -> int:
    return int(FP8.encode(np.array([number, 0.0], np.float32)).view(np.uint8)[0])


@pytest.mark.parametrize(
    ("byte", "number"),
    [
        # sign, 4 exponent bits with bias 7, 3 mantissa bits
        (0b0_0000_000, 0.0),
        (0b0_0000_001, 2.0**-9),  # the smallest: 1/8 x 2^-6
        (0b0_0000_111, 7 / 8 * 2.0**-6),  # the largest subnormal
        (0b0_0001_000, 2.0**-6),  # the smallest normal
        (0b0_0111_000, 1.0),
        (0b0_0111_001, 1.125),
        (0b0_1111_110, 448.0),  # 1.75 x 2^8
        (0b1_1000_100, -3.0),
    ],
)
def test_e4m3_by_its_definition(byte: int, number: float) -> None:
    word = np.array([byte, 0], np.uint8).view(np.uint16)
    assert FP8.decode(word)[0] == number
    assert byte_of(number) == byte


def test_e4m3_has_nan_and_no_infinity() -> None:
    decoded = FP8.decode(np.arange(256, dtype=np.uint8).view(np.uint16))
    assert np.flatnonzero(np.isnan(decoded)).tolist() == [0x7F, 0xFF]
    assert np.isfinite(np.delete(decoded, [0x7F, 0xFF])).all()
    assert byte_of(float("nan")) == 0x7F


@pytest.mark.parametrize(
    ("number", "rounded"),
    [
        (17.0, 16.0),  # spacing 2 from 16 on: a tie goes to the even mantissa, 16 = 1.000 x 2^4
        (19.0, 20.0),  # between 1.001 and 1.010: even is 1.010
        (17.01, 18.0),
        (2.0**-10, 0.0),  # a tie of 0 and 2^-9
        (1.5 * 2.0**-9, 2.0**-8),  # a tie of 1 and 2 eighths
        (460.0, 448.0),  # beyond the largest: saturates
        (1e6, 448.0),
        (-500.0, -448.0),
    ],
)
def test_e4m3_rounds_to_nearest_even_and_saturates(number: float, rounded: float) -> None:
    assert FP8.decode(FP8.encode(np.array([number, 0.0], np.float32)))[0] == rounded


def test_bytes_of_integers() -> None:
    # Element e of INT8 is byte e; of INT4 elements 0, 1, 2, 3 are the halves 0xF, 0x7, 0x8, 0x1.
    assert INT8.encode(np.array([-1, 127])).view(np.uint8).tolist() == [0xFF, 0x7F]
    assert INT4.encode(np.array([-1, 7, -8, 1])).view(np.uint8).tolist() == [0x7F, 0x18]


@given(st.sampled_from(sorted(FORMATS)), st.integers(0, 2**32 - 1))
def test_stored_numbers_come_back(name: str, seed: int) -> None:
    form = FORMATS[name]
    words = np.random.default_rng(seed).integers(0, 2**16, (3, 32), dtype=np.uint16)
    elements = form.decode(words)
    assert elements.shape == (3, 32 * form.pack) and elements.dtype == np.float32
    if np.isnan(elements).any():
        elements = np.nan_to_num(elements, nan=0.0, posinf=1.0, neginf=1.0)
        words = form.encode(elements)
    np.testing.assert_array_equal(form.encode(form.decode(words)), words)


def test_codes_are_those_of_the_instruction_table() -> None:
    assert [f.code for f in BY_CODE] == list(range(4))
    assert load("hbm_pim").spec("CFG").field("format").maximum == len(BY_CODE) - 1
    pack = load("hbm_pim").derived["pack"]
    assert [pack({"format": f.code}) for f in BY_CODE] == [f.pack for f in BY_CODE] == [1, 2, 2, 4]


def test_packed_memory_reads_as_nan_where_nothing_was_written() -> None:
    memory = GroupMemory(banks=2, columns=4, lanes=16, rows=8)
    # FP16's own mark for "not written", as two INT8 numbers, must come back as these
    marked = np.full((1, 16), np.array(np.nan, np.float16).view(np.uint16), np.uint16)
    memory.write(np.array([1]), np.array([3]), np.array([2]), marked)
    block = memory.block(np.array([3]), 0, 4, INT8)
    assert block.shape == (1, 2, 4, 32)
    assert np.isnan(np.delete(block[0, 1], 2, axis=0)).all() and np.isnan(block[0, 0]).all()
    assert block[0, 1, 2].tolist() == [0, 126] * 16  # bytes 0x00, 0x7E
