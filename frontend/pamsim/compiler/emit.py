"""Instructions of a segment: PAMattention over the tokens that one bank group holds.

Scores stay in the PUs: per tile of T tokens a bank the queries are loaded, K is read once (row
visit by row visit), maximum, exponential and sum are taken in place, V is read once, and the bank
group's and the logic die's reduction units merge (O, m, l): PAM, arXiv 2602.11521, sections 5.1
and 5.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pamsim.compiler.compiled import Tiling
from pamsim.layout.table import Segment
from pim_isa import Instruction, load

FAMILY = "hbm_pim"
BANKS = load(FAMILY).constants["banks"]
_ALL = (1 << BANKS) - 1

Code = Iterator[Instruction]


@lru_cache(maxsize=1 << 16)
def _make(mnemonic: str, operands: tuple[tuple[str, int], ...]) -> Instruction:
    return load(FAMILY).make(mnemonic, **dict(operands))


def make(mnemonic: str, **operands: int) -> Instruction:
    """An instruction; equal ones are one object."""
    return _make(mnemonic, tuple((name, int(value)) for name, value in operands.items()))


def repeat(count: int, body: list[Instruction], **steps: int) -> Code:
    """`body` in a loop, or bare when it runs once, or nothing."""
    if count > 1:
        yield make("LOOP", count=count, **steps)
    if count >= 1:
        yield from body
    if count > 1:
        yield make("END")


def append_token(segment: Segment, tiling: Tiling, source: int) -> Code:
    """Writes the segment's last token, the new one: K is `source`, V `source` + 1."""
    slot, bank = divmod(segment.tokens - 1, BANKS)
    row, place = divmod(slot, tiling.slots_per_row)
    for number, first_row in enumerate((segment.k_row, segment.v_row)):
        yield make(
            "APP",
            bank=bank,
            row=first_row + row,
            column=place * tiling.vector_columns,
            columns=tiling.vector_columns,
            source=source + number,
        )
        yield make("PREB", bank=bank)


def attend(segment: Segment, tiling: Tiling, group_size: int, query: int) -> Code:
    """Attention of `group_size` query heads over a segment, merged on the logic die.

    query: local number of the first head's first part; the rest follow, `parts` numbers a head.
    """
    full, rest = divmod(segment.tokens, BANKS)  # slots that every bank fills, banks in one more
    tiles, tail = divmod(full, tiling.tokens)
    whole, narrow = divmod(group_size, tiling.queries)
    for queries, passes, first in (
        (tiling.queries, whole, query),
        (narrow, 1, query + whole * tiling.queries * tiling.parts),
    ):
        if not queries or not passes:
            continue
        rows = tiling.tokens // tiling.slots_per_row
        tile = _Tile(tiling, queries, first)
        body = list(
            repeat(
                tiles,
                list(tile.code(segment.k_row, segment.v_row, tiling.tokens, 0)),
                row_step=rows,
            )
        )
        if tail or rest:
            done = tiles * rows
            body += tile.code(segment.k_row + done, segment.v_row + done, tail, rest)
        yield make("CFG", queries=queries, part=tiling.part_columns, vector=tiling.vector_columns)
        yield from repeat(passes, body, query_step=queries * tiling.parts)


class _Tile:
    """One tile: `full` slots that all banks fill, and one more that the first `rest` banks fill."""

    def __init__(self, tiling: Tiling, queries: int, query: int) -> None:
        self.tiling, self.queries, self.query = tiling, queries, query

    def code(self, k_row: int, v_row: int, full: int, rest: int) -> Code:
        for part in range(self.tiling.parts):
            for slot in range(self.queries):
                yield make(
                    "WRQ",
                    slot=slot,
                    query=self.number(slot, part),
                    offset=part * self.tiling.part_columns,
                )
            last = part == self.tiling.parts - 1
            yield from self.rows("MACK", k_row, full, rest, part, accumulate=part > 0, last=last)
        yield from self.softmax(full, rest)
        for part in range(self.tiling.parts):
            yield make("CLRO")
            yield from self.rows("MACV", v_row, full, rest, part)
            yield make("REDG")
            for slot in range(self.queries):
                yield make("REDL", slot=slot, query=self.number(slot, part))

    def number(self, slot: int, part: int) -> int:
        return self.query + slot * self.tiling.parts + part

    def rows(self, mnemonic: str, row: int, full: int, rest: int, part: int, **flags: int) -> Code:
        """One visit a row: open it, work on its vectors, close it."""
        tiling = self.tiling
        per_row, column = tiling.slots_per_row, part * tiling.part_columns
        whole, left = divmod(full, per_row)

        def work(row: int, column: int, slots: int, base: int, mask: int) -> Instruction:
            return make(
                mnemonic, row=row, column=column, slots=slots, base=base, mask=mask, **flags
            )

        visit = [make("ACT", row=row), work(row, column, per_row, 0, _ALL), make("PRE")]
        yield from repeat(whole, visit, row_step=1, base_step=per_row)
        if left or rest:
            row += whole
            yield make("ACT", row=row)
            if left:
                yield work(row, column, left, whole * per_row, _ALL)
            if rest:
                at = column + left * tiling.vector_columns
                yield work(row, at, 1, full, (1 << rest) - 1)
            yield make("PRE")

    def softmax(self, full: int, rest: int) -> Code:
        """Maximum, exponentials and their sum over the tile's scores."""
        runs = []
        if full:
            runs.append({"slots": full, "base": 0, "mask": _ALL})
        if rest:
            runs.append({"slots": 1, "base": full, "mask": (1 << rest) - 1})
        for number, run in enumerate(runs):
            yield make("MAX", first=number == 0, **run)
        for run in runs:
            yield make("EXP", **run)
        for number, run in enumerate(runs):
            yield make("SUM", first=number == 0, **run)
