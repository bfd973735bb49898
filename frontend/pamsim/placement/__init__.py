"""Placement: which instance and which tier holds which KV tokens."""

from pamsim.placement.assignment import TierAssignment, all_in
from pamsim.placement.shard import Shard, make_shards
from pamsim.placement.share import TierShare
from pamsim.placement.tiers import label_cache_bytes, room_bytes, tier_shares

__all__ = [
    "Shard",
    "TierAssignment",
    "TierShare",
    "all_in",
    "label_cache_bytes",
    "make_shards",
    "room_bytes",
    "tier_shares",
]
