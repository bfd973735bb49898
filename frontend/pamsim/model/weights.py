"""The weight matrices of a model: what it stores, and what the host works with in a step.

Norms, biases, learned positions and the gate of a shared expert (hidden x 1) are left out: together
below three thousandths of the weights of any preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pamsim.model.parts import ExpertSpec

if TYPE_CHECKING:
    from pamsim.model.spec import ModelSpec


@dataclass(frozen=True)
class Matrix:
    """`copies` matrices [inputs, outputs], each with an input of its own (one a head)."""

    inputs: int
    outputs: int
    copies: int = 1

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.copies

    @property
    def elements(self) -> int:
        """Of the vectors that go in and come out."""
        return (self.inputs + self.outputs) * self.copies


def input_matrices(model: ModelSpec) -> tuple[Matrix, ...]:
    """From the hidden state to what goes to the devices: queries, and the new token's KV.

    MLA in the absorbed form: the query of each head is multiplied with its W_UK, so that it meets
    the latent vector itself (DeepSeek-V2, arXiv 2405.04434, section 2.1.2).
    """
    mla = model.mla
    if mla is None:
        outputs = (model.query_heads + 2 * model.kv_heads) * model.head_dim
        return (Matrix(model.hidden, outputs),)
    queries = model.query_heads * mla.query_dim
    if mla.query_rank is None:
        down: tuple[Matrix, ...] = (Matrix(model.hidden, queries),)
    else:
        down = Matrix(model.hidden, mla.query_rank), Matrix(mla.query_rank, queries)
    absorbed = Matrix(mla.nope_dim, mla.kv_rank, model.query_heads)
    return (*down, Matrix(model.hidden, mla.key_dim), absorbed)


def output_matrices(model: ModelSpec) -> tuple[Matrix, ...]:
    """From the attention's outputs to the hidden state; MLA: by each head's W_UV first."""
    mla = model.mla
    if mla is None:
        return (Matrix(model.query_heads * model.head_dim, model.hidden),)
    return (
        Matrix(mla.kv_rank, mla.value_dim, model.query_heads),
        Matrix(model.query_heads * mla.value_dim, model.hidden),
    )


def ffn_matrices(model: ModelSpec, width: int) -> tuple[Matrix, ...]:
    """A feed-forward network of a width: gate and up, or up alone, then down."""
    up = Matrix(model.hidden, width)
    return (up,) * (model.ffn_matrices - 1) + (Matrix(width, model.hidden),)


def experts_of(model: ModelSpec, layer: int) -> ExpertSpec | None:
    """The layer's experts; None where it is dense."""
    experts = model.experts
    return None if experts is None or layer in experts.dense_layers else experts


def always_matrices(model: ModelSpec, layer: int) -> tuple[Matrix, ...]:
    """Of a layer's feed-forward part, what every token takes: all of it, or router and shared."""
    experts = experts_of(model, layer)
    if experts is None:
        return ffn_matrices(model, model.ffn_hidden)
    router = Matrix(model.hidden, experts.experts)
    shared = ffn_matrices(model, experts.shared_ffn_hidden) if experts.shared else ()
    return (router, *shared)


def head_matrices(model: ModelSpec) -> tuple[Matrix, ...]:
    """From the last hidden state to logits, by way of the embedding's width where it differs."""
    if model.embedding_dim is None:
        return (Matrix(model.hidden, model.vocabulary),)
    narrow = model.embedding_dim
    return Matrix(model.hidden, narrow), Matrix(narrow, model.vocabulary)


def layer_parameters(model: ModelSpec, layer: int) -> int:
    """Weights of one layer, all experts included."""
    matrices = (*input_matrices(model), *output_matrices(model), *always_matrices(model, layer))
    count = sum(m.weights for m in matrices)
    experts = experts_of(model, layer)
    if experts is not None:
        expert = ffn_matrices(model, experts.ffn_hidden)
        count += experts.experts * sum(m.weights for m in expert)
    return count


def embedding_parameters(model: ModelSpec) -> int:
    """Embedding table and head; a tied table counts once."""
    *projection, table = (m.weights for m in head_matrices(model))
    # The way in has the shapes of the way out; tying shares the table, not the projections.
    return 2 * sum(projection) + (1 if model.tied_embeddings else 2) * table


def model_parameters(model: ModelSpec) -> int:
    """Weights of the whole model."""
    return _all_layers(model) + embedding_parameters(model)


def model_weight_bytes(model: ModelSpec) -> int:
    """Bytes of the whole model, the embeddings at the model's dtype."""
    layers = -(-_all_layers(model) * model.weight_bits // 8)
    return layers + embedding_parameters(model) * model.dtype_bytes


def _all_layers(model: ModelSpec) -> int:
    """Layers come in two kinds at most: dense, and with experts."""
    experts = model.experts
    if experts is None:
        return model.layers * layer_parameters(model, 0)
    dense = len(experts.dense_layers)
    count = dense * layer_parameters(model, experts.dense_layers[0]) if dense else 0
    if dense < model.layers:
        first = next(i for i in range(model.layers) if i not in experts.dense_layers)
        count += (model.layers - dense) * layer_parameters(model, first)
    return count
