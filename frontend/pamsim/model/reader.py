"""A Hugging Face config.json to a ModelSpec: every fault at once, each with its place."""

from __future__ import annotations

import json
from typing import Any

from pamsim.errors import InputError, InputErrors, PamsimError, Position, did_you_mean
from pamsim.model.architectures import ARCHITECTURES, DTYPES, LIMITS, Architecture
from pamsim.model.document import JsonDocument
from pamsim.model.spec import ModelSpec

_MISSING = object()
# Fields that change what a decode step reads, in a way that is not modelled.
_REFUSED = {
    "quantization_config": "quantized weights",
    "num_local_experts": "mixture of experts",
    "num_experts": "mixture of experts",
    "attention_chunk_size": "chunked attention",
}


def _shown(value: Any) -> str:
    """A value as the file has it, short."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."


class _Fields:
    """Reads fields and collects what is wrong with them."""

    def __init__(self, document: JsonDocument) -> None:
        self.document, self.data = document, document.data
        self.faults: list[PamsimError] = []

    def fault(self, message: str, field: str, hint: str = "") -> None:
        self.faults.append(InputError(message, self.document.position(field), hint))

    def take(self, field: str, default: Any = _MISSING) -> Any:
        """The field's value; its default when it is left out or null; None and a fault else."""
        value = self.data.get(field, _MISSING)
        if value is not _MISSING and (value is not None or default is _MISSING):
            return value
        if default is not _MISSING:
            return default
        near = did_you_mean(field, self.data) if self.data else ""
        hint = near if near.startswith("did") else ""
        self.faults.append(InputError(f"{field} must be given", self.document.position(), hint))
        return None

    def count(self, field: str, default: Any = _MISSING) -> int | None:
        """A positive integer within its limit, else None and a fault."""
        if self.data.get(field, _MISSING) is None and default is _MISSING:
            self.fault(f"{field} must be an integer, not null", field)
            return None
        value = self.take(field, default)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.fault(f"{field} must be an integer, not {_shown(value)}", field)
            return None
        if not 1 <= value <= LIMITS[field]:
            self.fault(f"{field} must be between 1 and {LIMITS[field]}, not {value}", field)
            return None
        return value

    def flag(self, field: str, default: bool) -> bool:
        value = self.take(field, default)
        if not isinstance(value, bool):
            self.fault(f"{field} must be true or false, not {_shown(value)}", field)
            return default
        return value


def read_model(document: JsonDocument, name: str) -> ModelSpec:
    """The model that a config.json describes. Raises InputErrors with every fault found."""
    if not isinstance(document.data, dict):
        raise InputError(
            f"model must be a JSON object (a Hugging Face config.json), not "
            f"{_shown(document.data)}",
            document.position(),
        )
    fields = _Fields(document)
    architecture = _architecture(fields)
    model = _model(fields, architecture, name) if architecture else None
    if fields.faults or model is None:
        raise InputErrors(_in_file_order(fields.faults))
    return model


def _in_file_order(faults: list[PamsimError]) -> list[PamsimError]:
    def place(error: PamsimError) -> tuple[int, int]:
        position = error.position or Position("")
        return position.line, position.column

    return sorted(faults, key=place)


def _architecture(fields: _Fields) -> Architecture | None:
    value = fields.take("architectures")
    if value is None:
        if fields.data.get("architectures", _MISSING) is None:
            fields.fault("architectures must be a list with one name, not null", "architectures")
        return None
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], str):
        shown = f"a list of {len(value)}" if isinstance(value, list) else _shown(value)
        fields.fault(f"architectures must be a list with one name, not {shown}", "architectures")
        return None
    if value[0] not in ARCHITECTURES:
        near = did_you_mean(value[0], ARCHITECTURES)
        supported = ", ".join(sorted(ARCHITECTURES))
        fields.faults.append(
            InputError(
                f"architectures must be one of {supported}, not {value[0][:60]}",
                fields.document.position("architectures", 0),
                near if near.startswith("did") else "",
            )
        )
        return None
    architecture = ARCHITECTURES[value[0]]
    kind = fields.take("model_type", architecture.model_type)
    if kind != architecture.model_type:
        fields.fault(
            f"model_type must be {architecture.model_type!r} for {architecture.name}, "
            f"not {_shown(kind)}",
            "model_type",
        )
    return architecture


def _model(fields: _Fields, architecture: Architecture, name: str) -> ModelSpec | None:
    layers = fields.count("num_hidden_layers")
    hidden = fields.count("hidden_size")
    query_heads = fields.count("num_attention_heads")
    if architecture.grouped_queries:
        kv_heads = fields.count("num_key_value_heads", query_heads)
    else:
        kv_heads = query_heads
    ffn_hidden = fields.count(architecture.ffn_field)
    vocabulary = fields.count("vocab_size")
    max_context = fields.count("max_position_embeddings")
    head_dim = _head_dim(fields, hidden, query_heads)
    if query_heads and kv_heads and query_heads % kv_heads:
        fields.fault(
            f"num_key_value_heads must divide num_attention_heads = {query_heads}, not {kv_heads}",
            "num_key_value_heads",
        )
    dtype, assumed = _dtype(fields)
    window = _window(fields, architecture, max_context)
    _refuse(fields, hidden)
    tied = fields.flag("tie_word_embeddings", architecture.tied_embeddings)
    if fields.faults:
        return None
    assert layers and hidden and query_heads and kv_heads and head_dim
    assert ffn_hidden and vocabulary and max_context
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
        window=window,
        sources=_sources(fields, assumed),
    )


def _head_dim(fields: _Fields, hidden: int | None, query_heads: int | None) -> int | None:
    if fields.data.get("head_dim") is not None:
        return fields.count("head_dim")
    if hidden is None or query_heads is None:
        return None
    if hidden % query_heads:
        fields.fault(
            f"num_attention_heads must divide hidden_size = {hidden} where head_dim is not given, "
            f"not {query_heads}",
            "num_attention_heads",
        )
        return None
    return hidden // query_heads


def _dtype(fields: _Fields) -> tuple[str, bool]:
    """The KV cache's dtype, and whether it is assumed."""
    field = "dtype" if fields.data.get("dtype") is not None else "torch_dtype"
    value = fields.take(field, None)
    if value is None:
        return "fp16", True
    if not isinstance(value, str) or value not in DTYPES:
        fields.fault(f"{field} must be float16 or bfloat16, not {_shown(value)}", field)
        return "fp16", True
    return DTYPES[value], False


def _window(fields: _Fields, architecture: Architecture, max_context: int | None) -> int | None:
    """Always None: a window that takes tokens away is refused, others change nothing."""
    switch = architecture.window_switch
    if switch and not fields.flag(switch, False):
        return None
    value = fields.data.get("sliding_window", architecture.window_default)
    given = "sliding_window" in fields.data
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        fields.fault(
            f"sliding_window must be null or a positive integer, not {_shown(value)}",
            "sliding_window",
        )
    elif max_context and value < max_context and (given or architecture.window_default):
        how = f"{value}" if given else f"left out, which means {value}"
        fields.fault(
            f"sliding_window must be null or at least max_position_embeddings = {max_context}, "
            f"not {how}",
            "sliding_window",
            "attention windows are not modelled yet",
        )
    return None


def _refuse(fields: _Fields, hidden: int | None) -> None:
    for field, what in _REFUSED.items():
        value = fields.data.get(field)
        if value is not None and value is not False:
            fields.fault(f"{field} must be left out, not {_shown(value)}", field,
                         f"{what} is not modelled yet")  # fmt: skip
    if fields.flag("is_encoder_decoder", False):
        fields.fault("is_encoder_decoder must be false, not true", "is_encoder_decoder")
    width = fields.data.get("word_embed_proj_dim")
    if width is not None and hidden and width != hidden:
        fields.fault(
            f"word_embed_proj_dim must be hidden_size = {hidden}, not {_shown(width)}",
            "word_embed_proj_dim",
            "projected embeddings are not modelled yet",
        )
    kinds = fields.data.get("layer_types")
    if isinstance(kinds, list) and any(kind != "full_attention" for kind in kinds):
        fields.fault("layer_types must all be full_attention", "layer_types",
                     "attention windows are not modelled yet")  # fmt: skip


def _sources(fields: _Fields, assumed_dtype: bool) -> tuple[tuple[str, str], ...]:
    given = fields.data.get("_sources")
    if isinstance(given, dict):
        sources = tuple((str(k), str(v)) for k, v in given.items())
    else:
        sources = (("*", f"{fields.document.name.rsplit('/', 1)[-1]} given by the user"),)
    if assumed_dtype:
        sources += (("torch_dtype", "assumption: not given, float16 (float16 or bfloat16)"),)
    return sources
