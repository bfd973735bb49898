"""The page map of a flash plane: what holds after any writes, and figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamsim.config import load_device
from pamsim.errors import CapacityError, InputError
from pamsim.layout.page_map import NONE, PageMap, WornOutError, page_map


class Watched(PageMap):
    """A page map whose physical pages are followed from outside, by what it says alone."""

    def __init__(self, *sizes: int, **how: int) -> None:
        self.data: dict[int, tuple[int, int]] = {}  # physical -> logical, version
        super().__init__(*sizes, **how)

    def _program(self, logical: int) -> int:
        page = super()._program(logical)
        assert page not in self.data, f"page {page} is written twice before its block is erased"
        self.data[page] = logical, self.version.get(logical, 0)
        return page

    def _next_block(self) -> None:
        wear = self.wear.copy()
        super()._next_block()
        for block in np.flatnonzero(self.wear != wear):
            assert self.wear[block] == wear[block] + 1
            for page in range(block * self.pages_per_block, (block + 1) * self.pages_per_block):
                self.data.pop(page, None)

    version: dict[int, int]


@settings(max_examples=150, deadline=None)
@given(
    blocks=st.integers(3, 9),
    each=st.integers(1, 8),
    spare=st.integers(0, 10),
    accesses=st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=200),
)
def test_whatever_is_written(
    blocks: int, each: int, spare: int, accesses: list[tuple[int, bool]]
) -> None:
    pages = max(1, (blocks - 2) * each - spare)
    held = Watched(blocks, each, pages, endurance=10**9)
    held.version = {}
    for number, (page, forget) in enumerate(accesses):
        logical = page % pages
        if forget:
            held.trim(logical)
            held.version.pop(logical, None)
        else:
            held.version[logical] = number
            held.write(logical)
    # every logical page has exactly one physical page, which holds its last version
    live = np.flatnonzero(held.place != NONE)
    assert set(live.tolist()) == set(held.version)
    assert len(set(held.place[live].tolist())) == len(live)
    for logical in live.tolist():
        assert held.data[int(held.place[logical])] == (logical, held.version[logical])
        assert held.holds[held.place[logical]] == logical
    assert np.count_nonzero(held.holds != NONE) == len(live)
    # valid counts, erases and programs add up
    by_block = (held.holds.reshape(blocks, each) != NONE).sum(axis=1)
    np.testing.assert_array_equal(held.valid, by_block)
    writes = held.writes
    assert held.wear.sum() == writes.erases
    assert writes.programs == writes.host_pages + writes.moves
    assert writes.programs == held.filled.sum() + writes.erases * each
    assert (held.valid <= held.filled).all()
    assert writes.amplification >= 1


def test_pages_written_in_turn_are_never_moved() -> None:
    """A round over all pages leaves every block stale before it is collected."""
    held = PageMap(10, 4, 32, endurance=100)
    for _ in range(10):
        for page in range(32):
            held.write(page)
    writes = held.writes
    assert (writes.host_pages, writes.moves, writes.amplification) == (320, 0, 1.0)
    # 320 pages fill 80 blocks. Ten were erased to begin with; collection keeps one erased: the 80th
    # is opened by the 71st erase.
    assert writes.erases == 80 - 10 + 1


def test_collection_by_hand() -> None:
    """4 blocks of 2 pages, 3 pages of data. Block 0: a b, block 1: c a', block 2: a'' a'''. The
    fourth needs a block: one is left, and block 0 and 2 hold one valid page each; block 0 comes
    first, its b moves to block 3, and it is erased."""
    held = PageMap(4, 2, 3, endurance=100)
    assert [held.write(p) for p in (0, 1, 2, 0, 0, 0)] == [0, 1, 2, 3, 4, 5]
    assert held.valid.tolist() == [1, 1, 1, 0]
    assert held.write(0) == 7  # behind b, which went to page 6
    assert held.place.tolist() == [7, 6, 2]
    assert held.wear.tolist() == [1, 0, 0, 0]
    writes = held.writes
    assert (writes.host_pages, writes.moves, writes.erases) == (7, 1, 1)
    assert writes.amplification == 8 / 7


def test_the_victim_has_the_fewest_valid_pages() -> None:
    """4 blocks of 4: pages 0 to 3, 4 to 7, and 4 5 6 0 again. Block 0 has three valid pages left,
    block 1 only page 7, which moves."""
    held = PageMap(4, 4, 8, endurance=100)
    for page in (0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 0):
        held.write(page)
    assert held.valid.tolist() == [3, 1, 4, 0]
    assert held.write(1) == 13
    assert int(held.place[7]) == 12
    assert held.wear.tolist() == [0, 1, 0, 0]


def test_less_over_provision_writes_more() -> None:
    """Random overwriting of 7 %, 25 % and 50 % over-provision: ever fewer pages are moved."""
    rng = np.random.default_rng(1)
    found = []
    for spare in (7, 25, 50):
        blocks, each = 64, 32
        data = blocks * each * 100 // (100 + spare)
        held = PageMap(blocks, each, min(data, (blocks - 2) * each), endurance=10**9)
        for page in range(len(held.place)):
            held.write(page)
        for page in rng.integers(len(held.place), size=6 * blocks * each).tolist():
            held.write(page)
        found.append(held.writes.amplification)
    assert found[0] > found[1] > found[2] > 1
    # greedy collection of uniform random writes at 25 %: 1 / (1 - u) with blocks u full when they
    # are taken, u below the fill of 0.8, so less than 5 and more than 1.2
    assert 1.2 < found[1] < 5


def test_wear_is_level() -> None:
    """The least worn erased block is opened next: random writes wear all blocks nearly alike."""
    held, rng = PageMap(16, 8, 96, endurance=10**9), np.random.default_rng(2)
    for page in rng.integers(96, size=20_000).tolist():
        held.write(page)
    assert held.wear.max() - held.wear.min() <= 0.2 * held.wear.mean()


def test_a_worn_out_plane_says_so() -> None:
    """3 blocks of 1 page, one page of data, one erase each: 3 erased pages and two more."""
    held = PageMap(3, 1, 1, endurance=1)
    with pytest.raises(WornOutError, match="erased less than 1 times: the drive is worn out after"):
        for _ in range(100):
            held.write(0)
    assert held.wear.tolist().count(1) == held.writes.erases
    assert held.writes.host_pages == 3 + held.writes.erases - 1
    assert int(held.place[0]) != NONE  # what was written last can be read


def test_data_leaves_two_blocks_to_write_into() -> None:
    with pytest.raises(CapacityError, match=r"pages of data must be at most 6, .*, not 7"):
        PageMap(5, 2, 7, endurance=1)
    with pytest.raises(IndexError, match="logical page must be between 0 and 5"):
        PageMap(5, 2, 6, endurance=1).write(6)


def test_a_plane_of_the_device() -> None:
    """256 pages a block, 7 % of them to spare, 10,000 erases: MQSim's configuration."""
    device = load_device("ssd-pam")
    held = page_map(device, rows=256 * 64)
    assert len(held.wear) == 64
    assert len(held.place) == 256 * 64 * 100 // 107
    assert held.endurance == 10_000
    used = load_device("ssd-pam", ["pim.extra.erases_before=10000"])
    with pytest.raises(WornOutError, match="not 10000 of 10000 used: worn out"):
        page_map(used)
    odd = load_device("ssd-pam", ["pim.extra.pages_per_block=300"])
    with pytest.raises(
        InputError, match="pages_per_block of ssd-pam must divide the 4194304 pages"
    ):
        page_map(odd)
