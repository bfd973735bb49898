"""Follows every token through a program: its K, its exponential and its V count exactly once.

The numbers alone cannot show this: one token of thousands that is left out moves the output by less
than the bound. So the machine's events are replayed on token numbers: which token each slot of a PU
buffer stands for, which tokens a sum and an output hold, and what is merged into which accumulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pamsim.layout.region import BLOCK_TOKENS, SCALES_PER_COLUMN, Region, Segment
from pamsim.layout.table import BlockTable
from pim_isa.semantics.hbm_pim import Event

NOTHING = -1


def segment_tokens(segment: Segment) -> np.ndarray:
    """Token numbers of a segment's local tokens, int64 [tokens]."""
    within = np.arange(BLOCK_TOKENS)
    return (segment.blocks[:, None] * BLOCK_TOKENS + within).ravel()[: segment.tokens]


class TokenUse:
    """How often each token was used, over all channels of one (request, KV head).

    parts: into how many parts K and V are divided, each of at most `part_columns` columns. scaled:
    K and V have scales. capped: scores have a cap.

    dots, sums, outputs: int32 [heads, parts, tokens], with the parts of K or of V, counted where a
    result took them in; key_scales, value_scales, caps, exponentials: int32 [heads, 1, tokens];
    scores: float32 [heads, tokens], NaN where there is none.
    """

    def __init__(
        self,
        table: BlockTable,
        heads: int,
        tokens: int,
        parts: tuple[int, int],
        part_columns: int,
        *,
        scaled: bool = False,
        capped: bool = False,
    ) -> None:
        self.table, self.part_columns = table, part_columns
        self.scores = np.full((heads, tokens), np.nan, dtype=np.float32)
        self.dots, self.sums, self.outputs = (
            np.zeros((heads, n, tokens), dtype=np.int32) for n in (parts[0], parts[1], parts[1])
        )
        self.key_scales, self.value_scales, self.caps, self.exponentials = (
            np.zeros((heads, 1, tokens), dtype=np.int32) for _ in range(4)
        )
        self.scaled, self.capped = scaled, capped
        self.faults: list[str] = []

    def replay(
        self,
        events: Iterable[Event],
        segments: dict[int, list[Segment]],
        meaning: dict[int, tuple[int, int]],
    ) -> None:
        """Takes in a channel. segments: stream -> the pair's segments on its unit. meaning: query
        number -> (head of the group, part)."""
        units: dict[int, _Unit] = {}
        for event in events:
            unit = units.get(event.stream)
            if unit is None:
                unit = units[event.stream] = _Unit(self, segments.get(event.stream, []), meaning)
            unit.take(event)

    def verdict(self, first_head: int) -> list[str]:
        """Faults: every token must count once in every head and part."""
        for name, count, times in (
            ("K", self.dots, 1),
            ("scale of K", self.key_scales, self.scaled),
            ("cap", self.caps, self.capped),
            ("exponential", self.exponentials, 1),
            ("exponential in a sum", self.sums, 1),
            ("scale of V", self.value_scales, self.scaled),
            ("V", self.outputs, 1),
        ):
            wrong = count != times
            if wrong.any():
                head, part, token = np.argwhere(wrong)[0]
                self.faults.append(
                    f"{name} of token {token} must count {'once' if times else 'never'} with "
                    f"query head {first_head + head}, not {count[head, part, token]} times"
                )
        return self.faults

    def fault(self, text: str) -> None:
        if len(self.faults) < 16:
            self.faults.append(text)


@dataclass
class _Held:
    """Tokens that a running maximum, sum or output holds, for which heads; `part` of an output."""

    tokens: list[np.ndarray] = field(default_factory=list)
    part: int = 0
    heads: tuple[int, ...] = ()

    def all(self) -> np.ndarray:
        return np.concatenate(self.tokens) if self.tokens else np.empty(0, dtype=np.int64)


def part_count(regions: Sequence[Region], part_columns: int) -> int:
    """Parts of a vector that are worked on one after the other."""
    return sum(-(-region.vector_columns // part_columns) for region in regions)


class _Cells:
    """Tokens of a region by place: `tokens` int64 [slot, bank], whole rows of slots."""

    def __init__(self, segment: Segment, region: Region, part: int, banks: int) -> None:
        self.region, self.part = region, part
        rows = region.row_count(-(-segment.tokens // banks))
        self.row = region.row(np.arange(rows, dtype=np.int64) * region.slots_per_row)
        cells = np.full(rows * region.slots_per_row * banks, NOTHING)
        cells[: segment.tokens] = segment_tokens(segment)
        self.tokens = cells.reshape(-1, banks)

    def rows_at(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of `rows` are the region's, and the first slot of each of those."""
        place = np.minimum(np.searchsorted(self.row, rows), len(self.row) - 1)
        at = np.flatnonzero(self.row[place] == rows)
        return at, place[at] * self.region.slots_per_row


class _Unit:
    def __init__(
        self, use: TokenUse, segments: list[Segment], meaning: dict[int, tuple[int, int]]
    ) -> None:
        self.use, self.table, self.meaning = use, use.table, meaning
        self.slot_token = np.full((use.table.banks, 1 << 10), NOTHING, dtype=np.int64)
        self.max, self.sum, self.output = _Held(), _Held(), _Held()
        self.reduced_sum, self.reduced_output = _Held(), _Held()
        self.held: dict[bool, list[_Cells]] = {False: [], True: []}
        for segment in segments:
            for value, regions in ((False, segment.key), (True, segment.value)):
                part = 0
                for region in regions:
                    self.held[value].append(_Cells(segment, region, part, self.table.banks))
                    part += part_count((region,), use.part_columns)

    def take(self, event: Event) -> None:
        if event.kind == "dot":
            self._dot(event)
        elif event.kind in ("scale", "weight"):
            self._scale(event)
        elif event.kind in ("cap", "exp"):
            counts = self.use.caps if event.kind == "cap" else self.use.exponentials
            self._count(counts, self._slot_tokens(event), event)
        elif event.kind in ("max", "sum"):
            if event.first:
                setattr(self, event.kind, _Held())
            tokens = self._slots(event)
            if (tokens == NOTHING).any():
                self.use.fault(f"{event.kind.upper()} takes a score that is no token's")
            held = getattr(self, event.kind)
            held.tokens.append(tokens[tokens != NOTHING])
            held.heads = self._heads(event)
        elif event.kind == "clear":
            self.output = _Held()
        elif event.kind == "weigh":
            self._weigh(event)
        elif event.kind == "reduce":
            added = np.sort(self.sum.all())
            for held, what in ((self.max, "maximum"), (self.output, "output")):
                same = np.array_equal(np.sort(held.all()), added)
                if not same or held.heads != self.sum.heads:
                    self.use.fault(f"REDG must find the {what} of the tokens that the sum holds")
            self.reduced_sum = _Held([self.sum.all()])
            self.reduced_output = _Held([self.output.all()], self.output.part)
        else:
            self._merge(event)

    def _heads(self, event: Event) -> tuple[int, ...]:
        return tuple(self.meaning[q][0] for q in event.queries if q in self.meaning)

    def _places(self, event: Event, value: bool) -> tuple[np.ndarray, int]:
        """Tokens at the rows and columns of a visit, int64 [visits, slots, banks], and the part."""
        assert event.rows is not None
        shape = len(event.rows), event.slots, self.table.banks
        tokens, part = np.full(shape, NOTHING, dtype=np.int64), 0
        for cells in self.held[value]:
            at, slot = cells.rows_at(event.rows)
            first, column = divmod(event.column - cells.region.column, cells.region.slot_columns)
            own, inside = divmod(column, self.use.part_columns)
            if not len(at) or inside or column >= cells.region.vector_columns:
                continue
            part = cells.part + own
            in_row = np.arange(first, first + event.slots)
            in_row = in_row[(in_row >= 0) & (in_row < cells.region.slots_per_row)]
            tokens[at[:, None], in_row - first] = cells.tokens[slot[:, None] + in_row]
        return tokens, part

    def _banks(self, mask: int) -> np.ndarray:
        return np.flatnonzero([mask >> b & 1 for b in range(self.table.banks)])

    def _slots(self, event: Event) -> np.ndarray:
        """Tokens of the slots that an event names, int64 [visits x slots x banks of the mask]."""
        return self._slot_tokens(event).ravel()

    def _dot(self, event: Event) -> None:
        assert event.bases is not None
        banks = self._banks(event.mask)
        places, part = self._places(event, value=False)
        tokens = places[:, :, banks]  # [visits, slots, banks]
        slots = event.bases[:, None] + np.arange(event.slots)
        self.slot_token[banks[None, None, :], slots[:, :, None]] = tokens
        self._count(self.use.dots, tokens, event, part)

    def _slot_tokens(self, event: Event) -> np.ndarray:
        """Tokens of the slots that an event names, int64 [visits, slots, banks of the mask]."""
        assert event.bases is not None
        slots = event.bases[:, None] + np.arange(event.slots)
        return self.slot_token[self._banks(event.mask)][:, slots].transpose(1, 2, 0)

    def _count(self, counts: np.ndarray, tokens: np.ndarray, event: Event, part: int = 0) -> None:
        """Counts tokens [visits, slots, banks of the mask] with every head, and takes in scores."""
        valid = tokens != NOTHING
        banks = self._banks(event.mask)
        for j, query in enumerate(event.queries):
            if query not in self.meaning:
                continue
            head = self.meaning[query][0]
            np.add.at(counts[head, part], tokens[valid], 1)
            if event.scores is not None:
                scores = event.scores[:, banks, j].transpose(0, 2, 1)
                self.use.scores[head, tokens[valid]] = scores[valid]

    def _scale(self, event: Event) -> None:
        """SCLK and SCLV: the scales are those of the slots' own tokens."""
        assert event.rows is not None
        value = event.kind == "weight"
        tokens = self._slot_tokens(event)
        banks = self._banks(event.mask)
        found = np.full_like(tokens, NOTHING)
        for cells in self.held[value]:
            region = cells.region
            if region.scale_column is None:
                continue
            at, slot = cells.rows_at(event.rows)
            first = (event.column - region.scale_column) * SCALES_PER_COLUMN + event.lane
            in_row = np.arange(first, first + event.slots)
            if not len(at) or first < 0 or in_row[-1] >= region.slots_per_row:
                continue
            found[at] = cells.tokens[slot[:, None] + in_row][:, :, banks]
        if (found != tokens).any() or (tokens == NOTHING).any():
            self.use.fault(f"SCL{'V' if value else 'K'} takes another token's scale")
        self._count(self.use.value_scales if value else self.use.key_scales, tokens, event)

    def _weigh(self, event: Event) -> None:
        banks = self._banks(event.mask)
        places, part = self._places(event, value=True)
        tokens = places[:, :, banks].ravel()
        weights = self._slots(event)
        if (tokens == NOTHING).any() or (tokens != weights).any():
            self.use.fault("MACV weighs a V with another token's exponential")
        if self.output.tokens and self.output.part != part:
            self.use.fault("outputs must hold one part of the head dimension")
        self.output.part, self.output.heads = part, self._heads(event)
        self.output.tokens.append(tokens[tokens != NOTHING])

    def _merge(self, event: Event) -> None:
        head, part = self.meaning[event.query]
        held = event.queries[event.slot]
        if held not in self.meaning or self.meaning[held][0] != head:
            self.use.fault("REDL merges one query head's output into another's result")
        if self.reduced_output.part != part and self.reduced_output.all().size:
            self.use.fault("REDL merges one part of the head dimension into another")
        np.add.at(self.use.sums[head, part], self.reduced_sum.all(), 1)
        np.add.at(self.use.outputs[head, part], self.reduced_output.all(), 1)
