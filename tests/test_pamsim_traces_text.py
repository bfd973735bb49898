"""Traces as text, as Ramulator's reads and writes, and as .ram2bin: written, read, damaged."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trace_cases import (
    COMMANDS,
    HEADER,
    LEVELS,
    ListTrace,
    busy_channel,
    damage,
    log,
    logs,
    read,
    read_or_fault,
    step,
    written,
)

from pamsim.errors import InputError
from pamsim.sim import ChannelTrace
from pamsim.traces import FORMATS, Cut, RequestTrace, Trace, format_of, open_trace, write
from pamsim.traces.ram2bin import PREFIX
from pamsim.traces.requests import byte_addresses
from pyramulator.stream import LOG

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RECORDS = log(
    [
        (1, 0, 0, (1, 2, 3, 40, 5)),
        (21, 3, 0, (1, 2, 3, 40, 5)),
        (30, 5, 2, (0, 1, 0, 41, 6)),
        (30, 2, -1, (1, 0, 0, 0, 0)),
        (400, 4, 0, (1, 2, 3, 40, 31)),
        (420, 7, 0, (1, 0, 0, 0, 0)),
    ]
)
TEXT = f"""\
# pamsim command trace; device handmade, tier hbm
# program {"0" * 64}; channel 7, layer 1 of 2
# a tick is 1/2600000000 s; ticks count from 1
# * is every child of a level, - is not named; pc: pseudo-channel, bg: bank group
# tick command channel pc bg bank row column source
1 ACT 7 1 2 3 40 - 0
21 WR 7 1 2 3 40 5 0
30 MAC 7 0 1 * 41 6 2
30 REFab 7 1 * * - - refresh
400 RD 7 1 2 3 40 31 0
420 RDRES 7 1 * * - - 0
"""


@cache
def content(form: str, first: int = 0) -> bytes:
    return written(write, ListTrace(HEADER, RECORDS[first:], ticks=450), form)


def named(trace: Trace, records: np.ndarray) -> list[tuple]:
    """Records with names for command numbers: a text trace numbers them as they come."""
    names = [command.name for command in trace.header.commands]
    return [(names[r["command"]], *r.tolist()[:1], *r.tolist()[2:3], r["address"].tolist())
            for r in records]  # fmt: skip


def test_text_is_one_command_a_line() -> None:
    assert content("text").decode() == TEXT


def test_text_is_read_back() -> None:
    trace, found = read(content("text"))
    assert isinstance(trace, Trace)
    assert named(trace, found) == named(ListTrace(HEADER), RECORDS)
    header = trace.header
    assert (header.device, header.tier, header.levels) == ("handmade", "hbm", LEVELS)
    assert (header.channel, header.layer, header.layers) == (7, 1, 2)
    assert header.sources == {"program": "0" * 64}
    assert header.ticks_per_second == 2_600_000_000


@given(logs(), st.sampled_from(["text", "ram2bin", "binary"]))
@FUZZ
def test_conversions_keep_every_command(records: np.ndarray, form: str) -> None:
    trace = ListTrace(HEADER, records, ticks=int(records["tick"].max(initial=0)))
    reader, found = read(written(write, trace, form))
    assert isinstance(reader, Trace)
    assert named(reader, found) == named(trace, records)


@given(st.data())
@settings(FUZZ, max_examples=300)
def test_damaged_text_is_a_trace_or_a_fault_with_its_line(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["text", "rw", "ldst"]))
    found = read_or_fault(data.draw(damage(content(form), content(form, 2))))
    if isinstance(found, InputError):
        assert found.position is not None
        assert found.position.line or " byte " in found.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("21 WR", "+21 WR", "a number must be a whole one under"),
        ("21 WR", "021 WR", "a number must be a whole one under"),
        ("21 WR", "0 WR", "a tick must be 1 or later, not 0"),
        ("40 5 0", "40 5", "a command must have 9 fields, not 8"),
        ("40 5 0", "40 2147483648 0", "under 2147483648, not '2147483648'"),
        ("21 WR 7", "21 WR 8", "a channel must be 7, not '8'"),
        ("0 1 * 41", "0 1 - 41", "not '-'"),
        ("21 WR", "21 W\u00e9", "a line must be ASCII text"),
        ("420 RDRES 7 1 * * - - 0\n", "420 RDRES 7 1 * * - - 0", "a line must be whole, not cut"),
        ("# tick command", "# ticks command", "a line of the header must be as written"),
    ],
)
def test_a_wrong_line_of_text_is_named(old: str, new: str, message: str) -> None:
    assert old in TEXT
    fault = read_or_fault(TEXT.replace(old, new).encode())
    assert isinstance(fault, InputError)
    assert message in fault.message
    assert fault.position is not None and fault.position.line > 0


# Reads and writes


def test_requests_are_the_host_traffic() -> None:
    out = io.BytesIO()
    found = write(out, ListTrace(HEADER, RECORDS), "rw").requests
    # The result read RDRES names its pseudo-channel only.
    assert out.getvalue() == b"W 0,1,2,3,40,5\nR 0,1,2,3,40,31\nR 0,1,0,0,0,0\n"
    assert found is not None
    assert (found.reads, found.writes) == (2, 1)
    assert found.left_out == {"ACT": 1, "REFab": 1, "MAC": 1}


def test_byte_addresses_count_columns_from_the_outermost_level() -> None:
    # ((((1 x 4 + 2) x 4 + 3) x 64 + 40) x 32 + 5) columns of 32 B = 0x1ba0a0
    assert content("ldst").decode().split() == [
        "ST",
        "0x1ba0a0",
        "LD",
        "0x1ba3e0",
        "LD",
        "0x100000",
    ]


@given(logs())
@FUZZ
def test_byte_addresses_differ_and_can_be_taken_apart(records: np.ndarray) -> None:
    address = np.maximum(records["address"][:, :6], 0)
    places = byte_addresses(HEADER, address) // 32
    parts = []
    for size in HEADER.sizes[::-1]:
        parts.append(places % size)
        places = places // size
    assert (address == np.array(parts[::-1]).T).all()


def test_an_address_outside_the_device_has_no_byte() -> None:
    with pytest.raises(InputError, match="Row must be under 64, not 64"):
        byte_addresses(HEADER, np.array([[0, 0, 0, 0, 64, 0]]))


@given(logs(), st.sampled_from(["rw", "ldst"]))
@FUZZ
def test_requests_are_read_back(records: np.ndarray, form: str) -> None:
    lines = written(write, ListTrace(HEADER, records), form)
    if not lines:
        return
    with open_trace(io.BytesIO(lines)) as trace:
        assert isinstance(trace, RequestTrace)
        found = [trace.line(request) for piece in trace.pieces() for request in piece]
    assert "".join(f"{line}\n" for line in found).encode() == lines


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (b"R 0,1\nR 0\n", 2, "must have 2 numbers, not 1"),
        (b"R 0,1\n\n", 2, "begin with R or W"),
        (b"R 0,1\nLD 0\n", 2, "begin with R or W, not 'LD'"),
        (b"R 0,-1\n", 1, "numbers with commas"),
        (b"R 0,1 \n", 1, "numbers with commas"),
        (b"R 0,2147483648\n", 1, "under 2^31"),
        (b"R 0,0,0,0,0,0,0,0,0\n", 1, "8 numbers"),
        (b"LD 1f\n", 1, "0x for hexadecimal"),
        (b"LD 0x8000000000000000\n", 1, "under 2^63"),
        (b"LD " + b"1" * 2000, 1, "0x for hexadecimal"),
    ],
)
def test_a_wrong_request_is_named(lines: bytes, line: int, message: str) -> None:
    fault = read_or_fault(lines)
    assert isinstance(fault, InputError)
    assert message in fault.message and fault.position is not None
    assert fault.position.line == line


def test_requests_as_others_write_them() -> None:
    # Decimal or hexadecimal, no end of the last line: Ramulator's readers take both.
    trace, found = read(b"LD 0x12340\nST 4096")
    assert isinstance(trace, RequestTrace)
    assert found["write"].tolist() == [False, True]
    assert found["address"][:, 0].tolist() == [0x12340, 4096]


# .ram2bin


def test_ram2bin_is_the_published_layout() -> None:
    """Field by field as bin_trace_recorder.cpp of CMU-SAFARI/ramulator2 @c5b1c3a describes it."""
    data = content("ram2bin")
    assert data[:12] == b"RAM2BIN\0\x01\x01\0\0"
    levels, commands, timings, width, prefetch, dq = struct.unpack_from("<6H", data, 12)
    assert (levels, commands, timings) == (6, len(COMMANDS), 3)  # nBL, nCL, tCK_ps
    assert (width, prefetch, dq) == (32, 8, 32)
    channel, latency, entries, start = struct.unpack_from("<IiQQ", data, 24)
    assert (channel, latency, entries) == (7, 40, 6)  # (nCL 18 + nBL 2) x 2 ticks
    assert data[48:64] == b"handmade" + bytes(8)
    at = 64
    names = data[at:].split(b"\0", 6)[:6]
    assert [name.decode() for name in names] == list(LEVELS)
    at += sum(len(name) + 1 for name in names)
    assert struct.unpack_from("<6I", data, at) == HEADER.sizes
    at += 24
    for command in COMMANDS:
        assert data[at:].startswith(command.name.encode() + b"\0")
        at += len(command.name) + 1
    #       ACT: opens, row; PRE: closes, row; REFab: refreshes, row; accesses and others: column
    assert list(data[at : at + 8]) == [17, 18, 24, 36, 36, 36, 32, 32]
    assert list(data[at + 8 : at + 16]) == [3, 1, 1, 2, 2, 2, 2, 2]
    at += 16
    assert data[at : at + 15] == b"nBL\0nCL\0tCK_ps\0"
    assert struct.unpack_from("<3i", data, at + 15) == (4, 36, 385)  # 1 / 2.6 GHz = 384.6 ps
    at += 27
    assert start == at + -at % 8 and start % 8 == 0
    assert len(data) == start + 6 * (20 + 4 * 6)
    assert struct.unpack_from("<6q", data, start) == (1, 21, 30, 30, 400, 420)
    assert struct.unpack_from("<6q", data, start + 48) == (-1,) * 6  # when a request arrived
    assert struct.unpack_from("<6B", data, start + 96) == (0, 3, 5, 2, 4, 7)
    assert struct.unpack_from("<6b", data, start + 102) == (-1, 1, -1, -1, 0, -1)
    assert struct.unpack_from("<6h", data, start + 108) == (0, 0, 2, -1, 0, 0)
    assert struct.unpack_from("<6i", data, start + 120 + 3 * 24) == (3, 3, -1, -1, 3, -1)  # Bank


def test_ram2bin_says_its_commands() -> None:
    trace, _ = read(content("ram2bin"))
    assert isinstance(trace, Trace)
    known = [replace(c, scope=None, completion=None, busy=None, unit="", unit_level="")
             for c in COMMANDS]  # fmt: skip
    assert trace.header.commands == tuple(known)
    assert trace.header.sizes == HEADER.sizes
    assert trace.header.timing_ck == {"nBL": 4, "nCL": 36}


@given(st.data())
@settings(FUZZ, max_examples=300)
def test_damaged_ram2bin_is_a_trace_or_a_fault_with_its_byte(data: st.DataObject) -> None:
    found = read_or_fault(data.draw(damage(content("ram2bin"), content("ram2bin", 2))))
    if isinstance(found, InputError):
        assert " byte " in found.message or (found.position and found.position.line)


def test_a_ram2bin_cut_anywhere_is_a_fault() -> None:
    whole = content("ram2bin")
    for length in range(len(whole)):
        assert isinstance(read_or_fault(whole[:length]), InputError), length


def test_ram2bin_of_what_does_not_fit() -> None:
    many = replace(HEADER, commands=tuple(replace(COMMANDS[0], name=f"A{n}") for n in range(257)))
    with pytest.raises(InputError, match=r"commands of a \.ram2bin must be at most 256, not 257"):
        written(write, ListTrace(many), "ram2bin")
    far = RECORDS.copy()
    far["source"][0] = 40_000
    with pytest.raises(InputError, match=r"sources of a \.ram2bin must be under 32768"):
        written(write, ListTrace(HEADER, far), "ram2bin")
    lies = bytearray(content("ram2bin"))
    struct.pack_into("<Q", lies, PREFIX.size - 32, 1 << 60)
    assert isinstance(read_or_fault(bytes(lies)), InputError)


# All formats


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_is_written_in_every_format(form: str) -> None:
    compiled = step()
    trace = ChannelTrace(compiled, channel=busy_channel(compiled), layer=1)
    data = written(write, trace, form, Cut(limit=500))
    if form == "perfetto":
        assert len(json.loads(data)["traceEvents"]) > 500
    else:
        _, found = read(data)
        assert len(found) == (500 if found.dtype == LOG else data.count(b"\n"))


@pytest.mark.parametrize("form", ["perfetto", "ram2bin", "ldst"])
def test_text_does_not_say_enough_for_every_format(form: str) -> None:
    with (
        open_trace(io.BytesIO(content("text"))) as trace,
        pytest.raises(InputError, match=r"a trace must say sizes.* and this one does not"),
    ):
        assert isinstance(trace, Trace)
        written(write, trace, form)


def test_formats_by_suffix() -> None:
    from pathlib import Path

    for form, suffixes in FORMATS.items():
        for suffix in suffixes:
            assert format_of(Path(f"a.b{suffix}")) == form
            assert format_of(Path(f"a{suffix.upper()}")) == form
    assert format_of(Path("trace")) == "text"


@pytest.mark.parametrize("start", [b"", b"{}", b"\x89PNG\r\n\x1a\n", b"hello", bytes(100)])
def test_what_is_no_trace(start: bytes) -> None:
    fault = read_or_fault(start)
    assert isinstance(fault, InputError)
    assert "trace must begin as one in text, binary, rw, ldst or ram2bin" in fault.message
