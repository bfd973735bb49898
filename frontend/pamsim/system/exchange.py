"""What one layer's attention moves between host and devices, and merges between channels.

Rules (PAM, arXiv 2602.11521, section 5.2, names the units and leaves the traffic open):
- A query (FP16) goes once to every device that holds tokens of its (request, KV head); a device's
  logic die hands it to its channels. A new K or V vector goes to the device it is appended in.
- A query whose tokens lie in one channel leaves it divided, in FP16. Otherwise each channel hands
  (O, m, l) in FP32 to a reduction unit of its device's logic die, which merges them.
- If several devices hold parts, the one with the lowest number is the query's home; each other one
  sends its merged (O, m, l) there over the link, and the home's logic die merges once more.
- A query whose tokens lie in other tiers too leaves its tier as one (O, m, l) in FP32; where they
  meet is `pamsim.system.gather`.
- One reduction unit works on one query (and part of the head dimension) at a time; a merge takes
  compare + exponential latency + elements / lanes cycles of the PIM clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pamsim.compiler.compiled import CompiledStep
from pamsim.config.spec import DeviceSpec, TierSpec
from pamsim.model.spec import ModelSpec
from pamsim.placement import TierShare
from pamsim.system.clock import rate_to_ps

FP32_BYTES = 4
NORMALISERS = 2  # m and l

Query = tuple[int, int]  # request of the shard, query head


@dataclass(frozen=True)
class Exchange:
    """Traffic and merges of one layer. The *_bytes_by_device count what passes a device's pins."""

    query_bytes_by_device: tuple[int, ...]
    append_bytes_by_device: tuple[int, ...]
    result_bytes_by_device: tuple[int, ...]
    sent_bytes_by_device: tuple[int, ...]  # partial results to other devices
    received_bytes_by_device: tuple[int, ...]
    local_merges_by_device: tuple[int, ...]  # partial results merged on a device's logic die
    longest_local_merge: int  # partial results of one query on one device, at most
    home_merges_by_device: tuple[int, ...]  # merged results of devices, merged at the home
    longest_home_merge: int
    partial_bytes: int  # (O, m, l) that channels and devices hand over
    partial_results: tuple[tuple[Query, int], ...]  # of divided queries, and the device of each
    partial_result_bytes: int  # of one
    partial_result_bytes_by_device: tuple[int, ...]

    @property
    def inward_by_device(self) -> tuple[int, ...]:
        """Bytes into each device: queries and new tokens."""
        pairs = zip(self.query_bytes_by_device, self.append_bytes_by_device, strict=True)
        return tuple(q + a for q, a in pairs)

    @property
    def between_device_bytes(self) -> int:
        return sum(self.sent_bytes_by_device)

    @property
    def merges(self) -> int:
        return sum(self.local_merges_by_device) + sum(self.home_merges_by_device)


def merged_elements(compiled: CompiledStep) -> int:
    """Elements of O that one merge works through: those of one part of the head dimension."""
    return compiled.tiling.output_elements


def exchange(
    compiled: CompiledStep, share: TierShare, model: ModelSpec, tier: TierSpec
) -> Exchange:
    """Counts the traffic of one layer from what the compiler bound to each channel.

    model: the shard's.
    """
    devices = tier.devices
    query_bytes = model.head_dim * model.dtype_bytes
    vector_bytes = -(-model.head_dim * model.kv_bits // 8)  # of a new K or V
    result_bytes = model.value_dim * model.dtype_bytes
    holders: dict[tuple[int, int], set[int]] = {}
    partials: dict[tuple[int, int, int], Counter[int]] = {}
    appends = Counter[int]()
    for device, request, head, part, whole in _queries(compiled, tier):
        holders.setdefault((request, head), set()).add(device)
        if not whole:
            partials.setdefault((request, head, part), Counter())[device] += 1
    for program in compiled.programs:
        for binding in program.bindings:
            device = binding.channel // tier.device.organisation.channels_per_device
            # A vector that comes in pieces is sent once. Scales come as a whole column.
            vectors = {(a.request, a.kv_head, a.value) for a in binding.appends}
            scales = sum(a.scale for a in binding.appends)
            column_bytes = tier.device.organisation.column_bytes
            appends[device] += len(vectors) * vector_bytes + scales * column_bytes
    queries = Counter(d for held in holders.values() for d in held)
    divided = {
        (share.requests[request], head): min(held)
        for (request, head), held in holders.items()
        if share.divided[request]
    }
    results = Counter(
        min(held) for (request, _), held in holders.items() if not share.divided[request]
    )
    sent, received, home, local = Counter[int](), Counter[int](), Counter[int](), Counter[int]()
    whole_partial = (model.value_dim + NORMALISERS) * FP32_BYTES
    partial_bytes = merged_elements(compiled) * FP32_BYTES + NORMALISERS * FP32_BYTES
    for by_device in partials.values():
        local.update(by_device)
        if len(by_device) > 1:
            first = min(by_device)
            for device in by_device:
                if device != first:
                    sent[device] += partial_bytes
                    received[first] += partial_bytes
            home[first] += len(by_device)

    def spread(counts: Counter[int], each: int = 1) -> tuple[int, ...]:
        return tuple(counts[d] * each for d in range(devices))

    return Exchange(
        query_bytes_by_device=spread(queries, query_bytes),
        append_bytes_by_device=spread(appends),
        result_bytes_by_device=spread(results, result_bytes),
        sent_bytes_by_device=spread(sent),
        received_bytes_by_device=spread(received),
        local_merges_by_device=spread(local),
        longest_local_merge=max((max(c.values()) for c in partials.values()), default=0),
        home_merges_by_device=spread(home),
        longest_home_merge=max((len(c) for c in partials.values() if len(c) > 1), default=0),
        partial_bytes=sum(local.values()) * partial_bytes + sum(sent.values()),
        partial_results=tuple(sorted(divided.items())),
        partial_result_bytes=whole_partial,
        partial_result_bytes_by_device=spread(Counter(divided.values()), whole_partial),
    )


def _queries(compiled: CompiledStep, tier: TierSpec) -> Iterator[tuple[int, int, int, int, bool]]:
    """(device, request, query head, part, whole) of every query of every channel."""
    for program in compiled.programs:
        for binding in program.bindings:
            device = binding.channel // tier.device.organisation.channels_per_device
            for q in binding.queries:
                yield device, q.request, q.query_head, q.part, q.whole


def pins_ps(bytes_by_device: tuple[int, ...], tier: TierSpec) -> int:
    """Link latency plus the time of the busiest device at its share of the link's bandwidth."""
    busiest = max(bytes_by_device, default=0)
    if not busiest:
        return 0
    return tier.link.latency_ps + rate_to_ps(busiest * tier.devices, tier.link.bytes_per_second)


def merge_ps(
    merges_by_device: tuple[int, ...], longest: int, elements: int, device: DeviceSpec
) -> int:
    """Time in which the logic dies' reduction units finish their merges, devices side by side."""
    pim = device.pim
    busiest = max(merges_by_device, default=0)
    if not busiest:
        return 0
    rounds = max(-(-busiest // pim.logic_die_reduction_units), longest)
    passes = -(-elements // pim.reduction_lanes)
    cycles = pim.reduction_compare_cycles + pim.exponential_latency_cycles + passes
    return rate_to_ps(rounds * cycles, pim.clock_hz)


def reduction_phases(traffic: Exchange, elements: int, tier: TierSpec) -> tuple[int, int, int]:
    """Times of merging inside devices, of handing over between devices, of merging at home; each 0
    where nothing is split so far."""
    inside = merge_ps(
        traffic.local_merges_by_device, traffic.longest_local_merge, elements, tier.device
    )
    passing = max(
        pins_ps(traffic.sent_bytes_by_device, tier), pins_ps(traffic.received_bytes_by_device, tier)
    )
    at_home = merge_ps(
        traffic.home_merges_by_device, traffic.longest_home_merge, elements, tier.device
    )
    return inside, passing, at_home


def reduction_ps(traffic: Exchange, elements: int, tier: TierSpec) -> int:
    """All three together; 0 where nothing is split."""
    return sum(reduction_phases(traffic, elements, tier))
