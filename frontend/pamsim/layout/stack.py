"""Shares of a channel to its bank groups and rows."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from pamsim.layout.region import BLOCK_TOKENS


@dataclass(frozen=True)
class Unit:
    """What rows are handed out in: `rows` rows of all banks, which hold `tokens` tokens."""

    tokens: int
    rows: int

    def count(self, tokens: int) -> int:
        return -(-tokens // self.tokens)


@dataclass(frozen=True)
class Share:
    """Tokens that a channel holds of a pair; `group`: where they must lie, None: anywhere."""

    tokens: int
    number: int
    group: int | None = None  # place in `order`


@dataclass(frozen=True)
class Piece:
    """Blocks of a share, from its `first_block` on, in `rows` rows of a group (layer 0)."""

    share: int
    first_block: int
    tokens: int
    group: int
    row: int
    rows: int


def stack(
    shares: Sequence[Share], order: Sequence[int], first_row: int, rows: int, unit: Unit
) -> list[Piece]:
    """Gives each share the group with the fewest tokens so far, and the rows above those taken.

    shares: largest first. order: groups, first choice first. rows: that a layer may take in a
    group, from `first_row` on. Only where a group would run over its rows, shares that may lie
    anywhere go on in other groups, in whole blocks; what the channel has no room for lies beyond
    the rows of some group. Pieces come by group and row.
    """
    pieces = _Stack(order, first_row, rows, unit, divide=False).fill(shares)
    if any(p.row + p.rows > first_row + rows for p in pieces):
        pieces = _Stack(order, first_row, rows, unit, divide=True).fill(shares)
    return sorted(pieces, key=lambda piece: (piece.group, piece.row))


class _Stack:
    def __init__(
        self, order: Sequence[int], first_row: int, rows: int, unit: Unit, divide: bool
    ) -> None:
        self.order, self.unit, self.divide = order, unit, divide
        self.end_row = first_row + rows
        self.held = [0] * len(order)
        self.next_row = [first_row] * len(order)
        self.heap = [(0, i) for i in range(len(order))]
        self.pieces: list[Piece] = []

    def fill(self, shares: Sequence[Share]) -> list[Piece]:
        for share in shares:
            done = 0
            while done < share.tokens:
                left = share.tokens - done
                if share.group is not None:
                    i, take = share.group, left
                elif self.divide:
                    i, take = self.roomy(left)
                else:
                    i, take = self.emptiest(), left
                self.put(share.number, done, take, i)
                done += take
        return self.pieces

    def put(self, number: int, done: int, tokens: int, i: int) -> None:
        row, rows = self.next_row[i], self.unit.count(tokens) * self.unit.rows
        block = done // BLOCK_TOKENS
        self.pieces.append(Piece(number, block, tokens, self.order[i], row, rows))
        self.next_row[i] += rows
        self.held[i] += tokens
        heapq.heappush(self.heap, (self.held[i], i))

    def emptiest(self) -> int:
        while self.heap[0][0] != self.held[self.heap[0][1]]:  # stale
            heapq.heappop(self.heap)
        return self.heap[0][1]

    def roomy(self, tokens: int) -> tuple[int, int]:
        """The emptiest group with room, and how many of the tokens fit it; all, where none has."""
        room = {i: room for i in range(len(self.order)) if (room := self.room(i))}
        i = min(room or range(len(self.order)), key=lambda i: self.held[i])
        return i, min(tokens, room.get(i, tokens))

    def room(self, i: int) -> int:
        """Tokens, in whole blocks, that a group still has rows for."""
        free = (self.end_row - self.next_row[i]) // self.unit.rows
        return max(0, free * self.unit.tokens // BLOCK_TOKENS * BLOCK_TOKENS)
