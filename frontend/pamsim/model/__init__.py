"""Models: shapes and dtypes of decoders, from presets and Hugging Face config files."""

from pamsim.model.load import list_models, load_model
from pamsim.model.parts import KV_BITS, ExpertSpec, MlaSpec
from pamsim.model.spec import ModelSpec, with_kv_dtype

__all__ = [
    "KV_BITS",
    "ExpertSpec",
    "MlaSpec",
    "ModelSpec",
    "list_models",
    "load_model",
    "with_kv_dtype",
]
