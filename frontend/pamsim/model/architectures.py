"""What the fields of a Hugging Face config.json mean, architecture by architecture.

A table: which field holds which figure, and what the library that reads the file takes when a field
is left out (huggingface/transformers src/transformers/models/<name>/configuration_<name>.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A supported entry of `architectures`. `ffn_field` is the feed-forward layer's width."""

    name: str
    model_type: str
    ffn_field: str
    ffn_matrices: int  # 3: gate, up, down; 2: up, down
    tied_embeddings: bool  # when tie_word_embeddings is left out
    grouped_queries: bool = True  # has num_key_value_heads
    window_default: int | None = None  # when sliding_window is left out
    window_switch: str = ""  # a field that has to be true for sliding_window to count


ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture("LlamaForCausalLM", "llama", "intermediate_size", 3, False),
        Architecture("MistralForCausalLM", "mistral", "intermediate_size", 3, False,
                     window_default=4096),
        Architecture("Qwen2ForCausalLM", "qwen2", "intermediate_size", 3, False,
                     window_switch="use_sliding_window"),
        Architecture("OPTForCausalLM", "opt", "ffn_dim", 2, True, grouped_queries=False),
    )
}  # fmt: skip

DTYPES = {"float16": "fp16", "bfloat16": "bf16"}

# Greatest value that is still taken for a model, by field: far above anything published.
LIMITS = {
    "num_hidden_layers": 10_000,
    "hidden_size": 1 << 20,
    "num_attention_heads": 1 << 14,
    "num_key_value_heads": 1 << 14,
    "head_dim": 1 << 14,
    "intermediate_size": 1 << 23,
    "ffn_dim": 1 << 23,
    "vocab_size": 1 << 24,
    "max_position_embeddings": 1 << 28,
}
