"""A program: what one device channel executes in a step, as instructions per stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """One instruction: its mnemonic and its operands by field name (integers, all fields named)."""

    mnemonic: str
    operands: tuple[tuple[str, int], ...] = ()

    def __getitem__(self, name: str) -> int:
        for key, value in self.operands:
            if key == name:
                return value
        raise KeyError(name)


class Unit(tuple[int, ...]):
    """Where a stream runs: a number for each level of its table's `unit`.

    For HBM-PIM Unit(pseudo-channel, SID, bank group).
    """

    __slots__ = ()

    def __new__(cls, *numbers: int) -> Unit:
        return super().__new__(cls, numbers)

    def __repr__(self) -> str:
        return f"Unit{tuple(self)}"


@dataclass(frozen=True)
class Stream:
    """An in-order instruction sequence on one unit."""

    unit: Unit
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Program:
    """One channel's program. Streams run side by side and meet at barriers."""

    family: str
    streams: tuple[Stream, ...]
