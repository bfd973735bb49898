"""A Hugging Face config.json to a ModelSpec: every fault at once, each with its place."""

from __future__ import annotations

from pamsim.errors import InputError, InputErrors, PamsimError, Position, did_you_mean
from pamsim.model.architectures import ARCHITECTURES, DTYPES, NOT_MODELLED, Architecture
from pamsim.model.attention import Attention, read_attention
from pamsim.model.document import JsonDocument
from pamsim.model.experts import read_experts
from pamsim.model.fields import Fields, shown
from pamsim.model.spec import ModelSpec
from pamsim.model.windows import layer_windows


def read_model(document: JsonDocument, name: str) -> ModelSpec:
    """The model that a config.json describes. Raises InputErrors with every fault found."""
    if not isinstance(document.data, dict):
        raise InputError(
            f"model must be a JSON object (a Hugging Face config.json), not {shown(document.data)}",
            document.position(),
        )
    fields = Fields(document)
    architecture = _architecture(fields)
    if architecture is not None and architecture.wrapped:
        fields, architecture = _wrapped(fields, ARCHITECTURES[architecture.wrapped])
    model = _model(fields, architecture, name) if architecture else None
    if fields.faults or model is None:
        raise InputErrors(sorted(fields.faults, key=_place))
    return model


def _place(error: PamsimError) -> tuple[int, int]:
    position = error.position or Position("")
    return position.line, position.column


def _architecture(fields: Fields) -> Architecture | None:
    if "architectures" not in fields.data:
        fields.missing("architectures")
        return None
    value = fields.data["architectures"]
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], str):
        what = f"a list of {len(value)}" if isinstance(value, list) else shown(value)
        fields.fault(f"architectures must be a list with one name, not {what}", "architectures")
        return None
    if value[0] not in ARCHITECTURES:
        _unknown(fields, value[0])
        return None
    architecture = ARCHITECTURES[value[0]]
    _check_type(fields, architecture)
    return architecture


def _unknown(fields: Fields, name: str) -> None:
    """Says what is missing for it, where that is known, else a name that is near, or all names."""
    lacking = next((what for part, what in NOT_MODELLED.items() if part in name), "")
    near = did_you_mean(name, ARCHITECTURES)
    hint = f"{lacking}: not modelled" if lacking else near
    supported = ", ".join(sorted(ARCHITECTURES))
    fields.faults.append(
        InputError(
            f"architectures must be one of {supported}, not {name[:60]}",
            fields.document.position("architectures", 0),
            hint,
        )
    )


def _check_type(fields: Fields, architecture: Architecture) -> None:
    kind = fields.data.get("model_type")
    if kind is not None and kind != architecture.model_type:
        fields.fault(
            f"model_type must be {architecture.model_type!r} for {architecture.name}, "
            f"not {shown(kind)}",
            "model_type",
        )


def _wrapped(outer: Fields, architecture: Architecture) -> tuple[Fields, Architecture | None]:
    """The fields of a multimodal model's decoder; what only the outer object says is passed on."""
    text = outer.data.get("text_config")
    if not isinstance(text, dict):
        if "text_config" in outer.data:
            outer.fault(f"text_config must be an object, not {shown(text)}", "text_config")
        else:
            outer.missing("text_config")
        return outer, None
    fields = Fields(outer.document, "text_config")
    fields.faults = outer.faults
    fields.defaults = dict(architecture.text_defaults)
    passed = ("tie_word_embeddings", "torch_dtype", "dtype", "quantization_config", "_sources")
    fields.data = {k: outer.data[k] for k in passed if k in outer.data} | text
    _check_type(fields, architecture)
    return fields, architecture


def _model(fields: Fields, architecture: Architecture, name: str) -> ModelSpec | None:
    fields.aliases = architecture.aliases
    fields.defaults |= architecture.defaults
    layers = fields.count("num_hidden_layers")
    hidden = fields.count("hidden_size")
    ffn_hidden = _ffn_hidden(fields, architecture, hidden)
    vocabulary = fields.count("vocab_size")
    max_context = fields.count("max_position_embeddings")
    attention = read_attention(fields, architecture, hidden)
    windows: tuple[int | None, ...] = ()
    experts = None
    if layers:
        windows = layer_windows(fields, architecture, layers, max_context or 1)
        experts = read_experts(fields, architecture, layers, ffn_hidden or 0)
    dtype, weight_bits, assumed = _dtypes(fields)
    embedding = fields.count("word_embed_proj_dim", hidden, null=hidden)
    tied = fields.flag("tie_word_embeddings", architecture.tied_embeddings)
    if fields.faults:
        return None
    assert layers and hidden and ffn_hidden and vocabulary and max_context
    query_heads, kv_heads, head_dim = _heads(attention)
    same = len(set(windows)) == 1
    return ModelSpec(
        name=name,
        architecture=architecture.name,
        layers=layers,
        hidden=hidden,
        query_heads=query_heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn_hidden=ffn_hidden,
        ffn_matrices=architecture.ffn_matrices,
        vocabulary=vocabulary,
        max_context=max_context,
        dtype=dtype,
        tied_embeddings=tied,
        window=windows[0] if same else None,
        layer_windows=None if same else windows,
        softcap=attention.softcap,
        softmax_scale=attention.softmax_scale,
        mla=attention.mla,
        experts=experts,
        weight_bits=weight_bits,
        embedding_dim=None if embedding == hidden else embedding,
        sources=_sources(fields, assumed),
    )


def _heads(attention: Attention) -> tuple[int, int, int]:
    assert attention.query_heads and attention.kv_heads and attention.head_dim
    return attention.query_heads, attention.kv_heads, attention.head_dim


def _ffn_hidden(fields: Fields, architecture: Architecture, hidden: int | None) -> int | None:
    if not architecture.ffn_ratio:
        return fields.count(architecture.ffn_field)
    derived = architecture.ffn_ratio * hidden if hidden else None
    return fields.count(architecture.ffn_field, derived, null=derived)


def _dtypes(fields: Fields) -> tuple[str, int, str]:
    """The model's dtype, the bits of a weight, and what of it is assumed."""
    bits = _weight_bits(fields)
    field = "dtype" if fields.given("dtype") else "torch_dtype"
    value = fields.data.get(field)
    if value is None:
        return "fp16", bits, "not given, float16"
    if value == "float32":
        # As vLLM does: "auto" of --dtype, docs.vllm.ai/en/v0.4.0.post1/models/engine_args.html.
        return "fp16", bits, "float32 in the file, served in float16"
    if not isinstance(value, str) or value not in DTYPES:
        names = ", ".join([*DTYPES, "float32"])
        fields.fault(f"{field} must be one of {names}, not {shown(value)}", field)
        return "fp16", bits, ""
    return DTYPES[value], bits, ""


def _weight_bits(fields: Fields) -> int:
    """16, or 8 for the fp8 weights of DeepSeek-V3 and others; no other quantization."""
    value = fields.data.get("quantization_config")
    if value is None:
        return 16
    if isinstance(value, dict) and value.get("quant_method") == "fp8":
        return 8
    method = value.get("quant_method") if isinstance(value, dict) else value
    fields.fault(
        f"quantization_config must be null or of quant_method fp8, not {shown(method)}",
        "quantization_config",
        "other quantized weights are not modelled",
    )
    return 16


def _sources(fields: Fields, assumed_dtype: str) -> tuple[tuple[str, str], ...]:
    given = fields.data.get("_sources")
    if isinstance(given, dict):
        sources = tuple((str(k), str(v)) for k, v in given.items())
    else:
        sources = (("*", f"{fields.document.name.rsplit('/', 1)[-1]} given by the user"),)
    default = "the library's default, as the file leaves it out (huggingface/transformers v5.23.0)"
    sources += tuple((field, default) for field in fields.defaulted)
    if assumed_dtype:
        sources += (("torch_dtype", f"assumption: {assumed_dtype} (float16 or bfloat16)"),)
    return sources
