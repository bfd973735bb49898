"""Quantities and expressions: exact arithmetic, and nothing but arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamsim.config.expression import evaluate, names_in
from pamsim.config.units import DIMENSIONS, canonical_unit, convert, parse_quantity
from pamsim.errors import PamsimError


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("14 ns", "time", 14_000),  # ps
        ("0.769ns", "time", 769),
        ("3.9 us", "time", 3_900_000),
        ("6.4 Gbps", "data rate", 6_400_000_000),
        ("5200 MT/s", "data rate", 5_200_000_000),
        ("64 KiB", "size", 65_536),
        ("16 GB", "size", 16 * 10**9),
        ("3.35 TB/s", "bandwidth", 3_350_000_000_000),
        ("666 MHz", "frequency", 666_000_000),
        ("989.4 TFLOPS", "compute rate", 989_400_000_000_000),
        ("0.44 pJ/bit", "energy per bit", Fraction(44, 100)),
        ("1.2 nJ", "energy", 1200),  # pJ
        ("0.1 W", "power", 100),  # mW
        ("7", "number", 7),
        ("1e3 B", "size", 1000),
        ("-2 ns", "time", -2000),
    ],
)
def test_quantities(text: str, dimension: str, expected: Fraction | int) -> None:
    assert parse_quantity(text, dimension) == expected


@pytest.mark.parametrize(
    ("text", "dimension", "message"),
    [
        ("14 nss", "time",
         "unit must be one of time (ps, ns, us, ms, s), not 'nss' (did you mean 'ns'?)"),
        ("64 KB", "size",
         "unit must be one of size (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB), not 'KB'"),
        ("14", "energy", None),  # the canonical unit
        ("ns", "time", "quantity must be a number with a unit of time, not 'ns'"),
        ("1e99 ns", "time", "number must be below 1e30, not 1e+99"),
        ("1e999 ns", "time", "unit must be one of time (ps, ns, us, ms, s), not 'e999 ns'"),
        ("nan ns", "time", "quantity must be a number with a unit of time, not 'nan ns'"),
    ],
)  # fmt: skip
def test_bad_quantities(text: str, dimension: str, message: str | None) -> None:
    if message is None:
        assert parse_quantity(text, dimension) == 14
        return
    with pytest.raises(PamsimError) as error:
        parse_quantity(text, dimension)
    assert str(error.value).startswith(message)


@given(st.integers(-(10**9), 10**9), st.sampled_from(sorted(DIMENSIONS)))
def test_the_canonical_unit_changes_nothing(value: int, dimension: str) -> None:
    assert convert(value, canonical_unit(dimension), dimension) == value


NAMES = {"nCL": 19, "nBL": 2, "nCWL": 6, "n": 3, "half": Fraction(1, 2)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nCL + nBL + 2 - nCWL", 17),
        ("max(nCL, 4 * nCWL)", 24),
        ("min(nCL, nBL, nCWL)", 2),
        ("ceil(nCL / 4) + 1", 6),
        ("-(nBL - nCL)", 17),
        ("half * 3", Fraction(3, 2)),
        ("0.1 * 3", Fraction(3, 10)),
        ("f(n) + 1", 31),
    ],
)
def test_expressions(text: str, expected: Fraction | int) -> None:
    assert evaluate(text, NAMES, {"f": lambda v: 10 * v}) == expected


def test_names_in_an_expression_leave_functions_out() -> None:
    assert names_in("max(nCL, nPU(n)) + 1") == {"nCL", "n"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nCCL + 1", "name must be a parameter of the device, not 'nCCL' (did you mean 'nCL'?)"),
        ("maxx(1, 2)", "function must be a known one, not 'maxx' (did you mean 'max'?)"),
        ("ceil(1, 2)", "ceil must have one argument, not 2"),
        ("1 / (nBL - 2)", "divisor must not be 0"),
        ("2 ** 100000", "operator must be one of + - * /, not **"),
        ("nCL +", "expression must be arithmetic on parameter names, not 'nCL +'"),
        ("__import__('os')", "expression must be arithmetic on parameter names, not \"'os'\""),
        ("nCL.real", "expression must be arithmetic on parameter names, not 'nCL.real'"),
        ("[1][0]", "expression must be arithmetic on parameter names, not '[1][0]'"),
        ("True", "expression must be arithmetic on parameter names, not 'True'"),
        ("lambda: 1", "expression must be arithmetic on parameter names, not 'lambda: 1'"),
        ("1e400", "number must be below 1e30, not inf"),
        ("(" * 150 + "1" + ")" * 150, "expression must have at most 200 characters, not 301"),
        ("9999999999 * 9999999999", "expression must stay below 1e+15"),
    ],
)
def test_bad_expressions(text: str, message: str) -> None:
    with pytest.raises(PamsimError) as error:
        evaluate(text, NAMES)
    assert str(error.value).startswith(message)


@given(st.text(max_size=60))
def test_an_expression_is_arithmetic_or_an_error_for_people(text: str) -> None:
    try:
        value = evaluate(text, NAMES, {"f": lambda v: v})
    except PamsimError:
        return
    assert isinstance(value, Fraction)
