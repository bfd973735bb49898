"""Mixtures of experts, read from the fields of Mixtral, Qwen-MoE and DeepSeek."""

from __future__ import annotations

from collections.abc import Iterable

from pamsim.model.architectures import Architecture
from pamsim.model.fields import Fields, shown
from pamsim.model.parts import ExpertSpec

# Fields that say how many experts there are, under all of their names.
COUNTS = ("num_local_experts", "num_experts", "n_routed_experts")


def read_experts(
    fields: Fields, architecture: Architecture, layers: int, ffn_hidden: int
) -> ExpertSpec | None:
    """The experts; None where the architecture has none, or where something is wrong."""
    if not architecture.experts:
        _refuse(fields, architecture)
        return None
    per_token = fields.count("num_experts_per_tok")
    shared = shared_width = 0
    dense: Iterable[int] = ()
    if architecture.experts == "mixtral":
        experts, width = fields.count(_name(fields, "num_local_experts")), ffn_hidden
    elif architecture.experts == "qwen":
        experts = fields.count(_name(fields, "num_experts"))
        width = fields.count("moe_intermediate_size") or 0
        if architecture.model_type == "qwen2_moe":
            shared, shared_width = 1, fields.count("shared_expert_intermediate_size") or 0
        dense = _dense_qwen(fields, layers)
    else:
        experts = fields.count("n_routed_experts")
        width = fields.count("moe_intermediate_size") or 0
        shared = fields.count("n_shared_experts", null=0) or 0
        shared_width = shared * width
        dense = _dense_deepseek(fields, layers)
    if experts and per_token and per_token > experts:
        fields.fault(
            f"num_experts_per_tok must be at most {experts} experts, not {per_token}",
            "num_experts_per_tok",
        )
    if fields.faults or not experts or not per_token:
        return None
    return ExpertSpec(experts, per_token, width, shared, shared_width, tuple(dense))


def _name(fields: Fields, field: str) -> str:
    """The library takes num_experts and num_local_experts for the same."""
    other = "num_experts" if field == "num_local_experts" else "num_local_experts"
    return other if field not in fields.data and other in fields.data else field


def _dense_qwen(fields: Fields, layers: int) -> list[int]:
    """Layers in mlp_only_layers, and those that are not each decoder_sparse_step-th."""
    step = fields.count("decoder_sparse_step", 1) or 1
    only = fields.data.get("mlp_only_layers") or []
    if not isinstance(only, list) or any(
        not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < layers for i in only
    ):
        what = "a list" if isinstance(only, list) else shown(only)
        fields.fault(
            f"mlp_only_layers must be a list of layers from 0 to {layers - 1}, not {what}",
            "mlp_only_layers",
        )
        return []
    return [i for i in range(layers) if i in only or (i + 1) % step]


def _dense_deepseek(fields: Fields, layers: int) -> list[int]:
    """The first layers, and those that are not at a multiple of moe_layer_freq.

    The library reads only the former; moe_layer_freq is read as in the modelling code that DeepSeek
    publishes with the weights. It is 1 in all published models.
    """
    if "first_k_dense_replace" not in fields.data:
        fields.missing("first_k_dense_replace")
        return []
    first = fields.data["first_k_dense_replace"]
    if not isinstance(first, int) or isinstance(first, bool) or not 0 <= first <= layers:
        fields.fault(
            f"first_k_dense_replace must be between 0 and num_hidden_layers = {layers}, "
            f"not {shown(first)}",
            "first_k_dense_replace",
        )
        return []
    every = fields.count("moe_layer_freq", 1) or 1
    return [i for i in range(layers) if i < first or i % every]


def _refuse(fields: Fields, architecture: Architecture) -> None:
    for field in COUNTS:
        value = fields.data.get(field)
        if value not in (None, 0, 1):
            fields.fault(
                f"{field} must be left out for {architecture.name}, which has no experts, "
                f"not {shown(value)}",
                field,
            )
