"""The books that the reference keeps: where ticks went (rule 17) and bank residency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyramulator.description import Slot
from pyramulator.result import STALL_CLASSES, Residency, Stalls
from reference.device import Address, Device

if TYPE_CHECKING:
    from reference.engine import Issue


@dataclass(frozen=True)
class StallClass:
    """The class of one stream in one tick, should nothing have been issued for it."""

    name: str  # one of STALL_CLASSES, or "row"
    row: int = -1
    slot: Slot = Slot.ROW  # "slot": the slot it was ready for
    front: int = -1  # "slot": the source at the FIFO's front, for a fifo stream


class StallBook:
    """Counts of rule 17."""

    def __init__(self, n_streams: int, n_rows: int) -> None:
        self.classes = np.zeros((n_streams, len(STALL_CLASSES)), dtype=np.int64)
        self.slot_to = np.zeros((n_streams, n_streams + 1), dtype=np.int64)
        self.rows = np.zeros((n_streams, n_rows), dtype=np.int64)

    def record(self, before: list[StallClass], issues: dict[Slot, Issue], single: bool) -> None:
        """One tick: `before` was decided at its start, `issues` is what its slots took."""
        sources = {issue.source for issue in issues.values()}
        for number, stall in enumerate(before):
            if number in sources:
                stall = StallClass("issued")
            if stall.name == "row":
                self.rows[number, stall.row] += 1
                continue
            self.classes[number, STALL_CLASSES.index(stall.name)] += 1
            if stall.name == "slot":
                self.slot_to[number, self._taker(stall, issues, single)] += 1

    @staticmethod
    def _taker(stall: StallClass, issues: dict[Slot, Issue], single: bool) -> int:
        """The stream that took the slot; the last column, -1, is refresh."""
        slot = Slot.ROW if single else stall.slot
        if slot in issues:
            return issues[slot].source
        for issue in issues.values():  # the other slot took the state that it was ready in
            return issue.source
        return stall.front  # behind another fifo stream's request

    def result(self) -> Stalls:
        return Stalls(self.classes, self.slot_to, self.rows)


class ResidencyBook:
    """Ticks of every node in which refresh goes (else of level 1) by the state after the tick."""

    def __init__(self, device: Device) -> None:
        self.device = device
        description = device.description
        refresh = description.refresh
        self.level = (
            1 if refresh is None else description.level_index(refresh.in_turn or refresh.scope)
        )
        self.nodes = device.levels[self.level]
        self.banks = [self._below([node]) for node in self.nodes]
        n = len(self.nodes)
        self.active, self.precharged, self.refreshing, self.open_bank_ticks = (
            np.zeros(n, dtype=np.int64) for _ in range(4)
        )

    def _below(self, nodes: list) -> list:
        while nodes[0].children:
            nodes = [child for node in nodes for child in node.children]
        return nodes

    def issued(self, command: int, address: Address, tick: int) -> None:
        what = self.device.command(command)
        if what.refresh:
            for node in self.device.matched(self.level, address):
                node.refreshing_until = max(node.refreshing_until, tick + what.completion - 1)

    def record(self, tick: int) -> None:
        for i, (node, banks) in enumerate(zip(self.nodes, self.banks, strict=True)):
            n_open = sum(bank.open_row is not None for bank in banks)
            self.open_bank_ticks[i] += n_open
            if node.refreshing_until >= tick:
                self.refreshing[i] += 1
            elif n_open:
                self.active[i] += 1
            else:
                self.precharged[i] += 1

    def result(self) -> Residency:
        return Residency(
            self.device.description.levels[self.level],
            self.active,
            self.precharged,
            self.refreshing,
            self.open_bank_ticks,
        )
