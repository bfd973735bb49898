"""GDDR6-AiM: its instruction set as text and bits, and programs by hand on numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pim_isa import (
    IsaError,
    Machine,
    MachineResult,
    Unit,
    assemble,
    decode,
    disassemble,
    encode,
    expand_counts,
    load,
)
from pim_isa.semantics.aim.numbers import accumulate, numbers_of, to_bf16, words_of

CHANNEL = Unit()
TABLE = load("aim")


def program(body: str) -> str:
    return f".family aim\n.stream\n{body}\n"


def bf16(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return to_bf16(rng.standard_normal(shape).astype(np.float32))


def execute(
    body: str,
    registers: dict[int, np.ndarray] | None = None,
    rows: dict[int, np.ndarray] | None = None,
) -> tuple[Machine, MachineResult]:
    """registers: BF16 numbers [16]. rows: [16 banks, 64 columns, 16]."""
    machine = Machine(assemble(program(body)))
    for row, numbers in (rows or {}).items():
        machine.memory(CHANNEL).row(row)[:] = numbers
    words = {number: words_of(values) for number, values in (registers or {}).items()}
    return machine, machine.run({}, words)


def every_instruction() -> str:
    """Each instruction once, every operand at its greatest value that the limits allow."""
    lines = []
    for spec in TABLE.instructions:
        if spec.mnemonic in (TABLE.loop.open, TABLE.loop.close):
            continue
        values = {f.name: f.maximum for f in spec.fields}
        if "column" in values and "size" in values:
            values["column"] = 0
        lines.append(" ".join((spec.mnemonic, *(f"{k}={v}" for k, v in values.items()))))
    return program("\n".join(lines))


def test_text_and_bits_come_back() -> None:
    given = assemble(every_instruction())
    assert decode(encode(given)) == given
    assert assemble(disassemble(given)) == given


def test_an_instruction_becomes_its_command_opsize_times() -> None:
    # arkhadem/aim_simulator @0f28a07 src/dram/impl/GDDR6.cpp, which ISR becomes which command
    expected = {
        "WR_SBK": "WR", "RD_SBK": "RD", "WR_ABK": "WRA16", "WR_GB": "WRGB", "WR_BIAS": "WRMAC16",
        "RD_MAC": "RDMAC16", "RD_AF": "RDAF16", "COPY_BKGB": "RDCP", "COPY_GBBK": "WRCP",
        "MAC_SBK": "MAC", "MAC_ABK": "MAC16", "AF": "AF16", "EWMUL": "EWMUL16",
    }  # fmt: skip
    for mnemonic, command in expected.items():
        spec = TABLE.spec(mnemonic)
        sized = "size" in spec.names
        operands = {n: 0 for n in spec.names if n != "size"} | ({"size": 5} if sized else {})
        (found,) = expand_counts(TABLE.make(mnemonic, **operands), {}, "aim")
        assert (found.command, found.commands) == (command, 5 if sized else 1)
    assert expand_counts(TABLE.make("EWADD", gpr=0, other=1), {}, "aim") == ()


def test_a_row_times_the_global_buffer() -> None:
    rng = np.random.default_rng(1)
    bank, vector, bias = bf16(rng, 16, 64, 16), bf16(rng, 64, 16), bf16(rng, 16)
    body = """
      TMOD registers=1
      WR_GB gpr=0 size=64
      WR_BIAS bias=64
      TMOD registers=0
      MAC_ABK row=9 size=64
      TMOD registers=1
      RD_MAC gpr=65"""
    registers = {i: vector[i] for i in range(64)} | {64: bias}
    _, result = execute(body, registers, {9: bank})
    exact = bias + np.einsum("bcl,cl->b", bank.astype(np.float64), vector)
    # 64 sums of 16 products of FP32, then one rounding to BF16 (8 bits)
    magnitude = np.abs(bias) + np.einsum("bcl,cl->b", np.abs(bank), np.abs(vector))
    bound = np.abs(exact) * 2.0**-8 + magnitude * (64 + 4) * 2.0**-24
    assert (np.abs(result.results[65] - exact) <= bound).all()


def test_the_order_of_additions_is_the_stated_one() -> None:
    # FP32: 2^-24 is half of what 1 can tell. Two of them are added first by the tree, so their sum
    # stays; one after the other they are lost.
    bank = np.zeros((2, 3, 16), np.float32)
    bank[0, 0, 0], bank[0, 1, :2] = 1, 2.0**-24
    bank[1, 0, 0], bank[1, 1:, 0] = 1, 2.0**-24
    found = accumulate(np.zeros(2, np.float32), bank, np.ones_like(bank))
    assert found.tolist() == [1 + 2.0**-23, 1.0]


def test_single_bank_threads_and_next_bank() -> None:
    rng = np.random.default_rng(2)
    bank, bias = bf16(rng, 16, 64, 16), np.zeros(16, np.float32)
    body = """
      TMOD registers=1
      WR_BIAS bias=0 thread=0
      WR_BIAS bias=0 thread=1
      TMOD registers=0
      CFR next_bank=1
      MAC_SBK bg=1 bank=2 row=4 column=3 size=1 thread=1
      MAC_ABK row=4 column=5 size=1
      TMOD registers=1
      RD_MAC gpr=1
      RD_MAC gpr=2 thread=1"""
    _, result = execute(body, {0: bias}, {4: bank})
    products = np.einsum("bcl,bcl->bc", bank[0::2].astype(np.float64), bank[1::2])
    every = np.zeros(16)
    every[0::2] = products[:, 5]
    one = np.zeros(16)
    one[6] = products[3, 3]
    assert np.allclose(result.results[1], every, rtol=2.0**-8, atol=1e-6)
    assert np.allclose(result.results[2], one, rtol=2.0**-8, atol=1e-6)


def test_data_through_banks_buffer_and_registers() -> None:
    rng = np.random.default_rng(3)
    values = bf16(rng, 2, 16)
    body = """
      WR_SBK gpr=0 bg=2 bank=1 row=7 column=10 size=2
      COPY_BKGB bg=2 bank=1 row=7 column=10 size=2
      COPY_GBBK bg=0 bank=3 row=8 column=10 size=2
      RD_SBK gpr=10 bg=0 bank=3 row=8 column=10 size=2
      WR_ABK gpr=0 row=12 column=4 lane=6
      EWADD gpr=10 other=0 size=2"""
    machine, result = execute(body, {0: values[0], 1: values[1]})
    assert (machine.memory(CHANNEL).row(8)[3, 10:12] == values).all()
    assert (result.results[10] == to_bf16(2 * values[0])).all()
    assert (machine.memory(CHANNEL).row(12)[:, 4, 6] == values[0]).all()


def test_elementwise_product_of_two_banks_of_a_group() -> None:
    bank = bf16(np.random.default_rng(4), 16, 64, 16)
    machine, _ = execute("EWMUL row=2 column=1 size=3", rows={2: bank})
    held = machine.memory(CHANNEL).row(2)
    for group in range(4):
        a, b = bank[4 * group, 1:4], bank[4 * group + 1, 1:4]
        assert (held[4 * group + 2, 1:4] == to_bf16(a * b)).all()
        assert (held[4 * group + 2, 4:] == bank[4 * group + 2, 4:]).all()


@pytest.mark.parametrize(
    ("number", "function"),
    [
        (0, lambda x: 1 / (1 + math.exp(-x))),
        (1, math.tanh),
        (2, lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2)))),
        (3, lambda x: max(x, 0)),
        (4, lambda x: x if x > 0 else x / 100),
    ],
)
def test_activation_functions(number: int, function: object) -> None:
    values = bf16(np.random.default_rng(5), 16)
    body = f"""
      CFR function={number}
      TMOD registers=1
      WR_BIAS bias=0
      TMOD registers=0
      AF row=16383
      TMOD registers=1
      RD_AF gpr=1"""
    _, result = execute(body, {0: values})
    expected = [function(float(x)) for x in values]  # type: ignore[operator]
    assert np.allclose(result.results[1], expected, rtol=2.0**-8, atol=0)


def test_loops_move_rows_and_registers() -> None:
    bank = {row: np.full((16, 64, 16), row + 1, np.float32) for row in range(3)}
    body = """
      TMOD registers=1
      WR_GB gpr=0 size=1
      LOOP count=3 row_step=1 gpr_step=2
        WR_BIAS bias=10
        TMOD registers=0
        MAC_ABK row=0
        TMOD registers=1
        RD_MAC gpr=11
      END"""
    one = np.ones(16, np.float32)
    _, result = execute(body, {0: one, 10: one}, bank)
    assert [float(result.results[11 + 2 * i][0]) for i in range(3)] == [17, 33, 49]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("RD_MAC gpr=0", "RD_MAC must come after TMOD registers=1"),
        ("TMOD registers=1\nMAC_ABK row=0", "MAC_ABK must come after TMOD registers=0"),
        ("TMOD registers=1\nWR_GB gpr=3", "register 3 must be written before it is read"),
        ("CFR next_bank=1\nMAC_SBK bg=0 bank=1 row=0", "bank must be even"),
    ],
)
def test_what_the_hardware_could_not_do(body: str, message: str) -> None:
    with pytest.raises(IsaError, match=message):
        execute(body)


def test_a_column_beyond_the_row_is_a_fault() -> None:
    with pytest.raises(IsaError, match="MAC_ABK must keep column"):
        execute("MAC_ABK row=0 column=60 size=5")


def test_memory_never_written_shows() -> None:
    registers = {0: np.ones(16, np.float32)}
    body = (
        "TMOD registers=1\nWR_GB gpr=0\nWR_BIAS bias=0\nTMOD registers=0\nMAC_ABK row=5\n"
        "TMOD registers=1\nRD_MAC gpr=1"
    )
    _, result = execute(body, registers)
    assert np.isnan(result.results[1]).all()


def test_bf16_rounds_to_nearest_even() -> None:
    # 8 bits of significand: 1 + 2^-8 is a tie and goes down, 1 + 3 x 2^-8 one and goes up
    values = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8 - 2.0**-20, 3.4e38], np.float32)
    assert to_bf16(values).tolist() == [1.0, 1 + 2.0**-6, -1 - 2.0**-7, math.inf]
    assert (numbers_of(words_of(values)) == to_bf16(values)).all()
