"""Conditions on points: `context * batch <= 65536 and (model == 'opt-13b' or nFAW > 16)`.

Comparisons of arithmetic (pamsim.config.expression) or of text, with and, or, not. Nothing is ever
executed. A field is called by its name; one set by a dotted path also by that path's last part.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pamsim.config.expression import MAX_LENGTH, NO_DIVISOR, evaluate
from pamsim.errors import InputError, PamsimError, Position, did_you_mean

Condition = Callable[[Mapping[str, Any]], bool]
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
_REMEMBERED = 1 << 16
_EQUALITY = (ast.Eq, ast.NotEq)


def read_condition(text: Any, names: Iterable[str], place: Position | None) -> Condition:
    """The condition that `text` says on points whose fields are `names`. Raises InputError."""
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise InputError(f"condition must be text of at most {MAX_LENGTH} characters", place)
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"condition must be a comparison, not {text[:60]!r}", place) from None
    try:
        reader = _Reader(tuple(names), place)
        return _remembering(reader.read(node), reader.used)
    except RecursionError:
        raise InputError("condition must not be nested so deep", place) from None
    except PamsimError as error:
        raise InputError(error.message, place, error.hint) from None


def _remembering(condition: Condition, used: Iterable[str]) -> Condition:
    """The same; of many points with equal values, only the first is computed."""
    fields = tuple(dict.fromkeys(used))
    known: dict[tuple[Any, ...], bool] = {}

    def holds(point: Mapping[str, Any]) -> bool:
        values = tuple([point[field] for field in fields])
        if values not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[values] = condition(point)
        return known[values]

    return holds


class _Reader:
    def __init__(self, names: tuple[str, ...], place: Position | None) -> None:
        self.names, self.place = names, place
        self.used: list[str] = []

    def read(self, node: ast.expr) -> Condition:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                parts = [self.read(v) for v in values]
                return lambda point: all(part(point) for part in parts)
            case ast.BoolOp(op=ast.Or(), values=values):
                parts = [self.read(v) for v in values]
                return lambda point: any(part(point) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.read(operand)
                return lambda point: not inner(point)
            case ast.Compare(left=left, ops=operators, comparators=others):
                return self.comparison([left, *others], operators)
        raise InputError(f"condition must compare, as in `batch <= 8`, not {_text(node)!r}")

    def comparison(self, sides: list[ast.expr], operators: list[ast.cmpop]) -> Condition:
        for operator in operators:
            if type(operator) not in _COMPARE:
                raise InputError("comparison must be one of < <= > >= == !=, not "
                                 + type(operator).__name__)  # fmt: skip
        compares = [_COMPARE[type(operator)] for operator in operators]
        texts = all(isinstance(operator, _EQUALITY) for operator in operators)
        values = [self.side(side, texts) for side in sides]

        def holds(point: Mapping[str, Any]) -> bool:
            found = [value(point) for value in values]
            return all(compare(found[i], found[i + 1]) for i, compare in enumerate(compares))

        return holds

    def side(self, node: ast.expr, may_be_text: bool) -> Callable[[Mapping[str, Any]], Any]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if not may_be_text:
                raise InputError("text must be compared by == or !=")
            text = node.value
            return lambda point: text
        if isinstance(node, ast.Name | ast.Attribute):
            name = self.field(_dotted(node))
            if may_be_text:
                return lambda point: point[name]
            return lambda point: self.number(name, point[name])
        return self.arithmetic(node)

    def arithmetic(self, node: ast.expr) -> Callable[[Mapping[str, Any]], Any]:
        fields: dict[str, str] = {}

        class Rename(ast.NodeTransformer):
            """Dotted names become plain ones, which the expression reader takes."""

            def visit_Attribute(_, inner: ast.Attribute) -> ast.expr:
                return Rename._renamed(inner)

            def visit_Name(_, inner: ast.Name) -> ast.expr:
                return Rename._renamed(inner)

            def visit_Call(_, inner: ast.Call) -> ast.expr:
                inner.args = [Rename().visit(a) for a in inner.args]
                return inner

            @staticmethod
            def _renamed(inner: ast.expr) -> ast.expr:
                alias = f"v{len(fields)}"
                fields[alias] = self.field(_dotted(inner))
                return ast.Name(alias, ast.Load())

        text = ast.unparse(Rename().visit(node))
        try:
            evaluate(text, dict.fromkeys(fields, 1))
        except InputError as error:
            if error.message != NO_DIVISOR:  # it may be with ones; a point's values decide
                raise

        def value(point: Mapping[str, Any]) -> Any:
            return evaluate(text, {a: self.number(f, point[f]) for a, f in fields.items()})

        return value

    def number(self, name: str, value: Any) -> Any:
        from pamsim.config.units import exact

        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{name} must be a number in a condition, not {value!r}", self.place)
        return exact(value)

    def field(self, text: str) -> str:
        """The field that a name means."""
        found = self._field(text)
        self.used.append(found)
        return found

    def _field(self, text: str) -> str:
        if text in self.names:
            return text
        ends = [name for name in self.names if name.endswith("." + text)]
        if len(ends) == 1:
            return ends[0]
        if ends:
            raise InputError(f"name must be of one field, not {text!r}: {', '.join(ends)}")
        known = {*self.names, *(n.rpartition(".")[2] for n in self.names)}
        raise InputError(f"name must be a field of the sweep, not {text!r}",
                         hint=did_you_mean(text, known))  # fmt: skip


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
    raise InputError(f"name must be a field of the sweep, not {_text(node)!r}")


def _text(node: ast.AST) -> str:
    try:
        return ast.unparse(node)[:60]
    except (RecursionError, ValueError):
        return type(node).__name__
