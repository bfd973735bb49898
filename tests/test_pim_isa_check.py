"""The program check: one test per rule, each with a program that breaks only that rule."""

from __future__ import annotations

import pytest

from pim_isa import assemble, check

HEAD = ".family hbm_pim\n.stream pc=0 sid=0 bg=0\n"
CFG = "CFG queries=2 part=8 vector=8\n"


def faults(text: str, **options: int) -> list[str]:
    return [str(fault) for fault in check(assemble(text), **options)]


def test_sound_program_has_no_fault() -> None:
    body = CFG + "LOOP count=4 row_step=1 base_step=4\nACT row=1\nPRE\nEND\nBAR id=1\n"
    assert faults(HEAD + body + ".stream pc=1 sid=0 bg=0\nBAR id=1") == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("LOOP count=2\nNOP", "LOOP must be closed by END [stream 0, instruction 0]"),
        ("END", "END must close a LOOP [stream 0, instruction 0]"),
        ("REDG", "REDG must come after CFG [stream 0, instruction 0]"),
        ("MAX slots=8 base=0 mask=15", "MAX must come after CFG [stream 0, instruction 0]"),
        (
            CFG + "WRQ slot=2 query=0 offset=0",
            "WRQ must keep slot < queries, not queries = 2, slot = 2 [stream 0, instruction 1]",
        ),
        (
            CFG + "MAX slots=8 base=505 mask=15",
            "MAX must keep base + slots <= max_slots, not base = 505, max_slots = 512, slots = 8 "
            "[stream 0, instruction 1]",
        ),
        (
            # the last of 5 iterations: base 4 x 127 = 508, and 508 + 5 > 512
            CFG + "LOOP count=128 base_step=4\nMAX slots=5 base=0 mask=15\nEND",
            "MAX must keep base + slots <= max_slots, not base = 508, max_slots = 512, slots = 5 "
            "[stream 0, instruction 2]",
        ),
        (
            CFG + "MACK row=0 column=1 slots=4 base=0 mask=15",
            "MACK must keep column + (slots - 1) * vector + part <= row_columns, not column = 1, "
            "part = 8, row_columns = 32, slots = 4, vector = 8 [stream 0, instruction 1]",
        ),
        (
            "APP bank=0 row=0 column=25 columns=8 source=0",
            "APP must keep column + columns <= row_columns, not column = 25, columns = 8, "
            "row_columns = 32 [stream 0, instruction 0]",
        ),
        (
            # 32760 + 7 x 1 + 3 x 1 > 32767: additions of nested loops add up
            "LOOP count=8 row_step=1\nLOOP count=4 row_step=1\nACT row=32758\nEND\nEND",
            "ACT row must stay below 32768, not reach 32768 [stream 0, instruction 2]",
        ),
        (
            CFG + "LOOP count=20 query_step=255\nREDL slot=0 query=0\nEND",
            "REDL query must stay below 4096, not reach 4845 [stream 0, instruction 2]",
        ),
        (
            # the second iteration starts with the smaller configuration
            CFG + "LOOP count=2\nREDL slot=1 query=0\nCFG queries=1 part=8 vector=8\nEND",
            "REDL must keep slot < queries, not queries = 1, slot = 1 [stream 0, instruction 2]",
        ),
    ],
)
def test_fault_in_a_stream(body: str, message: str) -> None:
    assert faults(HEAD + body) == [message]


def test_rows_of_the_device() -> None:
    assert faults(HEAD + "ACT row=99", rows=100) == []
    assert faults(HEAD + "ACT row=100", rows=100) == [
        "ACT row must stay below 100, not reach 100 [stream 0, instruction 0]"
    ]


def test_two_streams_on_one_unit() -> None:
    assert faults(HEAD + HEAD.splitlines()[1]) == [
        "unit must have one stream, not 0 and 1 [stream 1]"
    ]


@pytest.mark.parametrize(
    ("first", "second", "late"),
    [
        ("BAR id=1\nBAR id=1", "BAR id=1", 1),  # once too often
        ("BAR id=1\nBAR id=2", "BAR id=2\nBAR id=1", 1),  # crossed
        ("LOOP count=3\nBAR id=1\nEND", "BAR id=1\nBAR id=1", 1),
    ],
)
def test_barriers_that_never_open(first: str, second: str, late: int) -> None:
    (fault,) = faults(f"{HEAD}{first}\n.stream pc=1 sid=0 bg=0\n{second}")
    assert f"not missed by stream {late}" in fault


def test_barriers_in_loops_meet() -> None:
    loop = "LOOP count=3\nBAR id=1\nBAR id=2\nEND"
    straight = "\n".join(["BAR id=1\nBAR id=2"] * 3)
    assert faults(f"{HEAD}{loop}\n.stream pc=1 sid=0 bg=0\n{straight}") == []


def test_all_faults_are_found_in_one_pass() -> None:
    assert len(faults(HEAD + "REDG\nAPP bank=0 row=0 column=31 columns=2 source=0\nREDG")) == 3
