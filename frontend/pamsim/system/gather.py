"""Reduction over tiers: (O, m, l) of slower tiers comes to the first tier and is merged there.

PAM, arXiv 2602.11521, section 5.1: local attention on every tier, inter-device reduction in
HBM-PIM; only (O, m, l) crosses. A query's home is the device of the first tier that holds its own
part there, else its devices in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pamsim.compiler import CompiledPart
from pamsim.config.spec import SystemSpec
from pamsim.system.exchange import Exchange, merge_ps, pins_ps


@dataclass(frozen=True)
class Gather:
    """Of one layer in one instance."""

    merges: int  # of whole (O, m, l), the first tier's own included
    delivered_bytes: int  # (O, m, l) of other tiers, into the first tier's devices
    result_bytes: int  # out of them, divided, FP16
    delivery_ps: int
    merge_ps: int
    return_ps: int


NOTHING = Gather(0, 0, 0, 0, 0, 0)


def gather(
    parts: Sequence[CompiledPart], traffic: Sequence[Exchange], system: SystemSpec
) -> Gather:
    """What is left to do when every tier has reduced its own; nothing where no query is divided."""
    first = system.tiers[0]
    merges, delivered, results = Counter[int](), Counter[int](), Counter[int]()
    homes = {
        query: device
        for part, own in zip(parts, traffic, strict=True)
        if part.share.tier == first.name
        for query, device in own.partial_results
    }
    queries = {q for own in traffic for q, _ in own.partial_results}
    if not queries:
        return NOTHING
    for number, query in enumerate(sorted(queries)):
        homes.setdefault(query, number % first.devices)
    model = parts[0].shard.model
    vector_bytes = model.value_dim * model.dtype_bytes
    for part, own in zip(parts, traffic, strict=True):
        for query, _ in own.partial_results:
            merges[homes[query]] += 1
            if part.share.tier != first.name:
                delivered[homes[query]] += own.partial_result_bytes
    for query in queries:
        results[homes[query]] += vector_bytes

    def spread(counts: Counter[int]) -> tuple[int, ...]:
        return tuple(counts[d] for d in range(first.devices))

    most = max(Counter(q for own in traffic for q, _ in own.partial_results).values())
    return Gather(
        merges=sum(merges.values()),
        delivered_bytes=sum(delivered.values()),
        result_bytes=sum(results.values()),
        delivery_ps=pins_ps(spread(delivered), first),
        merge_ps=merge_ps(spread(merges), most, model.value_dim, first.device),
        return_ps=pins_ps(spread(results), first),
    )
