"""A decode step to the distinct channel programs of a tier, by the family of its device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from pamsim.compiler.compiled import CompiledStep
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.errors import InputError, did_you_mean
from pamsim.layout.capacity import reserved_rows
from pamsim.model.spec import ModelSpec
from pamsim.placement.assignment import TierAssignment
from pamsim.placement.shard import Shard, make_shards
from pamsim.placement.share import TierShare
from pamsim.placement.tiers import label_cache_bytes, tier_shares
from pamsim.workload.step import DecodeStep


class Mapping(Protocol):
    """A module of `pamsim.compiler.families`: how attention is spread over a family's devices."""

    def compile_tier(
        self, model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
    ) -> CompiledStep:
        """One layer of a tier's share; first_row: rows below it are taken (None: by weights)."""
        ...


@dataclass(frozen=True)
class CompiledPart:
    """One class of layers of a shard on one tier."""

    shard: Shard
    share: TierShare
    step: CompiledStep


def compile_parts(
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    assignment: Callable[[Shard], TierAssignment] | None = None,
) -> tuple[CompiledPart, ...]:
    """Compiles a decode step for a whole machine: by shard, class of layers and tier; nothing where
    the host attends.

    assignment: where the tokens of a shard lie; the system's own rule if not given. Raises
    CapacityError when weights and KV cache do not fit, InputError when the machine cannot run it.
    """
    parts: list[CompiledPart] = []
    for shard in make_shards(model, step, system) if system.attention == "pim" else ():
        free = _taken_rows(shard, system)  # first free row of a tier's banks
        for share in tier_shares(shard, system, assignment and assignment(shard)):
            compiled = compile_share(shard.model, share, system, free.get(share.tier))
            free[share.tier] = compiled.end_row
            parts.append(CompiledPart(shard, compiled.held or share, compiled))
    return tuple(parts)


def _taken_rows(shard: Shard, system: SystemSpec) -> dict[str, int]:
    """Rows of the first tier that a label cache takes, above its weights and reserves."""
    labels, first = label_cache_bytes(shard, system), system.tiers[0]
    if not labels:
        return {}
    kept = replace(first, reserved_bytes=first.reserved_bytes + labels)
    tiers = tuple(kept if t is first else t for t in system.tiers)
    return {first.name: reserved_rows(shard.model, replace(system, tiers=tiers), first.name)}


def compile_step(
    model: ModelSpec, step: DecodeStep, system: SystemSpec, tier: str = "hbm"
) -> CompiledStep:
    """Compiles one layer of a decode step whose tokens all lie in one tier, every layer alike.

    Raises as compile_parts.
    """
    requests = range(step.batch)
    share = TierShare(
        tier=tier,
        layers=tuple(range(model.layers)),
        step=step,
        requests=tuple(requests),
        divided=(False,) * step.batch,
        append=(True,) * step.batch,
    )
    return compile_share(model, share, system)


def compile_share(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share. Raises as compile_parts."""
    tiers = [t.name for t in system.tiers]
    if share.tier not in tiers:
        raise InputError(
            f"tier must be one of {system.name}, not {share.tier!r}",
            None,
            did_you_mean(share.tier, tiers),
        )
    mapping = _mapping(system.tier(share.tier).device)
    return mapping.compile_tier(model, share, system, first_row)


def _mapping(device: DeviceSpec) -> Mapping:
    name = f"pamsim.compiler.families.{device.family}"
    if find_spec(name) is None:
        raise InputError(
            f"family of {device.name} must be one that models are compiled for, "
            f"not {device.family!r}",
            None,
            "programs written by hand run with `pamsim simulate`",
        )
    return cast(Mapping, import_module(name))
