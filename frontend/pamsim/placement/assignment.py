"""Which memory tier every KV token of a step lies in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class TierAssignment:
    """Tier of every KV token: `tiers[codes[r][layer, token]]` for request r.

    codes: one uint8 array per request, [layers, contexts[r]]. Arrays may be broadcast views (stride
    0) where whole axes are equal, so a uniform placement costs no memory.
    """

    tiers: tuple[str, ...]
    codes: tuple[np.ndarray, ...]

    def tokens(self, tier: str, layer: int) -> tuple[int, ...]:
        """KV tokens of each request that lie in a tier, in one layer."""
        code = self.tiers.index(tier)
        return tuple(int(np.count_nonzero(c[layer] == code)) for c in self.codes)


def all_in(tier: str, layers: int, step: DecodeStep) -> TierAssignment:
    """Every token of every layer in one tier."""
    zero = np.zeros((1, 1), np.uint8)
    codes = tuple(np.broadcast_to(zero, (layers, context)) for context in step.contexts)
    return TierAssignment((tier,), codes)
