"""Rules 16 and 18 of docs/engine-rules.md: the end of a run, its counts and residency, deadlock."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import PSEUDO, device, issued, play, streams

from pyramulator import Deadlock, run

# ---- rule 16: the end, counts, residency


def test_the_end_is_the_last_completion_and_refresh_goes_on_until_it() -> None:
    result = run(device(refresh=4, X=dict(completion=9)), streams("X 0.0"), log=True)
    # X at 1 completes at 10; refreshes fall due at 4 and 8, two each; none after 10.
    assert result.ticks == 10
    assert issued(result) == "1 X 0.0, 4 REF 0.*, 5 REF 1.*, 8 REF 0.*, 9 REF 1.*"
    assert result.counts == {"X": 1, "REF": 4}


def test_a_channel_without_requests_ends_at_0() -> None:
    result = run(device(refresh=4), streams("", ""))
    assert (result.ticks, result.counts) == (0, {})
    assert not result.stalls.classes.any() and not result.residency.precharged.any()


def test_residency_tiles_the_ticks_of_every_node() -> None:
    result = run(device(X=dict(completion=10)), streams("ACT 0.1 5, REF 1.*, PRE 0.1, X 0.0"))
    # ACT 1, REF 2 (refreshing 2 to 5), PRE 3, X 4, end 14; level 1, as there is no refresh.
    assert result.ticks == 14 and result.residency.level == PSEUDO
    assert result.residency.active.tolist() == [2, 0]
    assert result.residency.refreshing.tolist() == [0, 4]
    assert result.residency.precharged.tolist() == [12, 10]
    assert result.residency.open_bank_ticks.tolist() == [2, 0]


# ---- rule 18: deadlock


def test_a_barrier_that_a_finished_stream_should_have_reached() -> None:
    with pytest.raises(
        Deadlock, match=r"stream 0: waits at barrier 3 \(record 2\) for stream 1 \(rule 8\)"
    ):
        run(device(), streams("barrier 3, X 0.0, barrier 3", "barrier 3"))


def test_a_request_that_names_no_way_to_open() -> None:
    stuck = device(RD=dict(opens=None))
    with pytest.raises(
        Deadlock, match=r"stream 0: RD at \(0, 0, 0, row 2\).*names none \(rule 6\)"
    ):
        run(stuck, streams("RD 0.0 2"))
    # Another stream opens the bank: no deadlock.
    assert play(stuck, "RD 0.0 2", "X 0.0, ACT 0.0 2") == "1 1:X 0.0, 2 1:ACT 0.0, 3 0:RD 0.0"


def test_a_deadlock_is_found_though_refreshes_go_on() -> None:
    with pytest.raises(Deadlock, match="barrier 3"):
        run(device(refresh=50), streams("barrier 3, X 0.0, barrier 3", "barrier 3"))


def test_a_refresh_closes_what_no_stream_can_close() -> None:
    # RD has no `closes`; the refresh at 20 precharges, then the head opens its row.
    stuck = device(refresh=20, RD=dict(closes=None))
    assert play(stuck, "ACT 0.0 1, RD 0.0 2").split(", ")[1:5] == [
        "20 ref:PREp 0.*",
        "21 ref:REF 0.*",
        "22 ref:REF 1.*",
        "23 0:ACT 0.0",
    ]


def test_counts_are_the_lines_of_the_log() -> None:
    result = run(device(refresh=7), streams("MACp 0.* 3 x5, RD 1.1 4", "RDA 1.0 6 x9"), log=True)
    assert result.log is not None
    assert sum(result.counts.values()) == len(result.log)
    assert np.all(np.diff(result.log["tick"]) >= 0)
