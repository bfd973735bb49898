"""Simulation: programs become the right records, all of them are issued, traces say when."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pamsim.compiler import CompiledStep, compile_step
from pamsim.config import ProgramVariants, describe, load_device, load_system
from pamsim.errors import InputError
from pamsim.model import ModelSpec, load_model
from pamsim.sim import count_commands, expand, simulate, write_trace
from pamsim.workload import make_step
from pim_isa import Program, assemble
from pyramulator.description import Description
from pyramulator.stream import BARRIER, END, LOOP, CommandStream


@cache
def description() -> Description:
    variants = ProgramVariants(queries=(1, 2), elements=(16, 32), reduced_elements=(64, 256))
    return describe(load_device("hbm3-pam"), variants)


def expanded(body: str, head: str = ".stream pc=1 sid=0 bg=2") -> tuple[CommandStream, Program]:
    program = assemble(f".family hbm_pim\n{head}\n{body}")
    return expand(program, description()), program


def readable(stream: CommandStream, number: int = 0) -> list[tuple]:
    """(command, target, row, column, column step, count) with names for numbers."""
    marks = {LOOP: "LOOP", END: "END", BARRIER: "BARRIER"}
    rows = []
    for command, target, row, column, step, count in stream.streams[number].tolist():
        name = marks.get(command) or description().commands[command].name
        where = None if name in marks.values() else tuple(stream.targets[target].tolist())
        rows.append((name, where, row, column, step, count))
    return rows


GROUP = (0, 1, 0, 2, -1)  # channel, pseudo-channel, SID, bank group, every bank


def test_a_row_visit_is_three_records() -> None:
    stream, _ = expanded(
        """CFG queries=2 part=8 vector=8
        ACT row=7
        MACK row=7 column=8 slots=3 base=0 mask=15
        PRE"""
    )
    assert readable(stream) == [
        ("ACTbg", GROUP, 7, 0, 0, 1),
        ("MACbg_q2", GROUP, 7, 8, 1, 24),  # 3 vectors of 8 columns lie side by side
        ("PREbg", GROUP, 0, 0, 0, 1),
    ]


def test_parts_of_vectors_are_runs_of_columns() -> None:
    stream, _ = expanded(
        "CFG queries=1 part=4 vector=16\nMACV row=3 column=4 slots=2 base=0 mask=15"
    )
    assert readable(stream) == [
        ("MACbg_q1", GROUP, 3, 4, 1, 4),
        ("MACbg_q1", GROUP, 3, 20, 1, 4),  # the next vector begins 16 columns on
    ]


def test_every_scope_has_its_target() -> None:
    stream, _ = expanded(
        """CFG queries=2 part=8 vector=8
        APP bank=3 row=9 column=24 columns=8 source=0
        PREB bank=3
        WRQ slot=1 query=5 offset=0
        MAX slots=12 base=0 mask=15
        REDG
        REDL slot=0 query=0
        RDR query=0 normalise=1
        RDR query=0"""
    )
    bank = (*GROUP[:4], 3)
    assert readable(stream) == [
        ("WR", bank, 9, 24, 1, 8),
        ("PREpb", bank, 0, 0, 0, 1),
        ("WRQ", GROUP, 0, 0, 0, 8),
        ("MAX_32", GROUP, 0, 0, 0, 1),  # 2 x 12 elements, rounded up to 16
        ("REDBG_256", GROUP, 0, 0, 0, 1),  # 2 x 8 columns of 16
        ("REDLD", GROUP, 0, 0, 0, 9),
        ("RDRES", (0, 1, -1, -1, -1), 0, 0, 0, 8),
        ("RDRES", (0, 1, -1, -1, -1), 0, 0, 0, 17),
    ]


def test_loops_and_barriers_stay_records() -> None:
    stream, program = expanded(
        """CFG queries=1 part=8 vector=8
        BAR id=3
        LOOP count=5 row_step=4 base_step=2 query_step=9
          LOOP count=2
            CLRO
          END
          LOOP count=3 row_step=1 base_step=4
            ACT row=1
            PRE
          END
        END"""
    )
    assert readable(stream) == [
        ("BARRIER", None, 3, 0, 0, 0),
        ("LOOP", None, 4, 0, 0, 5),
        # CLRO commands nothing, so its loop is gone.
        ("LOOP", None, 1, 0, 0, 3),
        ("ACTbg", GROUP, 1, 0, 0, 1),
        ("PREbg", GROUP, 0, 0, 0, 1),
        ("END", None, 0, 0, 0, 0),
        ("END", None, 0, 0, 0, 0),
    ]
    assert count_commands(program) == {"ACTbg": 15, "PREbg": 15}


def test_a_command_the_device_lacks_is_named() -> None:
    with pytest.raises(KeyError, match="EXP_512"):
        expanded("CFG queries=1 part=8 vector=8\nEXP slots=500 base=0 mask=15")


@cache
def small(group: int = 3, head_dim: int = 128) -> ModelSpec:
    return replace(
        load_model("llama-3-8b"), layers=3, hidden=64, query_heads=2 * group, kv_heads=2,
        head_dim=head_dim, ffn_hidden=64, vocabulary=100,
    )  # fmt: skip


@cache
def step(contexts: str, group: int = 3, head_dim: int = 128) -> CompiledStep:
    system = load_system("pam-hbm", ["tiers.hbm.devices=1"])
    return compile_step(small(group, head_dim), make_step(contexts), system)


@pytest.mark.parametrize("contexts", ["1", "17,64,700", "8192"])
@pytest.mark.parametrize(("group", "head_dim"), [(3, 128), (5, 64), (1, 256)])
def test_engine_issues_every_command_of_the_programs(
    contexts: str, group: int, head_dim: int
) -> None:
    for run in simulate(step(contexts, group, head_dim)):
        asked = count_commands(run.program.program)
        # Rows of appends are opened by the controller; refreshes and their precharges come on top.
        extra = {"ACT", "PREpb", "PREab", "REFab", "ACTbg"}
        issued = run.result.counts
        for name, count in asked.items():
            if name in extra:
                assert issued[name] >= count
            else:
                assert issued[name] == count
        assert set(issued) - set(asked) <= extra
        assert run.result.ticks > 0 and run.layers == 3
        assert run.channels == len(run.program.bindings)


def test_time_is_no_less_than_the_buses_allow() -> None:
    # hbm3-pam: one column command a CK and channel, nCCDL = 4 CK in a group; a tick is half a CK.
    for run in simulate(step("8192")):
        asked = count_commands(run.program.program)
        macs = asked["MACbg_q1"]
        assert run.result.ticks >= 2 * sum(
            n for name, n in asked.items() if not name.startswith(("ACT", "PRE"))
        )
        assert run.result.ticks >= 8 * macs / len(run.stream.streams)


def test_threads_and_progress_change_nothing() -> None:
    compiled = step("17,64,700")
    calls: list[tuple[int, int]] = []
    one = simulate(compiled, threads=1, progress=lambda done, all_: calls.append((done, all_)))
    two = simulate(compiled, threads=2)
    assert [r.result.ticks for r in one] == [r.result.ticks for r in two]
    assert [r.result.counts for r in one] == [r.result.counts for r in two]
    assert [r.program.sha256 for r in one] == [p.sha256 for p in compiled.programs]
    n = len(compiled.programs)
    assert calls[0] == (0, n) and calls[-1] == (n, n)


def test_log_holds_every_issued_command() -> None:
    run = simulate(step("700"), log=True)[0]
    assert run.result.log is not None
    names = [c.name for c in run.description.commands]
    assert Counter(names[i] for i in run.result.log["command"]) == run.result.counts
    assert simulate(step("700"))[0].result.log is None


def test_unknown_engine() -> None:
    with pytest.raises(InputError, match="engine must be a known one, not 'embeded'"):
        simulate(step("1"), engine="embeded")


def lines(compiled: CompiledStep, **options: int) -> list[str]:
    out = io.StringIO()
    written = write_trace(out, compiled, **options)
    text = out.getvalue().splitlines()
    assert text[4] == "# tick command channel pc sid bg bank row column source"
    assert all(line.startswith("# ") for line in text[:5])
    assert written == len(text) - 5
    return text[5:]


def test_trace_is_the_log_as_text() -> None:
    compiled = step("700")
    run = simulate(compiled, log=True)[0]
    channel = run.program.bindings[0].channel
    log = run.result.log
    assert log is not None
    text = [line.split() for line in lines(compiled, channel=channel)]
    assert len(text) == len(log)
    names = [c.name for c in run.description.commands]
    for fields, (tick, command, source, address) in zip(text, log.tolist(), strict=True):
        assert fields[:3] == [str(tick), names[command], str(channel)]
        assert fields[3:7] == ["*" if n < 0 else str(n) for n in address[1:5]]
        assert fields[9] == ("refresh" if source < 0 else str(source))
        rowed = names[command] in ("ACT", "ACTbg", "WR") or names[command].startswith("MAC")
        assert fields[7] == (str(address[5]) if rowed else "-")
        assert fields[8] == (
            str(address[6]) if rowed and not names[command].startswith("ACT") else "-"
        )


def test_trace_of_another_layer_has_other_rows() -> None:
    compiled = step("700")
    channel = compiled.programs[0].bindings[0].channel
    first, last = lines(compiled, channel=channel), lines(compiled, channel=channel, layer=2)
    moved = int(compiled.table.rows_per_layer[channel].max())
    rows = [
        (int(a.split()[7]), int(b.split()[7]))
        for a, b in zip(first, last, strict=True)
        if a.split()[7] != "-"
    ]
    # Each head is in one group of its channel here, so all rows move alike.
    assert np.count_nonzero(compiled.table.rows_per_layer[channel]) == 1
    assert {b - a for a, b in rows} == {2 * moved}
    assert all(row < compiled.table.rows for _, row in rows)


def test_trace_can_be_cut_short() -> None:
    compiled = step("8192")
    channel = compiled.programs[0].bindings[0].channel
    whole = lines(compiled, channel=channel)
    assert lines(compiled, channel=channel, limit=100) == whole[:100]
    assert lines(compiled, channel=channel, limit=0) == []


def test_trace_of_what_there_is_not() -> None:
    compiled = step("1")  # two pairs on 16 channels
    busy = {b.channel for p in compiled.programs for b in p.bindings}
    idle = next(c for c in range(16) if c not in busy)
    for options, expected in (
        ({"channel": idle}, f"channel must have work in this step, not {idle}"),
        ({"channel": 16}, "channel must be between 0 and 15, not 16"),
        ({"channel": min(busy), "layer": 3}, "layer must be between 0 and 2, not 3"),
    ):
        with pytest.raises(InputError, match=expected):
            write_trace(io.StringIO(), compiled, **options)
