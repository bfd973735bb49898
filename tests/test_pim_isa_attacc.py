"""AttAcc: its instruction set as text and bits, and what its two queues may do to each other."""

from __future__ import annotations

import numpy as np
import pytest

from pim_isa import (
    IsaError,
    Machine,
    MachineResult,
    Unit,
    assemble,
    check,
    decode,
    disassemble,
    encode,
    expand_counts,
    load,
)

TABLE = load("attacc")
TOKENS = 16  # one in each partition

# One head over 16 tokens of dimension 64: K in row 1, V in row 2.
GEMV = """\
CFG part=1
ACT row=1
BAR id=0
NEW
MACK row=1 column=0 tokens=1 at=0 slot=0
PRE
BAR id=0
NEW
ACT row=2
BAR id=0
NEW
MACV row=2 column=0 tokens=1 page=0 slot=0 mask=65535
PRE
BAR id=0
NEW"""
GROUPS = [(rank, bg) for bg in range(4) for rank in range(2)]
MOVES = "\n".join(
    [
        "CFG part=1",
        "WRG slot=0 query=0",
        "BAR id=0",
        "BAR id=0",
        *(f"MVS rank={r} bg={g} slot=0 block=0" for r, g in GROUPS),
        "SFM slot=0 tokens=16 blocks=1",
        *(f"MVG rank={r} bg={g} slot=0 piece=0" for r, g in GROUPS),
        "BAR id=0",
        "BAR id=0",
        *(f"MVO rank={r} bank={b} slot=0 chunk=0" for b in range(4) for r in range(2)),
        "OUT slot=0 query=0",
    ]
)


def program(gemv: str = GEMV, moves: str = MOVES) -> str:
    return f".family attacc\n.stream queue=0\n{gemv}\n.stream queue=1\n{moves}\n"


def execute(
    key: np.ndarray, value: np.ndarray, query: np.ndarray, gemv: str = GEMV, moves: str = MOVES
) -> MachineResult:
    """key, value: float16 [16, 64], a token a partition. query: float16 [64]."""
    machine = Machine(assemble(program(gemv, moves)))
    memory = machine.memory(Unit(0))
    token = np.arange(TOKENS)
    for bank in range(4):
        part = slice(16 * bank, 16 * bank + 16)
        for row, vectors in ((1, key), (2, value)):
            memory.write(4 * token + bank, np.full(16, row), np.zeros(16, int), vectors[:, part])
    return machine.run({0: query})


def numbers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    shapes = ((TOKENS, 64), (TOKENS, 64), (64,))
    key, value, query = (rng.standard_normal(s).astype(np.float16) for s in shapes)
    return key, value, (query / 8).astype(np.float16)


def every_instruction() -> str:
    """Each instruction once, every operand at its greatest value that the limits allow."""
    lines = ["CFG part=1"]
    for spec in TABLE.instructions:
        if spec.mnemonic in (TABLE.loop.open, TABLE.loop.close, "CFG"):
            continue
        values = {f.name: f.maximum for f in spec.fields}
        for name in ("column", "at", "chunk"):
            if name in values:
                values[name] = 0
        if spec.mnemonic == "SFM":
            values["tokens"] = values["blocks"] * 256
        lines.append(" ".join((spec.mnemonic, *(f"{k}={v}" for k, v in values.items()))))
    lines += ["LOOP count=2 row_step=16383 block_step=1 page_step=1 piece_step=255", "NOP", "END"]
    return "\n".join(lines)


def test_text_and_bits_come_back() -> None:
    given = assemble(program(every_instruction(), "BAR id=65535"))
    assert decode(encode(given)) == given
    assert assemble(disassemble(given)) == given


def test_an_instruction_becomes_its_command() -> None:
    state = {"part": 2}
    expected = {
        "OPN": ("ACT", 1), "CLS": ("PRE", 1), "ACT": ("ACTAB", 1), "PRE": ("PREA", 1),
        "WRG": ("WRGB", 8), "MVS": ("MVSB", 1), "MVG": ("MVGB", 1), "MVO": ("MVSO", 1),
    }  # fmt: skip
    for mnemonic, (command, count) in expected.items():
        operands = {n: 0 for n in TABLE.spec(mnemonic).names}
        (found,) = expand_counts(TABLE.make(mnemonic, **operands), state, "attacc")
        assert (found.command, found.commands) == (command, count)
    mack = TABLE.make("MACK", row=0, column=0, tokens=16, at=0, slot=0)
    assert expand_counts(mack, state, "attacc")[0].commands == 32
    softmax = TABLE.make("SFM", slot=0, tokens=257, blocks=2)
    assert expand_counts(softmax, state, "attacc")[0].command == "SFM_2"
    for silent in ("NEW", "OUT"):
        operands = {n: 0 for n in TABLE.spec(silent).names}
        assert expand_counts(TABLE.make(silent, **operands), state, "attacc") == ()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("SFM slot=0 tokens=257 blocks=1", "tokens <= blocks"),
        ("SFM slot=0 tokens=256 blocks=2", "< tokens"),
        ("MACK row=0 column=20 tokens=16 at=0 slot=0", "column + tokens"),
        ("MACK row=0 column=0 tokens=9 at=8 slot=0", "at + tokens"),
        ("MVO rank=0 bank=0 slot=0 chunk=1", "chunk < part"),
        ("APP half=0 rank=0 bg=0 bank=0 row=0 column=31 columns=2 offset=0 source=0", "column"),
    ],
)
def test_limits(line: str, fault: str) -> None:
    (found,) = check(assemble(program(f"CFG part=1\n{line}", "NOP")))
    assert fault in str(found)


def test_one_head_against_float64() -> None:
    key, value, query = numbers()
    found = execute(key, value, query).results[0].astype(np.float64)
    score = key.astype(np.float64) @ query.astype(np.float64)
    weight = np.exp(score - score.max())
    exact = weight @ value.astype(np.float64) / weight.sum()
    # docs/attacc-commands.md, Arithmetic: scores below 2 are off by 2^-11, shares by 2^-11, FP16
    # outputs by 2 x 2^-11, all times max |V|
    assert np.abs(found - exact).max() < 5 * 2.0**-11 * np.abs(value).max()


def test_the_order_of_additions_is_the_stated_one() -> None:
    """Scores of 1 + 2^-24 + 2^-24: lost where they are added one by one, kept in a tree."""
    key = np.zeros((TOKENS, 64), np.float16)
    query = np.zeros(64, np.float16)
    query[[0, 1, 2, 16, 32]] = [1, 2.0**-12, 2.0**-12, 2.0**-12, 2.0**-12]
    key[:, [0, 1, 2, 16, 32]] = [1, 2.0**-12, 2.0**-12, 2.0**-12, 2.0**-12]
    result = Machine(assemble(program()))
    memory = result.memory(Unit(0))
    for bank in range(4):
        memory.write(
            4 * np.arange(16) + bank, np.ones(16, int), np.zeros(16, int),
            key[:, 16 * bank : 16 * bank + 16],
        )  # fmt: skip
        memory.write(
            4 * np.arange(16) + bank, np.full(16, 2), np.zeros(16, int),
            np.ones((16, 16), np.float16),
        )  # fmt: skip
    (event,) = result.run({0: query}, record=True).events
    # In bank 0 the tree adds 1 + 2^-24 (a tie, to even: 1) and 2^-24 + 0, then the two: 1 again.
    assert set(event.scores.tolist()) == {1.0}


@pytest.mark.parametrize(
    ("gemv", "moves", "fault"),
    [
        (
            GEMV.replace("PRE\nBAR id=0\nNEW\nACT row=2", "PRE\nNEW\nACT row=2"),
            MOVES.replace("BAR id=0\nMVS", "MVS", 1),
            "register 1 must have a barrier between streams 0 and 1",
        ),
        (GEMV.replace("ACT row=1\nBAR id=0\n", "ACT row=1\n") + "\nBAR id=0", MOVES, "WRG"),
        (GEMV.replace("ACT row=2\n", ""), MOVES, "must find row 2 open"),
        (GEMV.replace("ACT row=1\n", "ACT row=1\nACT row=1\n"), MOVES, "must be closed"),
        (
            GEMV,
            MOVES.replace("SFM slot=0 tokens=16", "SFM slot=0 tokens=17"),
            "a score was never made",
        ),
        (GEMV, MOVES.replace("OUT slot=0 query=0", "OUT slot=0 query=1"), "must hold query 1"),
        (GEMV, MOVES.replace("MVG rank=1 bg=3 slot=0 piece=0\n", ""), "must find exponentials"),
        (GEMV, MOVES.replace("MVS rank=0 bg=2 slot=0 block=0\n", ""), "must find the scores"),
        (
            GEMV.replace("row=2 column=0 tokens=1", "row=2 column=0 tokens=2"),
            MOVES,
            "never written",
        ),
    ],
)
def test_what_the_hardware_could_not_do(gemv: str, moves: str, fault: str) -> None:
    with pytest.raises(IsaError, match=fault):
        execute(*numbers(), gemv, moves)


def test_memory_never_written_does_not_go_unnoticed() -> None:
    machine = Machine(assemble(program()))
    with pytest.raises(IsaError, match="never written"):
        machine.run({0: np.ones(64, np.float16)})


def test_a_masked_partition_adds_nothing_even_where_v_was_never_written() -> None:
    key, value, query = numbers()
    machine = Machine(
        assemble(
            program(
                GEMV.replace("mask=65535", "mask=1"),
                MOVES.replace("tokens=16 blocks=1", "tokens=1 blocks=1"),
            )
        )
    )
    memory = machine.memory(Unit(0))
    for bank in range(4):
        part, zero = slice(16 * bank, 16 * bank + 16), np.zeros(1, int)
        memory.write(np.array([bank]), zero + 1, zero, key[:1, part])
        memory.write(np.array([bank]), zero + 2, zero, value[:1, part])
    found = machine.run({0: query}).results[0]
    assert found.tolist() == value[0].tolist()  # one token: its exponential is 1


def test_an_append_writes_one_pseudo_channel() -> None:
    gemv = """\
CFG part=1
OPN rank=1 bg=2 bank=3 row=7
APP half=1 rank=1 bg=2 bank=3 row=7 column=5 columns=1 offset=3 source=0
CLS rank=1 bg=2 bank=3"""
    machine = Machine(assemble(program(gemv, "NOP")))
    vector = np.arange(64, dtype=np.float16)
    machine.run({}, {0: vector})
    memory = machine.memory(Unit(0))
    # partition (1 x 2 + 1) x 4 + 2 = 14; in the other pseudo-channel 6
    found = memory.read(np.array([14 * 4 + 3, 6 * 4 + 3]), np.array([7, 7]), np.array([5, 5]), 1)
    assert found[0].tolist() == vector[48:].tolist()
    assert np.isnan(found[1]).all()
