"""One decode step: which requests, how much KV each reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeStep:
    """A batch of requests that each decode one token.

    contexts: KV tokens that a request's attention reads, the new token included (so >= 1), one per
    request. The new token is number contexts[r] - 1 and is appended in this step.
    """

    contexts: tuple[int, ...]

    @property
    def batch(self) -> int:
        return len(self.contexts)
