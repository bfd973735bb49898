"""A tier's share of a step: which tokens of which layers its devices attend over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pamsim.placement.assignment import TierAssignment
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class TierShare:
    """The tokens of some layers of a shard that lie in one tier.

    step.contexts counts the tokens in this tier; requests has the number of each in the shard's
    step. divided: whether a request has tokens in other tiers too, so that its result here is only
    a part. append: whether the step's new token of a request lies here (its last local token).
    assignment: of all tokens of these layers; None where every token lies here.
    """

    tier: str
    layers: tuple[int, ...]  # numbers in the shard's model
    step: DecodeStep
    requests: tuple[int, ...]
    divided: tuple[bool, ...]
    append: tuple[bool, ...]
    assignment: TierAssignment | None = field(default=None, compare=False, repr=False)

    @property
    def kv_tokens(self) -> int:
        """Tokens of one layer."""
        return sum(self.step.contexts)

    def tokens(self, request: int) -> np.ndarray:
        """int64 [contexts[request]]: which tokens of the shard's request the local ones are."""
        if self.assignment is None:
            return np.arange(self.step.contexts[request])
        code = self.assignment.tiers.index(self.tier)
        codes = self.assignment.codes[self.requests[request]]
        return np.flatnonzero(codes[0] == code)
