"""Config files with something wrong in them: what is said, and where."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import model_configs as c
import pytest

from pamsim.errors import InputError
from pamsim.model import load_model, with_kv_dtype
from pamsim.model.architectures import ARCHITECTURES

LLAMA = c.config(
    "LlamaForCausalLM", "llama", **c.usual(2, 512, 8, 1024, 1000, 4096), num_key_value_heads=2
)
MISTRAL = c.config("MistralForCausalLM", "mistral")
GPT2 = {**c.GPT2, "n_embd": 512, "n_head": 8}
MLA = c.DEEPSEEK_V2_LITE
MOE = c.QWEN1_5_MOE
GEMMA3 = c.GEMMA_3_27B_IT


def message(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(file)
    return str(caught.value)


# A base file, what is changed in it, and what has to be said.
CASES: list[tuple[dict, dict, str]] = [
    # shapes
    (LLAMA, {"num_attention_heads": 0}, "num_attention_heads must be between 1 and 16384, not 0"),
    (LLAMA, {"num_key_value_heads": 3}, "num_key_value_heads must divide num_attention_heads = 8"),
    (LLAMA, {"num_key_value_heads": 16}, "num_key_value_heads must divide num_attention_heads = 8"),
    (LLAMA, {"num_key_value_heads": 0}, "num_key_value_heads must be between 1"),
    (LLAMA, {"num_hidden_layers": 10001}, "num_hidden_layers must be between 1 and 10000"),
    (LLAMA, {"num_hidden_layers": -1}, "num_hidden_layers must be between 1 and 10000, not -1"),
    (LLAMA, {"num_hidden_layers": True}, "num_hidden_layers must be an integer, not true"),
    (LLAMA, {"num_hidden_layers": None}, "num_hidden_layers must be an integer, not null"),
    (LLAMA, {"num_hidden_layers": 2.0}, "num_hidden_layers must be an integer, not 2.0"),
    (LLAMA, {"hidden_size": [512]}, "hidden_size must be an integer, not a list"),
    (LLAMA, {"hidden_size": 500}, "num_attention_heads must divide hidden_size = 500"),
    (LLAMA, {"hidden_size": 1 << 40}, "hidden_size must be between 1 and 1048576"),
    (LLAMA, {"intermediate_size": -5}, "intermediate_size must be between 1 and 8388608, not -5"),
    (LLAMA, {"head_dim": 0}, "head_dim must be between 1"),
    (LLAMA, {"head_dim": -64}, "head_dim must be between 1"),
    (LLAMA, {"head_dim": "64"}, 'head_dim must be an integer, not "64"'),
    (LLAMA, {"vocab_size": {}}, "vocab_size must be an integer, not an object"),
    (LLAMA, {"max_position_embeddings": 0}, "max_position_embeddings must be between 1"),
    (LLAMA, {"tie_word_embeddings": "no"}, 'tie_word_embeddings must be true or false, not "no"'),
    # dtypes and quantization
    (LLAMA, {"torch_dtype": "int8"}, "torch_dtype must be one of float16, bfloat16, float32"),
    (LLAMA, {"torch_dtype": 16}, "torch_dtype must be one of float16, bfloat16, float32, not 16"),
    (LLAMA, {"quantization_config": {"quant_method": "gptq", "bits": 4}}, 'fp8, not "gptq"'),
    (LLAMA, {"quantization_config": "awq"}, 'of quant_method fp8, not "awq"'),
    # architecture
    (LLAMA, {"architectures": []}, "architectures must be a list with one name, not a list of 0"),
    (LLAMA, {"architectures": None}, "architectures must be a list with one name, not null"),
    (LLAMA, {"architectures": "LlamaForCausalLM"}, "architectures must be a list with one name"),
    (LLAMA, {"architectures": ["LlamaForCausaLM"]}, "did you mean 'LlamaForCausalLM'?"),
    (LLAMA, {"architectures": ["NoSuchThing"]}, "must be one of DeepseekV2ForCausalLM, Deepseek"),
    (LLAMA, {"model_type": "mistral"}, "model_type must be 'llama' for LlamaForCausalLM"),
    # attention that is not modelled
    (LLAMA, {"architectures": ["T5ForConditionalGeneration"]}, "to an encoder: not modelled"),
    (LLAMA, {"architectures": ["Mamba2ForCausalLM"]}, "state-space layers: not modelled"),
    (LLAMA, {"architectures": ["Qwen3NextForCausalLM"]}, "linear attention: not modelled"),
    (LLAMA, {"architectures": ["GptOssForCausalLM"]}, "attention sinks: not modelled"),
    (LLAMA, {"architectures": ["Gemma3nForCausalLM"]}, "KV shared between layers: not modelled"),
    (LLAMA, {"architectures": ["BloomForCausalLM"]}, "ALiBi position biases: not modelled"),
    (LLAMA, {"is_encoder_decoder": True}, "is_encoder_decoder must be false"),
    (LLAMA, {"attention_chunk_size": 8192}, "chunked attention is not modelled"),
    (LLAMA, {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping must be left out for Llama"),
    (LLAMA, {"kv_lora_rank": 512}, "kv_lora_rank must be left out for LlamaForCausalLM"),
    (LLAMA, {"num_local_experts": 8}, "num_local_experts must be left out for LlamaForCausalLM"),
    (GPT2, {"add_cross_attention": True}, "cross-attention is not modelled"),
    (GPT2, {"scale_attn_by_inverse_layer_idx": True}, "a softmax scale by layer is not modelled"),
    (c.GEMMA_2B, {"use_bidirectional_attention": True}, "bidirectional attention is not modelled"),
    (c.FALCON_180B, {"alibi": True}, "ALiBi position biases is not modelled"),
    # heads, by what an architecture calls them
    (GPT2, {"n_head": 7}, "n_head must divide n_embd = 512, not 7"),
    (GPT2, {"n_inner": 0}, "n_inner must be between 1"),
    (GPT2, {"n_positions": -1}, "n_positions must be between 1"),
    (GPT2, {"head_dim": 32}, "head_dim must be n_embd / n_head = 64 for GPT2LMHeadModel, not 32"),
    (c.FALCON_180B, {"num_kv_heads": 9}, "num_kv_heads must divide num_attention_heads = 232"),
    (c.FALCON_180B, {"new_decoder_architecture": False, "multi_query": False},
     "num_kv_heads must be num_attention_heads = 232"),
    (c.GEMMA_2B, {"num_key_value_heads": None}, "num_key_value_heads must be an integer, not null"),
    (c.GEMMA_2_27B, {"query_pre_attn_scalar": 0}, "must be null or a positive number, not 0"),
    (c.GEMMA_2_27B, {"attn_logit_softcapping": -1}, "must be null or a positive number, not -1"),
    (c.GEMMA_2_27B, {"attn_logit_softcapping": "50"}, 'a positive number, not "50"'),
    # windows
    (LLAMA, {**MISTRAL, "sliding_window": "4k"}, "sliding_window must be null or a positive integ"),
    (LLAMA, {**MISTRAL, "sliding_window": 0}, "null or a positive integer, not 0"),
    (LLAMA, {**MISTRAL, "sliding_window": -1}, "null or a positive integer, not -1"),
    (LLAMA, {**MISTRAL, "sliding_window": 1.5}, "null or a positive integer, not 1.5"),
    (LLAMA, {**MISTRAL, "sliding_window": True}, "null or a positive integer, not true"),
    (LLAMA, {"sliding_window": 64}, "sliding_window must be null for LlamaForCausalLM"),
    (LLAMA, {"layer_types": ["sliding_attention"] * 2}, "all full_attention for LlamaForCausalLM"),
    (c.QWEN2, {"use_sliding_window": 1}, "use_sliding_window must be true or false, not 1"),
    (c.QWEN2, {"max_window_layers": -1}, "max_window_layers must be an integer of at least 0"),
    (c.QWEN2, {"layer_types": ["full_attention"]}, "num_hidden_layers = 6 names, not a list of 1"),
    (c.QWEN2, {"layer_types": "full_attention"}, "layer_types must be a list of"),
    (c.QWEN2, {"layer_types": ["linear_attention"] * 6}, 'not "linear_attention" (layer 0)'),
    (c.QWEN2, {"layer_types": ["sliding_attention"] * 6, "use_sliding_window": False},
     "use_sliding_window must be true and sliding_window must be given"),
    (c.GEMMA_2_27B, {"sliding_window": None, "layer_types": ["sliding_attention"] * 46},
     "sliding_window must be given where layer_types has sliding_attention"),
    # experts
    (MOE, {"num_experts_per_tok": 61}, "num_experts_per_tok must be at most 60 experts, not 61"),
    (MOE, {"num_experts": 0}, "num_experts must be between 1"),
    (MOE, {"decoder_sparse_step": 0}, "decoder_sparse_step must be between 1"),
    (MOE, {"mlp_only_layers": [24]}, "mlp_only_layers must be a list of layers from 0 to 23"),
    (MOE, {"mlp_only_layers": 3}, "mlp_only_layers must be a list of layers from 0 to 23, not 3"),
    (MLA, {"first_k_dense_replace": 28}, "between 0 and num_hidden_layers = 27, not 28"),
    (MLA, {"n_shared_experts": -2}, "n_shared_experts must be between 1"),
    # latent attention
    (MLA, {"kv_lora_rank": 0}, "kv_lora_rank must be between 1"),
    (MLA, {"kv_lora_rank": None}, "kv_lora_rank must be an integer, not null"),
    (MLA, {"q_lora_rank": 1.5}, "q_lora_rank must be an integer, not 1.5"),
    (MLA, {"rope_scaling": "yarn"}, 'rope_scaling must be null or an object, not "yarn"'),
    (MLA, {"rope_scaling": {"type": "yarn", "mscale_all_dim": 1}}, "must have a positive factor"),
    # multimodal
    (GEMMA3, {"text_config": None}, "text_config must be an object, not null"),
    (GEMMA3, {"text_config": {"model_type": "llama"}}, "model_type must be 'gemma3_text'"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "changes", "expected"), CASES)
def test_wrong_field_is_named_with_its_place(
    base: dict, changes: dict, expected: str, tmp_path: Path
) -> None:
    file = c.write(tmp_path, {**base, **changes})
    text = message(file)
    assert expected in text
    assert f"[{file}:" in text


@pytest.mark.parametrize(
    ("base", "field"),
    [
        *((LLAMA, f) for f in LLAMA if f not in ("model_type", "num_key_value_heads")),
        *((GPT2, f) for f in GPT2 if f != "model_type"),
        *((MLA, f) for f in ("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "v_head_dim")),
        *((MLA, f) for f in ("n_routed_experts", "n_shared_experts", "first_k_dense_replace")),
        *((MOE, f) for f in ("num_key_value_heads", "num_experts", "moe_intermediate_size")),
        *((MOE, f) for f in ("num_experts_per_tok", "shared_expert_intermediate_size")),
        (c.STARCODER2_3B, "num_key_value_heads"),
        (c.FALCON_180B, "hidden_size"),
        (c.GEMMA_3_27B_IT, "text_config"),
        (c.OPT_350M, "ffn_dim"),
    ],
)
def test_missing_field_is_named(base: dict, field: str, tmp_path: Path) -> None:
    file = c.write(tmp_path, {k: v for k, v in base.items() if k != field})
    assert f"{field} must be given" in message(file)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_numbers_have_to_be_finite(value: str, tmp_path: Path) -> None:
    text = json.dumps({**c.GEMMA_2_27B, "attn_logit_softcapping": "X"}).replace('"X"', value)
    file = tmp_path / "config.json"
    file.write_text(text)
    assert "must be" in message(file) and f"[{file}:1:" in message(file)


def test_fault_inside_text_config_has_its_place(tmp_path: Path) -> None:
    text = {**GEMMA3["text_config"], "num_hidden_layers": 0}
    file = c.write(tmp_path, {**GEMMA3, "text_config": text})
    line = file.read_text().splitlines().index('    "num_hidden_layers": 0,') + 1
    assert f"[{file}:{line}:26]" in message(file)


def test_unknown_kv_dtype_is_refused() -> None:
    with pytest.raises(InputError, match="kv_dtype must be one of fp16, bf16, fp8, int8, int4"):
        with_kv_dtype(load_model("llama-3-8b"), "int3")


def test_every_supported_name_is_told_for_an_unknown_one(tmp_path: Path) -> None:
    text = message(c.write(tmp_path, {**LLAMA, "architectures": ["Unheard"]}))
    assert all(name in text for name in ARCHITECTURES)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"query_heads": 30}, "query heads must be a multiple of 8 KV heads, not 30"),
        ({"kv_heads": 64}, "query heads must be a multiple of 64 KV heads, not 32"),
        ({"layer_windows": (4, None)}, "layer_windows must be of 32 layers, not 2"),
        ({"window": 0}, "window must be at least 1 token"),
        ({"kv_dtype": "int2"}, "kv_dtype must be one of"),
    ],
)
def test_a_model_made_by_hand_has_to_fit_too(changes: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        replace(load_model("llama-3-8b"), **changes)
