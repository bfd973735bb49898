"""Deterministic JSON and hashes: the same data give the same bytes anywhere."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def json_text(data: Any) -> str:
    """Indented JSON for files and stdout: keys in the order given, floats by repr.

    Raises ValueError for NaN or an infinity, which JSON cannot say.
    """
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


# One encoder for all: making one for each call takes longer than a short text.
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical(data: Any) -> str:
    """One line of JSON with sorted keys, for hashing."""
    return _CANONICAL.encode(data)


def sha256_of(data: Any) -> str:
    """SHA-256 of the canonical form of plain data."""
    return sha256_bytes(canonical(data).encode())


def sha256_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
