"""Faults of what the embedded engine is given: what cannot run, and what is out of range.

Every one must end in an error that says why, or in the right numbers; never in a crash, a hang or a
number that wrapped. Ticks in comments follow docs/engine-rules.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fault_cases import COMMANDS, EXP, LARGEST, NUMBER, barrier, device, do, loop, run, streams
from pyramulator._native import ffi

import pyramulator
from pyramulator.description import Bus, Command, Description, Refresh, RowUse, Slot, TimingRow
from pyramulator.errors import Cancelled, Deadlock, DescriptionError, EngineError, StreamError
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

# ---- streams that can never go on: rule 18 names stream, request and rule


def test_a_cycle_of_three_barriers_is_named() -> None:
    work = streams(
        [barrier(1), barrier(2)], [barrier(2), barrier(3)], [barrier(3), do("EXP"), barrier(1)]
    )
    with pytest.raises(Deadlock) as error:
        run(device(), work)
    message = str(error.value)
    assert "stream 0: waits at barrier 1 (record 0) for stream 2 (rule 8)" in message
    assert "stream 1: waits at barrier 2 (record 0) for stream 0 (rule 8)" in message
    assert "stream 2: waits at barrier 3 (record 0) for stream 1 (rule 8)" in message


def test_a_cycle_inside_loops_is_named_by_its_record() -> None:
    work = streams(
        loop(3, do("EXP"), barrier(1), barrier(2)), loop(3, barrier(1), do("EXP"), barrier(2)) * 2
    )
    with pytest.raises(Deadlock, match=r"stream 1: waits at barrier 1 \(record 6\) for stream 0"):
        run(device(), work)


def test_a_barrier_of_a_thousand_streams_is_named_in_few_words() -> None:
    names = [[barrier(7), barrier(8)]] + [[barrier(8), barrier(7)]] * 999
    with pytest.raises(Deadlock, match=r"stream 0: waits at barrier 7.*; and 996 more$"):
        run(device(), streams(*names))


@pytest.mark.parametrize("window", [0, 2], ids=["stream", "fifo"])
def test_a_request_that_nothing_opens_is_named(window: int) -> None:
    work = streams([do("STUCK", 1, row=3)], fifo=(window,))
    expected = r"stream 0: STUCK at \(0, 1, row 3\) needs a command that opens .*\(rule 6\)"
    with pytest.raises(Deadlock, match=expected):
        run(device(), work)


def test_a_request_that_nothing_closes_is_named() -> None:
    work = streams([do("RD", 1, row=2), do("STUCK", 1, row=3)])
    with pytest.raises(Deadlock, match=r"STUCK at \(0, 1, row 3\) needs a command that closes"):
        run(device(), work)


def test_a_request_behind_a_stuck_fifo_is_named() -> None:
    work = streams([do("STUCK")], [do("RD", 1)], fifo=(1, 1))
    with pytest.raises(Deadlock, match=r"stream 1: RD at .* the front of the FIFO \(rule 15\)"):
        run(device(), work)


def test_a_stuck_stream_under_refresh_is_named() -> None:
    description = device(refresh=Refresh("REF", "Channel", 7))
    with pytest.raises(Deadlock, match=r"stream 0: STUCK at \(0, 0, row 0\) .*\(rule 6\)"):
        run(description, streams([do("STUCK")]))


def test_a_dead_run_stays_dead() -> None:
    engine = pyramulator.Engine(device(), streams([do("STUCK")]))
    with pytest.raises(Deadlock):
        engine.advance()
    with pytest.raises(EngineError, match="the run has failed and cannot go on"):
        engine.advance()
    with pytest.raises(EngineError, match="must be finished before its result"):
        engine.result()


# ---- latencies and counters at their ends


@pytest.mark.parametrize("latency", [LARGEST + 1, -LARGEST - 1, 2**63 - 1, -(2**63)])
def test_a_latency_beyond_2_40_is_refused(latency: int) -> None:
    with pytest.raises(DescriptionError, match=f"timing row 0: latency .* not {latency}$"):
        run(device(TimingRow("Bank", ("ACT",), ("RD",), latency)), streams([do("RD")]))


@pytest.mark.parametrize("latency", [2**63, -(2**63) - 1, 10**30])
def test_a_latency_that_no_integer_of_64_bits_holds_is_refused(latency: int) -> None:
    with pytest.raises(DescriptionError, match="timing row 0: latency"):
        run(device(TimingRow("Bank", ("ACT",), ("RD",), latency)), streams([do("RD")]))


def test_the_largest_latency_is_right_to_the_tick() -> None:
    result = run(device(TimingRow("Bank", ("ACT",), ("RD",), LARGEST)), streams([do("RD")]))
    assert result.ticks == 1 + LARGEST  # ACT at 1
    assert result.stalls is not None
    assert result.stalls.rows.tolist() == [[LARGEST - 1]]  # ticks 2 to 2^40
    assert result.residency.active.tolist() == [LARGEST + 1, 0]


def test_the_smallest_latency_constrains_nothing() -> None:
    result = run(device(TimingRow("Bank", ("ACT",), ("RD",), -LARGEST)), streams([do("RD")]))
    assert result.ticks == 2


def test_the_largest_completion_moves_the_end_and_a_barrier() -> None:
    slow = tuple(replace(c, completion=LARGEST) if c is EXP else c for c in COMMANDS)
    work = streams([do("EXP"), barrier(1), do("EXP", 1)])
    # EXP at 1, complete at 1 + 2^40; the next is visible a tick later, complete 2^40 after it
    assert run(device(commands=slow), work).ticks == 2 + 2 * LARGEST


def test_a_completion_beyond_its_end_is_refused() -> None:
    slow = tuple(replace(c, completion=LARGEST + 1) if c is EXP else c for c in COMMANDS)
    with pytest.raises(DescriptionError, match="command EXP: completion must be 0 to 2\\^40"):
        run(device(commands=slow), streams([do("EXP")]))


@pytest.mark.parametrize("copies", [32, 33, 2**32 - 1])
def test_a_run_ends_before_tick_2_45_or_in_an_error(copies: int) -> None:
    """EXP at 1, then every 2^40 ticks: the 33rd is at 2^45 + 1."""
    description = device(TimingRow("Bank", ("EXP",), ("EXP",), LARGEST))
    work = streams([do("EXP", count=copies)])
    if copies == 32:
        assert run(description, work).ticks == 1 + 31 * LARGEST
    else:
        with pytest.raises(EngineError, match="the run must end before tick 2\\^45"):
            run(description, work)


def test_an_interval_at_its_ends() -> None:
    work = streams([do("EXP")], [do("EXP", 1)])
    assert run(device(refresh=Refresh("REF", "Channel", LARGEST)), work).ticks == 2
    # a refresh in the FIFO at every tick from 1 on keeps every head out
    with pytest.raises(Deadlock, match=r"stream 0: EXP at .* refresh in the FIFO \(rule 11\(d\)\)"):
        run(device(refresh=Refresh("REF", "Channel", 1)), work)


def test_open_bank_ticks_never_wrap() -> None:
    """2^20 banks open for 2^44 ticks are 2^64 bank ticks; for 2^42 they are 2^62."""
    banks = 2**20
    every = Command("ACTA", "PseudoChannel", Slot.ROW, 1, RowUse.OPEN)
    wait = Command("WAIT", "PseudoChannel", Slot.ROW, 1, RowUse.NONE)
    description = Description(
        name="wide",
        levels=("Channel", "PseudoChannel", "Bank", "Row", "Column"),
        sizes=(1, 1, banks, 16, 16),
        ticks_per_second=10**9,
        bus=Bus.SINGLE,
        commands=(every, wait),
        rows=(TimingRow("Channel", ("ACTA", "WAIT"), ("WAIT",), LARGEST),),
    )
    targets = np.array([(0, 0, -1)], dtype=np.int32)

    def open_for(waits: int) -> pyramulator.ChannelResult:
        records = np.array([(0, 0, 3, 0, 0, 1), (1, 0, 0, 0, 0, waits)], dtype=RECORD)
        return pyramulator.run(description, CommandStream(targets, (records,)))

    fits = open_for(4)  # ACTA at 1, the last WAIT at 1 + 4 x 2^40; open from tick 1 on
    assert fits.residency.open_bank_ticks.tolist() == [banks * (1 + 4 * LARGEST)]
    with pytest.raises(EngineError, match="open-bank ticks of a node must be below 2\\^63"):
        open_for(16)


def test_more_rows_than_a_ready_key_can_tell_apart_are_refused() -> None:
    rows = [TimingRow("Bank", ("ACT",), ("RD",), 5)] * 16383
    assert run(device(*rows), streams([do("RD")])).ticks == 6  # ACT at 1
    with pytest.raises(DescriptionError, match="timing rows must be 0 to 16383, not 16384"):
        run(device(*rows, rows[0]), streams([do("RD")]))


def test_windows_that_no_memory_holds_are_refused() -> None:
    """2^10 banks, each with its own history of 2^20 ticks: 8 GiB."""
    description = device(
        TimingRow("Bank", ("EXP",), ("EXP",), 1, window=2**20), sizes=(1, 1024, 16, 16)
    )
    targets = np.array([(0, -1)], dtype=np.int32)
    work = CommandStream(targets, (np.array([do("EXP")], dtype=RECORD),))
    wide = tuple(replace(c, scope="Bank") if c is EXP else c for c in COMMANDS)
    with pytest.raises(DescriptionError, match="windows must hold at most 2\\^26 ticks in all"):
        run(replace(description, commands=wide), work)


# ---- records


EXTREMES = {
    "command": (0, len(COMMANDS) - 1, len(COMMANDS), LOOP, END, BARRIER, LOOP - 1),
    "target": (0, 2, 3, 2**16 - 1),
    "row": (-(2**31), -1, 0, 15, 16, 2**31 - 1),
    "column": (-(2**15), -1, 0, 2**15 - 1),
    "column_step": (-(2**15), -1, 0, 1, 2**15 - 1),
    "count": (0, 1, 2, 2**16),
}


@pytest.mark.parametrize("name", ["RD", "EXP", "PRE"])
@pytest.mark.parametrize("field", sorted(EXTREMES))
def test_a_record_at_its_extremes_runs_or_is_refused(field: str, name: str) -> None:
    for value in EXTREMES[field]:
        record = np.array(do(name, row=1, column=1, count=2), dtype=RECORD)
        record[field] = value
        work = streams([tuple(record.item())])
        try:
            result = run(device(), work)
        except (StreamError, Deadlock) as error:
            assert "stream 0" in str(error), (field, value)
        else:
            assert result.log is not None
            assert sum(result.counts.values()) == len(result.log), (field, value)


def test_columns_of_a_long_burst_are_refused_not_wrapped() -> None:
    longest = (2**31 - 1 - 5) // 3 + 1  # 5 + 3 (n - 1) <= 2^31 - 1
    work = streams([do("EXP", column=5, step=3, count=longest + 1)])
    with pytest.raises(StreamError, match="stream 0, record 0 \\(EXP\\): column must fit 32 bits"):
        run(device(), work)
    engine = pyramulator.Engine(device(), streams([do("EXP", column=5, step=3, count=longest)]))
    engine.cancel()  # accepted; two billion commands are not issued here
    with pytest.raises(Cancelled):
        engine.advance()


def test_steps_of_nested_loops_are_refused_not_wrapped() -> None:
    body = loop(2**16, *loop(2**16, do("RD", row=0), row=1), row=1)
    with pytest.raises(StreamError, match="row must be 0 to 15, not 131070"):
        run(device(), streams(body))
    deep = loop(2**32 - 1, *loop(2**32 - 1, do("EXP"), row=2**31 - 1), row=2**31 - 1)
    with pytest.raises(StreamError, match="LOOP must step rows and columns by less than 2\\^40"):
        run(device(), streams(deep))


def test_a_row_offset_beyond_32_bits_is_followed() -> None:
    """Turns that each add 2^31 - 1 to a row that starts at -2^31: rows fit 32 bits throughout."""
    work = streams(loop(3, do("EXP", row=-(2**31)), row=2**31 - 1))
    result = run(device(), work)
    assert result.log is not None
    assert result.log["address"][:, 2].tolist() == [-(2**31), -1, 2**31 - 2]


@pytest.mark.parametrize("name", [-1, -(2**31), 2**31 - 1])
@pytest.mark.parametrize("target", [0, 2**16 - 1])
def test_a_barrier_may_have_any_name(name: int, target: int) -> None:
    """Its target says nothing; EXP completes at 1, the other stream's is visible at 2."""
    wait = (BARRIER, target, name, 0, 0, 1)
    result = run(device(), streams([do("EXP"), wait], [wait, do("EXP", 1)]))
    assert (result.ticks, result.counts) == (2, {"EXP": 2})
    alone = [(BARRIER, target, name + 1 if name < 0 else name - 1, 0, 0, 1)]
    with pytest.raises(Deadlock, match=f"waits at barrier {name} "):
        run(device(), streams([wait, *alone], [*alone, wait]))


@pytest.mark.parametrize("ends", [0, 999_999, 1_000_001], ids=["none", "short", "over"])
def test_a_million_loops_must_balance(ends: int) -> None:
    loops = np.zeros(1_000_000 + 1 + ends, dtype=RECORD)
    loops["command"][:1_000_000] = LOOP
    loops["command"][1_000_000] = NUMBER["EXP"]
    loops["command"][1_000_001:] = END
    loops["count"] = 1
    work = streams([])
    wrong = "END must have a LOOP before" if ends > 1_000_000 else "LOOP must have a matching END"
    with pytest.raises(StreamError, match=f"stream 0, record .*: {wrong}"):
        run(device(), replace(work, streams=(loops,), fifo_window=(0,)))


def test_a_million_nested_loops_run() -> None:
    n = 1_000_000
    loops = np.zeros(2 * n + 1, dtype=RECORD)
    loops["command"][:n] = LOOP
    loops["command"][n] = NUMBER["EXP"]
    loops["command"][n + 1 :] = END
    loops["count"] = 1
    result = run(device(), replace(streams([]), streams=(loops,), fifo_window=(0,)))
    assert (result.ticks, result.counts) == (1, {"EXP": 1})


def test_a_loop_of_nothing_is_refused() -> None:
    with pytest.raises(StreamError, match="record 2: LOOP must hold a command or a barrier"):
        run(device(), streams(loop(2, *loop(5), do("EXP"))))


def test_empty_streams_end_at_once() -> None:
    assert run(device(), streams()).ticks == 0
    result = run(device(), streams(*[[]] * 1024))
    assert result.ticks == 0
    assert result.stalls is not None
    assert result.stalls.classes.sum() == 0


def test_as_many_streams_as_there_may_be_run_and_one_more_is_refused() -> None:
    # on a SINGLE bus one EXP a tick: stream i issues at tick i + 1
    result = run(device(), streams(*[[do("EXP")]] * 1024))
    assert result.log is not None
    assert result.log["source"].tolist() == list(range(1024))
    assert result.log["tick"].tolist() == list(range(1, 1025))
    for n in (1025, 5000):
        with pytest.raises(StreamError, match="streams must be at most 1024"):
            run(device(), streams(*[[do("EXP")]] * n))


def test_records_at_odd_addresses_are_read_right() -> None:
    records = np.array([do("EXP"), do("EXP", 1), do("RD", 1, row=3)], dtype=RECORD)
    shifted = np.frombuffer(b"\0" + records.tobytes(), dtype=RECORD, offset=1)
    engine = pyramulator.Engine(device(), replace(streams(list(records)), streams=(shifted,)))
    assert all(int(ffi.cast("uintptr_t", buffer)) % 4 == 0 for buffer, *_ in engine._stream.records)
    engine.advance()
    assert engine.result().counts == {"EXP": 2, "ACT": 1, "RD": 1}


@pytest.mark.parametrize(
    "records",
    [
        np.zeros((2, 2), dtype=RECORD),
        np.zeros(3, dtype=np.uint8),
        np.zeros(0, dtype=np.float64),
        np.zeros(2, dtype=RECORD.newbyteorder(">")),
        [do("EXP")],
        None,
    ],
    ids=["two dimensions", "bytes", "floats", "big-endian", "list", "none"],
)
def test_what_is_no_array_of_records_is_refused(records: object) -> None:
    with pytest.raises(StreamError, match="stream 0 must be a one-dimensional array of RECORD"):
        run(device(), replace(streams([]), streams=(records,)))
