"""FP8, INT8, INT4 and soft-capping on the functional machine, against scalars, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pim_isa import Arithmetic, IsaError, Machine, Program, Unit, assemble
from pim_isa.formats import FORMATS, Format

F32, F16 = np.float32, np.float16
UNIT = Unit(0, 0, 0)
K_ROW, V_ROW = 3, 9
CAP = 0x4A00  # FP16: sign 0, exponent 18 - 15 = 3, mantissa 0x200 / 1024: 1.5 x 2^3 = 12


def kernel(form: Format, slots: int, rest: int, cap: bool = False, fused: bool = True) -> Program:
    """64 elements, `slots` whole slots in rows of 4 and one more in the first `rest` banks."""
    columns = 64 // (16 * form.pack)
    scaled = form.scaled
    lines = [
        ".family hbm_pim",
        ".stream pc=0 sid=0 bg=0",
        f"CFG queries=1 part={columns} vector={columns} format={form.code} "
        f"extra_cycles={form.pack - 1}",
        "WRQ slot=0 query=0 offset=0",
    ]
    spans = [(0, slots, 15)] * (slots > 0) + [(slots, 1, (1 << rest) - 1)] * (rest > 0)

    def work(name: str, row: str, first: int, count: int, base: int, mask: int) -> list[str]:
        last = f"last={int(not scaled)}" if name == "MACK" else ""
        mac = f"{name} row={row} column={first * columns} slots={count} base={base} mask={mask}"
        scale = (
            f"SCL{name[-1]} row={row} column=31 columns=1 slots={count} base={base} mask={mask} "
            f"lane={first}"
        )
        if not scaled:
            return [f"{mac} {last}"]
        return [f"{mac} {last}", scale] if name == "MACK" else [scale, mac]

    def visits(name: str, row: int) -> list[str]:
        rows, left = divmod(slots, 4)
        hide = [] if fused else ["NOP"]  # hides the pattern that is done at once
        out = []
        if rows:
            out += [f"LOOP count={rows} row_step=1 base_step=4", f"ACT row={row}"]
            out += [*work(name, str(row), 0, 4, 0, 15), *hide, "PRE", "END"]
        if left or rest:
            row += rows
            out.append(f"ACT row={row}")
            if left:
                out += work(name, str(row), 0, left, rows * 4, 15)
            if rest:
                out += work(name, str(row), left, 1, slots, (1 << rest) - 1)
            out.append("PRE")
        return out

    lines += visits("MACK", K_ROW)
    for name in ("CAP", "MAX", "EXP", "SUM"):
        for number, (base, count, mask) in enumerate(spans):
            flag = f"cap={CAP}" if name == "CAP" else ""
            if name in ("MAX", "SUM") and not number:
                flag = "first=1"
            if name != "CAP" or cap:
                lines.append(f"{name} slots={count} base={base} mask={mask} {flag}")
    lines += ["CLRO", *visits("MACV", V_ROW), "REDG", "REDL slot=0 query=0"]
    return assemble("\n".join([*lines, "RDR query=0 normalise=1"]))


class Numbers:
    """Q, and K and V elements with scales, for a form."""

    def __init__(self, form: Format, tokens: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.form, self.tokens = form, tokens
        self.q = (rng.standard_normal(64) / 8).astype(F16)
        if form.scaled:
            largest = int(form.largest)
            self.k, self.v = rng.integers(-largest, largest + 1, (2, tokens, 64)).astype(F32)
            self.k_scale, self.v_scale = rng.uniform(0.01, 0.03, (2, tokens)).astype(F16)
        else:
            self.k, self.v = (
                form.decode(form.encode(rng.standard_normal((tokens, 64)).astype(F32)))
                for _ in range(2)
            )

    def write(self, machine: Machine) -> None:
        token = np.arange(self.tokens)
        slot, bank = token // 4, token % 4
        memory = machine.memory(UNIT)
        columns = 64 // (16 * self.form.pack)
        for first, elements in ((K_ROW, self.k), (V_ROW, self.v)):
            memory.write(bank, first + slot // 4, slot % 4 * columns, self.form.encode(elements))
            if not self.form.scaled:
                continue
            scales = np.full((self.tokens // 16 + 1, 4, 16), np.nan, F16)
            scales[slot // 4, bank, slot % 4] = self.k_scale if first == K_ROW else self.v_scale
            for row, banks in enumerate(scales):
                at = np.full(4, first + row)
                memory.write(np.arange(4), at, np.full(4, 31), banks)


def tree(values: list[np.float32]) -> np.float32:
    while len(values) > 1:
        values = [F32(values[i] + values[i + 1]) for i in range(0, len(values), 2)]
    return values[0]


def literal(n: Numbers, whole: int, cap: float | None) -> tuple[np.ndarray, list[np.float32]]:
    """Output and stored scores by the pseudo-code of docs/isa/hbm_pim.md, one number at a time."""
    scores: list[np.float32] = []
    for t in range(n.tokens):
        s = F32(0)
        for c in range(4):
            lanes = range(16 * c, 16 * c + 16)
            s = F32(s + tree([F32(F32(n.q[x]) * n.k[t, x]) for x in lanes]))
        if n.form.scaled:
            s = F32(s * F32(n.k_scale[t]))
        s = F32(F16(s))
        if cap is not None:
            s = F32(F16(cap * math.tanh(float(s) / cap)))
        scores.append(s)
    parts = []
    for b in range(4):
        own = list(range(b, n.tokens, 4))
        m = max((scores[t] for t in own), default=-math.inf)
        p = {t: F32(F16(math.exp(float(scores[t]) - float(m)))) for t in own}
        total = F32(0)
        for span in ([t for t in own if t // 4 < whole], [t for t in own if t // 4 >= whole]):
            s = F32(0)
            for t in span:
                s = F32(s + p[t])
            total = F32(total + s)
        o = np.zeros(64, F32)
        for t in own:
            weight = F32(p[t] * F32(n.v_scale[t])) if n.form.scaled else p[t]
            o = o + weight * n.v[t]
        parts.append((o, m, total))
    top = max(m for _, m, _ in parts)
    o, total = np.zeros(64, F32), F32(0)
    for part, m, own_total in parts:
        w = F32(0) if m == -math.inf else F32(F16(math.exp(float(m) - float(top))))
        o, total = o + w * part.astype(F16).astype(F32), F32(total + w * own_total)
    return (o.astype(F16).astype(F32) / total).astype(F16), scores


@pytest.mark.parametrize("name", ["fp16", "fp8", "int8", "int4"])
@pytest.mark.parametrize(("slots", "rest"), [(8, 0), (0, 3), (5, 2), (13, 1)])
@pytest.mark.parametrize("cap", [None, 12.0])
def test_equals_the_pseudo_code_bit_for_bit(
    name: str, slots: int, rest: int, cap: float | None
) -> None:
    form = FORMATS[name]
    numbers = Numbers(form, 4 * slots + rest, seed=slots)
    expected, _ = literal(numbers, slots, cap)
    for fused in (True, False):
        machine = Machine(kernel(form, slots, rest, cap is not None, fused))
        numbers.write(machine)
        result = machine.run({0: numbers.q})
        np.testing.assert_array_equal(result.results[0], expected)


def test_recorded_scores_are_the_final_ones() -> None:
    numbers = Numbers(FORMATS["int8"], 34, seed=2)
    _, scores = literal(numbers, 8, 12.0)
    machine = Machine(kernel(FORMATS["int8"], 8, 2, cap=True))
    numbers.write(machine)
    events = machine.run({0: numbers.q}, record=True).events
    assert {e.kind for e in events} >= {"dot", "scale", "cap", "weight"}
    assert all(e.scores is None for e in events if e.kind == "dot")  # not yet scaled
    stored = np.concatenate(
        [e.scores[0, :, 0].T.ravel() for e in events if e.kind == "cap"]  # [slot, bank]
    )
    np.testing.assert_array_equal(stored[~np.isnan(stored)], scores)


def test_scores_saturate_after_the_scale_not_before() -> None:
    numbers = Numbers(FORMATS["int8"], 32, seed=3)
    numbers.q = np.full(64, 100, F16)
    numbers.k[:], numbers.k_scale[:] = 127, 0.05  # 64 x 12700 = 812 800; x 0.05 = 40 640 fits
    machine = Machine(kernel(FORMATS["int8"], 8, 0))
    numbers.write(machine)
    assert machine.run({0: numbers.q}).saturations.total == 0
    numbers.k_scale[:] = 0.1  # 81 280 does not
    numbers.write(machine)
    assert machine.run({0: numbers.q}).saturations.scores == 32


def test_fp32_scores_are_capped_in_fp32() -> None:
    numbers = Numbers(FORMATS["fp16"], 4, seed=1)
    machine = Machine(kernel(FORMATS["fp16"], 1, 0, cap=True), Arithmetic("fp32", "fp32"))
    numbers.write(machine)
    events = machine.run({0: numbers.q}, record=True).events
    (capped,) = (e.scores[0, :, 0, 0] for e in events if e.kind == "cap")
    exact = 12 * np.tanh(numbers.k.astype(np.float64) @ numbers.q.astype(np.float64) / 12)
    assert (np.abs(capped - exact) < 1e-6).all() and (capped != capped.astype(F16)).any()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["SCLK row=1 column=31 columns=1 slots=1 base=0 mask=15"], "row 1 open in every bank"),
        (
            ["ACT row=1", "SCLK row=1 column=31 columns=1 slots=1 base=0 mask=15"],
            r"SCLK must work on finished dot products \(MACK with last = 0\)",
        ),
        (
            ["ACT row=1", "SCLV row=1 column=31 columns=1 slots=1 base=0 mask=15"],
            r"SCLV must work on exponentials \(EXP\)",
        ),
        (["CAP slots=1 base=0 mask=15 cap=18432"], "CAP must work on scores"),
        (["ACT row=1", "MACV row=1 column=0 slots=1 base=0 mask=15"], r"scaled .* \(SCLV\)"),
    ],
)
def test_what_hardware_could_not_do_is_an_error(lines: list[str], message: str) -> None:
    text = [".family hbm_pim", ".stream pc=0 sid=0 bg=0"]
    machine = Machine(
        assemble("\n".join([*text, "CFG queries=1 part=2 vector=2 format=2", *lines]))
    )
    with pytest.raises(IsaError, match=message):
        machine.run({})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SCLK row=1 column=31 columns=2 slots=1 base=0 mask=15", "must keep column"),
        ("SCLV row=1 column=0 columns=1 slots=16 base=0 mask=15 lane=1", "must keep lane"),
        ("WRQ slot=0 query=0 offset=61", r"must keep offset \+ part \* pack <= query_columns"),
        ("CAP slots=2 base=511 mask=15 cap=1", "must keep base"),
    ],
)
def test_limits_of_the_new_operands(line: str, message: str) -> None:
    text = [".family hbm_pim", ".stream pc=0 sid=0 bg=0"]
    program = assemble("\n".join([*text, "CFG queries=1 part=1 vector=2 format=3", line]))
    with pytest.raises(IsaError, match=message):
        Machine(program)


def test_unwritten_scale_is_an_error() -> None:
    numbers = Numbers(FORMATS["int4"], 32, seed=5)
    machine = Machine(kernel(FORMATS["int4"], 8, 0))
    numbers.k_scale[7] = np.nan
    numbers.write(machine)
    with pytest.raises(IsaError, match="memory never written"):
        machine.run({0: numbers.q})
