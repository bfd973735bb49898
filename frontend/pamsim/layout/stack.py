"""Shares of a channel to its bank groups and rows."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from pamsim.layout.table import BLOCK_TOKENS


@dataclass(frozen=True)
class Piece:
    """Blocks of a share, from its `first_block` on, in rows of a group (layer 0)."""

    share: int
    first_block: int
    tokens: int
    group: int
    k_row: int
    v_row: int


def stack(
    shares: Sequence[tuple[int, int]],
    order: Sequence[int],
    first_row: int,
    rows: int,
    row_tokens: int,
) -> list[Piece]:
    """Gives each share the group with the fewest tokens so far, and the rows above those taken.

    shares: (tokens, number), largest first. order: groups, first choice first. rows: that a layer
    may take in a group, from `first_row` on. row_tokens: tokens of a row of all banks. Only where a
    group would run over its rows, shares go on in other groups, in whole blocks; what the channel
    has no room for lies beyond the rows of some group. Pieces come by group and row.
    """
    pieces = _whole(shares, order, first_row, row_tokens)
    if any(2 * p.v_row - p.k_row > first_row + rows for p in pieces):
        pieces = _divided(shares, order, first_row, rows, row_tokens)
    return sorted(pieces, key=lambda piece: (piece.group, piece.k_row))


def _whole(
    shares: Sequence[tuple[int, int]], order: Sequence[int], first_row: int, row_tokens: int
) -> list[Piece]:
    heap = [(0, i) for i in range(len(order))]
    next_row = [first_row] * len(order)
    pieces = []
    for tokens, number in shares:
        held, i = heapq.heappop(heap)
        row, rows = next_row[i], -(-tokens // row_tokens)
        pieces.append(Piece(number, 0, tokens, order[i], row, row + rows))
        next_row[i] += 2 * rows
        heapq.heappush(heap, (held + tokens, i))
    return pieces


def _divided(
    shares: Sequence[tuple[int, int]],
    order: Sequence[int],
    first_row: int,
    rows: int,
    row_tokens: int,
) -> list[Piece]:
    held = [0] * len(order)
    next_row = [first_row] * len(order)
    pieces = []

    def room(i: int) -> int:
        """Tokens, in whole blocks, that group i still has rows for."""
        free = (first_row + rows - next_row[i]) // 2
        return max(0, free * row_tokens // BLOCK_TOKENS * BLOCK_TOKENS)

    for tokens, number in shares:
        done = 0
        while done < tokens:
            open_groups = [i for i in range(len(order)) if room(i)]
            i = min(open_groups or range(len(order)), key=lambda i: held[i])
            take = min(tokens - done, room(i)) if open_groups else tokens - done
            row, needed = next_row[i], -(-take // row_tokens)
            pieces.append(Piece(number, done // BLOCK_TOKENS, take, order[i], row, row + needed))
            next_row[i] += 2 * needed
            held[i] += take
            done += take
    return pieces
