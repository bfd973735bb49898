"""The shares of a shard: for every class of layers, what each tier holds of its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil

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
    if assignment is None:
        names = [t.name for t in system.tiers]
        held = [newest_first(names, k, 1) for k in _filled(shard, system, classes, fits)]
    else:
        held = [_checked(assignment, kind, system) for kind in classes]
    return tuple(
        share
        for kind, own in zip(classes, held, strict=True)
        for share in _shares(kind, own, system)
    )


def _shares(
    kind: LayerClass, assignment: TierAssignment, system: SystemSpec
) -> Iterator[TierShare]:
    """assignment: of the tokens that the class reads, one layer."""
    none = (0,) * kind.step.batch
    counts = np.array([
        assignment.tokens(t.name, 0) if t.name in assignment.tiers else none for t in system.tiers
    ])  # fmt: skip
    divided = (counts > 0).sum(axis=0) > 1
    newest = (counts > 0).argmax(axis=0)  # the first tier that holds any
    for place, tier in enumerate(system.tiers):
        requests = tuple(int(r) for r in np.flatnonzero(counts[place]))
        if requests:
            yield TierShare(
                tier=tier.name,
                layers=kind.layers,
                step=DecodeStep(tuple(int(counts[place, r]) for r in requests)),
                requests=requests,
                divided=tuple(bool(divided[r]) for r in requests),
                append=tuple(bool(newest[r] == place) for r in requests),
                assignment=assignment if divided.any() else None,
            )


def label_cache_bytes(shard: Shard, system: SystemSpec) -> int:
    """Bytes of the first tier that keep a few channels of every token's K, for token selection
    (Double Sparsity, arXiv 2408.07092): `label_cache_bits` an element of K, whole bytes a vector.
    """
    model = shard.model
    vector = ceil(Fraction(str(system.label_cache_bits)) * model.head_dim / 8)
    tokens = sum(sum(k.step.contexts) * len(k.layers) for k in layer_classes(model, shard.step))
    return vector * model.kv_heads * tokens


def room_bytes(tier: TierSpec, system: SystemSpec, model: ModelSpec, labels: int = 0) -> int:
    """KV bytes that one instance's tier takes: what weights, reserves and the label cache leave of
    it, times the fill limit, or `kv_gib` divided by the instances where that is given.

    labels: bytes of the label cache, which lies in the first tier. Raises CapacityError when these
    alone do not fit.
    """
    weights = model.weight_bytes if system.weights_tier == tier.name else 0
    kept = tier.reserved_bytes + (labels if tier.name == system.tiers[0].name else 0)
    free = tier.capacity_bytes - weights - kept
    if free < 0:
        raise CapacityError(
            f"weights of {shown_bytes(weights)} and reserves of "
            f"{shown_bytes(kept)} must fit tier {tier.name!r} of "
            f"{shown_bytes(tier.capacity_bytes)}: {shown_bytes(-free)} too much",
            None,
            "more devices or instances, or another weights_tier",
        )
    if tier.kv_bytes is not None:
        each = tier.kv_bytes // system.instances
        if each > free:
            raise CapacityError(
                f"kv_gib of tier {tier.name!r} must be at most the {shown_bytes(free)} an instance "
                f"that weights and reserves leave of it, not {shown_bytes(each)}: "
                f"{shown_bytes(each - free)} too much"
            )
        return each
    return int(free * Fraction(str(system.fill_limit)))


def _filled(
    shard: Shard, system: SystemSpec, classes: Sequence[LayerClass], fits: bool = False
) -> list[tuple[tuple[int, ...], ...]]:
    """[classes][tiers][requests]: every class has the same share of each tier."""
    if len(system.tiers) == 1 and not fits and system.tiers[0].kv_bytes is None:
        return [(kind.step.contexts,) for kind in classes]
    each = shard.model.kv_bytes_per_token_layer
    need = sum(sum(k.step.contexts) * len(k.layers) for k in classes) * each
    labels = label_cache_bytes(shard, system)
    rooms = [room_bytes(tier, system, shard.model, labels) for tier in system.tiers]
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


def _checked(assignment: TierAssignment, kind: LayerClass, system: SystemSpec) -> TierAssignment:
    """What a class of layers reads of an assignment, as one layer. Raises InputError."""
    names = [t.name for t in system.tiers]
    if not set(assignment.tiers) <= set(names):
        raise InputError(
            f"tiers of the assignment must be those of {system.name}, not "
            f"{', '.join(assignment.tiers)}"
        )
    if len(assignment.codes) != kind.step.batch:
        raise InputError(
            f"assignment must be of {kind.step.batch} requests, not {len(assignment.codes)}"
        )
    codes = []
    for request, (context, given) in enumerate(
        zip(kind.step.contexts, assignment.codes, strict=True)
    ):
        if given.shape[1] < context:
            raise InputError(
                f"tokens of request {request} over the tiers must add up to its {context}, "
                f"not {given.shape[1]}"
            )
        own = given[list(kind.layers), given.shape[1] - context :]
        if (own != own[:1]).any():
            raise InputError("layers that read the same tokens must be assigned alike")
        codes.append(own[:1])
    return TierAssignment(assignment.tiers, tuple(codes))
