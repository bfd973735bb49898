"""How the KV tokens of a step are divided over the tiers of an instance.

The fastest tier takes what it has room for, then the next one. `shares`: every request has the same
share of each tier, in whole blocks. `requests`: one request after the other, whole ones where they
fit. In both the newest tokens of a request lie in the fastest tier and its oldest in the slowest;
the token that the step appends lies in the first tier that holds any.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pamsim.errors import CapacityError
from pamsim.placement.assignment import TierAssignment

BLOCK_TOKENS = 16


def fill_tokens(contexts: Sequence[int], room_tokens: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Tokens of each request in each tier: [tiers][requests]. room_tokens: of each tier, fastest
    first, in tokens of one layer. Raises CapacityError when they do not fit."""
    _check_room(contexts, room_tokens)
    left = list(contexts)
    tiers: list[tuple[int, ...]] = []
    for room in room_tokens:
        wanted = sum(left)
        if room >= wanted:
            taken = tuple(left)
        else:
            part = Fraction(room, wanted)
            taken = tuple(int(part * n) // BLOCK_TOKENS * BLOCK_TOKENS for n in left)
        left = [n - t for n, t in zip(left, taken, strict=True)]
        tiers.append(taken)
    return _settle(tiers, left, room_tokens)


def fill_requests(
    contexts: Sequence[int], room_tokens: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """As fill_tokens, but one request after the other."""
    _check_room(contexts, room_tokens)
    free, tiers = list(room_tokens), [[0] * len(contexts) for _ in room_tokens]
    for request, context in enumerate(contexts):
        left = context
        for tier, taken in enumerate(tiers):
            taken[request] = min(left, free[tier])
            left -= taken[request]
            free[tier] -= taken[request]
    return tuple(tuple(taken) for taken in tiers)


def _check_room(contexts: Sequence[int], room_tokens: Sequence[int]) -> None:
    total = sum(contexts)
    if total > sum(room_tokens):
        raise CapacityError(
            f"KV tokens of the step must fit the {sum(room_tokens)} that the tiers have room for, "
            f"not {total}: {total - sum(room_tokens)} tokens too much"
        )


def _settle(
    tiers: list[tuple[int, ...]], left: list[int], room_tokens: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """What whole blocks left over goes where there is room still, slowest tier first."""
    for number in reversed(range(len(tiers))):
        free = room_tokens[number] - sum(tiers[number])
        row = list(tiers[number])
        for request, tokens in enumerate(left):
            take = min(tokens, free)
            row[request] += take
            left[request] -= take
            free -= take
        tiers[number] = tuple(row)
    return tuple(tiers)


def newest_first(
    names: Sequence[str], tokens: Sequence[Sequence[int]], layers: int
) -> TierAssignment:
    """The assignment in which each request's newest tokens lie in the first tier.

    tokens: [tiers][requests], alike in every layer.
    """
    codes = []
    for per_tier in zip(*tokens, strict=True):
        oldest_first = np.repeat(np.arange(len(names))[::-1], per_tier[::-1]).astype(np.uint8)
        codes.append(np.broadcast_to(oldest_first, (layers, len(oldest_first))))
    return TierAssignment(tuple(names), tuple(codes))
