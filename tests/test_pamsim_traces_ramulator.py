"""Ramulator 2.1 itself reads what pamsim writes, and pamsim reads what its recorders write.

RAMULATOR2_ROOT names a built checkout; without it these tests are skipped.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trace_cases import HEADER, ListTrace, busy_channel, read, step, written

from pamsim.sim import ChannelTrace
from pamsim.traces import Trace, TraceCommand, write
from pamsim.traces.ram2bin import PREFIX
from pyramulator.stream import LOG

ROOT = Path(os.environ.get("RAMULATOR2_ROOT", "."))
pytestmark = pytest.mark.skipif(
    not os.environ.get("RAMULATOR2_ROOT"), reason="RAMULATOR2_ROOT names no built Ramulator 2.1"
)
LEVELS = ("Channel", "PseudoChannel", "Sid", "BankGroup", "Bank", "Row", "Column")
SIZES = (1, 2, 2, 4, 4, 1 << 14, 32)  # of its preset HBM3_16Gb_8hi, in columns of 32 B
REQUESTS = 400
DRAIN_TICKS = 60_000

# Printed by Ramulator's own Python package, which needs no compiled part for it.
CONFIGURATION = """
import json, sys, ramulator as r
form, trace, out = sys.argv[1:]
rw = form == "rw"
frontend = (r.frontend.ReadWriteTrace if rw else r.frontend.LoadStoreTrace)
plugins = [r.controller_plugin.BinTraceRecorder(path=out, dram_type="HBM3"),
           r.controller_plugin.CmdTraceRecorder(path=out + ".csv")]
channel_mapper = (r.channel_mapper.PassThroughChannelMapper if rw
                  else r.channel_mapper.CacheLineInterleave)
mapper = r.addr_mapper.PassThroughAddrMapper if rw else r.addr_mapper.ChRaBaRoCo
controller = r.controller.HBM34(
    dram=r.dram.HBM3(org_preset="HBM3_16Gb_8hi", timing_preset="HBM3_6400Mbps"),
    scheduler=r.scheduler.FRFCFS(), refresh_manager=r.refresh_manager.AllBank(),
    row_policy=r.row_policy.Open(), addr_mapper=mapper(), controller_plugins=plugins)
memory = r.memory_system.GenericDRAM(clock_ratio=1, controllers=[controller],
    channel_mapper=channel_mapper())
print(json.dumps({"frontend": frontend(clock_ratio=1, path=trace).to_config(),
                  "memory_system": memory.to_config()}))
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that runs Ramulator's library."""
    target = tmp_path_factory.mktemp("host") / "ramulator_traces"
    source = Path(__file__).parent / "native" / "ramulator_traces.cpp"
    library = [str(ROOT / "libramulator.so"), f"-Wl,-rpath,{ROOT.resolve()}"]
    flags = ["-std=c++20", "-isystem", str(ROOT / "src")]
    command = [os.environ.get("CXX", "g++"), *flags, str(source), *library, "-o", str(target)]
    subprocess.run(command, check=True)
    return target


def issued_by_ramulator(host: Path, form: str, requests: bytes, name: str) -> Path:
    """Runs a file of requests; where its recorders wrote."""
    folder = host.parent / name
    folder.mkdir()
    (folder / f"requests.{form}").write_bytes(requests)
    out = folder / f"issued-{form}"
    config = subprocess.run(
        [sys.executable, "-c", CONFIGURATION, form, str(folder / f"requests.{form}"), str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")}, check=True, capture_output=True,
    ).stdout  # fmt: skip
    (folder / "config.yaml").write_bytes(config)
    subprocess.run(
        [host, folder / "config.yaml", str(DRAIN_TICKS)], check=True, capture_output=True
    )
    return out


def host_trace(write_share: float) -> ListTrace:
    """Reads and writes at addresses that all differ."""
    rng = np.random.default_rng(8)
    commands = (
        TraceCommand("RD", "column", 2, "Bank", "access"),
        TraceCommand("WR", "column", 2, "Bank", "access"),
    )
    header = replace(HEADER, levels=LEVELS, sizes=SIZES, commands=commands)
    records = np.zeros(REQUESTS, LOG)
    records["tick"] = np.arange(REQUESTS) + 1
    records["command"] = rng.random(REQUESTS) < write_share
    for level, size in enumerate(SIZES[1:], 1):
        records["address"][:, level] = rng.integers(0, size, REQUESTS)
    assert len({tuple(a) for a in records["address"].tolist()}) == REQUESTS
    return ListTrace(header, records)


@pytest.fixture(scope="module")
def recorded(host: Path) -> Path:
    """Half reads, half writes through LoadStoreTrace."""
    return issued_by_ramulator(host, "ldst", written(write, host_trace(0.5), "ldst"), "mixed")


def accesses(out: Path) -> Counter[tuple[str, tuple[int, ...]]]:
    trace, found = read(Path(f"{out}.ch0.ram2bin").read_bytes())
    assert isinstance(trace, Trace)
    names = [command.name for command in trace.header.commands]
    return Counter(
        (names[r["command"]], tuple(r["address"].tolist()))
        for r in found
        if names[r["command"]] in ("RD", "WR")
    )


def asked(trace: ListTrace) -> Counter[tuple[str, tuple[int, ...]]]:
    names = [command.name for command in trace.header.commands]
    return Counter(
        (names[r["command"]], tuple(r["address"].tolist()))
        for piece in trace.pieces()
        for r in piece
    )


def test_load_store_addresses_reach_the_levels_they_were_made_from(recorded: Path) -> None:
    assert accesses(recorded) == asked(host_trace(0.5))


def test_read_vectors_reach_the_levels_they_name(host: Path) -> None:
    # Reads alone: ReadWriteTrace gives its requests no byte address, and the controller takes all
    # writes without one for the same.
    trace = host_trace(0.0)
    out = issued_by_ramulator(host, "rw", written(write, trace, "rw"), "reads")
    assert accesses(out) == asked(host_trace(0.0))


@pytest.mark.parametrize("form", ["rw", "ldst"])
def test_the_host_traffic_of_a_program_is_taken(host: Path, form: str) -> None:
    compiled = step()
    requests = written(write, ChannelTrace(compiled, channel=busy_channel(compiled)), form)
    assert requests.count(b"\n") > 20
    out = issued_by_ramulator(host, form, requests, f"program-{form}")
    assert Path(f"{out}.ch0.ram2bin").stat().st_size > PREFIX.size


def test_the_recorder_s_file_is_read_as_it_was_issued(recorded: Path) -> None:
    """The same run's commands as Ramulator's other recorder wrote them, as text."""
    trace, found = read(Path(f"{recorded}.ch0.ram2bin").read_bytes())
    assert isinstance(trace, Trace)
    rows = list(csv.DictReader(Path(f"{recorded}.csv.ch0").read_text().splitlines()))
    assert len(rows) == len(found) > REQUESTS
    commands = {command.name: command for command in trace.header.commands}
    names = list(commands)
    for row, record in zip(rows, found, strict=True):
        assert int(row["clock"]) == record["tick"]
        assert row["command"] == names[record["command"]]
        assert int(row["source"]) == record["source"]
        use = commands[row["command"]].row_use
        for level, number in zip(LEVELS, record["address"].tolist(), strict=False):
            unnamed = (level == "Row" and use not in ("open", "access")) or (
                level == "Column" and use != "access"
            )
            assert number == (-1 if unnamed else int(row[level]))


def test_ram2bin_is_written_as_the_recorder_writes_it(recorded: Path) -> None:
    """Its file read and written again: the same tables, and the same arrays that we know."""
    theirs = Path(f"{recorded}.ch0.ram2bin").read_bytes()
    trace, found = read(theirs)
    assert isinstance(trace, Trace)
    ours = written(write, ListTrace(trace.header, found), "ram2bin")
    theirs_head, ours_head = PREFIX.unpack_from(theirs), PREFIX.unpack_from(ours)
    #        magic, version, flags, levels, commands; widths; channel; entries; standard
    for field in (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 14):
        assert ours_head[field] == theirs_head[field], field
    # Levels, sizes, commands, what they do, their cycles; then the timings, in another order.
    tables = theirs[PREFIX.size : theirs.index(b"rate\0")]
    assert ours[PREFIX.size : ours.index(b"nBL\0")] == tables
    n, size = len(found), len(found) * (20 + 4 * len(LEVELS))
    a, b = theirs[-size:], ours[-size:]
    assert a[: 8 * n] == b[: 8 * n]  # clk
    assert a[16 * n : 17 * n] == b[16 * n : 17 * n]  # cmd
    assert a[18 * n : 20 * n] == b[18 * n : 20 * n]  # source
    above = (20 + 4 * (len(LEVELS) - 2)) * n  # all levels above the row
    assert a[20 * n : above] == b[20 * n : above]


def test_the_configuration_is_of_the_sizes_above(recorded: Path) -> None:
    config = json.loads((recorded.parent / "config.yaml").read_text())
    count = config["memory_system"]["controllers"][0]["dram"]["org"]["count"]
    assert (*count[:-1], count[-1] // 8) == SIZES  # it counts columns in beats, 8 of 32 bits
