"""Instructions of a segment on DDR-PIM: PAMattention over the tokens of one bank group of a rank.

Per tile of T tokens a place: for each piece of q, the rows of K are read with that piece; maximum,
exponential and sum are taken in place; for each piece of O, the rows of V are read, the bank
group's reduction units merge (O, m, l) in each chip and those of the central buffer over the chips.
Where vectors are striped over the chips, the central buffer adds up the parts of the scores first.
"""

from __future__ import annotations

from collections.abc import Iterable

from pamsim.compiler.code import Code, Writer
from pamsim.compiler.compiled import Tiling
from pamsim.layout.region import Region, Segment
from pim_isa import Instruction, load

FAMILY = "ddr_pim"
BANKS, CHIPS = (load(FAMILY).constants[name] for name in ("banks", "chips"))

writer = Writer(FAMILY)
make, repeat = writer.make, writer.repeat


def append_tokens(appends: Iterable[tuple[Segment, int]], striped: bool, grouped: bool) -> Code:
    """Writes the newest token of segments of one group, or their newest eight (`grouped`).

    appends: segment, and the source of its K; its V is the next one. What goes to one row of one
    bank is written in one visit.
    """
    visits: dict[tuple[int, int], list[Instruction]] = {}
    for segment, first in appends:
        slot, place = divmod(segment.tokens - 1, places(striped))
        bank, chip = (place, 0) if striped else divmod(place, CHIPS)
        for source, region in enumerate(segment.regions, first):
            row = region.row(slot)
            where = {
                "bank": bank,
                "row": row,
                "column": region.column_of(slot),
                "columns": region.vector_columns,
                "source": source,
            }
            whole = striped or grouped
            write = make("APPW", **where) if whole else make("APP", chip=chip, **where)
            visits.setdefault((bank, row), []).append(write)
    for (bank, _), writes in visits.items():
        yield from writes
        yield make("PREB", bank=bank)


def places(striped: bool) -> int:
    """Places of a bank group that hold a token each at one row and column."""
    return BANKS if striped else BANKS * CHIPS


def attend(segment: Segment, tiling: Tiling, group_size: int, query: int, striped: bool) -> Code:
    """Attention of `group_size` query heads over a segment, merged in the central buffer.

    query: local number of the first head's first part; the rest follow, `parts` numbers a head.
    """
    full, rest = divmod(segment.tokens, places(striped))  # slots that fill all places, and one more
    tiles, tail = divmod(full, tiling.tokens)
    if rest:
        units = rest * CHIPS if striped else rest
        yield make("MASK", units=(1 << units) - 1)
    for queries, passes, first in tiling.rounds(group_size, query):
        tile = _Tile(segment, tiling, queries, first, striped)
        step = tiling.tokens // tile.key.slots_per_row
        body = list(repeat(tiles, list(tile.code(0, tiling.tokens, 0)), row_step=step))
        if tail or rest:
            body += tile.code(tiles * tiling.tokens, tail, rest)
        yield make(
            "CFG",
            queries=queries,
            part=tiling.part_columns,
            vector=tile.key.slot_columns,
            striped=striped,
        )
        yield from repeat(passes, body, query_step=queries * tiling.parts)


class _Tile:
    """A tile: slots that fill all places, and one more that fills the first `rest` of them."""

    def __init__(
        self, segment: Segment, tiling: Tiling, queries: int, query: int, striped: bool
    ) -> None:
        (self.key,), (self.value,) = segment.key, segment.value
        self.tiling, self.queries, self.query, self.striped = tiling, queries, query, striped

    def code(self, start: int, full: int, rest: int) -> Code:
        """The tile from slot `start` on."""
        parts, columns = self.tiling.parts, self.tiling.part_columns
        runs = [{"slots": full, "base": 0}] if full else []
        runs += [{"slots": 1, "base": full, "masked": 1}] if rest else []
        for part in range(parts):
            for slot in range(self.queries):
                yield make("WRQ", slot=slot, query=self.number(slot, part), offset=part * columns)
            flags = {"accumulate": part > 0, "last": part == parts - 1 and not self.striped}
            yield from self.rows("MACK", self.key, part, start, full, rest, **flags)
        if self.striped:
            for run in runs:
                yield make("SUMX", **run)
        for number, run in enumerate(runs):
            yield make("MAX", first=number == 0, **run)
        for run in runs:
            yield make("EXP", **run)
        for number, run in enumerate(runs):
            yield make("SUM", first=number == 0, **run)
        for part in range(parts):
            yield make("CLRO")
            yield from self.rows("MACV", self.value, part, start, full, rest)
            yield make("REDG")
            for slot in range(self.queries):
                yield make("REDL", slot=slot, query=self.number(slot, part))

    def number(self, slot: int, part: int) -> int:
        return self.query + slot * self.tiling.parts + part

    def rows(
        self,
        mnemonic: str,
        region: Region,
        part: int,
        start: int,
        full: int,
        rest: int,
        **flags: int,
    ) -> Code:
        """One visit a row: open it, work on the piece's columns of its vectors, close it."""
        per_row = region.slots_per_row
        first = region.row(start)
        column = region.column + part * self.tiling.part_columns
        whole, left = divmod(full, per_row)
        work = make(mnemonic, row=first, column=column, slots=per_row, base=0, **flags)
        visit = [make("ACT", row=first), work, make("PRE")]
        yield from repeat(whole, visit, row_step=1, base_step=per_row)
        if left or rest:
            row, base = first + whole, whole * per_row
            yield make("ACT", row=row)
            if left:
                yield make(mnemonic, row=row, column=column, slots=left, base=base, **flags)
            if rest:
                at = column + left * region.slot_columns
                yield make(mnemonic, row=row, column=at, slots=1, base=full, masked=1, **flags)
            yield make("PRE")
