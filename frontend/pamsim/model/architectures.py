"""What the fields of a Hugging Face config.json mean, architecture by architecture.

A table: which field holds which figure, and what the library that reads the file takes when a field
is left out (huggingface/transformers v5.23.0, src/transformers/models/<name>/, the files
configuration_<name>.py and modeling_<name>.py). A field that states a shape has to be given, though
the library has a default for it: left out, it is more often a mistake. Excepted are files that are
published without it (`defaults`), and a `text_config`, of which the library writes only what
differs from its defaults (`text_defaults`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

# How sliding_window is spread over the layers, i counting from 0 (pamsim.model.windows).
EVERY, FROM, EVEN_BELOW, PATTERN = "every layer", "from a layer", "even below", "pattern"


@dataclass(frozen=True)
class Architecture:
    """A supported entry of `architectures`."""

    name: str
    model_type: str
    ffn_matrices: int = 3  # gate, up, down; 2: up, down
    tied_embeddings: bool = False  # when tie_word_embeddings is left out
    ffn_field: str = "intermediate_size"
    ffn_ratio: int = 0  # width / hidden_size when ffn_field is left out or null; 0: it has a width
    aliases: dict[str, str] = field(default_factory=dict)  # what this architecture calls a field
    kv_heads: str = "num_key_value_heads"  # "": as many as query heads; "falcon": by its switches
    kv_left_out: bool = False  # num_key_value_heads left out: as many as query heads
    kv_null: bool = True  # likewise when null
    reads_head_dim: bool = True  # else a head is hidden_size / num_attention_heads
    head_dim: int | None = None  # when head_dim is left out; None: hidden_size / heads
    windows: str = ""  # EVERY, FROM, EVEN_BELOW, PATTERN; "": no windows
    window_default: int | None = None  # when sliding_window is left out
    window_switch: bool = False  # use_sliding_window has to be true for windows to count
    window_pattern: int = 0  # of PATTERN: one layer in so many is global
    reads_layer_types: bool = False
    reads_scalar: bool = False  # query_pre_attn_scalar (256), attn_logit_softcapping
    softcap: float | None = None  # when attn_logit_softcapping is left out
    mla: bool = False
    experts: str = ""  # "mixtral", "qwen", "deepseek": the rules of pamsim.model.experts
    wrapped: str = ""  # the file is of a multimodal model: this architecture is in `text_config`
    defaults: dict[str, int] = field(default_factory=dict)
    text_defaults: dict[str, int] = field(default_factory=dict)


_GPT2_NAMES = {
    "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}  # fmt: skip
_GEMMA3_TEXT = {
    "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 131_072,
}  # fmt: skip
_MISTRAL_TEXT = {
    "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 14_336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
}  # fmt: skip

A = Architecture
ARCHITECTURES = {
    a.name: a
    for a in (
        A("LlamaForCausalLM", "llama", kv_left_out=True),
        A("MistralForCausalLM", "mistral", windows=EVERY, window_default=4096,
          text_defaults=_MISTRAL_TEXT),
        A("MinistralForCausalLM", "ministral", windows=EVERY, window_default=4096,
          reads_layer_types=True),
        A("Mistral3ForConditionalGeneration", "mistral3", wrapped="MistralForCausalLM"),
        A("MixtralForCausalLM", "mixtral", windows=EVERY, experts="mixtral"),
        A("Qwen2ForCausalLM", "qwen2", windows=FROM, window_default=4096, window_switch=True,
          reads_layer_types=True),
        A("Qwen3ForCausalLM", "qwen3", head_dim=128, windows=FROM, window_default=4096,
          window_switch=True, reads_layer_types=True),
        A("Qwen2MoeForCausalLM", "qwen2_moe", kv_null=False, windows=EVEN_BELOW,
          window_default=4096, window_switch=True, reads_layer_types=True, experts="qwen"),
        A("Qwen3MoeForCausalLM", "qwen3_moe", kv_null=False, windows=EVERY, window_default=4096,
          window_switch=True, experts="qwen"),
        A("OPTForCausalLM", "opt", 2, True, "ffn_dim", kv_heads="", reads_head_dim=False),
        A("GPT2LMHeadModel", "gpt2", 2, True, "n_inner", 4, _GPT2_NAMES, kv_heads="",
          reads_head_dim=False),
        A("GPTJForCausalLM", "gptj", 2, False, "n_inner", 4, _GPT2_NAMES, kv_heads="",
          reads_head_dim=False),
        A("GPTNeoXForCausalLM", "gpt_neox", 2, kv_heads="", reads_head_dim=False),
        A("GemmaForCausalLM", "gemma", 3, True, kv_null=False, head_dim=256),
        A("Gemma2ForCausalLM", "gemma2", 3, True, kv_null=False, head_dim=256, windows=PATTERN,
          window_default=4096, window_pattern=2, reads_layer_types=True, reads_scalar=True,
          softcap=50.0),
        A("Gemma3ForCausalLM", "gemma3_text", 3, True, kv_null=False, head_dim=256,
          windows=PATTERN, window_default=4096, window_pattern=6, reads_layer_types=True,
          reads_scalar=True, text_defaults=_GEMMA3_TEXT),
        A("Gemma3ForConditionalGeneration", "gemma3", wrapped="Gemma3ForCausalLM"),
        A("Phi3ForCausalLM", "phi3", kv_left_out=True, windows=EVERY),
        A("PhiForCausalLM", "phi", 2, kv_left_out=True),
        A("FalconForCausalLM", "falcon", 2, True, "ffn_hidden_size", 4, kv_heads="falcon",
          reads_head_dim=False, defaults={"max_position_embeddings": 2048}),
        A("Starcoder2ForCausalLM", "starcoder2", 2, True, kv_null=False, windows=EVERY),
        A("DeepseekV2ForCausalLM", "deepseek_v2", mla=True, experts="deepseek"),
        A("DeepseekV3ForCausalLM", "deepseek_v3", mla=True, experts="deepseek"),
    )
}  # fmt: skip

# Named in an error: what of these is not modelled. By a part of the architecture's name.
NOT_MODELLED = {
    "T5": "cross-attention to an encoder",
    "Bart": "cross-attention to an encoder",
    "Pegasus": "cross-attention to an encoder",
    "Marian": "cross-attention to an encoder",
    "Whisper": "cross-attention to an encoder",
    "EncoderDecoder": "cross-attention to an encoder",
    "Mllama": "cross-attention layers",
    "Mamba": "state-space layers",
    "Jamba": "state-space layers",
    "Bamba": "state-space layers",
    "Zamba": "state-space layers",
    "FalconH1": "state-space layers",
    "GraniteMoeHybrid": "state-space layers",
    "NemotronH": "state-space layers",
    "Lfm2": "convolution layers",
    "Rwkv": "linear attention",
    "RecurrentGemma": "linear recurrences",
    "Qwen3Next": "linear attention",
    "Qwen3_5": "linear attention",
    "KimiLinear": "linear attention",
    "MiniMax": "linear attention",
    "Bloom": "ALiBi position biases",
    "MPT": "ALiBi position biases",
    "Mpt": "ALiBi position biases",
    "Llama4": "chunked attention",
    "GptOss": "attention sinks",
    "DeepseekV32": "the indexer of sparse attention",
    "DeepseekV4": "compressed sparse attention",
    "Gemma3n": "KV shared between layers",
    "DeciLM": "layers of unlike shape",
    "OpenELM": "layers of unlike shape",
    "GPTNeoFor": "unscaled attention with layers by attention_types",
    "Phi3Small": "block-sparse attention",
    "Bert": "attention without a KV cache",
    "ForSequenceClassification": "a model that does not decode",
    "ForTokenClassification": "a model that does not decode",
}

DTYPES = {"float16": "fp16", "bfloat16": "bf16"}

# Greatest value that is still taken for a model, by field: far above anything published.
LIMITS = {
    "num_hidden_layers": 10_000,
    "hidden_size": 1 << 20,
    "num_attention_heads": 1 << 14,
    "num_key_value_heads": 1 << 14,
    "num_kv_heads": 1 << 14,
    "head_dim": 1 << 14,
    "vocab_size": 1 << 24,
    "word_embed_proj_dim": 1 << 20,
    "max_position_embeddings": 1 << 28,
    "sliding_window": 1 << 40,
    "sliding_window_pattern": 10_000,
    "query_pre_attn_scalar": 1 << 20,
    "q_lora_rank": 1 << 20,
    "kv_lora_rank": 1 << 20,
    "qk_nope_head_dim": 1 << 14,
    "qk_rope_head_dim": 1 << 14,
    "v_head_dim": 1 << 14,
    "num_experts": 1 << 14,
    "num_local_experts": 1 << 14,
    "n_routed_experts": 1 << 14,
    "n_shared_experts": 1 << 14,
    "num_experts_per_tok": 1 << 14,
    "decoder_sparse_step": 10_000,
    "moe_layer_freq": 10_000,
}
WIDTH_LIMIT = 1 << 23  # of any feed-forward width
