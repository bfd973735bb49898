"""What a run of one channel gives back. The same type for every engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STALL_CLASSES = ("issued", "done", "barrier", "held", "refresh", "edge", "slot")


@dataclass(frozen=True)
class Stalls:
    """Where each stream's ticks went (rule 17); every stream's row sums to `ChannelResult.ticks`.

    classes: int64 [n_streams, len(STALL_CLASSES)]; "slot" is the sum of `slot_to`.
    slot_to: int64 [n_streams, n_streams + 1]: ticks lost to each stream; last column: to refresh.
    rows:    int64 [n_streams, n_rows]: ticks that each timing row was the binding one.
    """

    classes: np.ndarray
    slot_to: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Residency:
    """Ticks that the nodes of one level (the refresh scope, else level 1) spent in each state.

    Each of the three is int64 [n_nodes]; they sum to `ChannelResult.ticks`. `open_bank_ticks` is
    the sum over the node's banks of the ticks each was open.
    """

    level: str
    active: np.ndarray
    precharged: np.ndarray
    refreshing: np.ndarray
    open_bank_ticks: np.ndarray


@dataclass(frozen=True)
class ChannelResult:
    """One channel, simulated to its end."""

    ticks: int  # E of rule 16
    counts: dict[str, int]  # commands issued, by name, those with 0 left out
    stalls: Stalls | None
    residency: Residency
    log: np.ndarray | None = None  # LOG records, when asked for
