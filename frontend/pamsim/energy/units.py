"""The one place where bytes become bits, and milliwatts picojoules."""

from __future__ import annotations

BITS_PER_BYTE = 8
PS_PER_NS = 1000


def bits(byte_count: int) -> int:
    """Bits of a number of bytes."""
    return byte_count * BITS_PER_BYTE


def whole_bytes(bit_count: int) -> int:
    """Bytes of a number of bits that is a whole number of bytes."""
    return bit_count // BITS_PER_BYTE


def pj_per_bit_from_byte(pj_per_byte: float) -> float:
    """A constant given per byte, per bit."""
    return pj_per_byte / BITS_PER_BYTE


def ns(ps: int) -> float:
    """Nanoseconds: the count that goes with a power in mW, since 1 mW x 1 ns = 1 pJ."""
    return ps / PS_PER_NS
