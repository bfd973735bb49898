"""Published config.json files, shape fields only, each with its source; and how to load one."""

from __future__ import annotations

import json
from pathlib import Path

from pamsim.model import ModelSpec, load_model


def write(directory: Path, data: dict) -> Path:
    file = directory / "config.json"
    file.write_text(json.dumps(data, indent=2))
    return file


def load(directory: Path, data: dict, **changes: object) -> ModelSpec:
    return load_model(write(directory, {**data, **changes}))


def config(architecture: str, model_type: str, **shape: object) -> dict:
    return {"architectures": [architecture], "model_type": model_type, **shape}


def usual(layers: int, hidden: int, heads: int, ffn: int, vocabulary: int, context: int) -> dict:
    """The fields that most architectures have."""
    return {
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "intermediate_size": ffn, "vocab_size": vocabulary, "max_position_embeddings": context,
    }  # fmt: skip


# Llama 3.2 model card, meta-llama/llama-models models/llama3_2/MODEL_CARD.md (1.23B).
LLAMA_3_2_1B = config(
    "LlamaForCausalLM", "llama", **usual(16, 2048, 32, 8192, 128256, 131072),
    num_key_value_heads=8, head_dim=64, tie_word_embeddings=True, torch_dtype="bfloat16",
)  # fmt: skip
# Mistral 7B, arXiv 2310.06825, Table 1. sliding_window is left out: 4096 in the library, as there.
MISTRAL_7B = config(
    "MistralForCausalLM", "mistral", **usual(32, 4096, 32, 14336, 32000, 8192),
    num_key_value_heads=8,
)  # fmt: skip
# huggingface/transformers v5.23.0 configuration_mistral3.py, defaults of Mistral-Small-3.1-24B.
MISTRAL_SMALL_3_1 = config(
    "Mistral3ForConditionalGeneration", "mistral3", torch_dtype="bfloat16",
    text_config={
        "model_type": "mistral", **usual(40, 5120, 32, 32768, 131072, 131072),
        "num_key_value_heads": 8, "head_dim": 128, "sliding_window": None,
    },
    vision_config={"hidden_size": 1024},
)  # fmt: skip
# huggingface/transformers v5.23.0 configuration_qwen2_moe.py, defaults of Qwen1.5-MoE-A2.7B; 14.3B
# in all, 2.7B active: qwenlm.github.io/blog/qwen-moe.
QWEN1_5_MOE = config(
    "Qwen2MoeForCausalLM", "qwen2_moe", **usual(24, 2048, 16, 5632, 151936, 8192),
    num_key_value_heads=16, moe_intermediate_size=1408, shared_expert_intermediate_size=5632,
    num_experts=60, num_experts_per_tok=4, decoder_sparse_step=1, use_sliding_window=False,
    sliding_window=32768, max_window_layers=21, torch_dtype="bfloat16",
)  # fmt: skip
# OPT, arXiv 2205.01068, Table 1; facebookresearch/metaseq @f7ffa5f opt_job_constants.py; the table
# of embeddings is 512 wide. 331M: huggingface.co/facebook/opt-350m.
OPT_350M = config(
    "OPTForCausalLM", "opt", num_hidden_layers=24, hidden_size=1024, num_attention_heads=16,
    ffn_dim=4096, vocab_size=50272, max_position_embeddings=2048, word_embed_proj_dim=512,
)  # fmt: skip
# karpathy/nanoGPT @04a1d69 model.py (124M)
GPT2 = config(
    "GPT2LMHeadModel", "gpt2", n_layer=12, n_head=12, n_embd=768, n_positions=1024,
    vocab_size=50257,
)  # fmt: skip
# Pythia, arXiv 2304.01373, Table 1, and EleutherAI/pythia README.md (6,857,302,016 parameters)
PYTHIA_6_9B = config(
    "GPTNeoXForCausalLM", "gpt_neox", **usual(32, 4096, 32, 16384, 50432, 2048),
    torch_dtype="float16",
)  # fmt: skip
# google/gemma_pytorch @014acb7 gemma/config.py; counts: Gemma, arXiv 2403.08295, Table 2.
GEMMA_2B = config(
    "GemmaForCausalLM", "gemma", **usual(18, 2048, 8, 16384, 256000, 8192),
    num_key_value_heads=1, head_dim=256, torch_dtype="bfloat16",
)  # fmt: skip
# google/gemma_pytorch @014acb7 gemma/config.py; counts: Gemma 2, arXiv 2408.00118, Table 1.
GEMMA_2_27B = config(
    "Gemma2ForCausalLM", "gemma2", **usual(46, 4608, 32, 36864, 256000, 8192),
    num_key_value_heads=16, head_dim=128, query_pre_attn_scalar=144, sliding_window=4096,
    torch_dtype="bfloat16",
)  # fmt: skip
# NVIDIA/TensorRT-LLM @fe6fa01 tests/unittest/_torch/modeling/test_modeling_gemma3.py has the file
# of gemma-3-27b-it, cut to 6 layers: vocabulary and context are left out.
GEMMA_3_27B_IT = config(
    "Gemma3ForConditionalGeneration", "gemma3", torch_dtype="bfloat16",
    text_config={
        "head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504,
        "model_type": "gemma3_text", "num_attention_heads": 32, "num_hidden_layers": 62,
        "num_key_value_heads": 16, "query_pre_attn_scalar": 168, "sliding_window": 1024,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    },
    vision_config={"hidden_size": 1152},
)  # fmt: skip
# huggingface.co/microsoft/phi-2 (2.78B), shapes as in Lightning-AI/litgpt @2685705 config.py
PHI_2 = config(
    "PhiForCausalLM", "phi", **usual(32, 2560, 32, 10240, 51200, 2048), torch_dtype="float16",
)  # fmt: skip
# Lightning-AI/litgpt @2685705 litgpt/config.py; 180B: The Falcon Series, arXiv 2311.16867.
FALCON_180B = config(
    "FalconForCausalLM", "falcon", num_hidden_layers=80, hidden_size=14848,
    num_attention_heads=232, num_kv_heads=8, new_decoder_architecture=True, vocab_size=65024,
    torch_dtype="bfloat16",
)  # fmt: skip
# NVIDIA/NeMo @0674227 nemo/collections/llm/gpt/model/starcoder2.py (3.03B)
STARCODER2_3B = config(
    "Starcoder2ForCausalLM", "starcoder2", **usual(30, 3072, 24, 12288, 49152, 16384),
    num_key_value_heads=2, sliding_window=4096,
)  # fmt: skip
# deepseek-ai/DeepSeek-V3 @9b4e978 inference/configs/config_16B.json; 15.7B: DeepSeek-V2,
# arXiv 2405.04434, appendix B.
DEEPSEEK_V2_LITE = config(
    "DeepseekV2ForCausalLM", "deepseek_v2", **usual(27, 2048, 16, 10944, 102400, 163840),
    moe_intermediate_size=1408, n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6,
    first_k_dense_replace=1, moe_layer_freq=1, q_lora_rank=None, kv_lora_rank=512,
    qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, torch_dtype="bfloat16",
    rope_scaling={"type": "yarn", "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707},
)  # fmt: skip
# A small decoder with windows, for their rules.
QWEN2 = config(
    "Qwen2ForCausalLM", "qwen2", **usual(6, 64, 4, 128, 1000, 4096), num_key_value_heads=2,
    use_sliding_window=True, sliding_window=100, max_window_layers=4,
)  # fmt: skip
