"""What the programs of every family are written with: instructions, loops, reads of results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from pamsim.errors import InputError
from pim_isa import Instruction, load

Code = Iterator[Instruction]


@lru_cache(maxsize=1 << 16)
def _make(family: str, mnemonic: str, operands: tuple[tuple[str, int], ...]) -> Instruction:
    return load(family).make(mnemonic, **dict(operands))


class Writer:
    """Makes the instructions of a family."""

    def __init__(self, family: str) -> None:
        self.family = family

    def make(self, mnemonic: str, **operands: int) -> Instruction:
        """An instruction; equal ones are one object."""
        values = tuple((name, int(value)) for name, value in operands.items())
        return _make(self.family, mnemonic, values)

    def repeat(self, count: int, body: Sequence[Instruction], **steps: int) -> Code:
        """`body` in a loop, or bare when it runs once, or nothing."""
        if count > 1:
            yield self.make("LOOP", count=count, **steps)
        if count >= 1:
            yield from body
        if count > 1:
            yield self.make("END")

    def results(self, whole: Sequence[bool], per_pair: int, start: int, stop: int) -> Code:
        """Reads of the results of pairs start to stop - 1, `per_pair` query numbers each.

        whole: of each pair, that all its tokens lie on this channel: it is divided by l here. So
        are parts of a head dimension, since each part's accumulator has the l of all tokens.
        """
        while start < stop:
            end = start
            while end < stop and whole[end] == whole[start]:
                end += 1
            read = self.make("RDR", query=start * per_pair, normalise=whole[start])
            yield from self.repeat((end - start) * per_pair, [read], query_step=1)
            start = end

    def check_number(
        self,
        what: str,
        need: int,
        mnemonic: str,
        operand: str,
        hint: str = "a smaller batch or more devices",
    ) -> None:
        """Raises InputError when an operand cannot tell `need` of `what` apart."""
        most = load(self.family).spec(mnemonic).field(operand).maximum + 1
        if need > most:
            raise InputError(
                f"{what} of one channel must be at most {most}, which is what an instruction can "
                f"name, not {need}",
                None,
                hint,
            )
