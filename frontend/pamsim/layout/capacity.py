"""Whether weights and KV cache fit a tier, and what to say when they do not."""

from __future__ import annotations

import numpy as np

from pamsim.config.spec import SystemSpec
from pamsim.errors import CapacityError
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep


def reserved_rows(model: ModelSpec, system: SystemSpec, tier: str) -> int:
    """Rows at the bottom of every bank that the weights take: 0 where they lie in another tier.

    Raises CapacityError when the weights alone do not fit.
    """
    if system.weights_tier != tier:
        return 0
    spec = system.tier(tier)
    organisation = spec.device.organisation
    row_of_tier = spec.capacity_bytes // organisation.rows  # one row of every bank
    rows = -(-model.weight_bytes // row_of_tier)
    if rows > organisation.rows:
        over = model.weight_bytes - spec.capacity_bytes
        raise CapacityError(
            f"weights of {model.name} must fit tier {tier!r} of {_shown(spec.capacity_bytes)}, "
            f"not need {_shown(model.weight_bytes)}: {_shown(over)} too much",
            None,
            "more devices, or another weights_tier",
        )
    return rows


def check_total(model: ModelSpec, step: DecodeStep, system: SystemSpec, tier: str) -> None:
    """Raises CapacityError when the KV bytes exceed what the weights leave of the tier."""
    spec = system.tier(tier)
    row_of_tier = spec.capacity_bytes // spec.device.organisation.rows
    room = spec.capacity_bytes - reserved_rows(model, system, tier) * row_of_tier
    need = sum(step.contexts) * _token_bytes(model)
    if need > room:
        raise CapacityError(_message(model, system, tier, need, room, need - room), None, _HINT)


def check_groups(
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    tier: str,
    rows_per_layer: np.ndarray,
    first_row: int,
) -> None:
    """Raises CapacityError when some bank group has too few rows for all layers.

    rows_per_layer: int64 [channels, groups], rows that a layer takes in each bank of a group.
    """
    spec = system.tier(tier)
    organisation = spec.device.organisation
    free = organisation.rows - first_row
    over = np.maximum(rows_per_layer * model.layers - free, 0)
    if not over.any():
        return
    group_row = organisation.banks * organisation.row_bytes
    need = int(rows_per_layer.sum()) * model.layers * group_row
    room = free * group_row * rows_per_layer.size
    channel, group = np.unravel_index(int(over.argmax()), over.shape)
    message = _message(model, system, tier, need, room, int(over.sum()) * group_row)
    raise CapacityError(
        f"{message}; fullest is bank group {group} of channel {channel} with "
        f"{int(rows_per_layer[channel, group]) * model.layers} rows of {free}",
        None,
        _HINT,
    )


_HINT = "a smaller batch, shorter contexts or more devices"


def _message(
    model: ModelSpec, system: SystemSpec, tier: str, need: int, room: int, over: int
) -> str:
    tokens = -(-over // _token_bytes(model))
    beside = (
        f" beside {_shown(model.weight_bytes)} of weights" if system.weights_tier == tier else ""
    )
    return (
        f"KV cache of {model.name} must fit the {_shown(room)} that tier {tier!r} has{beside}, "
        f"not need {_shown(need)}: {_shown(over)} or {tokens} tokens too much"
    )


def _token_bytes(model: ModelSpec) -> int:
    return model.kv_bytes_per_token_layer * model.layers


def _shown(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 1 << 30 else f"{size / 2**20:.2f} MiB"
