"""What holds for every config: read or refused with a place, and its figures consistent."""

from __future__ import annotations

import json

import model_configs as c
from hypothesis import given, settings
from hypothesis import strategies as st

from pamsim.errors import InputError
from pamsim.model import KV_BITS, ModelSpec, with_kv_dtype
from pamsim.model.document import parse_json
from pamsim.model.reader import read_model
from pamsim.model.weights import embedding_parameters, layer_parameters, model_parameters
from pamsim.system.roofline import head_work, layer_work, output_work

FILES = [
    data
    for name, data in vars(c).items()
    if name.isupper() and isinstance(data, dict) and "architectures" in data
]
SIZES = st.integers(1, 300)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, width=32),
    st.text(max_size=8), st.lists(st.integers(-3, 40), max_size=4),
    st.dictionaries(st.sampled_from(["type", "factor", "quant_method"]), st.integers(-2, 50)),
)  # fmt: skip


def read(data: dict) -> ModelSpec:
    return read_model(parse_json(json.dumps(data), "config.json"), "a-model")


@st.composite
def decoders(draw: st.DrawFn) -> ModelSpec:
    """Small decoders of many shapes: heads no power of two, odd head dims, experts, windows."""
    kv_heads, group = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    layers = draw(st.integers(1, 8))
    shape = c.usual(layers, draw(SIZES), kv_heads * group, draw(SIZES), draw(SIZES), 4096)
    shape |= {"num_key_value_heads": kv_heads, "head_dim": draw(SIZES)}
    kind = draw(st.sampled_from(["llama", "qwen2", "qwen2_moe", "gemma3_text"]))
    if kind == "llama":
        return read(c.config("LlamaForCausalLM", kind, **shape))
    if kind == "gemma3_text":
        pattern = draw(st.integers(1, 9))
        return read(c.config("Gemma3ForCausalLM", kind, **shape, sliding_window=draw(SIZES),
                             sliding_window_pattern=pattern))  # fmt: skip
    window = {"use_sliding_window": draw(st.booleans()), "sliding_window": draw(SIZES),
              "max_window_layers": draw(st.integers(0, 9))}  # fmt: skip
    if kind == "qwen2":
        return read(c.config("Qwen2ForCausalLM", kind, **shape, **window))
    experts = draw(st.integers(1, 16))
    dense = draw(st.sets(st.integers(0, layers - 1)))
    return read(
        c.config(
            "Qwen2MoeForCausalLM", kind, **shape, **window, num_experts=experts,
            num_experts_per_tok=draw(st.integers(1, experts)), mlp_only_layers=sorted(dense),
            decoder_sparse_step=draw(st.integers(1, 4)), moe_intermediate_size=draw(SIZES),
            shared_expert_intermediate_size=draw(SIZES),
        )
    )  # fmt: skip


@given(decoders())
@settings(max_examples=150, deadline=None)
def test_the_whole_is_the_sum_of_its_layers(model: ModelSpec) -> None:
    layers = sum(layer_parameters(model, i) for i in range(model.layers))
    assert model_parameters(model) == layers + embedding_parameters(model)
    assert model.weight_bytes == 2 * model_parameters(model)
    assert model.query_heads == model.group_size * model.kv_heads


@given(decoders(), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_a_step_reads_no_more_weights_than_there_are(model: ModelSpec, batch: int) -> None:
    for layer in range(model.layers):
        one, many = layer_work(model, layer, 1), layer_work(model, layer, batch)
        assert one.weight_bytes <= many.weight_bytes <= 2 * layer_parameters(model, layer)
        assert many.flops == batch * one.flops
        assert many.activation_bytes == batch * one.activation_bytes
        assert output_work(model, batch, layer).weight_bytes < many.weight_bytes
    assert head_work(model, batch).weight_bytes == 2 * model.hidden * model.vocabulary


@given(decoders())
@settings(max_examples=100, deadline=None)
def test_windows_are_one_or_differ_by_layer(model: ModelSpec) -> None:
    windows = {model.window_of(i) for i in range(model.layers)}
    assert (len(windows) > 1) == (model.layer_windows is not None)
    assert all(w is None or w >= 1 for w in windows)


@given(decoders(), st.sampled_from(sorted(KV_BITS)))
@settings(max_examples=100, deadline=None)
def test_kv_bytes_follow_the_bits_of_an_element(model: ModelSpec, kv_dtype: str) -> None:
    bits = 2 * model.kv_heads * model.head_dim * KV_BITS[kv_dtype]
    assert with_kv_dtype(model, kv_dtype).kv_bytes_per_token_layer == -(-bits // 8)


@given(st.sampled_from(FILES), st.data())
@settings(max_examples=400, deadline=None)
def test_any_change_is_read_or_refused_with_its_place(base: dict, data: st.DataObject) -> None:
    changed = json.loads(json.dumps(base))
    for _ in range(data.draw(st.integers(1, 3))):
        target = changed
        if isinstance(changed.get("text_config"), dict) and data.draw(st.booleans()):
            target = changed["text_config"]
        if not target:
            break
        key = data.draw(st.sampled_from([*target, "layer_types", "rope_scaling", "head_dim"]))
        if data.draw(st.booleans()):
            target.pop(key, None)
        else:
            target[key] = data.draw(ANYTHING)
    try:
        model = read(changed)
    except InputError as error:
        assert "must be" in str(error) or "must have" in str(error) or "must divide" in str(error)
        assert "config.json" in str(error)
        return
    assert model.weight_bytes > 0 and model.kv_bytes_per_token_layer > 0
    assert model.attention_scale > 0
