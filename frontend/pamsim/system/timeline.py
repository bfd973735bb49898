"""The activities of a step, shard after shard, in the order in which they wait for one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pamsim.config.spec import SystemSpec, TierSpec
from pamsim.placement import Shard
from pamsim.system.collective import all_reduce_bytes, all_reduce_ps, hidden_bytes, transfer_ps
from pamsim.system.exchange import Exchange, exchange, merged_elements, pins_ps, reduction_phases
from pamsim.system.gather import Gather, gather
from pamsim.system.host_attention import bring_ps, host_layers
from pamsim.system.parts import PartRun
from pamsim.system.roofline import (
    HostWork,
    feed_forward_work,
    head_work,
    host_time_ps,
    projection_work,
    qkv_work,
    weight_bandwidth,
)
from pamsim.system.schedule import Activity

HOST = "npu"
ATTENTION = "attention"
REDUCTION = "reduction"
OUTSIDE = "softmax"  # of devices that leave it to a controller
BUFFERS = 2  # layers of brought KV cache that the host has room for


@dataclass(frozen=True)
class TierLayer:
    """What the tiers of an instance do in one layer."""

    runs: tuple[PartRun, ...]
    traffic: tuple[Exchange, ...]
    gather: Gather


def shard_key(shard: Shard) -> tuple[int, int]:
    return shard.replica, shard.stage


TierLayers = dict[int, TierLayer]  # by number in the shard's model


def tier_layers(system: SystemSpec, runs: Sequence[PartRun]) -> TierLayers:
    """The layers of one shard; layers of a class are one object."""
    found: TierLayers = {}
    for layers in dict.fromkeys(r.part.share.layers for r in runs):
        own = tuple(r for r in runs if r.part.share.layers == layers)
        traffic = tuple(
            exchange(r.part.step, r.part.share, r.part.shard.model, system.tier(r.tier))
            for r in own
        )
        layer = TierLayer(own, traffic, gather([r.part for r in own], traffic, system))
        found |= dict.fromkeys(layers, layer)
    return found


Wait = tuple[int, ...]  # activities that must have ended
_Add = Callable[[str, str, int, int | None, Wait], Wait]
_Host = Callable[[str, HostWork, int | None, Wait], Wait]


@dataclass
class Timeline:
    """Collects the activities of one shard after the other."""

    system: SystemSpec
    activities: list[Activity] = field(default_factory=list)
    work: HostWork = field(default_factory=lambda: HostWork(0, 0, 0))
    interconnect_bytes: int = 0
    offloaded_bytes: dict[str, int] = field(default_factory=dict)  # by tier
    _stage_done: dict[int, tuple[int, ...]] = field(default_factory=dict)  # of a replica

    def shard(self, shard: Shard, layers: TierLayers) -> None:
        system, model, batch = self.system, shard.model, shard.step.batch
        where = _place(system, shard)
        bandwidth = weight_bandwidth(system)
        state = hidden_bytes(model, batch)

        def add(task: str, resource: str, duration_ps: int, layer: int | None, after: Wait) -> Wait:
            """Appends an activity; one of no duration is left out and passes on its waits."""
            if not duration_ps:
                return after
            self.activities.append(Activity(task, where + resource, duration_ps, layer, after))
            return (len(self.activities) - 1,)

        def host(task: str, work: HostWork, layer: int | None, after: Wait) -> Wait:
            self.work += work * shard.copies
            return add(task, HOST, host_time_ps(work, system.host, bandwidth), layer, after)

        done = self._stage_done.get(shard.replica, ())
        if shard.stage and system.interconnect is not None:
            self.interconnect_bytes += state * shard.copies
            duration = transfer_ps(state, system.interconnect)
            done = add("stage_transfer", system.interconnect.name, duration, None, done)
        attended: list[tuple[int, ...]] = []  # by layer: attention on the host
        on_host = host_layers(shard, system) if system.attention == "host" else {}
        for own, number in enumerate(shard.layers):
            done = host("qkv_projection", qkv_work(model, batch), number, done)
            if on_host:
                waits = done
                for tier, size in on_host[own].brought:
                    moved = size * shard.copies
                    self.offloaded_bytes[tier.name] = self.offloaded_bytes.get(tier.name, 0) + moved
                    before = attended[own - BUFFERS] if own >= BUFFERS else ()
                    waits += add("kv_transfer", tier.link.name, bring_ps(tier, size), number,
                                 before)  # fmt: skip
                attended.append(host(ATTENTION, on_host[own].work, number, waits))
                done = self.output(shard, own, attended[-1], add, host)
                continue
            results = self.attend(layers[own], number, done, add)
            done = self.output(shard, own, results or done, add, host)
        if shard.stage == system.pipeline_parallel - 1:
            done = host("language_model_head", head_work(model, batch), None, done)
        self._stage_done[shard.replica] = done

    def attend(self, layer: TierLayer, number: int, after: Wait, add: _Add) -> Wait:
        """Attention of one layer on every tier at once, then what is reduced and returned.

        Phase by phase over the tiers: a link that several share carries what comes in for all of
        them before it carries results out.
        """
        tiers = [self.system.tier(run.tier) for run in layer.runs]
        every = list(zip(tiers, layer.runs, layer.traffic, strict=True))
        at = [after] * len(every)

        def phase(
            task: str,
            resource: Callable[[TierSpec], str],
            duration_ps: Callable[[TierSpec, PartRun, Exchange], int],
        ) -> None:
            for i, (tier, run, traffic) in enumerate(every):
                duration = duration_ps(tier, run, traffic)
                at[i] = add(task, resource(tier), duration, number, at[i])

        def units(tier: TierSpec) -> str:
            return f"{tier.name} reduction units"

        def link(tier: TierSpec) -> str:
            return tier.link.name

        first = self.system.tiers[0]
        phase("query_broadcast", link, lambda t, _, x: pins_ps(x.inward_by_device, t))
        phase(ATTENTION, lambda t: t.name, lambda _, r, __: r.layer_ps)
        phase(OUTSIDE, lambda t: f"{t.name} controllers", lambda _, r, __: r.part.step.outside_ps)
        for stage, (task, resource) in enumerate(
            ((REDUCTION, units), ("partial_exchange", link), (REDUCTION, units))
        ):

            def lasts(tier: TierSpec, run: PartRun, traffic: Exchange, at: int = stage) -> int:
                return reduction_phases(traffic, merged_elements(run.part.step), tier)[at]

            phase(task, resource, lasts)
        partials: Wait = ()
        for i, (tier, _, traffic) in enumerate(every):
            sent = traffic.partial_result_bytes_by_device
            if any(sent):
                far = pins_ps(sent, tier) if tier.name != first.name else 0
                partials += add("partial_return", tier.link.name, far, number, at[i])
        phase("result_return", link, lambda t, _, x: pins_ps(x.result_bytes_by_device, t))
        results = tuple(w for waits in at for w in waits)
        if not layer.gather.merges:
            return results
        merged = add("partial_delivery", first.link.name, layer.gather.delivery_ps, number,
                     partials)  # fmt: skip
        merged = add("tier_reduction", units(first), layer.gather.merge_ps, number, merged)
        return results + add("result_return", first.link.name, layer.gather.return_ps, number,
                             merged)  # fmt: skip

    def output(self, shard: Shard, own: int, after: Wait, add: _Add, host: _Host) -> Wait:
        """What follows the attention of a layer: projection, feed-forward network, their sums."""
        system, model, batch = self.system, shard.model, shard.step.batch
        tensor, link = system.tensor_parallel, system.interconnect
        state, number = hidden_bytes(model, batch), shard.layers[own]
        for task, work in (
            ("output_projection", projection_work(model, batch)),
            ("feed_forward", feed_forward_work(model, batch, own)),
        ):
            after = host(task, work, number, after)
            if tensor > 1 and link is not None:
                self.interconnect_bytes += all_reduce_bytes(state, tensor) * shard.copies
                after = add("all_reduce", link.name, all_reduce_ps(state, tensor, link), number,
                            after)  # fmt: skip
        return after


def _place(system: SystemSpec, shard: Shard) -> str:
    """Prefix of a resource's name where there are several instances that do different things."""
    words = []
    if system.instances > system.tensor_parallel * system.pipeline_parallel:
        words.append(f"replica {shard.replica}")
    if system.pipeline_parallel > 1:
        words.append(f"stage {shard.stage}")
    return "".join(f"{word}/" for word in words)
