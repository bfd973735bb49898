"""The program of one flash channel: a stream of the controller's units, and one of each plane.

Planes sense and send the pages of their tiles in order; the controller meets each plane behind
every tile and works on it while the next ones come. Pages that a request is filling lie in the
write buffer: they take their new token first, are attended first, and are programmed last if they
are full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pamsim.compiler.compiled import Tiling
from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.layout.ssd_pages import FAMILY, PAGES, PageShape
from pim_isa import Instruction, Program, Stream, Unit, load

ATTENDED = 0  # barrier before full pages are programmed; a plane's stream meets at its own number
CONTROLLER = load(FAMILY).constants["controller"]
WRITE_BUFFER = 0  # input

Code = Iterator[Instruction]


@dataclass(frozen=True)
class Work:
    """A tile of a channel. pair: local number of (request, KV head). page: of the write buffer, its
    K's, None for a tile that lies in flash."""

    plane: int
    slot: int
    vectors: int
    pair: int
    page: int | None


@lru_cache(maxsize=1 << 16)
def _make(mnemonic: str, operands: tuple[tuple[str, int], ...]) -> Instruction:
    return load(FAMILY).make(mnemonic, **dict(operands))


def make(mnemonic: str, **operands: int) -> Instruction:
    """An instruction; equal ones are one object."""
    return _make(mnemonic, tuple((name, int(value)) for name, value in operands.items()))


def repeat(count: int, body: Sequence[Instruction], **steps: int) -> Code:
    """`body` in a loop, or bare when it runs once, or nothing."""
    if count > 1:
        yield make("LOOP", count=count, **steps)
    if count >= 1:
        yield from body
    if count > 1:
        yield make("END")


class ChannelCode:
    """Makes the streams of a channel. whole: of each pair, whether its result is final here."""

    def __init__(
        self,
        tiles: Sequence[Work],
        whole: Sequence[bool],
        tiling: Tiling,
        shape: PageShape,
        device: DeviceSpec,
        group_size: int,
        first_row: int,
    ) -> None:
        self.tiles, self.whole, self.tiling, self.shape = tiles, whole, tiling, shape
        self.device, self.group_size, self.first_row = device, group_size, first_row
        self.per_pair = group_size * tiling.parts
        self.flash = [t for t in tiles if t.page is None]
        self.open = [t for t in tiles if t.page is not None]
        self.full = [t for t in self.open if t.vectors == shape.vectors]
        self.planes = sorted({t.plane for t in (*self.flash, *self.full)})
        self.stream = {plane: number for number, plane in enumerate(self.planes, 1)}
        self._check_numbers()

    def program(self) -> Program:
        """Raises InputError when the channel has more queries or pages than can be named."""
        streams = [Stream(Unit(CONTROLLER, 0), tuple(self.controller()))]
        for plane in self.planes:
            unit = Unit(*divmod(plane, self.device.organisation.planes))
            streams.append(Stream(unit, tuple(self.of_plane(plane))))
        return Program(FAMILY, tuple(streams))

    # --- a plane

    def of_plane(self, plane: int) -> Code:
        rows = [self.row(t) for t in self.flash if t.plane == plane]
        yield from self.read(rows, self.stream[plane])
        full = [t for t in self.full if t.plane == plane]
        if self.full and full:
            yield make("BAR", id=ATTENDED)
        for tile in full:
            assert tile.page is not None
            for i in range(PAGES):
                yield make("PRG", row=self.row(tile) + i, page=tile.page + i)

    def read(self, rows: Sequence[int], barrier: int) -> Code:
        """Pages of the tiles at some rows, ascending; a barrier behind every tile.

        Rows follow on one another but where a tile between them is still in the write buffer.
        """
        bar = make("BAR", id=barrier)
        runs = _following(rows)
        if self.device.pim.extra["overlap"] != "cache":
            for row, tiles in runs:
                pages = [make(m, row=row + i) for i in range(PAGES) for m in ("RDP", "CPY", "OUT")]
                yield from repeat(tiles, [*pages, bar], row_step=PAGES)
            return

        def tile(at: int, after: int | None) -> Code:
            """The next page is sensed while one leaves."""
            yield from (make("RDP", row=at + 1), make("OUT", row=at), make("CPY", row=at + 1))
            if after is not None:
                yield make("RDP", row=after)
            yield from (make("OUT", row=at + 1), bar)
            if after is not None:
                yield make("CPY", row=after)

        if runs:
            first = runs[0][0]
            yield from (make("RDP", row=first), make("CPY", row=first))
        for number, (row, tiles) in enumerate(runs):
            after = runs[number + 1][0] if number + 1 < len(runs) else None
            yield from repeat(tiles - 1, list(tile(row, row + PAGES)), row_step=PAGES)
            yield from tile(row + PAGES * (tiles - 1), after)

    def row(self, tile: Work) -> int:
        return self.first_row + PAGES * tile.slot

    # --- the controller

    def controller(self) -> Code:
        columns = self.shape.vector_columns
        for tile in self.open:
            assert tile.page is not None
            column = (tile.vectors - 1) * columns
            for page in range(tile.page, tile.page + PAGES):
                yield make("APP", page=page, column=column, columns=columns, source=page)
        for tile in self.open:
            yield from self.attend(tile)
        for first, period, count in _runs(self.flash):
            tiles = self.flash[first : first + period]
            body = [i for tile in tiles for i in self.attend(tile)]
            steps = {}
            if count > 1:
                again = self.flash[first + period]
                steps = {
                    "row_step": PAGES * (again.slot - tiles[0].slot),
                    "query_step": (again.pair - tiles[0].pair) * self.per_pair,
                }
            yield from repeat(count, body, **steps)
        if self.full:
            yield make("BAR", id=ATTENDED)
        yield from self.results()

    def attend(self, tile: Work) -> Code:
        """Attention of a pair's query heads over a tile, merged into their accumulators."""
        source, row = WRITE_BUFFER, tile.page
        if row is None:
            source, row = self.stream[tile.plane], self.row(tile)
            yield make("BAR", id=source)
        tiling = self.tiling
        whole, narrow = divmod(self.group_size, tiling.queries)
        query = tile.pair * self.per_pair
        for queries, passes, first in (
            (tiling.queries, whole, query),
            (narrow, 1, query + whole * tiling.queries * tiling.parts),
        ):
            if not queries or not passes:
                continue
            yield make(
                "CFG",
                queries=queries,
                part=tiling.part_columns,
                vector=self.shape.vector_columns,
            )
            body = list(self.one_pass(tile.vectors, source, row, queries, first))
            yield from repeat(passes, body, query_step=queries * tiling.parts)
        if source != WRITE_BUFFER:
            yield make("FREE", input=source, row=row, pages=PAGES)

    def one_pass(self, vectors: int, source: int, row: int, queries: int, first: int) -> Code:
        parts, columns = self.tiling.parts, self.tiling.part_columns
        page = {"input": source, "vectors": vectors}

        def number(slot: int, part: int) -> int:
            return first + slot * parts + part

        for part in range(parts):
            offset = part * columns
            for slot in range(queries):
                yield make("WRQ", slot=slot, query=number(slot, part), offset=offset)
            flags = {"accumulate": part > 0, "last": part == parts - 1}
            yield make("MACK", row=row, offset=offset, **page, **flags)
        for mnemonic in ("MAX", "EXP", "SUM"):
            yield make(mnemonic, vectors=vectors)
        for part in range(parts):
            yield make("CLRO")
            yield make("MACV", row=row + 1, offset=part * columns, **page)
            yield make("REDG")
            for slot in range(queries):
                yield make("REDL", slot=slot, query=number(slot, part))

    def results(self) -> Code:
        """A pair that lies wholly on this channel is divided by l here."""
        start = 0
        while start < len(self.whole):
            end = start
            while end < len(self.whole) and self.whole[end] == self.whole[start]:
                end += 1
            read = [make("RDR", query=start * self.per_pair, normalise=self.whole[start])]
            yield from repeat((end - start) * self.per_pair, read, query_step=1)
            start = end

    def _check_numbers(self) -> None:
        table = load(FAMILY)
        for what, need, field in (
            (
                "query heads x parts",
                len(self.whole) * self.per_pair,
                table.spec("RDR").field("query"),
            ),
            ("pages that are filled", PAGES * len(self.open), table.spec("APP").field("page")),
        ):
            if need > field.maximum + 1:
                raise InputError(
                    f"{what} of one channel must be at most {field.maximum + 1}, which is what an "
                    f"instruction can name, not {need}",
                    None,
                    "a smaller batch or more drives",
                )


def _following(rows: Sequence[int]) -> list[tuple[int, int]]:
    """(first row, tiles) of runs of tiles that follow on one another."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and row == runs[-1][0] + PAGES * runs[-1][1]:
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((row, 1))
    return runs


def _runs(tiles: Sequence[Work]) -> Iterator[tuple[int, int, int]]:
    """(first tile, tiles that come again, how often), all tiles in order.

    The whole in one run, if it has a period; what is left, and else all, in rounds of the planes
    over the tiles of one pair.
    """
    if not tiles:
        return
    fields = np.array([(t.plane, t.slot, t.vectors, t.pair) for t in tiles])
    start, period = 0, _period(fields)
    if period:
        yield 0, period, len(tiles) // period
        start = len(tiles) // period * period
    planes = len({t.plane for t in tiles})
    steps = fields[planes:] - fields[:-planes]
    again = np.append((steps == [0, 1, 0, 0]).all(axis=1), np.zeros(planes, bool))
    ends = np.flatnonzero(~again)  # the first tile from each on that does not come again
    while start < len(tiles):
        same = int(ends[np.searchsorted(ends, start)]) - start
        count = 1 + same // planes
        period = planes if count > 1 else 1
        yield start, period, count
        start += period * count


def _period(fields: np.ndarray) -> int:
    """Fewest tiles after which everything comes again, moved by constant steps; 0 for never.

    fields: int64 [tiles, 4] of plane, slot, vectors and pair. What is left over behind the last
    whole period may differ.
    """
    fixed, moved = fields[:, [0, 2]], fields[:, [1, 3]]
    starts = np.flatnonzero((fixed == fixed[0]).all(axis=1))
    for period in starts[(starts > 0) & (starts <= len(fields) // 2)].tolist():
        whole = len(fields) // period * period
        steps = moved[period:whole] - moved[: whole - period]
        if (
            (fixed[period:whole] == fixed[: whole - period]).all()
            and (steps == steps[0]).all()
            and (steps[0] >= 0).all()
        ):
            return int(period)
    return 0
