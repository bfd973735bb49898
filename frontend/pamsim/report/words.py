"""Numbers and reasons in words, for the summary."""

from __future__ import annotations

import re

TASKS = {
    "attention": "attention",
    "reduction": "merging split heads",
    "softmax": "softmax outside the devices",
    "qkv_projection": "Q, K, V projections",
    "query_broadcast": "queries to memory",
    "result_return": "results to the NPU",
    "output_projection": "output projection",
    "feed_forward": "feed-forward network",
    "all_reduce": "all-reduce between instances",
    "stage_transfer": "hidden states to next stage",
    "kv_transfer": "KV cache to the host",
    "partial_exchange": "exchange between devices",
    "partial_return": "partial results out of a tier",
    "partial_delivery": "partial results to first tier",
    "tier_reduction": "reduction over tiers",
    "language_model_head": "language-model head",
}

CLASSES = {
    "issued": "issuing a command",
    "done": "finished, waiting for the others",
    "barrier": "waiting at a barrier",
    "held": "a row kept open by another group",
    "refresh": "refresh",
    "edge": "the right clock edge",
    "slot": "another group's command on the bus",
}

# The longest-lasting term of a rule says what the wait is about: first match wins.
RULES = (
    (r"column command bus", "column bus, taken by another command"),
    (r"row command bus", "row bus, taken by another command"),
    (r"nCBSY|nR\b", "sensing a page (nR)"),
    (r"nPROG|nBERS", "programming or erasing pages"),
    (r"nCA$", "commands on the flash bus (nCA)"),
    (r"nMAC\(|nPAGE|nMRG", "units in the controller"),
    (r"nFAW", "activate limit (nFAW)"),
    (r"nRRD", "activate to activate (nRRD)"),
    (r"nRFC|nREF", "refresh"),
    (r"nRC\b", "row cycle of a bank (nRC)"),
    (r"nRCD", "row opening (nRCD)"),
    (r"nRAS", "row held open (nRAS)"),
    (r"nRTW|nWTR", "read-write turn-around (nRTW, nWTR)"),
    (r"nWR\b", "write recovery (nWR)"),
    (r"nRP\b", "row closing (nRP)"),
    (r"nRTP", "last read before closing (nRTP)"),
    (r"nPPD", "precharge to precharge (nPPD)"),
    (r"nEXP", "exponential unit (nEXP)"),
    (r"nMAX", "maximum unit (nMAX)"),
    (r"nSUM", "adder (nSUM)"),
    (r"nRED|nLDM", "reduction units (nRED, nLDM)"),
    (r"nCCDL, ?nCL|nCL", "column data before its use (nCL + nBL)"),
    (r"nPU|nCCDL", "columns of a bank group (nCCDL, PU time)"),
    (r"nCCDAB", "columns of all banks (nCCDAB)"),
    (r"nCCD", "columns of a pseudo-channel (nCCDS)"),
    (r"nBL$", "data on the bus (nBL)"),
    (r"nCWL", "write data before its use (nCWL + nBL)"),
)


TERMS = {
    "host_memory_read": "weights, out of DRAM",
    "host_memory_transfer": "weights, over the pins",
    "host_memory_activate": "weights, opening rows",
    "host_memory_link": "weights, over the link",
    "mac_cell_read": "MAC: reading cells",
    "mac_arithmetic": "MAC: arithmetic",
    "mac_read_multiple": "MAC: multiple of a read",
    "activate": "opening rows",
    "background_rest_of_step": "standby outside attention",
    "background_active": "standby, rows open",
    "background_precharged": "standby, rows closed",
    "background_refreshing": "standby, refreshing",
    "background_waiting": "standby, channel idle",
    "background_open_banks": "standby of further open banks",
    "refresh": "refresh in attention",
    "refresh_per_bank": "refresh bank by bank",
    "refresh_unsimulated": "refresh outside attention",
    "arithmetic": "projections and FFN",
}


def term_words(tier: str, name: str) -> str:
    """An energy term for people."""
    return f"{tier}: {TERMS.get(name, name.replace('_', ' '))}"


def rule_words(label: str) -> str:
    """What a timing rule of `stall_rules` is about; the label itself where no word is known."""
    expression = label.partition(":")[0]
    for pattern, words in RULES:
        if re.search(pattern, expression):
            return words
    return label


def duration(nanoseconds: float) -> str:
    """Three significant digits in the unit that fits."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def energy(picojoules: float) -> str:
    for unit, size in (("J", 1e12), ("mJ", 1e9), ("uJ", 1e6), ("nJ", 1e3)):
        if picojoules >= size:
            return f"{picojoules / size:.3g} {unit}"
    return f"{picojoules:.3g} pJ"


def rate(gbps: float) -> str:
    """Decimal gigabytes a second, as GB/s or TB/s."""
    return f"{gbps / 1000:.2f} TB/s" if gbps >= 1000 else f"{gbps:.1f} GB/s"


def contexts_words(contexts: list[int]) -> str:
    """`context 8192`, or the range of several."""
    if len(set(contexts)) == 1:
        return f"context {contexts[0]}"
    return f"contexts {min(contexts)} to {max(contexts)}, {sum(contexts)} tokens"
