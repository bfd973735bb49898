"""Parts of a ModelSpec that only some models have: latent attention, experts; dtypes of the KV."""

from __future__ import annotations

from dataclasses import dataclass

KV_BITS = {"fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4}
SCALED_KV = ("int8", "int4")  # integers stand for themselves times their vector's scale


@dataclass(frozen=True)
class MlaSpec:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), in elements.

    In the absorbed form (section 2.1.2, eq. 13 and below) a token keeps one latent vector and one
    rope part for all heads. A key is both; a value is the latent vector again, not stored twice.
    """

    query_rank: int | None  # q_lora_rank; None: queries straight from the hidden state
    kv_rank: int  # kv_lora_rank: the latent vector
    nope_dim: int  # qk_nope_head_dim
    rope_dim: int  # qk_rope_head_dim
    value_dim: int  # v_head_dim, of the unabsorbed form

    @property
    def key_dim(self) -> int:
        """Elements of an absorbed key: latent vector, then rope part."""
        return self.kv_rank + self.rope_dim

    @property
    def query_dim(self) -> int:
        """Elements of an unabsorbed query or key of one head."""
        return self.nope_dim + self.rope_dim


@dataclass(frozen=True)
class ExpertSpec:
    """A mixture of experts in place of the feed-forward network, in all layers but the dense ones.

    `ffn_hidden` is one routed expert's width, `shared_ffn_hidden` that of all shared experts
    together (they take every token). Dense layers have the model's own `ffn_hidden`.
    """

    experts: int  # routed ones
    per_token: int
    ffn_hidden: int
    shared: int = 0
    shared_ffn_hidden: int = 0
    dense_layers: tuple[int, ...] = ()
