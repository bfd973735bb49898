"""Traces of AttAcc's public simulator on our engine; its own trace where its path is given."""

from __future__ import annotations

import hashlib
import lzma
import os
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from attacc_cases import (
    SIMULATOR_CYCLES,
    SIMULATOR_CYCLES_WITHOUT_REFRESH,
    SIMULATOR_LINES,
    attention,
    compiled,
    simulated,
)

from pamsim.config import describe, load_device
from pamsim.config.spec import ProgramVariants
from pamsim.errors import InputError
from pamsim.traces.attacc import COMMANDS, Request, attacc_streams, read_attacc
from pyramulator.description import Description
from pyramulator.many import run_many
from pyramulator.stream import BARRIER

# What scale-snu/attacc_simulator @c600051 makes of its defaults (docs/fidelity-attacc.md)
SHA256 = "d281a332afdf24ff52ea6ef216a17ce177e4370a4cdb195ca075bd7629df3a6b"
VARIABLE = "PAMSIM_ATTACC_TRACE"


@cache
def description() -> Description:
    return describe(load_device("attacc-sim"), ProgramVariants(softmax_blocks=(8,)))


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_fields_of_an_address(tmp_path: Path) -> None:
    # channel 5, pseudo-channel 0, rank 1, bank group 2, bank 0, row 9, column 3
    address = 5 << 30 | 1 << 28 | 2 << 26 | 9 << 10 | 3 << 5
    found = read_attacc(written(tmp_path / "t", f"PIM_MAC_AB {address:#x}\nPIM_BARRIER 0x0\n"))
    assert found == {5: [Request("MACAB", 1, 2, 9, 3)], 0: [Request("", 0, 0, 0, 0)]}


def test_an_xz_file_is_the_same(tmp_path: Path) -> None:
    text = "PIM_WR_GB 0x00000000\n"
    packed = tmp_path / "t.xz"
    packed.write_bytes(lzma.compress(text.encode()))
    assert read_attacc(packed) == read_attacc(written(tmp_path / "t", text))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("PIM_MAC_SB 0x0", "line 2 of t must be an operation of AttAcc's banks"),
        ("PIM_MAC_AB", "line 2 of t must be"),
        ("PIM_MAC_AB 0xzz", "address of line 2 of t must be hexadecimal"),
        ("", "line 2 of t must be"),
    ],
)
def test_a_line_that_is_none(tmp_path: Path, line: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        read_attacc(written(tmp_path / "t", f"PIM_SFM 0x0\n{line}\n"))


def test_requests_become_two_streams() -> None:
    requests = [
        Request("WRGB", 0, 0, 0, 0), Request("", 0, 0, 0, 0), Request("MACAB", 0, 0, 3, 4),
        Request("MVSB", 1, 2, 0, 0), Request("SFM", 0, 0, 0, 0),
    ]  # fmt: skip
    found = attacc_streams(requests, description(), 8)
    names = [c.name for c in description().commands]
    first, second = (
        ["BAR" if r["command"] == BARRIER else names[r["command"]] for r in s]
        for s in found.streams
    )
    assert first == ["BAR", "MACAB"]
    assert second == ["WRGB", "BAR", "MVSB", "SFM_8"]
    moved = found.targets[found.streams[1][2]["target"]]
    assert moved.tolist() == [0, 1, 2, -1]


@pytest.fixture(scope="module")
def trace() -> dict[int, list[Request]]:
    """The simulator's own trace of the golden job."""
    path = os.environ.get(VARIABLE)
    if not path:
        pytest.skip(f"{VARIABLE} gives no path of that simulator's trace")
    data = Path(path).read_bytes()
    text = lzma.decompress(data) if path.endswith(".xz") else data
    assert hashlib.sha256(text).hexdigest() == SHA256
    return read_attacc(Path(path))


def test_its_trace_has_the_lines_that_are_written_here(trace: dict[int, list[Request]]) -> None:
    operation = {command: name for name, command in COMMANDS.items()}
    assert len(trace) == 16
    for requests in trace.values():
        assert requests == trace[0]
        assert {operation[c]: n for c, n in Counter(r.command for r in requests).items()} == (
            SIMULATOR_LINES
        )


def test_its_trace_on_our_engine(trace: dict[int, list[Request]]) -> None:
    """docs/fidelity-attacc.md: once 40 between the pairs of heads, and refresh at once."""
    stream = attacc_streams(trace[0], description(), 8)
    alone = replace(description(), refresh=None)
    without, refreshed = (
        run_many([(d, stream)], 1)[0].ticks for d in (alone, description())
    )  # fmt: skip
    assert without == SIMULATOR_CYCLES_WITHOUT_REFRESH + 40
    assert refreshed == without + 3 * 478 + 5
    assert abs(refreshed - SIMULATOR_CYCLES) <= 0.011 * SIMULATOR_CYCLES


def test_our_program_visits_the_rows_and_columns_of_its_trace(
    trace: dict[int, list[Request]],
) -> None:
    """The order of MACs is the same: columns of a head's K, then of V, rows counted from each."""
    own = simulated(compiled("attacc-sim", attention(), (2048,)), refresh=False)
    assert own.log is not None
    mac = description().command_index("MACAB")
    ours = own.log[own.log["command"] == mac]["address"][:, 5].tolist()
    theirs = [r.column for r in trace[0] if r.command == "MACAB"][1:]  # without the dummy
    assert ours == theirs
