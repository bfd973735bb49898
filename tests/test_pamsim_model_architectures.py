"""Every architecture from a published config.json, against figures worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import model_configs as c
import pytest

from pamsim.model import ExpertSpec, MlaSpec, ModelSpec, load_model, with_kv_dtype
from pamsim.model.weights import (
    always_matrices,
    ffn_matrices,
    input_matrices,
    model_parameters,
    output_matrices,
)


def active_parameters(model: ModelSpec) -> int:
    """What one token works with in all layers, of experts those it takes."""
    count = 0
    for layer in range(model.layers):
        matrices = (*input_matrices(model), *output_matrices(model), *always_matrices(model, layer))
        count += sum(m.weights for m in matrices)
        experts = model.experts
        if experts and layer not in experts.dense_layers:
            one = sum(m.weights for m in ffn_matrices(model, experts.ffn_hidden))
            count += experts.per_token * one
    return count


# KV heads, head dim, KV bytes a token in all layers (2 x KV heads x head dim x 2 B x layers; latent
# attention: (512 + 64) x 2 B x layers), and published parameters: their source is at the config.
PUBLISHED = {
    "llama 3.2": (c.LLAMA_3_2_1B, 8, 64, 2 * 8 * 64 * 2 * 16, 1.23e9),
    "mistral": (c.MISTRAL_7B, 8, 128, 2 * 8 * 128 * 2 * 32, 7.24e9),
    # 24B with a vision encoder of 0.4B; head dim 128 is not 5120 / 32.
    "mistral 3": (c.MISTRAL_SMALL_3_1, 8, 128, 2 * 8 * 128 * 2 * 40, 23.6e9),
    "qwen 1.5 moe": (c.QWEN1_5_MOE, 16, 128, 2 * 16 * 128 * 2 * 24, 14.3e9),
    "opt-350m": (c.OPT_350M, 16, 64, 2 * 16 * 64 * 2 * 24, 331e6),
    "gpt-2": (c.GPT2, 12, 64, 2 * 12 * 64 * 2 * 12, 124e6),
    "pythia": (c.PYTHIA_6_9B, 32, 128, 2 * 32 * 128 * 2 * 32, 6_857_302_016),
    "gemma": (c.GEMMA_2B, 1, 256, 2 * 1 * 256 * 2 * 18, 524_550_144 + 1_981_884_416),
    "gemma 2": (c.GEMMA_2_27B, 16, 128, 2 * 16 * 128 * 2 * 46, 27.2e9),
    "gemma 3": (c.GEMMA_3_27B_IT, 16, 128, 2 * 16 * 128 * 2 * 62, 27.0e9),
    "phi": (c.PHI_2, 32, 80, 2 * 32 * 80 * 2 * 32, 2.78e9),
    "falcon": (c.FALCON_180B, 8, 64, 2 * 8 * 64 * 2 * 80, 180e9),
    "starcoder 2": (c.STARCODER2_3B, 2, 128, 2 * 2 * 128 * 2 * 30, 3.03e9),
    "deepseek v2": (c.DEEPSEEK_V2_LITE, 1, 576, (512 + 64) * 2 * 27, 15.7e9),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_config_has_published_size(name: str, tmp_path: Path) -> None:
    data, kv_heads, head_dim, kv_bytes, parameters = PUBLISHED[name]
    model = c.load(tmp_path, data)
    assert (model.kv_heads, model.head_dim) == (kv_heads, head_dim)
    assert model.kv_bytes_per_token_layer * model.layers == kv_bytes
    assert model_parameters(model) == pytest.approx(parameters, rel=0.01)
    assert model.weight_bytes == 2 * model_parameters(model)


# As above, for presets; parameters: the models' reports, and for Falcon, whose report rounds them,
# query, key and value, output, feed-forward and the tied embeddings by hand. Active ones without
# embeddings: Mixtral, arXiv 2401.04088 (12.9B); Qwen3, arXiv 2505.09388, Table 2 (3.3B);
# DeepSeek-V2, arXiv 2405.04434 (21B) and DeepSeek-V3, arXiv 2412.19437 (37B), abstracts.
@pytest.mark.parametrize(
    ("name", "kv_bytes", "parameters", "active"),
    [
        ("llama-7b", 2 * 32 * 128 * 2 * 32, 6.74e9, None),
        ("mixtral-8x7b", 2 * 8 * 128 * 2 * 32, 46.7e9, 12.9e9 - 2 * 32000 * 4096),
        ("qwen3-8b", 2 * 8 * 128 * 2 * 36, 8.2e9, None),
        ("qwen3-30b-a3b", 2 * 4 * 128 * 2 * 48, 30.5e9, 3.3e9 - 2 * 151936 * 2048),
        ("gpt2-xl", 2 * 25 * 64 * 2 * 48, 1.558e9, None),
        ("gpt-j-6b", 2 * 16 * 256 * 2 * 28, 6_053_381_344, None),
        ("gpt-neox-20b", 2 * 64 * 96 * 2 * 44, 20_554_567_680, None),
        ("gemma-2-9b", 2 * 8 * 256 * 2 * 42, 9.24e9, None),
        ("gemma-3-27b", 2 * 16 * 128 * 2 * 62, 27.0e9, None),
        ("phi-3-mini", 2 * 32 * 96 * 2 * 32, 3.8e9, None),
        ("falcon-7b", 2 * 1 * 64 * 2 * 32,
         32 * 4544 * (73 * 64 + 4544 + 8 * 4544) + 65024 * 4544, None),
        ("falcon-40b", 2 * 8 * 64 * 2 * 60,
         60 * 8192 * (144 * 64 + 8192 + 8 * 8192) + 65024 * 8192, None),
        ("deepseek-v2", 576 * 2 * 60, 236e9, 21e9 - 102400 * 5120),
        ("deepseek-v3", 576 * 2 * 61, 671e9, 37e9 - 129280 * 7168),
    ],
)  # fmt: skip
def test_preset_has_published_size(
    name: str, kv_bytes: int, parameters: float, active: float | None
) -> None:
    model = load_model(name)
    assert model.kv_bytes_per_token_layer * model.layers == kv_bytes
    assert model_parameters(model) == pytest.approx(parameters, rel=0.01)
    if active is not None:
        assert active_parameters(model) == pytest.approx(active, rel=0.02)


def test_latent_attention_stands_in_its_absorbed_form(tmp_path: Path) -> None:
    model = load_model("deepseek-v3")
    assert model.mla == MlaSpec(1536, 512, nope_dim=128, rope_dim=64, value_dim=128)
    assert (model.head_dim, model.value_dim, model.group_size) == (576, 512, 128)
    # yarn: 192^-1/2 x (0.1 x 1 x ln 40 + 1)^2 (modeling_deepseek_v3.py, yarn_apply_mscale)
    assert model.attention_scale == pytest.approx(192**-0.5 * (0.1 * math.log(40) + 1) ** 2)
    lite = c.load(tmp_path, c.DEEPSEEK_V2_LITE)
    assert lite.mla is not None and lite.mla.query_rank is None
    plain = c.load(tmp_path, c.DEEPSEEK_V2_LITE, rope_scaling=None)
    assert plain.attention_scale == pytest.approx(192**-0.5)


def test_eight_bit_weights_halve_the_layers_but_not_the_embeddings() -> None:
    # 671 GB and 0.9B + 0.9B of embeddings in 16 bits: README_WEIGHTS.md of deepseek-ai/DeepSeek-V3
    model = load_model("deepseek-v3")
    embeddings = 2 * 129280 * 7168
    assert model.weight_bytes == model_parameters(model) + embeddings


def test_experts_and_their_dense_layers(tmp_path: Path) -> None:
    assert load_model("mixtral-8x7b").experts == ExpertSpec(8, 2, 14336)
    assert load_model("qwen3-30b-a3b").experts == ExpertSpec(128, 8, 768)
    assert load_model("deepseek-v3").experts == ExpertSpec(256, 8, 2048, 1, 2048, (0, 1, 2))
    assert load_model("deepseek-v2").experts == ExpertSpec(160, 6, 1536, 2, 3072, (0,))
    qwen = c.load(tmp_path, c.QWEN1_5_MOE, decoder_sparse_step=2, mlp_only_layers=[1, 5])
    # modeling_qwen2_moe.py: experts where (i + 1) % step = 0 and i is not in mlp_only_layers
    experts = {i for i in range(24) if (i + 1) % 2 == 0} - {1, 5}
    assert qwen.experts is not None
    assert set(qwen.experts.dense_layers) == set(range(24)) - experts
    assert (qwen.experts.shared, qwen.experts.shared_ffn_hidden) == (1, 5632)
    sparse = c.load(tmp_path, c.DEEPSEEK_V2_LITE, moe_layer_freq=2, first_k_dense_replace=3)
    assert sparse.experts is not None
    assert set(range(27)) - set(sparse.experts.dense_layers) == set(range(4, 27, 2))


def windows(model: ModelSpec) -> list[int | None]:
    return [model.window_of(i) for i in range(model.layers)]


def test_windows_of_every_layer(tmp_path: Path) -> None:
    for data, window in ((c.MISTRAL_7B, 4096), (c.STARCODER2_3B, 4096)):
        model = c.load(tmp_path, data)
        assert (model.window, model.layer_windows) == (window, None)
        assert windows(model) == [window] * model.layers
    assert load_model("phi-3-mini").window == 2047
    for name in ("mixtral-8x7b", "mistral-7b", "qwen3-8b", "falcon-7b"):
        assert windows(load_model(name)) == [None] * load_model(name).layers


def test_gemma_2_slides_in_every_second_layer_from_the_first(tmp_path: Path) -> None:
    # Gemma 2, arXiv 2408.00118, section 2: every other layer; configuration_gemma2.py: (i + 1) % 2
    assert windows(c.load(tmp_path, c.GEMMA_2_27B)) == [4096, None] * 23


def test_gemma_3_slides_in_five_of_six_layers(tmp_path: Path) -> None:
    # Gemma 3, arXiv 2503.19786, section 2: 5:1, starting with a local layer; 62 = 10 x 6 + 2
    expected = [*([1024] * 5 + [None]) * 10, 1024, 1024]
    assert windows(c.load(tmp_path, c.GEMMA_3_27B_IT)) == expected
    assert windows(load_model("gemma-3-27b")) == expected


def test_gemma_softcap_and_scale(tmp_path: Path) -> None:
    # Gemma 2, arXiv 2408.00118, section 2: 50.0; the library's default, left out of the file here
    two = c.load(tmp_path, c.GEMMA_2_27B)
    assert (two.softcap, two.attention_scale) == (50.0, pytest.approx(144**-0.5))
    assert c.load(tmp_path, c.GEMMA_2_27B, attn_logit_softcapping=None).softcap is None
    three = c.load(tmp_path, c.GEMMA_3_27B_IT)
    assert (three.softcap, three.attention_scale) == (None, pytest.approx(168**-0.5))
    one = c.load(tmp_path, c.GEMMA_2B)
    assert (one.softcap, one.attention_scale) == (None, pytest.approx(1 / 16))


def test_layers_from_max_window_layers_slide_in_qwen_2(tmp_path: Path) -> None:
    # configuration_qwen2.py: sliding where i >= max_window_layers
    assert windows(c.load(tmp_path, c.QWEN2)) == [None] * 4 + [100, 100]
    assert windows(c.load(tmp_path, c.QWEN2, max_window_layers=0)) == [100] * 6
    assert windows(c.load(tmp_path, c.QWEN2, max_window_layers=28)) == [None] * 6
    assert windows(c.load(tmp_path, c.QWEN2, use_sliding_window=False)) == [None] * 6
    kinds = ["full_attention", "sliding_attention"] * 3
    assert windows(c.load(tmp_path, c.QWEN2, layer_types=kinds)) == [None, 100] * 3


def test_even_layers_below_max_window_layers_slide_in_qwen_2_moe(tmp_path: Path) -> None:
    # configuration_qwen2_moe.py: sliding where (i + 1) % 2 and i < max_window_layers
    model = c.load(tmp_path, c.QWEN1_5_MOE, use_sliding_window=True, sliding_window=64)
    assert windows(model) == [64 if i % 2 == 0 and i < 21 else None for i in range(24)]


def test_falcon_attention_has_both_forms(tmp_path: Path) -> None:
    # modeling_falcon.py: num_kv_heads counts only in the new decoder; 1 with multi_query, else all
    assert load_model("falcon-7b").kv_heads == 1
    assert load_model("falcon-7b").group_size == 71
    old = {**c.FALCON_180B, "new_decoder_architecture": False, "num_kv_heads": None}
    assert c.load(tmp_path, old, multi_query=False).kv_heads == 232
    assert c.load(tmp_path, old, num_kv_heads=8).kv_heads == 1
    assert c.load(tmp_path, c.FALCON_180B, num_kv_heads=None).kv_heads == 232
    assert c.load(tmp_path, c.FALCON_180B).ffn_hidden == 4 * 14848


def test_defaults_of_the_library_are_named_as_sources(tmp_path: Path) -> None:
    model = c.load(tmp_path, c.GEMMA_3_27B_IT)
    assert (model.vocabulary, model.max_context) == (262208, 131072)
    sources = dict(model.sources)
    for field in ("vocab_size", "max_position_embeddings"):
        assert "default" in sources[field] and "transformers" in sources[field]
    assert dict(c.load(tmp_path, c.FALCON_180B).sources)["max_position_embeddings"]


def test_float32_weights_are_served_in_16_bits_by_assumption(tmp_path: Path) -> None:
    model = c.load(tmp_path, c.GPT2, torch_dtype="float32")
    assert model.dtype == "fp16"
    assert "float32" in dict(model.sources)["torch_dtype"]


def test_unscaled_attention_of_gpt_2(tmp_path: Path) -> None:
    assert c.load(tmp_path, c.GPT2).attention_scale == 0.125
    assert c.load(tmp_path, c.GPT2, scale_attn_weights=False).attention_scale == 1.0
    named = {**c.GPT2, "hidden_size": c.GPT2["n_embd"]}
    del named["n_embd"]
    assert c.load(tmp_path, named).hidden == 768  # the library takes both names


@pytest.mark.parametrize(
    ("kv_dtype", "bytes_"), [("fp16", 2), ("bf16", 2), ("fp8", 1), ("int8", 1), ("int4", 0.5)]
)
def test_kv_dtype_sets_the_bytes_of_a_token(kv_dtype: str, bytes_: float) -> None:
    model = with_kv_dtype(load_model("llama-3-8b"), kv_dtype)
    assert model.kv_bytes_per_token_layer == 2 * 8 * 128 * bytes_
    assert (model.kv_bits, model.dtype_bytes) == (8 * bytes_, 2)
    assert model.weight_bytes == load_model("llama-3-8b").weight_bytes
