"""How the KV cache is spread: how many bank groups a (request, KV head) pair gets, and where.

`spread` takes the fewest groups that keep every group of the tier busy, each pair in proportion to
its tokens, but never so many that a bank holds fewer than the system's `spread_min_bank_tokens`
tokens of a pair that has more. A pair's groups are its shares; shares fill the channels in order,
so that a pair covers the fewest channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pamsim.layout.table import BLOCK_TOKENS


@dataclass(frozen=True)
class Shares:
    """Shares of all pairs, in pair order (request, then KV head), each an int64 array [shares].

    Share `part` of `parts` of a pair holds the pair's 16-token blocks b with b mod parts = part.
    """

    request: np.ndarray
    kv_head: np.ndarray
    part: np.ndarray
    parts: np.ndarray
    tokens: np.ndarray
    last: np.ndarray  # bool: holds the request's last token
    channel: np.ndarray

    def __len__(self) -> int:
        return len(self.request)


def groups_per_pair(
    contexts: Sequence[int], kv_heads: int, total_groups: int, banks: int, min_bank_tokens: int
) -> tuple[int, ...]:
    """Bank groups that each KV head of each request gets: one number a request, at least 1."""
    tokens = kv_heads * sum(contexts)
    return tuple(
        max(1, min(-(-total_groups * c // tokens), c // (banks * min_bank_tokens)))
        for c in contexts
    )


def spread(
    contexts: Sequence[int],
    kv_heads: int,
    channels: int,
    groups_per_channel: int,
    banks: int,
    min_bank_tokens: int,
) -> Shares:
    """Shares of every pair and the channel of each.

    Where all requests are equally long, the numbers of shares of two channels differ by at most one
    (share s of N goes to channel s x channels div N). Else shares count by their tokens: a channel
    holds at most one share more than its part of the tokens.
    """
    total_groups = channels * groups_per_channel
    parts = groups_per_pair(contexts, kv_heads, total_groups, banks, min_bank_tokens)
    length = np.array(contexts, np.int64)
    per_request = np.array(parts, np.int64)
    pair_request = np.repeat(np.arange(len(contexts)), kv_heads)
    pair_head = np.tile(np.arange(kv_heads), len(contexts))
    pair_parts = per_request[pair_request]
    request = np.repeat(pair_request, pair_parts)
    first = np.repeat(np.cumsum(pair_parts) - pair_parts, pair_parts)
    part = np.arange(len(request)) - first
    count = per_request[request]
    return Shares(
        request=request,
        kv_head=np.repeat(pair_head, pair_parts),
        part=part,
        parts=count,
        tokens=_share_tokens(length[request], part, count),
        last=(-(-length[request] // BLOCK_TOKENS) - 1) % count == part,
        channel=_channels(length[request], count, channels),
    )


def _share_tokens(context: np.ndarray, part: np.ndarray, parts: np.ndarray) -> np.ndarray:
    blocks = -(-context // BLOCK_TOKENS)
    own = (blocks - part + parts - 1) // parts
    missing = blocks * BLOCK_TOKENS - context  # of the request's last block
    return own * BLOCK_TOKENS - np.where((blocks - 1) % parts == part, missing, 0)


def _channels(context: np.ndarray, parts: np.ndarray, channels: int) -> np.ndarray:
    # Integers, so that equally long requests give exactly s x channels div N. The scale keeps the
    # products below 2^62.
    scale = max(1, 2**62 // (int((context // parts + 1).sum()) * channels))
    weight = np.maximum(1, context * min(scale, 2**20) // parts)
    start = np.cumsum(weight) - weight
    return start * channels // (int(weight.sum()))
