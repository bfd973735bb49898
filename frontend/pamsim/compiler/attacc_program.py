"""The program of one AttAcc channel: heads in pairs, the softmax of one under the other's scores.

Two queues: what the banks' GEMV units do, and what is moved and put through the softmax unit. They
meet at a barrier before every block of 16 scores and every column of outputs ("rounds"); a round's
results are moved in the next. The order is that of scale-snu/attacc_simulator @c600051
(pim_ramulator_src/trace_gen/gen_trace_attacc_bank.py), for any number of heads, any head dimension
and any context. Every query head of a group runs over the KV of its group anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pamsim.compiler.code import Writer
from pamsim.layout.attacc import GROUP_BANKS, PARTITIONS, AttAccShape
from pamsim.layout.whole_heads import HeadSegment
from pim_isa import Instruction, Program, Stream, Unit

FAMILY = "attacc"
GEMV, MOVES = 0, 1  # queues
RESULTS = 16  # of a result register
SOFTMAX_BLOCK = 256
RANKS, BANK_GROUPS, BANKS = 2, 4, 4
ALL = (1 << PARTITIONS) - 1
MAX_PIECE_STEP = 255

Code = list[Instruction]

_WRITER = Writer(FAMILY)
make = _WRITER.make
BARRIER = make("BAR", id=0)


def repeat(count: int, body: Code, **steps: int) -> Code:
    """`body` in a loop, or bare when it runs once, or nothing."""
    return list(_WRITER.repeat(count, body, **steps))


@dataclass(frozen=True)
class Head:
    """A query head over the KV of its group; `row`: K's first, V's rows follow."""

    tokens: int
    row: int
    query: int
    shape: AttAccShape

    @property
    def local(self) -> int:
        """Tokens of the fullest partition."""
        return -(-self.tokens // PARTITIONS)

    @property
    def blocks(self) -> int:
        """Of 16 scores a partition."""
        return -(-self.local // RESULTS)

    @property
    def value_row(self) -> int:
        return self.row + self.shape.key_rows(self.tokens)


def channel_program(
    segments: Sequence[HeadSegment], shape: AttAccShape, group_size: int, appends: Sequence[bool]
) -> Program:
    """The program of a channel's heads, in order; `appends`: whose new token is written first.

    Queries are numbered by head and member of the group, appended vectors K, V by appending head.
    Raises InputError when it has more queries than can be named.
    """
    _WRITER.check_number("query heads", len(segments) * group_size, "WRG", "query")
    heads = [
        Head(s.tokens, s.key_row, number * group_size + member, shape)
        for number, s in enumerate(segments)
        for member in range(group_size)
    ]
    nodes: list[_Node] = []
    for start in range(0, len(heads), 2):
        first, second = heads[start], heads[start + 1] if start + 1 < len(heads) else None
        nodes.append(_pair(first, second))
    for periods in ((1,), (1, 2, 3)):
        nodes = _rolled(nodes, periods)
    configure = make("CFG", part=shape.part)
    appending = [s for s, append in zip(segments, appends, strict=True) if append]
    written = [i for number, s in enumerate(appending) for i in _append(s, shape, 2 * number)]
    gemv = [configure, *written]
    moves = [configure]
    for node in nodes:
        gemv += node.gemv
        moves += node.moves
    streams = (Stream(Unit(GEMV), tuple(gemv)), Stream(Unit(MOVES), tuple(moves)))
    return Program(FAMILY, streams)


# --- loops over heads


@dataclass(frozen=True)
class _Node:
    """Code of both queues. Nodes of one key differ only in their first row and query."""

    key: Hashable
    row: int
    query: int
    gemv: Code
    moves: Code


def _rolled(nodes: list[_Node], periods: Sequence[int]) -> list[_Node]:
    """Nodes that repeat, in periods of so many, as loops."""
    rolled, at = [], 0
    while at < len(nodes):
        period, count = max(
            ((p, _repeats(nodes, at, p)) for p in periods), key=lambda x: (x[0] * x[1], -x[0])
        )
        if count < 2:
            rolled.append(nodes[at])
            at += 1
            continue
        body = nodes[at : at + period]
        steps = {
            "row_step": nodes[at + period].row - body[0].row,
            "query_step": nodes[at + period].query - body[0].query,
        }
        key = (count, *steps.values(), tuple((n.key, n.row - body[0].row) for n in body))
        rolled.append(
            _Node(
                key,
                body[0].row,
                body[0].query,
                repeat(count, [i for n in body for i in n.gemv], **steps),
                repeat(count, [i for n in body for i in n.moves], **steps),
            )
        )
        at += period * count
    return rolled


def _repeats(nodes: list[_Node], at: int, period: int) -> int:
    """How often the `period` nodes from `at` on come, each time moved on by the same steps."""
    count = 1
    while at + (count + 1) * period <= len(nodes):
        last = at + (count - 1) * period
        moves = [
            (nodes[last + period + k].row - nodes[last + k].row,
             nodes[last + period + k].query - nodes[last + k].query)
            for k in range(period)
        ]  # fmt: skip
        same = all(nodes[last + period + k].key == nodes[last + k].key for k in range(period))
        steps = (nodes[at + period].row - nodes[at].row, nodes[at + period].query - nodes[at].query)
        if not same or set(moves) != {steps} or min(steps) < 0:
            break
        count += 1
    return count


# --- a pair of heads


def _pair(first: Head, second: Head | None) -> _Node:
    """Scores of the first, scores of the second, outputs of the first, outputs of the second."""
    a, b = _Moves(first, 0), _Moves(second, 1) if second else None
    gemv = _scores(first, 0)
    moves = [make("WRG", slot=0, query=first.query)]
    moves += a.score_rounds([make("WRG", slot=1, query=second.query)] if second else [])
    if second is not None and b is not None:
        gemv += _scores(second, 1)
        moves += b.score_rounds([*a.last_scores(), a.softmax()], under=a)
        gemv += _outputs(first, 0)
        moves += a.output_rounds([*b.last_scores(), b.softmax()], under=b)
        gemv += _outputs(second, 1)
        moves += b.output_rounds(a.result())
    else:
        gemv += [BARRIER, make("NEW"), *_outputs(first, 0)]
        moves += [BARRIER, *a.last_scores(), a.softmax(), *a.exponentials(0, first.blocks)]
        moves += a.output_rounds([])
    gemv += [BARRIER, make("NEW")]
    moves += [BARRIER, *(b or a).result()]
    key = (first.tokens, *((second.tokens, second.row - first.row) if second else ()))
    return _Node(key, first.row, first.query, gemv, moves)


def _scores(head: Head, slot: int) -> Code:
    """Queue 0: all of K, a round for 16 tokens of a partition."""
    row_tokens = head.shape.row_slots
    period = max(row_tokens, RESULTS)
    whole, rest = divmod(head.local, period)
    rows = period // row_tokens
    code = repeat(whole, _score_rows(head, slot, 0, period), row_step=rows)
    return code + _score_rows(head, slot, whole * rows, rest)


def _score_rows(head: Head, slot: int, row: int, tokens: int) -> Code:
    """K of `tokens` local tokens from the head's row number `row` on."""
    row_tokens, part = head.shape.row_slots, head.shape.part
    code: Code = []
    for start in range(0, tokens, row_tokens):
        at = head.row + row + start // row_tokens
        code.append(make("ACT", row=at))
        end = min(start + row_tokens, tokens)
        for token in range(start, end, min(RESULTS, row_tokens)):
            if token % RESULTS == 0:
                code += [BARRIER, make("NEW")]
            code.append(
                make(
                    "MACK",
                    row=at,
                    column=(token - start) * part,
                    tokens=min(RESULTS, row_tokens, end - token),
                    at=token % RESULTS,
                    slot=slot,
                )
            )
        code.append(make("PRE"))
    return code


def _outputs(head: Head, slot: int) -> Code:
    """Queue 0: all of V, a round for each column of a bank's quarter of the outputs."""
    columns = head.shape.columns
    whole, tail = divmod(head.tokens, PARTITIONS)  # local tokens of all partitions, partitions more
    pages, rest = divmod(whole, columns)
    code: Code = []
    for chunk in range(head.shape.part):
        row = head.value_row + chunk * head.shape.chunk_rows(head.tokens)
        visits = [[_weigh(row, 0, columns, 0, slot, ALL)] for _ in range(min(pages, 2))]
        if pages > 1:
            visits[1] = [_weigh(row + 1, 0, columns, 1, slot, ALL)]
        last = []
        if rest:
            last.append(_weigh(row + pages, 0, rest, pages, slot, ALL))
        if tail:
            last.append(_weigh(row + pages, rest, 1, pages, slot, (1 << tail) - 1))
        first = visits[0] if visits else last
        code += [make("ACT", row=first[0]["row"]), BARRIER, make("NEW"), *first, make("PRE")]
        if pages > 1:
            visit = [make("ACT", row=row + 1), *visits[1], make("PRE")]
            code += repeat(pages - 1, visit, row_step=1, page_step=1)
        if pages and last:
            code += [make("ACT", row=row + pages), *last, make("PRE")]
    return code


def _weigh(row: int, column: int, tokens: int, page: int, slot: int, mask: int) -> Instruction:
    return make("MACV", row=row, column=column, tokens=tokens, page=page, slot=slot, mask=mask)


@dataclass(frozen=True)
class _Moves:
    """Queue 1: what is moved for one head."""

    head: Head
    slot: int

    def scores(self, block: int) -> Code:
        return [
            make("MVS", rank=rank, bg=bg, slot=self.slot, block=block)
            for bg in range(BANK_GROUPS)
            for rank in range(RANKS)
        ]

    def last_scores(self) -> Code:
        return self.scores(self.head.blocks - 1)

    def softmax(self) -> Instruction:
        tokens = self.head.tokens
        return make("SFM", slot=self.slot, tokens=tokens, blocks=-(-tokens // SOFTMAX_BLOCK))

    def exponentials(self, first: int, count: int) -> Code:
        """`count` pieces of 16 exponentials a partition."""
        piece = [
            make("MVG", rank=rank, bg=bg, slot=self.slot, piece=first)
            for bg in range(BANK_GROUPS)
            for rank in range(RANKS)
        ]
        return repeat(count, piece, piece_step=1)

    def outputs(self, chunk: int) -> Code:
        return [
            make("MVO", rank=rank, bank=bank, slot=self.slot, chunk=chunk)
            for bank in range(BANKS)
            for rank in range(RANKS)
        ]

    def result(self) -> Code:
        """The last outputs of the head, and what it gives."""
        last = self.outputs(self.head.shape.part - 1)
        return [*last, make("OUT", slot=self.slot, query=self.head.query)]

    def score_rounds(self, first: Code, under: _Moves | None = None) -> Code:
        """The rounds of the head's scores; `first` in the first, `under`'s exponentials late."""
        rounds = self.head.blocks
        given = _Given(under, rounds)
        code: Code = []
        cuts = sorted({0, min(1, rounds), *given.cuts, rounds})
        for start, end in pairwise(cuts):
            own = self.scores(start - 1) if start else first
            body = [BARRIER, *own, *given.code(start)]
            steps = {"block_step": int(start > 0), "piece_step": given.step(start)}
            if steps["piece_step"] <= MAX_PIECE_STEP:
                code += repeat(end - start, body, **steps)
            else:  # few rounds: the other head is far longer than this one
                for number in range(start, end):
                    code += [BARRIER, *(self.scores(number - 1) if number else first)]
                    code += given.code(number)
        return code

    def output_rounds(self, first: Code, under: _Moves | None = None) -> Code:
        """The rounds of the head's outputs; `first` in the first, `under`'s exponentials late."""
        rounds = self.head.shape.part
        given = _Given(under, rounds)
        code: Code = []
        for number in range(rounds):
            own = self.outputs(number - 1) if number else first
            code += [BARRIER, *own, *given.code(number)]
        return code


class _Given:
    """How a head's exponentials are spread over the second half of another's rounds."""

    def __init__(self, moves: _Moves | None, rounds: int) -> None:
        self.moves = moves
        self.first = rounds // 2  # until then the softmax may take
        self.pieces = moves.head.blocks if moves else 0
        self.each = -(-self.pieces // (rounds - self.first))
        self.whole = self.pieces // self.each if self.each else 0

    @property
    def cuts(self) -> tuple[int, ...]:
        """Rounds at which a round's pieces change."""
        if not self.pieces:
            return ()
        end = self.first + self.whole
        return (self.first, end, end + 1) if self.pieces % self.each else (self.first, end)

    def code(self, number: int) -> Code:
        """What round `number` moves."""
        done = (number - self.first) * self.each
        if self.moves is None or not 0 <= done < self.pieces:
            return []
        return self.moves.exponentials(done, min(self.each, self.pieces - done))

    def step(self, number: int) -> int:
        """Pieces from round `number` to the next, where both move equally many."""
        return self.each if self.first <= number < self.first + self.whole else 0


# --- the new token


def _append(segment: HeadSegment, shape: AttAccShape, source: int) -> Code:
    """Writes K (`source`) and V (the next number) of a head's last token.

    The four banks of the token's partition are opened, written and closed one behind the other, for
    K and for each column of V: these lie in different rows.
    """
    local, partition = divmod(segment.tokens - 1, PARTITIONS)
    half, within = divmod(partition, RANKS * BANK_GROUPS)
    rank, bg = divmod(within, BANK_GROUPS)
    visits = [
        {
            "row": segment.key_row + local // shape.row_slots,
            "column": local % shape.row_slots * shape.part,
            "columns": shape.part,
            "source": source,
            "offset": 0,
        }
    ]
    for chunk in range(shape.part):
        row = segment.value_row + chunk * shape.chunk_rows(segment.tokens) + local // shape.columns
        column = local % shape.columns
        visits.append(
            {"row": row, "column": column, "columns": 1, "source": source + 1, "offset": chunk}
        )
    code: Code = []
    for visit in visits:
        banks = [{"rank": rank, "bg": bg, "bank": bank} for bank in range(GROUP_BANKS)]
        code += [make("OPN", **bank, row=visit["row"]) for bank in banks]
        for number, bank in enumerate(banks):
            moved = visit | {"offset": number * shape.part + visit["offset"]}
            code.append(make("APP", half=half, **bank, **moved))
        code += [make("CLS", **bank) for bank in banks]
    return code
