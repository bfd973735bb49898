"""The integer expressions of an instruction table, e.g. `part if normalise else 2*part + 1`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import CodeType

from pim_isa.errors import IsaError

_ALLOWED = (
    ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.IfExp, ast.Compare, ast.Lt, ast.LtE,
    ast.Name, ast.Load, ast.Constant, ast.Call,
)  # fmt: skip


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


_SCOPE = {"__builtins__": {}, "up": _round_up}


@dataclass(frozen=True)
class Expression:
    """A checked expression; `names` are the values it needs."""

    text: str
    names: frozenset[str]

    def __call__(self, values: Mapping[str, int]) -> int:
        """Its value. Raises IsaError if a name has no value."""
        try:
            return int(eval(_code(self.text), _SCOPE, values))
        except NameError as error:
            raise IsaError(f"{self.text!r} needs a value of {error.name!r}") from None

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Expression:
    """Reads integers, names, + - *, < <=, `a if b else c`, up(x, y). Raises IsaError otherwise."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise IsaError(f"expression {text!r} must be arithmetic: {error.msg}") from None
    names = set()
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise IsaError(f"expression {text!r} must not hold {type(node).__name__}")
        if isinstance(node, ast.Constant) and type(node.value) is not int:
            raise IsaError(f"expression {text!r} must hold integers only, not {node.value!r}")
        if isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id == "up" and len(node.args) == 2
        ):
            raise IsaError(f"expression {text!r} must call only up(x, y)")
        if isinstance(node, ast.Name) and node.id != "up":
            names.add(node.id)
    return Expression(text, frozenset(names))


@cache
def _code(text: str) -> CodeType:
    return compile(text, "<instruction table>", "eval")
