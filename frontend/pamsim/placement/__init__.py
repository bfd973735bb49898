"""Placement: which tier holds which KV tokens."""

from pamsim.placement.assignment import TierAssignment, all_in

__all__ = ["TierAssignment", "all_in"]
