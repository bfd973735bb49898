"""How the KV cache is spread: how many bank groups a (request, KV head) pair gets, and where.

A pair's groups are its shares. Rules, by name:

`spread`         the fewest groups that keep every group of the tier busy, each pair in proportion
                 to its tokens, but never so many that a bank holds fewer than the system's
                 `spread_min_bank_tokens` tokens of a pair that has more; shares fill the channels
                 in order, so that a pair covers the fewest channels.
`channel`        as many groups as `spread` takes, but all of one channel: no pair is merged across
                 channels.
`all`            every group of the tier, as far as the pair has blocks of 16 tokens.
`head-parallel`  AttAcc's mapping (ASPLOS 2024): a pair has all groups of one channel, and pairs go
                 round over the channels.

Layouts in which KV heads share rows spread sets of heads in place of single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.layout.names import unknown
from pamsim.layout.region import BLOCK_TOKENS


@dataclass(frozen=True)
class Shares:
    """Shares of all pairs, in pair order (request, then head set), each an int64 array [shares].

    Share `part` of `parts` of a pair holds the pair's 16-token blocks b with b mod parts = part.
    """

    request: np.ndarray
    heads: np.ndarray  # which KV head, or which set of heads that share rows
    part: np.ndarray
    parts: np.ndarray
    tokens: np.ndarray
    last: np.ndarray  # bool: holds the request's last token
    channel: np.ndarray
    group: np.ndarray | None = None  # place in the channel's filling order; None: any

    def __len__(self) -> int:
        return len(self.request)


# (contexts, head sets, channels, groups of a channel, banks of a group, min bank tokens) -> shares
Spread = Callable[[Sequence[int], int, int, int, int, int], Shares]


def get_spread(name: str) -> Spread:
    """The rule of that name. Raises KeyError for another."""
    return _SPREADS[name]


def spread_of(system: SystemSpec) -> Spread:
    """The rule that a system names. Raises InputError for another."""
    if system.spread not in _SPREADS:
        raise unknown(system, "spread", system.spread, list_spreads())
    return get_spread(system.spread)


def list_spreads() -> tuple[str, ...]:
    """Names of the rules, sorted."""
    return tuple(sorted(_SPREADS))


def groups_per_pair(
    contexts: Sequence[int], head_sets: int, total_groups: int, banks: int, min_bank_tokens: int
) -> tuple[int, ...]:
    """Bank groups that each head set of each request gets: one number a request, at least 1."""
    tokens = head_sets * sum(contexts)
    return tuple(
        max(1, min(-(-total_groups * c // tokens), c // (banks * min_bank_tokens)))
        for c in contexts
    )


def spread(
    contexts: Sequence[int],
    head_sets: int,
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
    total = channels * groups_per_channel
    parts = groups_per_pair(contexts, head_sets, total, banks, min_bank_tokens)
    shares = _divided(contexts, head_sets, parts)
    length = np.array(contexts, np.int64)[shares.request]
    return replace(shares, channel=_channels(length, shares.parts, channels))


def in_one_channel(
    contexts: Sequence[int],
    head_sets: int,
    channels: int,
    groups_per_channel: int,
    banks: int,
    min_bank_tokens: int,
) -> Shares:
    """Pairs to channels as `spread` has its shares; a pair has at most a channel's groups."""
    total = channels * groups_per_channel
    wanted = groups_per_pair(contexts, head_sets, total, banks, min_bank_tokens)
    shares = _divided(contexts, head_sets, [min(n, groups_per_channel) for n in wanted])
    length = np.repeat(np.array(contexts, np.int64), head_sets)
    channel = _channels(length, np.ones_like(length), channels)
    return replace(shares, channel=channel[_pair(shares, head_sets)])


def over_all_groups(
    contexts: Sequence[int],
    head_sets: int,
    channels: int,
    groups_per_channel: int,
    banks: int,
    min_bank_tokens: int,
) -> Shares:
    """Shares round and round over the groups; each pair begins where the one before it ended."""
    total = channels * groups_per_channel
    shares = _divided(contexts, head_sets, [min(total, _blocks(c)) for c in contexts])
    channel, group = np.divmod(np.arange(len(shares)) % total, groups_per_channel)
    return replace(shares, channel=channel, group=group)


def head_parallel(
    contexts: Sequence[int],
    head_sets: int,
    channels: int,
    groups_per_channel: int,
    banks: int,
    min_bank_tokens: int,
) -> Shares:
    """Pair i in channel i mod channels; its shares begin where the pair before it there ended."""
    parts = [min(groups_per_channel, _blocks(c)) for c in contexts]
    shares = _divided(contexts, head_sets, parts)
    channel = _pair(shares, head_sets) % channels
    order = np.argsort(channel, kind="stable")
    first = np.searchsorted(channel[order], np.arange(channels))
    turn = np.empty(len(shares), np.int64)
    turn[order] = np.arange(len(shares)) - first[channel[order]]
    return replace(shares, channel=channel, group=turn % groups_per_channel)


_SPREADS: dict[str, Spread] = {
    "spread": spread,
    "channel": in_one_channel,
    "all": over_all_groups,
    "head-parallel": head_parallel,
}


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS)


def _pair(shares: Shares, head_sets: int) -> np.ndarray:
    return shares.request * head_sets + shares.heads


def _divided(contexts: Sequence[int], head_sets: int, parts: Sequence[int]) -> Shares:
    """Shares of every pair, all in channel 0. parts: shares of a pair, one number a request."""
    length = np.array(contexts, np.int64)
    per_request = np.array(parts, np.int64)
    pair_request = np.repeat(np.arange(len(contexts)), head_sets)
    pair_parts = per_request[pair_request]
    request = np.repeat(pair_request, pair_parts)
    part = np.arange(len(request)) - np.repeat(np.cumsum(pair_parts) - pair_parts, pair_parts)
    count = per_request[request]
    return Shares(
        request=request,
        heads=np.repeat(np.tile(np.arange(head_sets), len(contexts)), pair_parts),
        part=part,
        parts=count,
        tokens=_share_tokens(length[request], part, count),
        last=(-(-length[request] // BLOCK_TOKENS) - 1) % count == part,
        channel=np.zeros(len(request), np.int64),
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
