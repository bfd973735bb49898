"""The integer expressions of an instruction table, e.g. `part if normalise else 2*part + 1`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import CodeType

from pim_isa.errors import IsaError

_ALLOWED = (
    ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.IfExp, ast.Compare,
    ast.Lt, ast.LtE, ast.Name, ast.Load, ast.Constant, ast.Call,
)  # fmt: skip


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


_SCOPE = {"__builtins__": {}, "up": _round_up}


@dataclass(frozen=True)
class Expression:
    """A checked expression; `names` are the values it needs. code: with derived names replaced."""

    text: str
    names: frozenset[str]
    code: str

    def __call__(self, values: Mapping[str, int]) -> int:
        """Its value. Raises IsaError if a name has no value."""
        try:
            return int(eval(_code(self.code), _SCOPE, values))
        except NameError as error:
            raise IsaError(f"{self.text!r} needs a value of {error.name!r}") from None

    def __str__(self) -> str:
        return self.text


def parse(text: str, derived: Mapping[str, Expression] | None = None) -> Expression:
    """Reads integers, names, + - * //, < <=, `a if b else c`, up(x, y). Raises IsaError otherwise.

    derived: names that stand for expressions.
    """
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
    known = {name: derived[name] for name in names if derived and name in derived}
    if not known:
        return Expression(text, frozenset(names), text)
    inner = frozenset[str]().union(*(e.names for e in known.values()))
    code = ast.unparse(_Replace(known).visit(tree))
    return Expression(text, frozenset(names - known.keys()) | inner, code)


class _Replace(ast.NodeTransformer):
    """Puts derived expressions in the place of their names."""

    def __init__(self, known: Mapping[str, Expression]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.known:
            return node
        return ast.parse(self.known[node.id].code, mode="eval").body


@cache
def _code(text: str) -> CodeType:
    return compile(text, "<instruction table>", "eval")
