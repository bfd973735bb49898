"""The program of one channel: appends, attention of every stream, results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pamsim.compiler.compiled import AppendBinding, ChannelBinding, QueryBinding, Tiling
from pamsim.compiler.emit import FAMILY, append_tokens, attend, make, writer
from pamsim.config.spec import Organisation
from pamsim.layout.region import BLOCK_TOKENS, Region, Segment
from pamsim.placement.share import TierShare
from pim_isa import Instruction, Program, Stream, Unit

APPENDED, ATTENDED = 0, 1  # barriers

Pair = tuple[int, int]  # request, KV head


@dataclass(frozen=True)
class Work:
    """A channel's segments, and what of them decides the program."""

    segments: tuple[Segment, ...]  # by group and row
    pairs: tuple[Pair, ...]  # local order: by first segment
    whole: tuple[bool, ...]  # of each pair: the channel holds all its tokens of all tiers
    streams: tuple[tuple[int, ...], ...]  # per busy group: its segments
    pair_of: tuple[int, ...]  # of each segment
    appends: tuple[int, ...]  # segments with the last token of their request

    @property
    def shape(self) -> object:
        """Equal for channels that run the same program."""
        places = tuple(s.place for s in self.segments)
        return places, self.whole, self.pair_of, self.appends


def channel_work(segments: Sequence[Segment], share: TierShare) -> Work:
    """What a channel has to do for its tier's share. segments: of one channel, by group and row."""
    contexts = share.step.contexts
    pairs: dict[Pair, int] = {}
    tokens: list[int] = []
    pair_of, appends = [], []
    groups: dict[int, list[int]] = {}
    for number, segment in enumerate(segments):
        pair = (segment.request, segment.kv_head)
        local = pairs.setdefault(pair, len(pairs))
        if local == len(tokens):
            tokens.append(0)
        tokens[local] += segment.tokens
        pair_of.append(local)
        groups.setdefault(segment.group, []).append(number)
        last_block = (contexts[segment.request] - 1) // BLOCK_TOKENS
        if share.append[segment.request] and int(segment.blocks[-1]) == last_block:
            appends.append(number)
    return Work(
        segments=tuple(segments),
        pairs=tuple(pairs),
        whole=tuple(
            n == contexts[request] and not share.divided[request]
            for n, (request, _) in zip(tokens, pairs, strict=True)
        ),
        streams=tuple(tuple(numbers) for numbers in groups.values()),
        pair_of=tuple(pair_of),
        appends=tuple(appends),
    )


def bind(work: Work, channel: int, group_size: int, parts: int) -> ChannelBinding:
    """What the program's local numbers mean on a channel."""
    queries = tuple(
        QueryBinding(request, head * group_size + member, part, whole)
        for (request, head), whole in zip(work.pairs, work.whole, strict=True)
        for member in range(group_size)
        for part in range(parts)
    )
    appends = tuple(binding for s in work.appends for binding in _sources(work.segments[s]))
    return ChannelBinding(channel, queries, appends, work.segments, work.streams)


def _sources(segment: Segment) -> tuple[AppendBinding, ...]:
    """What a segment's new token brings: piece by piece of `Segment.regions`, then its scale."""
    pieces: dict[Region, tuple[bool, int]] = {}
    for value, regions in ((False, segment.key), (True, segment.value)):
        for piece, region in enumerate(regions):
            pieces.setdefault(region, (value, piece))
    return tuple(
        AppendBinding(segment.request, segment.kv_head, value, piece, scale)
        for region, (value, piece) in pieces.items()
        for scale in ((False,) if region.scale_column is None else (False, True))
    )


def channel_program(
    work: Work, tiling: Tiling, organisation: Organisation, group_size: int
) -> Program:
    """The channel's program. Raises InputError when it has more queries than can be named."""
    per_pair = group_size * tiling.parts
    source: dict[int, int] = {}
    sources = 0
    for s in work.appends:
        source[s] = sources
        sources += len(_sources(work.segments[s]))
    writer.check_number("query heads x parts", len(work.pairs) * per_pair, "RDR", "query")
    writer.check_number("appended vectors", sources, "APP", "source")
    units = [_unit(work.segments[stream[0]].group, organisation) for stream in work.streams]
    results = _results(work, units, per_pair)
    streams = []
    for unit, stream, read in zip(units, work.streams, results, strict=True):
        appends = [(work.segments[s], source[s]) for s in stream if s in source]
        code = list(append_tokens(appends))
        if source:
            code.append(make("BAR", id=APPENDED))
        for s in stream:
            code += attend(work.segments[s], tiling, group_size, work.pair_of[s] * per_pair)
        code.append(make("BAR", id=ATTENDED))
        streams.append(Stream(unit, (*code, *read)))
    return Program(FAMILY, tuple(streams))


def _unit(group: int, organisation: Organisation) -> Unit:
    node, bank_group = divmod(group, organisation.bank_groups)
    pseudo_channel, sid = divmod(node, organisation.sids)
    return Unit(pseudo_channel, sid, bank_group)


def _results(work: Work, units: Sequence[Unit], per_pair: int) -> list[list[Instruction]]:
    """Reads of the results per stream: the first stream of each pseudo-channel reads a half."""
    reads: list[list[Instruction]] = [[] for _ in units]
    readers = [
        next(i for i, unit in enumerate(units) if unit[0] == pseudo_channel)
        for pseudo_channel in sorted({unit[0] for unit in units})
    ]
    for turn, reader in enumerate(readers):
        start, stop = (len(work.whole) * n // len(readers) for n in (turn, turn + 1))
        reads[reader] += writer.results(work.whole, per_pair, start, stop)
    return reads
