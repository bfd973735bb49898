"""The binary trace: what is written is read, from any place, and nothing altered is believed."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trace_cases import (
    COMMANDS,
    HEADER,
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
from pamsim.sim import ChannelTrace, simulate
from pamsim.traces import Cut, TraceEnd
from pamsim.traces.binary import CHUNK, END, FOOTER, PREFIX, write_binary
from pamsim.traces.binary_reader import BinaryTrace
from pamsim.traces.columns import columns_of
from pamsim.traces.trace import PIECE
from pyramulator.stream import LOG

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def long_log() -> np.ndarray:
    """Three chunks, the last one short; drawn numbers, so that no column is constant."""
    rng = np.random.default_rng(4)
    n = 2 * PIECE + 1000
    found = np.zeros(n, LOG)
    found["tick"] = np.cumsum(rng.integers(0, 5, n))
    found["command"] = rng.integers(0, len(COMMANDS), n)
    found["source"] = rng.integers(-1, 9, n)
    for level, size in enumerate((1, 2, 4, 4, 64, 32)):
        found["address"][:, level] = rng.integers(-1 if level else 0, size, n)
    return found


@cache
def long_file() -> bytes:
    return written(write_binary, ListTrace(HEADER, long_log(), ticks=10**6))


@cache
def small_file(seed: int = 0) -> bytes:
    """Forty commands."""
    records = [
        (9 * k, (k + seed) % len(COMMANDS), k % 3, (k % 2, 1, 2, k % 9, 5)) for k in range(40)
    ]
    return written(write_binary, ListTrace(HEADER, log(records), ticks=400))


class Pipe(io.RawIOBase):
    """Bytes that come a few at a time and cannot be sought in."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._rest.read(min(len(buffer), 1000))
        buffer[: len(part)] = part
        return len(part)


@given(logs(), st.integers(0, 10**13))
@FUZZ
def test_what_is_written_is_read(records: np.ndarray, after: int) -> None:
    ticks = (int(records["tick"][-1]) if len(records) else 0) + after
    trace, found = read(written(write_binary, ListTrace(HEADER, records, ticks=ticks)))
    assert isinstance(trace, BinaryTrace)
    assert trace.header == HEADER
    assert (found == records).all()
    assert trace.end == TraceEnd(len(records), ticks, True)


def test_files_of_version_1_stay_readable() -> None:
    """small_file() as the first writer wrote it; not to be written again while the version is 1."""
    golden = Path(__file__).parent / "golden" / "pamsim_traces" / "version-1.pamtrace"
    trace, found = read(golden.read_bytes())
    expected, records = read(small_file())
    assert isinstance(trace, BinaryTrace) and isinstance(expected, BinaryTrace)
    assert (found == records).all() and len(found) == 40
    assert (trace.header, trace.end) == (expected.header, expected.end)


def test_pieces_of_any_size_make_the_same_file() -> None:
    pieces = np.array_split(long_log(), 7)
    assert written(write_binary, ListTrace(HEADER, *pieces, ticks=10**6)) == long_file()
    _, found = read(long_file())
    assert (found == long_log()).all()


@given(
    first=st.integers(0, 300_000), length=st.integers(0, 200_000), skip=st.integers(0, 140_000),
    limit=st.one_of(st.none(), st.integers(0, 3000)),
)  # fmt: skip
@settings(deadline=None, max_examples=30)
def test_a_part_is_what_the_whole_has_there(
    first: int, length: int, skip: int, limit: int | None
) -> None:
    whole = long_log()[skip:]
    inside = (whole["tick"] >= first) & (whole["tick"] <= first + length)
    _, found = read(long_file(), Cut(first, first + length, skip, limit))
    assert (found == whole[inside][:limit]).all()


def test_a_part_at_the_end_does_not_read_what_is_before_it() -> None:
    file = io.BytesIO(long_file())
    trace = BinaryTrace(file, "file")
    file.read = counted = Counted(file.read)  # type: ignore[method-assign, assignment]
    pieces = list(trace.pieces(Cut(skip=2 * PIECE + 999)))
    assert [len(piece) for piece in pieces] == [1]
    assert counted.bytes_read < len(long_file()) / 4  # the last chunk is 1000 of 132,072 commands


class Counted:
    def __init__(self, read: Any) -> None:
        self._read, self.bytes_read = read, 0

    def __call__(self, size: int = -1) -> bytes:
        content: bytes = self._read(size)
        self.bytes_read += len(content)
        return content


def test_a_pipe_is_read_as_it_comes() -> None:
    trace = BinaryTrace(Pipe(long_file()), "-")  # type: ignore[arg-type]
    pieces = list(trace.pieces(Cut(skip=10)))
    assert [len(piece) for piece in pieces] == [PIECE - 10, PIECE, 1000]
    assert (np.concatenate(pieces) == long_log()[10:]).all()


def test_the_log_of_a_run_takes_less_than_a_byte_a_command() -> None:
    compiled = step("8192")
    trace = ChannelTrace(compiled, channel=busy_channel(compiled), layer=2)
    content = written(write_binary, trace)
    # 48 B in memory, some 35 B as text; README of the format: 0.3 B and a header of 5 kB.
    assert len(content) < trace.end.commands
    reader, found = read(content)
    run = simulate(compiled, log=True)[0].result
    assert run.log is not None
    assert isinstance(reader, BinaryTrace)
    assert reader.end == TraceEnd(len(run.log), run.ticks, True)
    for name in ("tick", "command", "source"):
        assert (found[name] == run.log[name]).all()


# What is not as it was written


@given(st.data())
@settings(FUZZ, max_examples=400)
def test_a_damaged_file_is_the_same_or_a_fault_with_its_byte(data: st.DataObject) -> None:
    whole = small_file()
    found = read_or_fault(data.draw(damage(whole, small_file(3))))
    if isinstance(found, InputError):
        assert " byte " in found.message or "a line" in found.message, found
    else:
        assert (found == read(whole)[1]).all()


def test_a_file_cut_anywhere_is_a_fault() -> None:
    whole = small_file()
    for length in range(len(whole)):
        assert isinstance(read_or_fault(whole[:length]), InputError), length


def test_any_flipped_bit_is_a_fault() -> None:
    whole = small_file()
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        assert isinstance(read_or_fault(bytes(broken)), InputError), at


def parts(content: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """The header's JSON, the first chunk with all after it but the footer, the footer."""
    size = PREFIX.unpack_from(content)[3]
    at = PREFIX.size + size
    return (
        json.loads(content[PREFIX.size : at]),
        content[at : -FOOTER.size],
        content[-FOOTER.size :],
    )


def with_header(document: object) -> bytes:
    """The small file with another header, its checksum right."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    prefix = PREFIX.pack(b"\x89PAMTRC\n", 1, 0, len(text), zlib.crc32(text))
    return prefix + text + b"".join(parts(small_file())[1:])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data())
@settings(FUZZ, max_examples=200)
def test_a_header_of_other_values_is_a_fault_or_a_header(data: st.DataObject) -> None:
    document, _, _ = parts(small_file())
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(VALUES)
    read_or_fault(with_header(document))


@pytest.mark.parametrize(
    "text",
    [b"", b"null", b"{}", b"[" * 100_000, b'{"levels":' * 5000, b"1" * 5000, b"\xff", b"NaN",
     b'"' + b"x" * (1 << 19) + b'"'],
)  # fmt: skip
def test_a_header_that_is_none_is_a_fault(text: bytes) -> None:
    assert isinstance(read_or_fault(with_header(text)), InputError)


def with_chunk(payload: bytes, commands: int = 40, first: int = 0, last: int = 351) -> bytes:
    """The small file with another chunk, its checksum right; the end does not fit it."""
    head = CHUNK.pack(b"CHNK", len(payload), commands, first, last, 0)[:-4]
    crc = struct.pack("<I", zlib.crc32(payload, zlib.crc32(head)))
    whole = small_file()
    start = PREFIX.size + PREFIX.unpack_from(whole)[3]
    return whole[:start] + head + crc + payload + whole[-FOOTER.size - END.size :]


@given(st.data())
@settings(FUZZ, max_examples=200)
def test_a_chunk_of_other_content_is_a_fault(data: st.DataObject) -> None:
    columns = len(columns_of(HEADER.levels))
    widths = data.draw(st.lists(st.sampled_from([1, 2, 4, 8]), min_size=columns, max_size=columns))
    content = data.draw(st.binary(min_size=sum(widths) * 40, max_size=sum(widths) * 40))
    payload = bytes(widths) + zstandard.ZstdCompressor().compress(content)
    found = read_or_fault(with_chunk(payload, first=data.draw(st.integers(0, 1 << 63 - 1))))
    assert isinstance(found, InputError)


def test_lengths_that_lie_take_no_memory() -> None:
    bomb = bytes([1] * 8) + zstandard.ZstdCompressor().compress(bytes(64 << 20))
    huge = struct.pack("<4sIIqqI", b"CHNK", 0xFFFFFFFF, PIECE, 0, 351, 0)
    start = len(small_file()) - len(parts(small_file())[1]) - FOOTER.size
    cases = [
        with_chunk(bomb),
        with_chunk(bomb, commands=PIECE),
        small_file()[:start] + huge,
        PREFIX.pack(b"\x89PAMTRC\n", 1, 0, 0xFFFFFFFF, 0),
        small_file()[:start] + END.pack(b"TEND", 0xFFFFFFF0, 1 << 62, 0, 1, 0),
    ]
    tracemalloc.start()
    try:
        for case in cases:
            assert isinstance(read_or_fault(case), InputError)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_chunks_in_another_order_are_a_fault() -> None:
    whole = long_file()
    places = [at for at in range(len(whole)) if whole[at : at + 4] == b"CHNK"]
    first, second, third = places[:3]
    size = CHUNK.unpack_from(whole, first)[1] + CHUNK.size
    assert first + size == second
    doubled = whole[:second] + whole[first:second] + whole[second:]
    left_out = whole[:second] + whole[third:]
    for content in (doubled, left_out):
        assert isinstance(read_or_fault(content), InputError)


def test_a_fault_names_file_and_byte() -> None:
    with pytest.raises(InputError, match=r"must go on with its header, .* at byte 1200 \[t\]"):
        BinaryTrace(io.BytesIO(small_file()[:1200]), "t")
    trace = BinaryTrace(io.BytesIO(small_file()[:-1]), "t")
    with pytest.raises(InputError, match=rf"with its footer, .* at byte {len(small_file()) - 1} "):
        list(trace.pieces())
