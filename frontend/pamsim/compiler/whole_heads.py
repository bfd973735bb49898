"""What families have in common whose channels hold whole heads: programs, bindings, refusals."""

from __future__ import annotations

from collections.abc import Sequence

from pamsim.compiler.compiled import AppendBinding, ChannelBinding, QueryBinding
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.errors import InputError, did_you_mean
from pamsim.layout.whole_heads import HeadSegment
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare


def bind_heads(
    heads: Sequence[HeadSegment],
    appends: Sequence[bool],
    channel: int,
    group_size: int,
    streams: int = 1,
) -> ChannelBinding:
    """What a program's local numbers mean on a channel: queries by head and member of its group,
    appended K and V by head. The first of its streams works on all heads."""
    queries = tuple(
        QueryBinding(s.request, s.kv_head * group_size + member, part=0, whole=True)
        for s in heads
        for member in range(group_size)
    )
    sources = tuple(
        AppendBinding(s.request, s.kv_head, value)
        for s, append in zip(heads, appends, strict=True)
        if append
        for value in (False, True)
    )
    works_on = (tuple(range(len(heads))), *((),) * (streams - 1))
    return ChannelBinding(channel, queries, sources, tuple(heads), works_on)


def heads_shape(heads: Sequence[HeadSegment], appends: Sequence[bool]) -> object:
    """Equal for channels that run the same program."""
    return tuple((s.tokens, s.key_row, new) for s, new in zip(heads, appends, strict=True))


def check_whole_heads(
    model: ModelSpec,
    share: TierShare,
    system: SystemSpec,
    device: DeviceSpec,
    layout: str,
    why: str,
) -> None:
    """Raises InputError for another layout, for K and V that are not whole vectors of 16-bit
    numbers, and for requests with tokens in other tiers. why: there is no result of a part."""
    if system.layout != layout:
        raise InputError(
            f"layout of {device.name} must be {layout}, not {system.layout}",
            system.written.get("layout"),
            did_you_mean(system.layout, (layout,)),
        )
    if model.mla is not None:
        raise InputError(
            f"attention of {model.name} on {device.name} must be of whole heads, not latent (MLA)"
        )
    if model.kv_bits != 16:
        raise InputError(
            f"kv_dtype of {model.name} on {device.name} must be of 16 bits, not {model.kv_dtype}"
        )
    if any(share.divided):
        raise InputError(
            f"requests on {device.name} must lie there whole, not in several tiers: {why}"
        )
