"""Instructions of a segment: PAMattention over the tokens that one bank group holds.

Scores stay in the PUs: per tile of T tokens a bank the queries are loaded, K is read once (row
visit by row visit), maximum, exponential and sum are taken in place, V is read once, and the bank
group's and the logic die's reduction units merge (O, m, l): PAM, arXiv 2602.11521, sections 5.1
and 5.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pamsim.compiler.code import Code, Writer
from pamsim.compiler.compiled import Tiling
from pamsim.layout.region import SCALES_PER_COLUMN, Region, Segment
from pim_isa import Instruction, load
from pim_isa.formats import FORMATS

FAMILY = "hbm_pim"
BANKS = load(FAMILY).constants["banks"]
ROW_COLUMNS = load(FAMILY).constants["row_columns"]
_ALL = (1 << BANKS) - 1
_SCALE = {"MACK": "SCLK", "MACV": "SCLV"}

writer = Writer(FAMILY)
make, repeat = writer.make, writer.repeat


def append_tokens(appends: Iterable[tuple[Segment, int]]) -> Code:
    """Writes the last token, the new one, of segments of one group.

    appends: segment, and the source of its first region; the others follow in the order of
    `Segment.regions`, a region's scales after its vector. What goes to one row of one bank is
    written in one visit.
    """
    visits: dict[tuple[int, int], list[Instruction]] = {}
    for segment, source in appends:
        slot, bank = divmod(segment.tokens - 1, BANKS)
        for region in segment.regions:
            row = region.row(slot)
            writes = [(region.column_of(slot), region.vector_columns)]
            if region.scale_column is not None:
                writes.append((region.scale_place(slot)[0], 1))
            for column, columns in writes:
                append = make(
                    "APP", bank=bank, row=row, column=column, columns=columns, source=source
                )
                visits.setdefault((bank, row), []).append(append)
                source += 1
    for (bank, _), held in visits.items():
        yield from held
        yield make("PREB", bank=bank)


def attend(segment: Segment, tiling: Tiling, group_size: int, query: int) -> Code:
    """Attention of `group_size` query heads over a segment, merged on the logic die.

    query: local number of the first head's first part; the rest follow, `parts` numbers a head.
    """
    full, rest = divmod(segment.tokens, BANKS)  # slots that every bank fills, banks in one more
    tiles, tail = divmod(full, tiling.tokens)
    for queries, passes, first in tiling.rounds(group_size, query):
        tile = _Tile(segment, tiling, queries, first)
        body = list(repeat(tiles, list(tile.code(0, tiling.tokens, 0)), row_step=tile.row_step))
        if tail or rest:
            body += tile.code(tiles * tiling.tokens, tail, rest)
        if tile.width:
            yield tile.configuration(*tile.width)
        yield from repeat(passes, body, query_step=queries * tiling.parts)


@dataclass(frozen=True)
class _Part:
    """Columns of a vector that are worked on at a time."""

    region: Region
    inside: int  # first column, from the beginning of the region's vector
    offset: int  # first column, from the beginning of the whole vector
    columns: int

    @property
    def width(self) -> tuple[int, int]:
        """What CFG says of it."""
        return self.columns, self.region.slot_columns


def _parts(regions: Sequence[Region], most: int) -> tuple[_Part, ...]:
    parts = []
    offset = 0
    for region in regions:
        for inside in range(0, region.vector_columns, most):
            columns = min(most, region.vector_columns - inside)
            parts.append(_Part(region, inside, offset + inside, columns))
        offset += region.vector_columns
    return tuple(parts)


class _Tile:
    """A tile: slots that all banks fill, and one more that the first `rest` banks fill."""

    def __init__(self, segment: Segment, tiling: Tiling, queries: int, query: int) -> None:
        self.tiling, self.queries, self.query = tiling, queries, query
        self.format = FORMATS[tiling.format]
        self.key = _parts(segment.key, tiling.part_columns)
        self.value = _parts(segment.value, tiling.part_columns)
        widths = {part.width for part in (*self.key, *self.value)}
        self.width = widths.pop() if len(widths) == 1 else None  # None: changes inside the tile
        steps = {r.row(tiling.tokens) - r.first_row for r in segment.regions}
        if len(steps) > 1:
            raise ValueError(f"regions of a segment must move alike from tile to tile, not {steps}")
        (self.row_step,) = steps

    def code(self, start: int, full: int, rest: int) -> Code:
        """The tile from slot `start` on."""
        for number, part in enumerate(self.key):
            yield from self.configure(part)
            for slot in range(self.queries):
                of_head = number % self.tiling.parts
                offset = part.offset * self.format.pack
                yield make("WRQ", slot=slot, query=self.number(slot, of_head), offset=offset)
            last = part is self.key[-1]
            scaled = last and self.format.scaled
            flags = {"accumulate": number > 0, "last": last and not scaled}
            yield from self.rows("MACK", part, start, full, rest, scaled, **flags)
        yield from self.softmax(full, rest)
        for number, part in enumerate(self.value):
            yield from self.configure(part)
            yield make("CLRO")
            scaled = not number and self.format.scaled  # what is scaled stays so
            yield from self.rows("MACV", part, start, full, rest, scaled)
            yield make("REDG")
            for slot in range(self.queries):
                yield make("REDL", slot=slot, query=self.number(slot, number))

    def configure(self, part: _Part) -> Code:
        if not self.width:
            yield self.configuration(*part.width)

    def configuration(self, part: int, vector: int) -> Instruction:
        return make(
            "CFG",
            queries=self.queries,
            part=part,
            vector=vector,
            format=self.format.code,
            extra_cycles=self.tiling.column_cycles - 1,
        )

    def number(self, slot: int, part: int) -> int:
        return self.query + slot * self.tiling.parts + part

    def rows(
        self,
        mnemonic: str,
        part: _Part,
        start: int,
        full: int,
        rest: int,
        scaled: bool,
        **flags: int,
    ) -> Code:
        """One visit a row: open it, work on its vectors and scales, close it."""
        region = part.region
        per_row, column = region.slots_per_row, region.column + part.inside

        def work(row: int, first: int, slots: int, base: int, mask: int) -> list[Instruction]:
            """Slots of a row from its slot `first` on."""
            at = column + first * region.slot_columns
            mac = make(mnemonic, row=row, column=at, slots=slots, base=base, mask=mask, **flags)
            if not scaled:
                return [mac]
            scales, lane = region.scale_place(first)
            columns = -(-(lane + slots) // SCALES_PER_COLUMN)
            scale = make(
                _SCALE[mnemonic], row=row, column=scales, columns=columns, base=base, mask=mask,
                slots=slots, lane=lane,
            )  # fmt: skip
            return [mac, scale] if mnemonic == "MACK" else [scale, mac]

        def visits(slot: int, count: int) -> Code:
            """Full rows that follow on one another."""
            row = region.row(start + slot)
            visit = [make("ACT", row=row), *work(row, 0, per_row, slot, _ALL), make("PRE")]
            yield from repeat(count, visit, row_step=1, base_step=per_row)

        whole, left = divmod(full, per_row)
        blocks, rows = divmod(whole, region.block_rows)
        block = list(visits(0, region.block_rows)) if blocks else []
        yield from repeat(blocks, block, row_step=region.block_step, base_step=region.block_slots)
        if rows:
            yield from visits(blocks * region.block_slots, rows)
        if left or rest:
            row = region.row(start + whole * per_row)
            yield make("ACT", row=row)
            if left:
                yield from work(row, 0, left, whole * per_row, _ALL)
            if rest:
                yield from work(row, left, 1, full, (1 << rest) - 1)
            yield make("PRE")

    def softmax(self, full: int, rest: int) -> Code:
        """Cap, maximum, exponentials and their sum over the tile's scores."""
        runs = []
        if full:
            runs.append({"slots": full, "base": 0, "mask": _ALL})
        if rest:
            runs.append({"slots": 1, "base": full, "mask": (1 << rest) - 1})
        cap = self.tiling.softcap_bits
        if cap is not None:
            for run in runs:
                yield make("CAP", cap=cap, **run)
        for number, run in enumerate(runs):
            yield make("MAX", first=number == 0, **run)
        for run in runs:
            yield make("EXP", **run)
        for number, run in enumerate(runs):
            yield make("SUM", first=number == 0, **run)
