"""Request traces: how many tokens each request brings and how many it is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trace:
    """Requests of a file, in its order; those that are given no token never decode and are out.

    input_tokens, output_tokens: int64, one a request, >= 0 and >= 1; their sum >= 1. A plain list
    of contexts has output_tokens of 1 and input_tokens of one less, so that each request has
    exactly that context. left_out: rows of the file that never decode. sha256: of the file.
    """

    name: str
    format: str
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    left_out: int
    sha256: str

    @property
    def requests(self) -> int:
        return len(self.input_tokens)

    def within(self, max_context: int) -> Trace:
        """The requests whose last token still attends to at most `max_context` tokens."""
        keep = self.input_tokens + self.output_tokens <= max_context
        return Trace(
            self.name,
            self.format,
            self.input_tokens[keep],
            self.output_tokens[keep],
            self.left_out + int((~keep).sum()),
            self.sha256,
        )
