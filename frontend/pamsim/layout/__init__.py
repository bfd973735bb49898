"""Layouts: where every KV token of a step lies in a tier."""

from pamsim.layout.registry import get_layout, list_layouts
from pamsim.layout.table import BLOCK_TOKENS, BlockTable, Layout, Segment

__all__ = ["BLOCK_TOKENS", "BlockTable", "Layout", "Segment", "get_layout", "list_layouts"]
