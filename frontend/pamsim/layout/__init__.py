"""Layouts: where every KV token of a step lies in a tier."""

from pamsim.layout.registry import get_layout, layout_of, list_layouts
from pamsim.layout.spread import list_spreads
from pamsim.layout.table import BLOCK_TOKENS, BlockTable, Layout, Region, Segment

__all__ = [
    "BLOCK_TOKENS",
    "BlockTable",
    "Layout",
    "Region",
    "Segment",
    "get_layout",
    "layout_of",
    "list_layouts",
    "list_spreads",
]
