"""Latency expressions: `nCWL + nBL + nWTRS`, `max(nCCDL, nPU(n))`, `ceil(e / 16) + 4`.

Numbers, names, + - * /, parentheses, max, min, ceil and the functions that the caller gives.
Arithmetic is exact. Nothing is ever executed.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache

from pamsim.config.units import exact
from pamsim.errors import InputError, did_you_mean

MAX_LENGTH = 200
NO_DIVISOR = "divisor must not be 0"
_MAX_VALUE = 10**15
_VARIADIC = {"max": max, "min": min}

_OTHERS: dict[type[ast.operator], str] = {
    ast.Pow: "**", ast.FloorDiv: "//", ast.Mod: "%", ast.MatMult: "@", ast.LShift: "<<",
    ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip

Function = Callable[[Fraction], Fraction]


@lru_cache(maxsize=4096)
def _parse(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise InputError(f"expression must have at most {MAX_LENGTH} characters, not {len(text)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(
            f"expression must be arithmetic on parameter names, not {text[:60]!r}"
        ) from None


def names_in(text: str) -> frozenset[str]:
    """Every name that the expression uses as a value (not as a function)."""
    tree = _parse(text)
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    return frozenset(
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called
    )


def evaluate(
    text: str,
    names: Mapping[str, Fraction | int],
    functions: Mapping[str, Function] | None = None,
) -> Fraction:
    """The exact value of `text`. Raises InputError for anything but arithmetic on known names."""
    value = _value(_parse(text), names, functions or {})
    if abs(value) > _MAX_VALUE:
        raise InputError(f"expression must stay below {_MAX_VALUE:.0e}, not {text[:60]!r}")
    return value


def _value(
    node: ast.expr, names: Mapping[str, Fraction | int], functions: Mapping[str, Function]
) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as constant) if not isinstance(constant, bool):
            return exact(constant)
        case ast.Name(id=name):
            if name in names:
                return Fraction(names[name])
            raise InputError(
                f"name must be a parameter of the device, not {name!r}",
                hint=did_you_mean(name, names),
            )
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names, functions)
        case ast.BinOp(left=left, op=operator, right=right):
            return _binary(
                operator, _value(left, names, functions), _value(right, names, functions)
            )
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if arguments:
            return _call(name, [_value(a, names, functions) for a in arguments], functions)
    raise InputError(f"expression must be arithmetic on parameter names, not {_text(node)!r}")


def _binary(operator: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div() if right:
            return left / right
        case ast.Div():
            raise InputError(NO_DIVISOR)
    raise InputError(
        "operator must be one of + - * /, not " + _OTHERS.get(type(operator), "another")
    )


def _call(name: str, arguments: list[Fraction], functions: Mapping[str, Function]) -> Fraction:
    if name in _VARIADIC:
        return _VARIADIC[name](arguments)
    known = {"ceil": lambda v: Fraction(math.ceil(v)), **functions}
    if name not in known:
        raise InputError(
            f"function must be a known one, not {name!r}",
            hint=did_you_mean(name, [*known, *_VARIADIC]),
        )
    if len(arguments) != 1:
        raise InputError(f"{name} must have one argument, not {len(arguments)}")
    return known[name](arguments[0])


def _text(node: ast.expr) -> str:
    try:
        return ast.unparse(node)[:60]
    except (RecursionError, ValueError):
        return type(node).__name__
