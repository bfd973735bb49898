"""What a step did outside the memory channels, as energy needs it. The system model fills it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TierActivity:
    """One tier over a whole step: all layers of all instances. Bytes cross the devices' pins."""

    tier: str
    attention_ps: int  # that the tier was busy with attention, summed over the instances
    query_bytes: int
    append_bytes: int
    result_bytes: int
    between_device_bytes: int  # sent by one device and received by another
    merges: int  # of (O, m, l) on the logic dies, between channels
    merged_elements: int  # of O in one such merge
    offloaded_bytes: int = 0  # of the KV cache, read for the host's own attention
    gathered_merges: int = 0  # of (O, m, l) of several tiers, in this one
    gathered_elements: int = 0  # of O in one of those


def idle(tier: str) -> TierActivity:
    """A tier that stands by."""
    return TierActivity(tier, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class StepActivity:
    """A whole step: its length, what the host computed and read."""

    latency_ps: int
    host_flops: int
    host_bytes: int  # weights and activations, read from or written to the weights' memory
    tiers: tuple[TierActivity, ...]
    interconnect_bytes: int = 0  # sent from one instance to others
