"""The shares of a shard: for every class of layers, what each tier holds of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pamsim.config.spec import SystemSpec, TierSpec
from pamsim.config.units import shown_bytes
from pamsim.errors import CapacityError, InputError
from pamsim.model.spec import ModelSpec
from pamsim.placement.assignment import TierAssignment
from pamsim.placement.shard import Shard
from pamsim.placement.share import TierShare
from pamsim.placement.split import fill_requests, fill_tokens, newest_first
from pamsim.workload.layers import LayerClass, layer_classes
from pamsim.workload.step import DecodeStep


def tier_shares(
    shard: Shard,
    system: SystemSpec,
    assignment: TierAssignment | None = None,
    *,
    fits: bool = False,
) -> tuple[TierShare, ...]:
    """What each tier holds, by class of layers and then by tier; tiers without tokens left out.

    assignment: of the shard's step, for every layer of its model; the system's `fill` if not
    given. fits: hold a machine of one tier to its bytes, too, where no layout does it row by row.
    Raises CapacityError when the tiers have no room, InputError when the assignment names
    other tiers or does not add up to the step.
    """
    classes = layer_classes(shard.model, shard.step)
    shares: list[TierShare] = []
    for number, kind in enumerate(classes):
        given = (
            _filled(shard, system, classes, fits)[number]
            if assignment is None
            else _counted(assignment, kind, system)
        )
        held_by = np.array(given).reshape(len(system.tiers), -1)
        divided = (held_by > 0).sum(axis=0) > 1
        newest = (held_by > 0).argmax(axis=0)  # the first tier that holds any
        for place, tier in enumerate(system.tiers):
            requests = tuple(int(r) for r in np.flatnonzero(held_by[place]))
            if requests:
                shares.append(
                    TierShare(
                        tier=tier.name,
                        layers=kind.layers,
                        step=DecodeStep(tuple(int(held_by[place, r]) for r in requests)),
                        requests=requests,
                        divided=tuple(bool(divided[r]) for r in requests),
                        append=tuple(bool(newest[r] == place) for r in requests),
                    )
                )
    return tuple(shares)


def fill_assignment(shard: Shard, system: SystemSpec, kind: LayerClass) -> TierAssignment:
    """The default assignment of one class of layers."""
    classes = layer_classes(shard.model, shard.step)
    tokens = _filled(shard, system, classes)[classes.index(kind)]
    return newest_first([t.name for t in system.tiers], tokens, len(kind.layers))


def room_bytes(tier: TierSpec, system: SystemSpec, model: ModelSpec) -> int:
    """KV bytes that one instance's tier takes: what weights and reserves leave of it, times the
    fill limit, or `kv_gib` divided by the instances where that is given.

    Raises CapacityError when weights and reserves alone do not fit.
    """
    weights = model.weight_bytes if system.weights_tier == tier.name else 0
    free = tier.capacity_bytes - weights - tier.reserved_bytes
    if free < 0:
        raise CapacityError(
            f"weights of {shown_bytes(weights)} and reserves of "
            f"{shown_bytes(tier.reserved_bytes)} must fit tier {tier.name!r} of "
            f"{shown_bytes(tier.capacity_bytes)}: {shown_bytes(-free)} too much",
            None,
            "more devices or instances, or another weights_tier",
        )
    if tier.kv_bytes is not None:
        return min(free, tier.kv_bytes // system.instances)
    return int(free * Fraction(str(system.fill_limit)))


def _filled(
    shard: Shard, system: SystemSpec, classes: Sequence[LayerClass], fits: bool = False
) -> list[tuple[tuple[int, ...], ...]]:
    """[classes][tiers][requests]: every class has the same share of each tier."""
    if len(system.tiers) == 1 and not fits:
        return [(kind.step.contexts,) for kind in classes]
    each = shard.model.kv_bytes_per_token_layer
    need = sum(sum(k.step.contexts) * len(k.layers) for k in classes) * each
    rooms = [room_bytes(tier, system, shard.model) for tier in system.tiers]
    if need > sum(rooms):
        raise CapacityError(
            f"KV cache of {shard.model.name} must fit the {shown_bytes(sum(rooms))} that the tiers "
            "of an instance have for it ("
            + ", ".join(
                f"{t.name} {shown_bytes(r)}" for t, r in zip(system.tiers, rooms, strict=True)
            )
            + f"), not need {shown_bytes(need)}: {shown_bytes(need - sum(rooms))} too much",
            None,
            "a smaller batch, shorter contexts, or more in a tier",
        )
    found = []
    fill = fill_requests if system.placement == "requests" else fill_tokens
    for kind in classes:
        tokens = sum(kind.step.contexts)
        room_tokens = [room * tokens // need for room in rooms]
        room_tokens[-1] = max(room_tokens[-1], tokens - sum(room_tokens[:-1]))
        found.append(fill(kind.step.contexts, room_tokens))
    return found


def _counted(
    assignment: TierAssignment, kind: LayerClass, system: SystemSpec
) -> tuple[tuple[int, ...], ...]:
    names = [t.name for t in system.tiers]
    if not set(assignment.tiers) <= set(names):
        raise InputError(
            f"tiers of the assignment must be those of {system.name}, not "
            f"{', '.join(assignment.tiers)}"
        )
    per_layer = {
        tuple(
            assignment.tokens(name, layer) if name in assignment.tiers
            else (0,) * kind.step.batch
            for name in names
        )
        for layer in kind.layers
    }  # fmt: skip
    if len(per_layer) != 1:
        raise InputError("layers that read the same tokens must be assigned alike")
    tokens = per_layer.pop()
    for request, (context, held) in enumerate(
        zip(kind.step.contexts, zip(*tokens, strict=True), strict=True)
    ):
        if sum(held) != context:
            raise InputError(
                f"tokens of request {request} over the tiers must add up to its {context}, "
                f"not {sum(held)}"
            )
    return tokens
