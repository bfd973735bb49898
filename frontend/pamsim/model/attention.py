"""Heads, latent attention, softmax scale and soft-capping, read from a config.json's fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pamsim.model.architectures import Architecture
from pamsim.model.fields import Fields, shown
from pamsim.model.parts import MlaSpec

# Fields that change attention, and what they would need, where the architecture does not read them.
_NOT_MODELLED = {
    "attention_chunk_size": "chunked attention",
    "alibi": "ALiBi position biases",
    "add_cross_attention": "cross-attention",
    "cross_attention_layers": "cross-attention",
    "scale_attn_by_inverse_layer_idx": "a softmax scale by layer",
    "use_bidirectional_attention": "bidirectional attention",
}
_MLA_FIELDS = ("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")


@dataclass(frozen=True)
class Attention:
    """How a layer attends, windows aside; None where a fault says why."""

    query_heads: int | None
    kv_heads: int | None
    head_dim: int | None
    mla: MlaSpec | None = None
    softmax_scale: float | None = None
    softcap: float | None = None


def read_attention(fields: Fields, architecture: Architecture, hidden: int | None) -> Attention:
    """The attention of an architecture. Collects faults in `fields`."""
    _refuse(fields, architecture)
    query_heads = fields.count("num_attention_heads")
    if architecture.mla:
        mla = _mla(fields)
        scale = mla.query_dim**-0.5 * _yarn(fields) ** 2 if mla else None
        return Attention(query_heads, 1, mla.key_dim if mla else None, mla, scale)
    kv_heads = _kv_heads(fields, architecture, query_heads)
    head_dim = _head_dim(fields, architecture, hidden, query_heads)
    if query_heads and kv_heads and query_heads % kv_heads:
        field = "num_kv_heads" if architecture.kv_heads == "falcon" else "num_key_value_heads"
        fields.fault(
            f"{field} must divide {fields.name('num_attention_heads')} = {query_heads}, "
            f"not {kv_heads}",
            field,
        )
    scale, softcap = None, None
    if architecture.reads_scalar:
        scalar = fields.number("query_pre_attn_scalar", 256)
        scale = scalar**-0.5 if scalar else None
        softcap = fields.number("attn_logit_softcapping", architecture.softcap)
    elif architecture.model_type == "gpt2" and not fields.flag("scale_attn_weights", True):
        scale = 1.0
    return Attention(query_heads, kv_heads, head_dim, None, scale, softcap)


def _kv_heads(fields: Fields, architecture: Architecture, query_heads: int | None) -> int | None:
    if not architecture.kv_heads:
        return query_heads
    if architecture.kv_heads == "falcon":
        return _falcon_kv_heads(fields, query_heads)
    options: dict[str, Any] = {}
    if architecture.kv_left_out:
        options["default"] = query_heads
    if architecture.kv_null:
        options["null"] = query_heads
    return fields.count("num_key_value_heads", **options)


def _falcon_kv_heads(fields: Fields, query_heads: int | None) -> int | None:
    """Only the newer decoder reads num_kv_heads; the older has one KV head, or one a query head."""
    newer = fields.flag("new_decoder_architecture", False)
    multi_query = fields.flag("multi_query", True)
    given = fields.count("num_kv_heads", query_heads, null=query_heads)
    if newer:
        return given
    if multi_query:
        return 1
    if given != query_heads:
        fields.fault(
            f"num_kv_heads must be num_attention_heads = {query_heads} where "
            f"new_decoder_architecture and multi_query are false, not {given}",
            "num_kv_heads",
        )
    return query_heads


def _head_dim(
    fields: Fields, architecture: Architecture, hidden: int | None, query_heads: int | None
) -> int | None:
    given = fields.given("head_dim")
    if architecture.reads_head_dim and (given or architecture.head_dim is not None):
        return fields.count("head_dim", architecture.head_dim)
    if hidden is None or query_heads is None:
        return None
    name = fields.name("num_attention_heads")
    if hidden % query_heads:
        where = " where head_dim is not given" if architecture.reads_head_dim else ""
        fields.fault(
            f"{name} must divide {fields.name('hidden_size')} = {hidden}{where}, not {query_heads}",
            name,
        )
        return None
    if given and fields.data["head_dim"] != hidden // query_heads:
        fields.fault(
            f"head_dim must be {fields.name('hidden_size')} / {name} = {hidden // query_heads} "
            f"for {architecture.name}, not {shown(fields.data['head_dim'])}",
            "head_dim",
        )
    return hidden // query_heads


def _mla(fields: Fields) -> MlaSpec | None:
    query_rank = fields.count("q_lora_rank", null=None)
    kv_rank, nope, rope, value = (fields.count(f) for f in _MLA_FIELDS[1:])
    if fields.faults or not (kv_rank and nope and rope and value):
        return None
    return MlaSpec(query_rank, kv_rank, nope, rope, value)


def _yarn(fields: Fields) -> float:
    """What yarn multiplies q and k with each, beyond their rotation: 0.1 m ln(factor) + 1.

    m is mscale_all_dim (modeling_deepseek_v3.py, yarn_apply_mscale). Of the other rope scalings
    nothing reaches the scores' scale: they change q and k themselves.
    """
    for field in ("rope_parameters", "rope_scaling"):
        rope = fields.data.get(field)
        if rope is None:
            continue
        if not isinstance(rope, dict):
            fields.fault(f"{field} must be null or an object, not {shown(rope)}", field)
            continue
        kind = rope.get("rope_type", rope.get("type", "default"))
        share = rope.get("mscale_all_dim") or 0
        if kind == "default" or share == 0:
            continue
        factor: Any = rope.get("factor")
        if _positive(share) and _positive(factor):
            return 0.1 * float(share) * math.log(max(float(factor), 1.0)) + 1.0
        fields.fault(f"{field} must have a positive factor and mscale_all_dim", field)
    return 1.0


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _refuse(fields: Fields, architecture: Architecture) -> None:
    for field, what in _NOT_MODELLED.items():
        value = fields.data.get(field)
        if value is not None and value is not False and value != []:
            fields.fault(f"{field} must be left out, not {shown(value)}", field,
                         f"{what} is not modelled")  # fmt: skip
    if fields.flag("is_encoder_decoder", False):
        fields.fault("is_encoder_decoder must be false, not true", "is_encoder_decoder",
                     "cross-attention to an encoder is not modelled")  # fmt: skip
    foreign: tuple[str, ...] = () if architecture.mla else ("kv_lora_rank",)
    if not architecture.reads_scalar:
        foreign += ("attn_logit_softcapping", "query_pre_attn_scalar")
    for field in foreign:
        if fields.given(field):
            fields.fault(
                f"{field} must be left out for {architecture.name}, which does not read it, "
                f"not {shown(fields.data[field])}",
                field,
            )
