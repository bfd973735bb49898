"""Attention on the host itself: KV cache in its own memory, or brought from other tiers.

A baseline: no device computes. KV of tiers other than the weights' is brought over their links,
layer by layer, while the host works on the layers before (two buffers: the transfer of a layer
waits until the layer two before has been attended); it is written to the host's memory and read
from there like the rest. The host's attention is a roofline of reading
every K and V once and of two multiply-adds an element and query head (FlashDecoding, Dao et al.,
2023: IO-aware attention reads KV once).
"""

from __future__ import annotations

from dataclasses import dataclass

from pamsim.config.spec import SystemSpec, TierSpec
from pamsim.model.spec import ModelSpec
from pamsim.placement import Shard, TierShare, tier_shares
from pamsim.system.clock import rate_to_ps
from pamsim.system.roofline import HostWork, external_bandwidth


@dataclass(frozen=True)
class HostLayer:
    """What one layer's attention on the host takes."""

    work: HostWork
    brought: tuple[tuple[TierSpec, int], ...]  # bytes from tiers that are not the host's memory


def host_layers(shard: Shard, system: SystemSpec) -> dict[int, HostLayer]:
    """By number in the shard's model. Raises CapacityError where the tiers have no room."""
    by_layers: dict[tuple[int, ...], list[TierShare]] = {}
    for share in tier_shares(shard, system, fits=True):
        by_layers.setdefault(share.layers, []).append(share)
    found: dict[int, HostLayer] = {}
    for layers, shares in by_layers.items():
        tokens = sum(s.kv_tokens for s in shares)
        brought = tuple(
            (system.tier(s.tier), s.kv_tokens * shard.model.kv_bytes_per_token_layer)
            for s in shares
            if s.tier != system.weights_tier
        )
        written = HostWork(0, 0, sum(size for _, size in brought))
        layer = HostLayer(attention_work(shard.model, tokens) + written, brought)
        found |= dict.fromkeys(layers, layer)
    return found


def attention_work(model: ModelSpec, tokens: int) -> HostWork:
    """q.K and P.V over `tokens` of one layer; in the absorbed form for latent attention."""
    products = tokens * model.query_heads * (model.head_dim + model.value_dim)
    return HostWork(2 * products, 0, tokens * model.kv_bytes_per_token_layer)


def bring_ps(tier: TierSpec, size: int) -> int:
    """Time of `size` bytes from a tier to the host."""
    return tier.link.latency_ps + rate_to_ps(size, external_bandwidth(tier))
