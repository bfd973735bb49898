"""What pamsim knows of a model: shapes and dtypes, not weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """A decoder with MHA or GQA attention.

    `sources` names, field by field, where each figure comes from (for presets), or the file that
    the user gave.
    """

    name: str
    architecture: str  # e.g. "LlamaForCausalLM"
    layers: int
    hidden: int
    query_heads: int
    kv_heads: int
    head_dim: int
    ffn_hidden: int
    ffn_matrices: int  # 3: gated (Llama); 2: plain (OPT)
    vocabulary: int
    max_context: int  # max_position_embeddings
    dtype: str  # "fp16" or "bf16"
    tied_embeddings: bool = False
    window: int | None = None
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def group_size(self) -> int:
        """Query heads per KV head."""
        return self.query_heads // self.kv_heads

    @property
    def dtype_bytes(self) -> int:
        return 2

    @property
    def kv_bytes_per_token_layer(self) -> int:
        """K and V of one token in one layer, bytes."""
        return 2 * self.kv_heads * self.head_dim * self.dtype_bytes

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights that a decode step reads, embedding table included once."""
        attention = self.hidden * self.head_dim * (2 * self.query_heads + 2 * self.kv_heads)
        ffn = self.ffn_matrices * self.hidden * self.ffn_hidden
        embeddings = self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)
        return self.dtype_bytes * (self.layers * (attention + ffn) + embeddings)
