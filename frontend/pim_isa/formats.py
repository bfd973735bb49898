"""Formats of stored K and V elements: FP16, and packed ones of 8 and 4 bits.

A column holds 16 x `pack` elements: element e of a packed column is byte e, of INT4 the low (e
even) or high half of byte e div 2. FP8 is E4M3 of the Open Compute Project's 8-bit floating point
specification (revision 1.0): bias 7, subnormals, largest number 448, no infinity, 0x7F and 0xFF are
NaN. Integers are two's complement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORD_BITS = 16  # memory is held in the words of FP16 elements
FP8_MAX = 448.0


@dataclass(frozen=True)
class Format:
    """code: what CFG calls it. scaled: an element stands for element x the scale of its vector."""

    name: str
    code: int
    bits: int
    scaled: bool

    @property
    def pack(self) -> int:
        """Elements in the place of one FP16 element."""
        return WORD_BITS // self.bits

    @property
    def largest(self) -> float:
        """The greatest magnitude that quantisation uses: integers are symmetric."""
        return {"fp16": 65504.0, "fp8": FP8_MAX, "int8": 127.0, "int4": 7.0}[self.name]

    def encode(self, elements: np.ndarray) -> np.ndarray:
        """Elements [..., n x pack] as stored: uint16 words [..., n].

        FP16 and FP8 round to nearest, ties to even; FP8 saturates at +-448. Integers must be whole
        numbers in their range.
        """
        if self.name == "fp16":
            return np.asarray(elements, dtype=np.float16).view(np.uint16)
        if self.name == "fp8":
            return _e4m3(elements).view("<u2")
        stored: np.ndarray = np.asarray(elements).astype(np.int8).view(np.uint8)
        if self.name == "int4":
            stored = (stored[..., 0::2] & 0xF) | stored[..., 1::2] << 4
        return np.ascontiguousarray(stored).view("<u2")

    def decode(self, words: np.ndarray) -> np.ndarray:
        """uint16 words [..., n] as float32 elements [..., n x pack]."""
        if self.name == "fp16":
            return words.view(np.float16).astype(np.float32)
        table = _DECODED[self.name]
        elements = table[np.ascontiguousarray(words).view(np.uint8)]
        return elements.reshape(*words.shape[:-1], words.shape[-1] * self.pack)


FORMATS = {
    f.name: f
    for f in (
        Format("fp16", 0, 16, scaled=False),
        Format("fp8", 1, 8, scaled=False),
        Format("int8", 2, 8, scaled=True),
        Format("int4", 3, 4, scaled=True),
    )
}
BY_CODE = tuple(FORMATS.values())


def _e4m3_numbers() -> np.ndarray:
    """float32 [128]: the numbers of the bytes 0 to 127, NaN last."""
    byte = np.arange(128)
    exponent, mantissa = byte >> 3, byte & 7
    numbers = np.where(
        exponent == 0,
        np.ldexp(mantissa / 8, -6),
        np.ldexp(1 + mantissa / 8, exponent - 7),
    )
    numbers[127] = np.nan
    return numbers.astype(np.float32)


def _e4m3(values: np.ndarray) -> np.ndarray:
    """Bytes of the nearest E4M3 numbers, ties to even, beyond +-448 that number. NaN is 0x7F."""
    values = np.asarray(values, dtype=np.float32)
    numbers = _POSITIVE_E4M3[:127].astype(np.float64)
    middles = (numbers[:-1] + numbers[1:]) / 2
    magnitude = np.abs(values).astype(np.float64)
    code = np.searchsorted(middles, magnitude, side="left")  # a tie gives the lower neighbour
    tie = (code < len(middles)) & (middles[np.minimum(code, len(middles) - 1)] == magnitude)
    code = np.where(tie & (code % 2 == 1), code + 1, code)
    code = np.where(np.isnan(values), 127, code)
    return (code | np.signbit(values) * 0x80).astype(np.uint8)


def _tables() -> dict[str, np.ndarray]:
    """Byte -> its elements, float32 [256] or, of INT4, [256, 2]."""
    half = np.arange(16)
    signed = np.where(half < 8, half, half - 16)
    byte = np.arange(256)
    return {
        "fp8": np.concatenate([_POSITIVE_E4M3, -_POSITIVE_E4M3]).astype(np.float32),
        "int8": byte.astype(np.uint8).view(np.int8).astype(np.float32),
        "int4": np.stack([signed[byte & 15], signed[byte >> 4]], axis=1).astype(np.float32),
    }


_POSITIVE_E4M3 = _e4m3_numbers()
_DECODED = _tables()
