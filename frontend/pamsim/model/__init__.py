"""Models: shapes and dtypes of decoders, from presets and Hugging Face config files."""

from pamsim.model.load import list_models, load_model
from pamsim.model.spec import ModelSpec

__all__ = ["ModelSpec", "list_models", "load_model"]
