"""The streams' commands written out, and a log held against them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pamsim.compiler import compile_step
from pamsim.config import load_system
from pamsim.model import load_model
from pamsim.report.proofs import SEQUENCE_RULE, prove_timing
from pamsim.sim import ChannelRun, count_commands, simulate
from pamsim.validate.asked import asked_sequences, issued_as_asked
from pamsim.workload.step import DecodeStep
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

SYSTEM = load_system("pam-hbm")
DEVICE = SYSTEM.tier("hbm").device


@pytest.fixture(scope="module")
def run() -> ChannelRun:
    compiled = compile_step(load_model("llama-3-8b"), DecodeStep((300,)), SYSTEM)
    return simulate(compiled, threads=1, log=True)[0]


def test_loops_are_written_out_with_their_steps(run: ChannelRun) -> None:
    mac = run.description.command_index("MACbg_q1")
    records = np.array(
        [
            (LOOP, 0, 10, 4, 0, 2),
            (LOOP, 0, 1, 0, 0, 2),
            (mac, 0, 5, 0, 1, 2),
            (END, 0, 0, 0, 0, 0),
            (BARRIER, 0, 0, 0, 0, 0),
            (END, 0, 0, 0, 0, 0),
        ],
        RECORD,
    )
    stream = CommandStream(np.array([[0, 1, 0, 3, -1]], np.int32), (records,))
    (asked,) = asked_sequences(stream, run.description)
    rows_and_columns = [tuple(a) for a in asked["address"][:, 5:7].tolist()]
    first = [(5, 0), (5, 1), (6, 0), (6, 1)]
    assert rows_and_columns == first + [(r + 10, c + 4) for r, c in first]
    assert (asked["address"][:, :5] == [0, 1, 0, 3, -1]).all()


def test_a_run_issues_what_its_program_asks_for(run: ChannelRun) -> None:
    assert run.result.log is not None
    asked = asked_sequences(run.stream, run.description)
    assert issued_as_asked(asked, run.result.log, run.description)
    names = [c.name for c in run.description.commands]
    counts = count_commands(run.program.program)
    for index, name in enumerate(names):
        if not name.startswith(("ACT", "PRE")):
            assert sum(int((a["command"] == index).sum()) for a in asked) == counts.get(name, 0)


@pytest.mark.parametrize("fault", ["altered", "dropped", "duplicated", "swapped", "stranger"])
def test_a_log_that_was_tampered_with_is_a_violation(run: ChannelRun, fault: str) -> None:
    assert run.result.log is not None
    log = run.result.log.copy()
    mac = np.flatnonzero(log["command"] == run.description.command_index("MACbg_q1"))
    at = int(mac[5])
    if fault == "altered":
        log["address"][at, 6] ^= 1
    elif fault == "dropped":
        log = np.delete(log, at)
    elif fault == "duplicated":
        log = np.insert(log, at, log[at])
    elif fault == "swapped":
        a, b = int(mac[5]), int(mac[6])
        log["address"][[a, b]] = log["address"][[b, a]]
    else:
        log["source"][at] = 99
    verdict = prove_timing(replace(run, result=replace(run.result, log=log)), DEVICE)
    assert verdict.verdict == "violated"
    assert SEQUENCE_RULE in verdict.by_rule
    assert verdict.first
