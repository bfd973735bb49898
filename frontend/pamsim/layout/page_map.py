"""The page map of a plane: flash is written out of place, a page at a time, and erased by blocks.

A logical page is written to the next erased page of the open block, and its old place goes stale.
When one erased block is left, garbage collection takes the closed block with the fewest valid pages
(greedy), moves these to the erased block, which becomes the open one, and erases it. A new open
block is the one that has been erased least. A block may be erased `endurance` times; what it holds
then stays readable, but it is no use to collection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pamsim.config.spec import DeviceSpec
from pamsim.errors import CapacityError, InputError

NONE = -1
SPARE_BLOCKS = 2  # the open one, and the one that collection moves into


class WornOutError(CapacityError):
    """No block can be erased any more."""


@dataclass(frozen=True)
class Writes:
    """What a page map has done. Programs are of the host's pages and of pages that were moved."""

    host_pages: int
    programs: int
    moves: int  # pages read and programmed again by collection
    erases: int

    @property
    def amplification(self) -> float:
        """Programs for a page that was written."""
        return self.programs / self.host_pages if self.host_pages else 1.0


class PageMap:
    """One plane. A physical page is block x pages_per_block + place in the block."""

    def __init__(
        self,
        blocks: int,
        pages_per_block: int,
        logical_pages: int,
        *,
        endurance: int,
        erases_before: int = 0,
    ) -> None:
        """erases_before: of every block. Raises CapacityError where two blocks are not to spare."""
        most = (blocks - SPARE_BLOCKS) * pages_per_block
        if logical_pages > most:
            raise CapacityError(
                f"pages of data must be at most {most}, which leaves {SPARE_BLOCKS} blocks of "
                f"{pages_per_block} pages to write out of place, not {logical_pages}"
            )
        self.pages_per_block, self.endurance = pages_per_block, endurance
        self.place = np.full(logical_pages, NONE, np.int64)  # logical -> physical
        self.holds = np.full(blocks * pages_per_block, NONE, np.int64)  # physical -> logical
        self.valid = np.zeros(blocks, np.int64)  # pages of a block
        self.filled = np.zeros(blocks, np.int64)  # pages of a block programmed since its erase
        self.wear = np.full(blocks, erases_before, np.int64)
        self._erased = list(range(blocks))
        self._open = self._take()
        self._host = self._moved = self._erases = 0

    @property
    def writes(self) -> Writes:
        return Writes(self._host, self._host + self._moved, self._moved, self._erases)

    def write(self, logical: int) -> int:
        """Writes a logical page; the physical page that it went to.

        Raises WornOutError when nothing can be erased for it, IndexError for an unknown page.
        """
        if not 0 <= logical < len(self.place):
            raise IndexError(f"logical page must be between 0 and {len(self.place) - 1}")
        if self.filled[self._open] == self.pages_per_block:
            self._next_block()
        self.trim(logical)
        self._host += 1
        return self._program(logical)

    def trim(self, logical: int) -> None:
        """The page's data is no longer needed."""
        old = self.place[logical]
        if old != NONE:
            self.holds[old] = NONE
            self.valid[old // self.pages_per_block] -= 1
            self.place[logical] = NONE

    def _program(self, logical: int) -> int:
        block = self._open
        page = int(block * self.pages_per_block + self.filled[block])
        self.filled[block] += 1
        self.valid[block] += 1
        self.holds[page], self.place[logical] = logical, page
        return page

    def _next_block(self) -> None:
        """A new open block with room."""
        if len(self._erased) > 1:
            self._open = self._take()
            return
        victim = self._victim()
        self._open = self._take()
        first = victim * self.pages_per_block
        held = self.holds[first : first + self.pages_per_block]
        for logical in held[held != NONE].tolist():
            self.trim(logical)
            self._program(logical)
            self._moved += 1
        self.holds[first : first + self.pages_per_block] = NONE
        self.filled[victim] = 0
        self.wear[victim] += 1
        self._erases += 1
        self._erased.append(victim)

    def _victim(self) -> int:
        closed = np.ones(len(self.valid), bool)
        closed[self._erased] = False
        closed &= (self.wear < self.endurance) & (self.valid < self.pages_per_block)
        candidates = np.flatnonzero(closed)
        if not len(candidates):
            raise WornOutError(
                f"a block with stale pages must have been erased less than {self.endurance} times: "
                f"the drive is worn out after {self._erases} erases"
            )
        order = np.lexsort((self.wear[candidates], self.valid[candidates]))
        return int(candidates[order[0]])

    def _take(self) -> int:
        block = min(self._erased, key=lambda b: (self.wear[b], b))
        self._erased.remove(block)
        return block


def page_map(device: DeviceSpec, *, rows: int | None = None) -> PageMap:
    """The map of one plane of a device, at its over-provision. rows: pages, all of the plane's if
    not given. Raises WornOutError as check_wear."""
    check_wear(device, device.name)
    extra = device.pim.extra
    pages, block = rows or device.organisation.rows, int(extra["pages_per_block"])
    data = pages * 100 // (100 + int(extra["over_provision_percent"]))
    return PageMap(
        pages // block,
        block,
        data,
        endurance=int(extra["program_erase_cycles"]),
        erases_before=int(extra["erases_before"]),
    )


def check_wear(device: DeviceSpec, what: str) -> None:
    """Raises WornOutError when no block of a device may be erased again, InputError for a block
    that a plane cannot be divided into."""
    extra = device.pim.extra
    used, most = int(extra["erases_before"]), int(extra["program_erase_cycles"])
    if used >= most:
        raise WornOutError(
            f"{what} must have program/erase cycles left, not {used} of {most} used: worn out",
            None,
            "other drives, or fewer erases_before",
        )
    if device.organisation.rows % int(extra["pages_per_block"]):
        raise InputError(
            f"pages_per_block of {device.name} must divide the {device.organisation.rows} pages of "
            f"a plane, not be {extra['pages_per_block']}"
        )
