"""Whether weights and KV cache fit a tier, and what to say when they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.config.units import shown_bytes
from pamsim.errors import CapacityError
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class Room:
    """What a placement has of a tier: so many layers alike, in the rows from `first_row` on."""

    layers: int
    first_row: int


def reserved_rows(model: ModelSpec, system: SystemSpec, tier: str) -> int:
    """Rows at the bottom of every bank that the tier's reserve takes, and the weights if they lie
    here.

    Raises CapacityError when these alone do not fit.
    """
    spec = system.tier(tier)
    organisation = spec.device.organisation
    row_of_tier = spec.capacity_bytes // organisation.rows  # one row of every bank
    kept = spec.reserved_bytes + (model.weight_bytes if system.weights_tier == tier else 0)
    rows = -(-kept // row_of_tier)
    if rows > organisation.rows:
        what = [f"weights of {model.name}"] if system.weights_tier == tier else []
        if spec.reserved_bytes:
            what.append(f"{shown_bytes(spec.reserved_bytes)} of reserve")
        raise CapacityError(
            f"{' and '.join(what)} must fit tier {tier!r} of {shown_bytes(spec.capacity_bytes)}, "
            f"not need {shown_bytes(kept)}: {shown_bytes(kept - spec.capacity_bytes)} too much",
            None,
            "more devices, or another weights_tier",
        )
    return rows


def check_total(
    model: ModelSpec, step: DecodeStep, system: SystemSpec, tier: str, room: Room
) -> None:
    """Raises CapacityError when the KV bytes exceed what the weights leave of the tier."""
    spec = system.tier(tier)
    row_of_tier = spec.capacity_bytes // spec.device.organisation.rows
    free = spec.capacity_bytes - room.first_row * row_of_tier
    need = sum(step.contexts) * model.kv_bytes_per_token_layer * room.layers
    if need > free:
        raise CapacityError(
            _message(model, system, tier, room, need, free, need - free), None, _HINT
        )


def check_groups(
    model: ModelSpec, system: SystemSpec, tier: str, rows_per_layer: np.ndarray, room: Room
) -> None:
    """Raises CapacityError when some bank group has too few rows for all layers.

    rows_per_layer: int64 [channels, groups], rows that a layer takes in each bank of a group.
    """
    spec = system.tier(tier)
    organisation = spec.device.organisation
    free = organisation.rows - room.first_row
    over = np.maximum(rows_per_layer * room.layers - free, 0)
    if not over.any():
        return
    group_row = organisation.banks * organisation.row_bytes
    need = int(rows_per_layer.sum()) * room.layers * group_row
    all_free = free * group_row * rows_per_layer.size
    channel, group = np.unravel_index(int(over.argmax()), over.shape)
    too_much = int(over.sum()) * group_row
    message = _message(model, system, tier, room, need, all_free, too_much)
    raise CapacityError(
        f"{message}; fullest is bank group {group} of channel {channel} with "
        f"{int(rows_per_layer[channel, group]) * room.layers} rows of {free}",
        None,
        _HINT,
    )


_HINT = "a smaller batch, shorter contexts or more devices"


def _message(
    model: ModelSpec, system: SystemSpec, tier: str, room: Room, need: int, free: int, over: int
) -> str:
    tokens = -(-over // (model.kv_bytes_per_token_layer * room.layers))
    beside = (
        f" beside {shown_bytes(model.weight_bytes)} of weights"
        if system.weights_tier == tier
        else ""
    )
    return (
        f"KV cache of {model.name} must fit the {shown_bytes(free)} that tier {tier!r} has"
        f"{beside}, not need {shown_bytes(need)}: {shown_bytes(over)} or {tokens} tokens too much"
    )
