"""Numbers and reasons in words, for the summary."""

from __future__ import annotations

import re

TASKS = {
    "attention": "attention in memory",
    "reduction": "merging split heads",
    "qkv_projection": "Q, K, V projections",
    "query_broadcast": "queries to memory",
    "result_return": "results to the NPU",
    "projection_and_ffn": "output projection, FFN",
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
    (r"nFAW", "activate limit of the pseudo-channel (nFAW)"),
    (r"nRRD", "activate to activate (nRRD)"),
    (r"nRFC|nREF", "refresh"),
    (r"nRC\b", "row cycle of a bank (nRC)"),
    (r"nRCD", "row opening before its first column (nRCD)"),
    (r"nRAS", "row held open (nRAS)"),
    (r"nRTW|nWTR", "turn-around between reading and writing (nRTW, nWTR)"),
    (r"nWR\b", "write recovery (nWR)"),
    (r"nRP\b", "row closing (nRP)"),
    (r"nRTP", "read before the row may close (nRTP)"),
    (r"nPPD", "precharge to precharge (nPPD)"),
    (r"nEXP", "exponential unit (nEXP)"),
    (r"nMAX", "maximum unit (nMAX)"),
    (r"nSUM", "adder (nSUM)"),
    (r"nRED|nLDM", "reduction units (nRED, nLDM)"),
    (r"nCCDL, ?nCL|nCL", "column data before its use (nCL + nBL)"),
    (r"nPU|nCCDL", "column to column in a bank group (nCCDL, PU time)"),
    (r"nCCD", "column to column in a pseudo-channel (nCCDS)"),
    (r"nCWL", "write data before its use (nCWL + nBL)"),
)


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
