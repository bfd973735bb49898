"""Faults of how the embedded engine is called: wrong calls, threads, cancel, Ctrl-C.

Every one must end in an error that says why, within 100 ms of an interrupt, with no half result.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from fault_cases import BARRIERS, ENDLESS, device, do, loop, run, streams
from pyramulator._native import ffi, lib

import pyramulator
from pyramulator._encode import EncodedDescription
from pyramulator.description import Refresh, TimingRow
from pyramulator.errors import Cancelled, EngineError, StreamError
from pyramulator.stream import END

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
from fault_cases import AGAIN, BARRIERS, ENDLESS, device, streams
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
