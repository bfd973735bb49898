"""Descriptions with something changed in them: what fuzzing tests draw from."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# PAMSIM_FUZZ=20000 draws as many examples of each kind; in a usual run few, which takes seconds.
EXAMPLES = int(os.environ.get("PAMSIM_FUZZ", "0"))
SMALL = 60


def fuzz(examples: int = SMALL) -> settings:
    return settings(
        max_examples=EXAMPLES or examples,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.function_scoped_fixture,
            HealthCheck.data_too_large,
        ],
    )


SCALARS = st.one_of(
    st.integers(0, 200),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=True),
    st.booleans(),
    st.none(),
    st.text(max_size=12),
    st.sampled_from(["14 ns", "5.2 Gbps", "nRP + 1", "EXP_*", "$pu", "hbm3", "Bank", "1e9", "on"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)

Path = tuple[str | int, ...]


def paths(tree: Any, at: Path = ()) -> Iterator[Path]:
    """Every place in a tree of mappings and lists, but its root."""
    if isinstance(tree, dict):
        items: Any = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    else:
        return
    for key, child in items:
        yield (*at, key)
        yield from paths(child, (*at, key))


def at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def put(tree: Any, path: Path, value: Any) -> None:
    at(tree, path[:-1])[path[-1]] = value


@st.composite
def mutated(draw: st.DrawFn, tree: Any) -> Any:
    """`tree` after one to three changes: a key deleted or renamed, a value of another type, a
    number of another size, two parts swapped, a part put in another's place."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        places = list(paths(tree))
        if not places:
            return tree
        path = draw(st.sampled_from(places))
        other = draw(st.sampled_from(places))
        match draw(
            st.sampled_from(["delete", "rename", "scalar", "any", "number", "swap", "copy"])
        ):
            case "delete":
                del at(tree, path[:-1])[path[-1]]
            case "rename" if isinstance(path[-1], str):
                parent = at(tree, path[:-1])
                parent[draw(st.text(max_size=5))] = parent.pop(path[-1])
            case "scalar":
                put(tree, path, draw(SCALARS))
            case "any":
                put(tree, path, draw(ANYTHING))
            case "number":
                value = at(tree, path)
                number = isinstance(value, int | float) and not isinstance(value, bool)
                factor = draw(st.sampled_from([-1, 0, 0.5, 2, 3, 1000, 10**9]))
                put(tree, path, (value if number else 1) * factor)
            case "swap" if path != other[: len(path)] and other != path[: len(other)]:
                one, two = at(tree, path), at(tree, other)
                put(tree, path, two)
                put(tree, other, one)
            case "copy":
                put(tree, path, copy.deepcopy(at(tree, other)))
    return tree
