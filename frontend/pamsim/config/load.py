"""Loading by name or path: systems, devices, and the parts they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pamsim.config.build import build_device
from pamsim.config.constants import own_constants
from pamsim.config.documents import Tree, load_tree, locate
from pamsim.config.overrides import expand
from pamsim.config.problems import keys_at, raise_all, validate
from pamsim.config.quantity import canonical
from pamsim.config.schema import (
    MODELS,
    DeviceModel,
    HostModel,
    LinkModel,
    SystemModel,
    Titled,
)
from pamsim.config.spec import DeviceSpec, HostSpec, LinkSpec, SystemSpec, TierSpec
from pamsim.config.tree_checks import tree_faults
from pamsim.errors import InputError, PamsimError, did_you_mean


def load_system(name_or_path: str | Path, overrides: Sequence[str] = ()) -> SystemSpec:
    """The system of that name or file, with `KEY=VALUE` overrides. Raises InputError(s)."""
    model, tree, changed = _load("system", SystemModel, name_or_path, overrides)
    raise_all([*_tier_faults(model, tree)])
    tiers = tuple(_tier(model, tree, name) for name in model.tiers)
    return SystemSpec(
        name=model.name,
        host=_host(model.host),
        tiers=tiers,
        weights_tier=model.weights_tier,
        layout=model.layout,
        spread=model.spread,
        spread_min_bank_tokens=_integer(model.spread_min_bank_tokens, "number"),
        instances=_integer(model.instances, "number"),
        tensor_parallel=_integer(model.tensor_parallel, "number") if model.tensor_parallel else 1,
        pipeline_parallel=(
            _integer(model.pipeline_parallel, "number") if model.pipeline_parallel else 1
        ),
        attention=model.attention,
        placement=model.placement,
        label_cache_bits=(
            float(canonical(model.label_cache_bits, "number")) if model.label_cache_bits else 0.0
        ),
        fill_limit=float(canonical(model.fill_limit, "number")) if model.fill_limit else 1.0,
        interconnect=None if model.interconnect is None else _link(model.interconnect, 0),
        constants=own_constants(model),
        overrides=changed,
        path=str(tree.path),
        written={name: tree.position((name,)) for name in ("layout", "spread")},
    )


def load_device(name_or_path: str | Path, overrides: Sequence[str] = ()) -> DeviceSpec:
    """The device of that name or file; override keys count from the device ("timing.nRP=20")."""
    model, tree, _ = _load("device", DeviceModel, name_or_path, overrides)
    return build_device(model, tree)


def load_document(kind: str, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Titled:
    """Any description, composed and checked against its schema. Raises InputError(s)."""
    if kind not in MODELS:
        raise InputError(
            f"kind must be one of {', '.join(MODELS)}, not {kind!r}",
            hint=did_you_mean(kind, MODELS),
        )
    model, _, _ = _load(kind, MODELS[kind], name_or_path, overrides)
    return model


def _load(
    kind: str, model: type[Any], name_or_path: str | Path, overrides: Sequence[str]
) -> tuple[Any, Tree, dict[str, object]]:
    tree = load_tree(kind, locate(kind, str(name_or_path)))
    changed = expand(tree, overrides, lambda path: keys_at(model, path))
    return validate(model, tree, tree_faults(tree)), tree, changed


def _tier_faults(model: SystemModel, tree: Tree) -> Iterator[PamsimError]:
    if model.weights_tier not in model.tiers:
        yield InputError(
            f"weights_tier must be one of the tiers, not {model.weights_tier[:60]!r}",
            tree.position(("weights_tier",)),
            did_you_mean(model.weights_tier[:60], model.tiers),
        )
    parallel = model.tensor_parallel, model.pipeline_parallel
    several = any(c is not None and canonical(c, "number") > 1 for c in parallel)
    if several and model.interconnect is None:
        yield InputError(
            "interconnect must be given where instances share a step (tensor_parallel or "
            "pipeline_parallel above 1)",
            tree.position(("tensor_parallel",)),
        )


def _tier(model: SystemModel, tree: Tree, name: str) -> TierSpec:
    tier = model.tiers[name]
    device = build_device(tier.device, tree, ("tiers", name, "device"))
    devices = _integer(tier.devices, "number")
    external = devices * device.external_bytes_per_second
    return TierSpec(
        name,
        device,
        devices,
        _link(tier.link, external),
        kv_bytes=None if tier.kv_gib is None else _gibibytes(tier.kv_gib),
        reserved_bytes=0 if tier.reserved_gib is None else _gibibytes(tier.reserved_gib),
    )


def _gibibytes(constant: Any) -> int:
    return int(canonical(constant, "number") * (1 << 30))


def _host(model: HostModel) -> HostSpec:
    bandwidth = model.memory_bandwidth
    return HostSpec(
        name=model.name,
        flops_per_second=_integer(model.compute, "compute rate"),
        compute_utilisation=float(canonical(model.compute_utilisation, "number")),
        memory_utilisation=float(canonical(model.memory_utilisation, "number")),
        memory_bytes_per_second=None if bandwidth is None else _integer(bandwidth, "bandwidth"),
        energy_pj_per_flop=_energy(model.energy, "energy per operation"),
        constants=own_constants(model),
    )


def _link(model: LinkModel, external_bytes_per_second: int) -> LinkSpec:
    external = model.bandwidth.value == "external"
    return LinkSpec(
        name=model.name,
        bytes_per_second=external_bytes_per_second
        if external
        else _integer(model.bandwidth, "bandwidth"),
        latency_ps=_integer(model.latency, "time"),
        energy_pj_per_bit=_energy(model.energy, "energy per bit"),
        constants=own_constants(model),
    )


def _integer(constant: Any, dimension: str) -> int:
    return int(canonical(constant, dimension))


def _energy(constant: Any, dimension: str) -> float | None:
    return None if constant is None else float(canonical(constant, dimension))
