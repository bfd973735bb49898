"""What the engine refuses, and in which words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_cases import COMMANDS, LEVELS, NAMES, PSEUDO, TARGETS, device, row, streams
from pyramulator._native import ffi, lib

from pyramulator import (
    BARRIER,
    END,
    LOOP,
    RECORD,
    CommandStream,
    Description,
    DescriptionError,
    Engine,
    EngineError,
    Refresh,
    RowUse,
    Slot,
    StreamError,
    build_id,
    run,
)

RD, X = NAMES.index("RD"), NAMES.index("X")


def stream(*rows: tuple[int, ...]) -> CommandStream:
    return CommandStream(TARGETS, (np.array(list(rows), RECORD),))


# command, target, row, column, column_step, count
MALFORMED = {
    "command": ((60, 0, 0, 0, 0, 1), r"record 1: command must be an index below 12.*, not 60"),
    "target": ((X, 12, 0, 0, 0, 1), r"record 1 \(X\): target must be below 12, not 12"),
    "count 0": ((X, 0, 0, 0, 0, 0), r"record 1 \(X\): count must be at least 1, not 0"),
    "negative row": ((RD, 0, -1, 0, 0, 1), r"record 1 \(RD\): row must be 0 to 63, not -1"),
    "row beyond": ((RD, 0, 64, 0, 0, 1), r"record 1 \(RD\): row must be 0 to 63, not 64"),
    "column": ((RD, 0, 0, 5, -1, 7), r"record 1 \(RD\): column must be at least 0, not -1"),
    "wide column": ((X, 0, 0, 0, 30000, 4_000_000), r"record 1 \(X\): column must fit 32 bits"),
    "END alone": ((END, 0, 0, 0, 0, 1), r"record 1: END must have a LOOP before it"),
    "LOOP 0": ((LOOP, 0, 0, 0, 0, 0), r"record 1: LOOP count must be at least 1, not 0"),
    "LOOP open": ((LOOP, 0, 0, 0, 0, 2), r"record 1: LOOP must have a matching END"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_record_is_named(name: str) -> None:
    record, message = MALFORMED[name]
    good = streams("X 0.0").streams[0]
    broken = stream((X, 0, 0, 0, 0, 1), record)
    with pytest.raises(StreamError, match=r"stream 1, " + message):
        Engine(device(), replace(broken, streams=(good, *broken.streams), fifo_window=(0, 0)))


def test_an_empty_loop_is_refused() -> None:
    with pytest.raises(StreamError, match=r"record 2: LOOP must hold a command or a barrier"):
        Engine(device(), streams("X 0.0, loop 3, end"))
    Engine(device(), streams("loop 3, barrier 1, end"))


def test_rows_are_checked_in_the_last_iteration_of_every_loop() -> None:
    # 4 + 9 x 6 + 5 = 63 is the last row there is.
    assert run(device(), streams("loop 10 6, loop 6 1, RDA 0.0 4, end, end")).counts["RDA"] == 60
    with pytest.raises(StreamError, match=r"row must be 0 to 63, not 64"):
        Engine(device(), streams("loop 10 6, loop 6 1, RDA 0.0 5, end, end"))
    with pytest.raises(StreamError, match=r"row must be 0 to 63, not -1"):
        Engine(device(), streams("loop 3 -2, RDA 0.0 3, end"))


def test_loops_that_leave_every_range_are_refused() -> None:
    huge = (LOOP, 0, 2**31 - 1, 0, 0, 2**32 - 1)
    end = (END, 0, 0, 0, 0, 0)
    with pytest.raises(StreamError, match="LOOP must step rows and columns by less than 2"):
        Engine(device(), stream(huge, huge, (X, 0, 0, 0, 0, 1), end, end))


def test_a_target_is_checked_where_a_command_names_it() -> None:
    targets = np.array([[0, 0, 0], [0, 2, 0], [0, 0, -2]], np.int32)
    unused = CommandStream(targets, (np.array([(X, 0, 0, 0, 0, 1)], RECORD),))
    assert run(device(), unused).counts == {"X": 1}
    for place, message in (
        (1, "PseudoChannel must be -1 to 1, not 2"),
        (2, "Bank must be -1 to 3, not -2"),
    ):
        used = CommandStream(targets[: place + 1], (np.array([(X, place, 0, 0, 0, 1)], RECORD),))
        with pytest.raises(StreamError, match=message):
            Engine(device(), used)


def test_arrays_must_have_the_shapes_of_the_door() -> None:
    good = streams("X 0.0")
    for changes, message in (
        (dict(targets=TARGETS[:, :2]), r"targets must have the shape \(n, 3\), not \(12, 2\)"),
        (dict(targets=TARGETS.astype(float)), "targets must be integers, not float64"),
        (
            dict(streams=(np.zeros(3, np.int32),)),
            "stream 0 must be a one-dimensional array of RECORD",
        ),
        (dict(streams=(np.zeros((1, 1), RECORD),)), "stream 0 must be a one-dimensional"),
        (dict(fifo_window=(1, 1)), "fifo_window must have one number a stream"),
        (dict(fifo_window=(-1,)), "stream 0: window of a fifo must be 0 to 1048576, not -1"),
    ):
        with pytest.raises(StreamError, match=message):
            Engine(device(), replace(good, **changes))  # type: ignore[arg-type]


def test_records_that_do_not_lie_side_by_side_are_read_all_the_same() -> None:
    dense = streams("X 0.0, Y 0.0, X 0.0, Y 0.0").streams[0]
    assert run(device(), CommandStream(TARGETS, (dense[::2],))).counts == {"X": 2}


def changed(name: str, **fields: Any) -> Description:
    base = device()
    commands = tuple(replace(c, **fields) if c.name == name else c for c in COMMANDS)
    return replace(base, commands=commands)


BAD_DESCRIPTIONS = {
    "scope": (changed("X", scope="Bnak"), "command X: scope must be one of Channel.*, not Bnak"),
    "opens": (changed("RD", opens="ACTT"), "command RD: opens must be one of ACT.*, not ACTT"),
    "opens a close": (changed("RD", opens="PRE"), "RD: opens must name an OPEN command, not PRE"),
    "opens wider": (changed("RD", opens="ACTp"), "RD: opens must not be wider .*, as ACTp is"),
    "closes an open": (
        changed("RD", closes="ACT"),
        "RD: closes must name a CLOSE command, not ACT",
    ),
    "cycles": (changed("X", cycles=0), "command X: cycles must be at least 1, not 0"),
    "completion": (changed("X", completion=-1), "X: completion must be 0 to 2.40 ticks, not -1"),
    "falling": (changed("X", falling_edge=True), "X: falling_edge must be on a row command"),
    "auto": (changed("X", auto_precharge=True), "X: auto_precharge must be on an access"),
    "twice": (
        replace(device(), commands=(*COMMANDS, COMMANDS[0])),
        "command ACT must be defined once",
    ),
    "row level": (
        device(row("Row", "X", "X", 1)),
        "timing row 0: level must be one that targets name",
    ),
    "row window": (device(row("Bank", "X", "X", 1, window=0)), "timing row 0: window must be 1"),
    "row latency": (device(row("Bank", "X", "X", 2**50)), "timing row 0: latency must lie within"),
    "row names": (
        device(row("Bank", "X", "W", 1)),
        "timing row 0: following must be one of .*, not W",
    ),
    "sibling window": (
        device(row("Bank", "X", "X", 1, window=2, sibling=True)),
        "timing row 0: sibling must have a window of 1",
    ),
    "sibling top": (
        device(row("Channel", "X", "X", 1, sibling=True)),
        "timing row 0: sibling must be below the first level",
    ),
    "levels": (replace(device(), levels=LEVELS[:2], sizes=(1, 2)), "levels must be 3 to 8 names"),
    "same level": (replace(device(), levels=(*LEVELS[:3], "Bank", "Column")), "different names"),
    "sizes": (replace(device(), sizes=(1, 2, 4)), "sizes must have one number a level"),
    "size": (replace(device(), sizes=(1, 0, 4, 64, 32)), "size of level PseudoChannel must be at"),
    "channels": (
        replace(device(), sizes=(2, 2, 4, 64, 32)),
        "size of level Channel must be 1, not 2",
    ),
    "refresh name": (
        replace(device(), refresh=Refresh("REV", PSEUDO, 9)),
        "refresh: command .*REV",
    ),
    "refresh kind": (
        replace(device(), refresh=Refresh("X", "Bank", 9)),
        "X.*must be marked refresh",
    ),
    "refresh scope": (
        replace(device(), refresh=Refresh("REF", "Bank", 9)),
        "scope must be that of",
    ),
    "interval": (device(refresh=0), "refresh by REF: interval must be 1 to .*, not 0"),
    "no commands": (replace(device(), commands=()), "commands must be 1 to 4096, not 0"),
    "too big": (changed("X", completion=2**70), "command X: completion must be .*, not 118059"),
}


@pytest.mark.parametrize("name", BAD_DESCRIPTIONS)
def test_a_description_that_cannot_be_is_named(name: str) -> None:
    description, message = BAD_DESCRIPTIONS[name]
    with pytest.raises(DescriptionError, match=message):
        Engine(description, CommandStream(TARGETS, ()))


def test_row_and_column_as_scopes_are_the_deepest_target_level() -> None:
    slow = replace(changed("X", scope="Column"), rows=(row("Bank", "X", "X", 5),))
    assert run(slow, streams("X 0.0 x2")).ticks == 6
    assert slow.commands[X].slot == Slot.COLUMN and slow.commands[X].row_use == RowUse.NONE


def test_times_that_leave_64_bits_are_refused() -> None:
    # Each X 2^40 ticks after the last: the 33rd would be beyond tick 2^45.
    slow = device(row("Bank", "X", "X", 2**40))
    assert run(slow, streams("X 0.0 x32")).ticks == 1 + 31 * 2**40
    with pytest.raises(EngineError, match="must end before tick 2"):
        run(slow, streams("X 0.0 x40"))


def test_host_requests_are_reserved() -> None:
    engine = Engine(device(), streams("X 0.0"))
    request = ffi.new("pyr_host_request *")
    assert lib.pyr_push_host(engine._handle, request, 3) == lib.PYR_UNSUPPORTED
    assert b"host requests" in ffi.string(lib.pyr_error(engine._handle))
    assert lib.pyr_poll(engine._handle, ffi.NULL, 0) == 0
    assert engine.advance()  # the run is not hurt


def test_streams_come_before_the_first_advance() -> None:
    engine = Engine(device(), streams("X 0.0"))
    engine.advance()
    assert lib.pyr_add_stream(engine._handle, ffi.NULL, 0, 0) == lib.PYR_MISUSE
    assert lib.pyr_take_log(engine._handle, ffi.NULL, 5) == lib.PYR_MISUSE


def test_the_build_has_a_name() -> None:
    assert lib.pyr_abi_version() == 2
    assert len(build_id()) == 16 and int(build_id(), 16) >= 0
    assert b"g++" in ffi.string(lib.pyr_build_info())
    assert BARRIER > END > LOOP
