"""Models by preset name or by path."""

from __future__ import annotations

from pathlib import Path

import ramulator_configs
from pamsim.errors import InputError, Position, did_you_mean
from pamsim.model.document import JsonDocument, read_json
from pamsim.model.reader import read_model
from pamsim.model.spec import ModelSpec

PRESETS = Path(ramulator_configs.__file__).parent / "model"


def list_models() -> tuple[str, ...]:
    """Names of the presets, sorted."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.json")))


def load_model(name_or_path: str | Path) -> ModelSpec:
    """A preset by name, else a Hugging Face config.json by its path or its directory's.

    A name wins over a file of the same name in the working directory; write ./NAME for the file.
    Raises InputError or InputErrors: unknown name, unreadable file, or what is wrong in it.
    """
    text = str(name_or_path)
    known = list_models()
    if text in known:
        return read_model(read_json(PRESETS / f"{text}.json", f"{text}.json"), text)
    path = Path(text)
    if not text or not _exists(path):
        hint = did_you_mean(text.lower(), known)
        raise InputError(
            f"model must be a preset or a config.json, not {text[:200]!r}",
            None,
            hint or "`pamsim models` lists the presets",
        )
    if path.is_dir():
        path = path / "config.json"
        if not path.exists():
            raise InputError("model directory must hold a config.json", Position(text))
    document = read_json(path)
    return read_model(document, _name(document, path))


def _exists(path: Path) -> bool:
    """Also for what cannot be a path: NUL in it, a name that is too long."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _name(document: JsonDocument, path: Path) -> str:
    """What to call a model from a file: its own `_name_or_path`, else its directory or file."""
    own = document.data.get("_name_or_path") if isinstance(document.data, dict) else None
    if isinstance(own, str) and own.strip("/. "):
        return own.rstrip("/").rsplit("/", 1)[-1]
    return path.parent.name if path.name == "config.json" and path.parent.name else path.stem
