"""What pamsim knows of a model: shapes and dtypes, not weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pamsim.errors import InputError, did_you_mean
from pamsim.model.parts import KV_BITS, SCALED_KV, ExpertSpec, MlaSpec
from pamsim.model.weights import model_weight_bytes


@dataclass(frozen=True)
class ModelSpec:
    """A decoder with MHA, GQA, MQA or latent attention (MLA).

    An MLA model stands in its absorbed form: one KV head, whose key of `head_dim` elements (latent
    vector and rope part) all query heads share. `sources` names, field by field, where each figure
    comes from (for presets), or the file that the user gave. Raises InputError where heads, windows
    or dtypes do not fit each other.
    """

    name: str
    architecture: str  # e.g. "LlamaForCausalLM"
    layers: int
    hidden: int
    query_heads: int
    kv_heads: int
    head_dim: int  # elements of a key; with `mla` its key_dim
    ffn_hidden: int
    ffn_matrices: int  # 3: gated (Llama); 2: plain (OPT)
    vocabulary: int
    max_context: int  # max_position_embeddings
    dtype: (
        str  # "fp16" or "bf16": activations, embeddings, and weights unless weight_bits says less
    )
    tied_embeddings: bool = False
    window: int | None = None  # newest tokens that a layer reads, its own included; None: all
    layer_windows: tuple[int | None, ...] | None = None  # where layers differ; window is None then
    softcap: float | None = None  # c in c x tanh(score / c), before the softmax
    softmax_scale: float | None = None  # of q.k; None: 1 / sqrt(head_dim)
    mla: MlaSpec | None = None
    experts: ExpertSpec | None = None
    kv_dtype: str = ""  # of KV_BITS; the model's dtype when left out
    weight_bits: int = 16  # of the layers' matrices; embeddings and head keep `dtype`
    embedding_dim: int | None = None  # of the embedding table, where it is not `hidden`
    sources: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.kv_dtype:
            object.__setattr__(self, "kv_dtype", self.dtype)
        if self.query_heads % self.kv_heads:
            raise InputError(
                f"query heads must be a multiple of {self.kv_heads} KV heads, "
                f"not {self.query_heads}"
            )
        if self.layer_windows is not None and len(self.layer_windows) != self.layers:
            raise InputError(
                f"layer_windows must be of {self.layers} layers, not {len(self.layer_windows)}"
            )
        if any(w is not None and w < 1 for w in (self.window, *(self.layer_windows or ()))):
            raise InputError("window must be at least 1 token, not less")
        _check_kv_dtype(self.kv_dtype)

    @property
    def group_size(self) -> int:
        """Query heads per KV head."""
        return self.query_heads // self.kv_heads

    @property
    def value_dim(self) -> int:
        """Elements of a value, and of an attention output, as the devices see them."""
        return self.mla.kv_rank if self.mla else self.head_dim

    @property
    def attention_scale(self) -> float:
        """What q.k is multiplied with before soft-capping and softmax."""
        return self.head_dim**-0.5 if self.softmax_scale is None else self.softmax_scale

    @property
    def dtype_bytes(self) -> int:
        """Of an activation."""
        return 2

    @property
    def kv_bits(self) -> int:
        """Of one element in the KV cache, scales aside."""
        return KV_BITS[self.kv_dtype]

    @property
    def kv_scaled(self) -> bool:
        """Every K and V vector has a scale, an FP16 number beside its elements."""
        return self.kv_dtype in SCALED_KV

    @property
    def kv_elements_per_token_layer(self) -> int:
        """Elements of one token in one layer: K and V, or latent vector and rope part once."""
        stored = self.mla.key_dim if self.mla else 2 * self.head_dim
        return self.kv_heads * stored

    @property
    def kv_bytes_per_token_layer(self) -> int:
        """Bytes of one token in one layer, rounded up; scales belong to the layout."""
        return -(-self.kv_elements_per_token_layer * self.kv_bits // 8)

    def window_of(self, layer: int) -> int | None:
        """Newest tokens that the layer reads, the step's own included; None: all."""
        return self.window if self.layer_windows is None else self.layer_windows[layer]

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights but norms and biases, all experts included."""
        return model_weight_bytes(self)


def with_kv_dtype(model: ModelSpec, kv_dtype: str) -> ModelSpec:
    """The same model with its KV cache in another dtype. Raises InputError for an unknown one."""
    _check_kv_dtype(kv_dtype)
    return replace(model, kv_dtype=kv_dtype)


def _check_kv_dtype(kv_dtype: str) -> None:
    if kv_dtype not in KV_BITS:
        raise InputError(
            f"kv_dtype must be one of {', '.join(KV_BITS)}, not {kv_dtype[:40]!r}",
            None,
            did_you_mean(kv_dtype, KV_BITS),
        )
