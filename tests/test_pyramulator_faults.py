"""Faults of the embedded engine: what cannot run, what is out of range, and what interrupts a run.

Every one must end in an error that says why, or in the right numbers; never in a crash, a hang or a
number that wrapped. Ticks in comments follow docs/engine-rules.md.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from pyramulator._native import ffi, lib

import pyramulator
from pyramulator._encode import EncodedDescription
from pyramulator.description import Bus, Command, Description, Refresh, RowUse, Slot, TimingRow
from pyramulator.errors import Cancelled, Deadlock, DescriptionError, EngineError, StreamError
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

ACT = Command("ACT", "Row", Slot.ROW, 1, RowUse.OPEN, closes="PRE")
PRE = Command("PRE", "Bank", Slot.ROW, 1, RowUse.CLOSE)
PREab = Command("PREab", "Channel", Slot.ROW, 1, RowUse.CLOSE)
RD = Command("RD", "Column", Slot.COLUMN, 1, RowUse.ACCESS, opens="ACT", closes="PRE")
STUCK = Command("STUCK", "Column", Slot.COLUMN, 1, RowUse.ACCESS)
EXP = Command("EXP", "Bank", Slot.COLUMN, 1, RowUse.NONE)
REF = Command("REF", "Channel", Slot.ROW, 1, RowUse.ALL_CLOSED, closes="PREab", refresh=True)
COMMANDS = (ACT, PRE, PREab, RD, STUCK, EXP, REF)
NUMBER = {command.name: number for number, command in enumerate(COMMANDS)}

LARGEST = 2**40  # of a latency and a completion, in ticks
LAST_TICK = 2**45


def device(*rows: TimingRow, **more: object) -> Description:
    """One channel of two banks of 16 rows."""
    given = {"sizes": (1, 2, 16, 16), "bus": Bus.SINGLE, "commands": COMMANDS} | more
    return Description(
        name="tiny",
        levels=("Channel", "Bank", "Row", "Column"),
        ticks_per_second=10**9,
        rows=rows,
        **given,  # type: ignore[arg-type]
    )


def do(name: str, bank: int = 0, row: int = 0, column: int = 0, step: int = 0, count: int = 1):
    return (NUMBER[name], bank, row, column, step, count)


def barrier(number: int) -> tuple[int, ...]:
    return (BARRIER, 0, number, 0, 0, 1)


def loop(count: int, *body: tuple[int, ...], row: int = 0, column: int = 0) -> list[tuple]:
    return [(LOOP, 0, row, column, 0, count), *body, (END, 0, 0, 0, 0, 1)]


def streams(*records: list[tuple], fifo: tuple[int, ...] = ()) -> CommandStream:
    """Targets 0 and 1 are the banks, 2 is both."""
    arrays = tuple(np.array(one, dtype=RECORD) for one in records)
    return CommandStream(np.array([(0, 0), (0, 1), (0, -1)], dtype=np.int32), arrays, fifo)


def run(description: Description, stream: CommandStream) -> pyramulator.ChannelResult:
    return pyramulator.run(description, stream, log=True)


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


# ---- the C ABI, called wrongly


def create(description: object, targets: object = None, n_targets: int = 0) -> tuple[int, str]:
    out, message = ffi.new("pyr_engine **"), ffi.new("char[]", 200)
    status = lib.pyr_create(
        description or ffi.NULL, targets or ffi.NULL, n_targets, 0, 0, out, message, 200
    )
    assert (status == lib.PYR_OK) == (out[0] != ffi.NULL)
    if out[0] != ffi.NULL:
        lib.pyr_destroy(out[0])
    return status, ffi.string(message).decode()


def test_null_pointers_are_refused() -> None:
    encoded = EncodedDescription(device(TimingRow("Bank", ("ACT",), ("RD",), 5)))
    c = encoded.pointer
    out, message = ffi.new("pyr_engine **"), ffi.new("char[]", 200)
    assert create(None) == (lib.PYR_MISUSE, "description must not be null")
    assert create(c, None, 1) == (lib.PYR_MISUSE, "targets must not be null")
    assert lib.pyr_create(c, ffi.NULL, 0, 0, 0, ffi.NULL, message, 200) == lib.PYR_MISUSE
    assert lib.pyr_create(c, ffi.NULL, 1, 0, 0, out, ffi.NULL, 200) == lib.PYR_MISUSE
    of_description = [(c, field) for field in ("level_names", "sizes", "commands", "rows")]
    of_row = [(c.rows[0], "preceding"), (c.rows[0], "following")]
    for owner, field in [*of_description, *of_row, (c.commands[0], "name")]:
        kept = getattr(owner, field)
        setattr(owner, field, ffi.NULL)
        status, reason = create(c)
        assert status == lib.PYR_BAD_DESCRIPTION and reason.endswith("must not be null"), field
        setattr(owner, field, kept)
    assert create(c)[0] == lib.PYR_OK


def test_null_pointers_to_an_engine_s_calls_are_refused() -> None:
    engine = pyramulator.Engine(device(), streams([do("RD")]), log=True)
    assert lib.pyr_add_stream(engine._handle, ffi.NULL, 1, 0) == lib.PYR_MISUSE
    assert lib.pyr_add_stream(engine._handle, ffi.NULL, -1, 0) == lib.PYR_BAD_STREAM
    assert lib.pyr_add_stream(engine._handle, ffi.NULL, 0, 0) == lib.PYR_OK
    engine.advance()
    assert lib.pyr_take_log(engine._handle, ffi.NULL, 1) == lib.PYR_MISUSE
    assert lib.pyr_summarise(engine._handle, ffi.NULL) == lib.PYR_MISUSE
    assert lib.pyr_result(engine._handle, *[ffi.NULL] * 5) == lib.PYR_MISUSE
    assert engine.result().counts == {"ACT": 1, "RD": 1}


@pytest.mark.parametrize("field", ["n_levels", "n_commands", "n_rows", "bus", "refresh_interval"])
@pytest.mark.parametrize("value", [-(2**31), -1])
def test_a_description_with_a_negative_number_is_refused(field: str, value: int) -> None:
    encoded = EncodedDescription(device(refresh=Refresh("REF", "Channel", 7)))
    setattr(encoded.pointer, field, value)
    status, reason = create(encoded.pointer)
    assert status == lib.PYR_BAD_DESCRIPTION
    assert f"not {value}" in reason or field == "bus"


@pytest.mark.parametrize("n", [-1, -(2**63), 65537, 2**63 - 1])
def test_a_number_of_targets_that_cannot_be_is_refused(n: int) -> None:
    encoded = EncodedDescription(device())
    status, reason = create(encoded.pointer, ffi.new("int32_t[2]"), n)
    assert (status, reason) == (lib.PYR_BAD_STREAM, f"targets must be at most 65536, not {n}")


@pytest.mark.parametrize("size", [0, 1, 2, 17])
def test_a_message_fits_its_buffer(size: int) -> None:
    out, message = ffi.new("pyr_engine **"), ffi.new("char[]", b"x" * 19)
    encoded = EncodedDescription(device())
    encoded.pointer.bus = 9
    status = lib.pyr_create(encoded.pointer, ffi.NULL, 0, 0, 0, out, message, size)
    assert status == lib.PYR_BAD_DESCRIPTION
    kept = max(size - 1, 0)
    assert ffi.buffer(message)[size:] == (b"x" * 19 + b"\0")[size:]
    assert ffi.buffer(message)[:kept] == b"bus must be one of SINGLE"[:kept]


@pytest.mark.parametrize("slice_ns", [2**63 - 1, 0, -1, -(2**63)])
def test_a_slice_at_its_ends_is_no_limit(slice_ns: int) -> None:
    engine = pyramulator.Engine(device(), streams([do("EXP"), do("EXP", 1)] * 5000))
    assert lib.pyr_advance(engine._handle, -1, slice_ns) == lib.PYR_FINISHED
    assert engine.result().ticks == 10_000


def test_calls_out_of_order_are_refused() -> None:
    engine = pyramulator.Engine(device(), streams([do("EXP")] * 2))
    assert engine.advance(1) is False
    assert lib.pyr_add_stream(engine._handle, ffi.NULL, 0, 0) == lib.PYR_MISUSE
    assert engine.advance() is True
    assert engine.advance() is True  # and nothing more
    assert len(engine.take_log()) == 0
    assert lib.pyr_take_log(engine._handle, ffi.new("char[48]"), 1) == lib.PYR_MISUSE
    assert lib.pyr_take_log(engine._handle, ffi.NULL, -1) == lib.PYR_MISUSE


# ---- advance, cancel, threads, Ctrl-C


@pytest.mark.parametrize("until", [-1, -(2**70)])
def test_advance_takes_no_negative_tick(until: int) -> None:
    engine = pyramulator.Engine(device(), streams([do("EXP")]))
    with pytest.raises(ValueError, match=f"until_tick must be at least 0, not {until}"):
        engine.advance(until)
    assert engine.advance() is True


def test_advance_takes_odd_ticks() -> None:
    engine = pyramulator.Engine(device(), streams([do("EXP", count=5)]), log=True)
    assert engine.advance(0) is False
    assert engine.advance(np.int64(2)) is False  # type: ignore[arg-type]
    assert len(engine.take_log()) == 2
    assert engine.advance(1) is False  # the past: nothing to do
    assert len(engine.take_log()) == 0
    with pytest.raises((TypeError, ValueError)):
        engine.advance("soon")  # type: ignore[arg-type]
    assert engine.advance(2**70) is True
    assert engine.result().ticks == 5


ENDLESS = loop(2**32 - 1, *loop(2**32 - 1, do("EXP"), do("EXP", 1)))
AGAIN = loop(2**32 - 1, do("EXP", count=2**32 - 1))
# nothing but barriers: they open all in one tick
BARRIERS = loop(2**32 - 1, *loop(2**32 - 1, barrier(1), barrier(2)))


@pytest.mark.parametrize("records", [ENDLESS, BARRIERS], ids=["commands", "barriers"])
def test_cancel_from_another_thread_is_heard(records: list[tuple]) -> None:
    engine = pyramulator.Engine(device(), streams(records))
    cancelled_at = 0.0

    def cancel() -> None:
        nonlocal cancelled_at
        cancelled_at = time.monotonic()
        engine.cancel()

    threading.Timer(0.1, cancel).start()
    with pytest.raises(Cancelled):
        engine.advance()
    assert time.monotonic() - cancelled_at < 1  # 100 ms, and room for a busy machine
    with pytest.raises(EngineError, match="must be finished"):
        engine.result()  # no half result


def test_cancel_before_and_after_a_run() -> None:
    engine = pyramulator.Engine(device(), streams([do("EXP")]))
    engine.cancel()
    with pytest.raises(Cancelled):
        engine.advance()
    done = pyramulator.Engine(device(), streams([do("EXP")]))
    done.advance()
    done.cancel()
    assert done.result().ticks == 1


INTERRUPTED = """
import signal, sys, time
import numpy as np
sys.path.insert(0, {tests!r})
from test_pyramulator_faults import AGAIN, BARRIERS, ENDLESS, device, streams
import pyramulator

def ready():
    print("running", flush=True)

log, records = {log}, {records}
engine = pyramulator.Engine(device(), streams(records), log=log)
ready()
try:
    engine.advance()
except KeyboardInterrupt:
    try:
        engine.result()
    except pyramulator.EngineError as error:
        print("no result:", error, flush=True)
    raise
print("finished", flush=True)
"""


@pytest.mark.parametrize("records", ["ENDLESS", "BARRIERS", "AGAIN"])
@pytest.mark.parametrize("log", [False, True], ids=["bare", "log"])
def test_ctrl_c_ends_a_run(records: str, log: bool) -> None:
    """Within 100 ms of the signal, room for a busy machine apart; with no half result."""
    script = INTERRUPTED.format(tests=os.path.dirname(__file__), log=log, records=records)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(0.2)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert time.monotonic() - start < 1.5
    assert out == "no result: the run must be finished before its result is taken\n"
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_an_engine_is_one_thread_s_at_a_time() -> None:
    engine = pyramulator.Engine(device(), streams(ENDLESS), log=False)
    ended: list[BaseException] = []

    def advance() -> None:
        try:
            engine.advance()
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=advance)
    thread.start()
    time.sleep(0.1)
    try:
        for call in (engine.advance, engine.result, engine.take_log):
            with pytest.raises(EngineError, match="one thread at a time"):
                call()
    finally:
        engine.cancel()
        thread.join()
    assert len(ended) == 1


def test_engines_in_threads_do_not_meet() -> None:
    work = streams(loop(2000, do("RD", 0, row=1), do("RD", 0, row=2)), loop(3000, do("EXP", 1)))
    expected = run(device(), work)
    found: list[pyramulator.ChannelResult] = []
    threads = [threading.Thread(target=lambda: found.append(run(device(), work))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for result in found:
        assert result.ticks == expected.ticks and result.counts == expected.counts
        assert np.array_equal(result.log, expected.log)


def test_a_result_outlives_its_engine() -> None:
    engine = pyramulator.Engine(device(), streams([do("RD", count=3)]), log=True)
    engine.advance()
    result = engine.result()
    assert engine.result() is result
    del engine
    gc.collect()
    assert result.log is not None and len(result.log) == 4
    assert result.residency.active.tolist() == [4, 0]


def test_an_engine_keeps_its_records() -> None:
    """The caller's arrays may go as soon as the engine is made."""
    engine = pyramulator.Engine(device(), streams(*[[do("EXP", n % 2)] * 500 for n in range(8)]))
    gc.collect()
    _ = [np.full(500 * 16, 0xFF, dtype=np.uint8) for _ in range(64)]
    engine.advance()
    assert engine.result().counts == {"EXP": 4000}


def test_an_engine_that_was_never_made_leaves_nothing() -> None:
    for _ in range(200):
        with pytest.raises(StreamError):
            pyramulator.Engine(device(), streams([do("EXP")] * 100, [(END, 0, 0, 0, 0, 1)]))
    gc.collect()
