"""One run of a batch: what it is made from, and the key that its result is stored under."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pamsim.errors import PamsimError

KEY_DIGITS = 64  # of SHA-256, hexadecimal
_KEY = re.compile(f"[0-9a-f]{{{KEY_DIGITS}}}")


@dataclass(frozen=True)
class Point:
    """`spec` is plain JSON data that `pamsim.batch.run_point.evaluate_point` turns into a result.

    key: hash of everything that can change the result (pamsim.batch.key); what only describes the
    point, as its labels in the sweep, is in `spec` but not in the key.
    """

    key: str
    spec: dict[str, Any]


class PointFailure(PamsimError):
    """A point that cannot give a result, for a reason that running it again would not change."""


def is_key(text: str) -> bool:
    """Whether `text` can be a point's key."""
    return _KEY.fullmatch(text) is not None
