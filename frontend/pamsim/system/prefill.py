"""What it costs to write a prompt's KV cache into the tiers, after the host has computed it.

PAM, arXiv 2602.11521, section 4: in prefill the NPU runs all operators and distributes KV over the
tiers. The distribution is that of the step (`pamsim.placement`); all but the step's own token are
written. Tiers are written side by side; in each, the slower of its link and its devices decides:
DRAM takes whole bursts at its external bandwidth (tokens come in groups, so that no burst carries
one token alone), flash sends a page over its channel's bus while other planes program theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from pamsim.config.spec import SystemSpec, TierSpec
from pamsim.model.spec import ModelSpec
from pamsim.placement import make_shards, tier_shares
from pamsim.system.clock import PS_PER_SECOND, rate_to_ps
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class TierWrite:
    """KV cache that one instance's tier takes: bytes, and the times of link and devices."""

    tier: str
    size_bytes: int
    link_ps: int
    device_ps: int
    link_pj: float | None  # of all instances; None where the link's energy is not known

    @property
    def time_ps(self) -> int:
        return max(self.link_ps, self.device_ps)


def prefill_writes(system: SystemSpec, model: ModelSpec, step: DecodeStep) -> tuple[TierWrite, ...]:
    """A tier's writes in the instance that writes most there, tiers in the system's order.

    Raises InputError and CapacityError as `make_shards` and `tier_shares`.
    """
    most: dict[str, int] = {}
    total: dict[str, int] = {}
    for shard in make_shards(model, step, system):
        own: dict[str, int] = {}
        for share in tier_shares(shard, system):
            tokens = share.kv_tokens - sum(share.append)
            size = tokens * len(share.layers) * shard.model.kv_bytes_per_token_layer
            own[share.tier] = own.get(share.tier, 0) + size
        for name, size in own.items():
            most[name] = max(most.get(name, 0), size)
            total[name] = total.get(name, 0) + size * shard.copies
    writes = []
    for tier in system.tiers:
        size = most.get(tier.name, 0)
        if size:
            energy = tier.link.energy_pj_per_bit
            writes.append(
                TierWrite(
                    tier=tier.name,
                    size_bytes=size,
                    link_ps=tier.link.latency_ps + rate_to_ps(size, tier.link.bytes_per_second),
                    device_ps=device_ps(tier, size),
                    link_pj=None if energy is None else energy * 8 * total[tier.name],
                )
            )
    return tuple(writes)


def device_ps(tier: TierSpec, size: int) -> int:
    """Time in which the devices of a tier take `size` bytes, spread evenly over them."""
    device, organisation = tier.device, tier.device.organisation
    bus_ps = rate_to_ps(size, tier.devices * device.external_bytes_per_second)
    if "nPROG" not in device.timing_ck:
        return bus_ps
    planes = tier.channels * organisation.dies * organisation.planes
    pages = -(-size // organisation.row_bytes)
    rounds = -(-pages // planes)
    program_ticks = device.timing_ck["nPROG"] * device.ticks_per_ck
    return max(bus_ps, -(-rounds * program_ticks * PS_PER_SECOND // device.ticks_per_second))
