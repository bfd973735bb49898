"""From a sweep to its points: every combination of values, resolved into a spec and a key."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pamsim.batch.axis import Value
from pamsim.batch.key import key_of, model_of, runs_of, system_digest, system_of
from pamsim.batch.point import Point
from pamsim.batch.reasons import same_reason
from pamsim.batch.sample import quantiles
from pamsim.batch.sweep import MAX_POINTS, Sweep
from pamsim.config.overrides import names_description
from pamsim.config.problems import raise_all
from pamsim.errors import InputError, InputErrors, PamsimError, Position
from pamsim.workload import Trace, draw_contexts, read_trace

Assignment = dict[str, Value]  # field -> its value at a point
FULLY_CHECKED = 64  # configurations that `plan` resolves in full; `submit` resolves every one


def assignments(sweep: Sweep) -> Iterator[Assignment]:
    """Every combination that meets the conditions, in order. Raises InputError where too many."""
    groups = list(_groups(sweep))
    size = 1
    for _, rows in groups:
        size *= len(rows)
    if size > MAX_POINTS:
        raise InputError(f"sweep must have at most {MAX_POINTS} combinations, not {size}",
                         sweep.document.position(()))  # fmt: skip
    names = [name for group, _ in groups for name in group]
    for rows in itertools.product(*(rows for _, rows in groups)):
        point = dict(zip(names, itertools.chain.from_iterable(rows), strict=True))
        if all(_holds(condition, point, place) for condition, place in sweep.conditions):
            yield point


def _holds(condition: Any, point: Assignment, place: Position | None) -> bool:
    try:
        return bool(condition(point))
    except PamsimError as error:
        raise InputError(error.message, error.position or place, error.hint) from None


def _groups(sweep: Sweep) -> Iterator[tuple[tuple[str, ...], Sequence[tuple[Value, ...]]]]:
    """Fields that walk together, and the rows of values they take: zips, the sample, one each."""
    drawn = tuple(name for name, axis in sweep.axes.items() if axis.distribution)
    done: set[str] = set()
    for name, axis in sweep.axes.items():
        if name in done:
            continue
        group = next((g for g in sweep.zips if name in g), drawn if name in drawn else (name,))
        done.update(group)
        if group == drawn and name in drawn:
            yield group, _drawn(sweep, drawn)
        elif len(group) > 1:
            yield group, list(zip(*(sweep.axes[n].values for n in group), strict=True))
        else:
            yield group, [(value,) for value in axis.values]


def _drawn(sweep: Sweep, names: tuple[str, ...]) -> list[tuple[Value, ...]]:
    sample = sweep.sample
    assert sample is not None
    table = quantiles(sample.method, sample.count, len(names), sample.seed)
    kinds = [sweep.axes[name].distribution for name in names]
    return [
        tuple(kind.at(float(q)) for kind, q in zip(kinds, row, strict=True) if kind)
        for row in table
    ]


class Expansion:
    """Points of a sweep. What is the same for many points is resolved once."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._home = sweep.path.parent
        place = sweep.document.position(())
        self._given = Path(place.file) if place else sweep.path  # as the user wrote it
        self._traces: dict[tuple[Value, Value], Trace] = {}
        self._runs: dict[tuple[Value, ...], list[list[int]]] = {}
        self._texts: dict[tuple[str, Value], str] = {}

    @cached_property
    def points(self) -> list[Point]:
        """All of them, in order. Raises InputErrors: models, systems, traces, conditions."""
        self._check_names()
        collecting = gc.isenabled()
        gc.disable()  # there is no garbage here, and looking for it takes half the time
        try:
            points = [self._point(one) for one in assignments(self.sweep)]
        finally:
            if collecting:
                gc.enable()
        if not points:
            raise InputError("sweep must have points, not none: no combination meets `where`",
                             self.sweep.document.position(("where",)))  # fmt: skip
        return points

    def configurations(self) -> list[tuple[str, tuple[str, ...]]]:
        """The distinct systems with overrides among the points, in order."""
        return list(
            dict.fromkeys((p.spec["system"], tuple(p.spec["overrides"])) for p in self.points)
        )

    def check(
        self,
        most: int | None = FULLY_CHECKED,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[int, int]:
        """Resolves configurations in full: at most `most`, evenly spread; None: every one.

        Returns how many were checked, of how many. Raises InputErrors at their places in the file.
        """
        every = self.configurations()
        few = every if most is None or len(every) <= most else every[:: -(-len(every) // most)]
        faults: dict[str, list[PamsimError]] = {}
        for number, (system, overrides) in enumerate(few):
            progress(number, len(few))
            for fault in _faults(lambda s=system, o=overrides: system_of.__wrapped__(s, o)):
                placed = self._placed(fault)
                faults.setdefault(same_reason(str(placed)), []).append(placed)
        raise_all([_once(same) for same in faults.values()])
        return len(few), len(every)

    def _check_names(self) -> None:
        """Loads every model, system and trace that is named, so that all faults come at once."""
        faults: list[PamsimError] = []
        for name in ("model", "system", "trace"):
            axis = self.sweep.axes.get(name)
            if axis is None:
                continue
            bounds = axis.distribution.bounds if axis.distribution else ()
            for number, value in enumerate(axis.values or bounds):
                for fault in _faults(lambda n=name, v=value: self._load(n, v)):
                    place = fault.position or self._place(name, number)
                    faults.append(type(fault)(fault.message, place, fault.hint)
                                  if not fault.position else fault)  # fmt: skip
        raise_all(faults)

    def _load(self, name: str, value: Value) -> None:
        if name == "model":
            model_of(self._file(str(value), (".json",)))
        elif name == "system":
            system_digest(self._file(str(value), (".yaml", ".yml")), ())
        else:
            self._trace(value, None)

    def _place(self, name: str, number: int) -> Position | None:
        path: tuple[str | int, ...] = ("workload", name) if name == "trace" else (name,)
        return self.sweep.document.position((*path, number))

    def _placed(self, fault: PamsimError) -> PamsimError:
        """A fault of `--set KEY=VALUE` at KEY's place in the sweep file."""
        said = fault.position.file if fault.position else ""
        if not said.startswith("--set "):
            return fault
        option = said.removeprefix("--set ")
        place = self.sweep.document.position(("set", option.partition("=")[0]))
        return InputError(f"{fault.message}, in {option}", place, fault.hint)

    def _point(self, one: Assignment) -> Point:
        sweep = self.sweep
        overrides = tuple(self._override(path, one[path]) for path in sweep.set_paths)
        spec: dict[str, Any] = {
            "model": self._file(str(one["model"]), (".json",)),
            "kv_dtype": one["kv_dtype"],
            "system": self._file(str(one["system"]), (".yaml", ".yml")),
            "overrides": list(overrides),
            "contexts": self._contexts(one),
            "seed": one["seed"],
            "validate": one["validate"],
            "engine": one["engine"],
        }
        key = key_of(spec)
        spec["labels"] = {
            name: list(value) if isinstance(value, tuple) else value
            for name in sweep.varying
            for value in (one[name],)
        }
        return Point(key, spec)

    def _override(self, path: str, value: Value) -> str:
        cached = self._texts.get((path, value)) if not isinstance(value, bool) else None
        if cached is None:
            text = {True: "true", False: "false", None: "null"}[value] \
                if isinstance(value, bool) or value is None else str(value)  # fmt: skip
            if isinstance(value, str) and names_description("system", tuple(path.split("."))):
                text = self._file(text, (".yaml", ".yml"))
            unit = self.sweep.axes[path].unit
            cached = f"{path}={text} {unit}" if unit else f"{path}={text}"
            if not isinstance(value, bool):
                self._texts[path, value] = cached
        return cached

    def _contexts(self, one: Assignment) -> list[list[int]]:
        """The contexts of a point's requests, as runs of equal ones."""
        if "contexts" in one:
            given = one["contexts"]
            assert isinstance(given, tuple)
            return self._cached(("contexts", *given), lambda: runs_of(given))
        if "trace" not in one:
            return [[one["context"], one["batch"]]]  # type: ignore[list-item]
        drawn = tuple(
            one[n] for n in ("trace", "max_context", "batch", "draw_seed", "draw", "rule")
        )
        return self._cached(drawn, lambda: runs_of(self._draw(one)))

    def _cached(self, key: tuple[Value, ...], make: Any) -> list[list[int]]:
        if key not in self._runs:
            self._runs[key] = make()
        return self._runs[key]

    def _draw(self, one: Assignment) -> tuple[int, ...]:
        trace = self._trace(one["trace"], one["max_context"])
        batch, seed, draw = one["batch"], one["draw_seed"], one["draw"]
        assert isinstance(batch, int) and isinstance(seed, int) and isinstance(draw, int)
        try:
            return draw_contexts(trace, batch, seed, draw, str(one["rule"]))
        except InputError as error:
            place = self.sweep.document.position(("workload",))
            raise InputError(error.message, error.position or place, error.hint) from None

    def _trace(self, name: Value, max_context: Value) -> Trace:
        if (name, max_context) not in self._traces:
            if max_context is None:
                path = Path(str(name))  # where it is absolute, joining keeps it as it is
                shown = str(self._given.parent / path)
                self._traces[name, None] = read_trace(self._home / path, self.sweep.form, shown)
            else:
                assert isinstance(max_context, int)
                self._traces[name, max_context] = self._trace(name, None).within(max_context)
        return self._traces[name, max_context]

    def _file(self, name: str, endings: tuple[str, ...]) -> str:
        """A name as it is; a path, which counts from the sweep file, in full."""
        if not ("/" in name or name.endswith(endings)):
            return name
        return str(self._home / name)


def _once(same: list[PamsimError]) -> PamsimError:
    """One fault for many that differ in their numbers only."""
    first = same[0]
    if len(same) == 1:
        return first
    return InputError(f"{first.message}, and {len(same) - 1} more values likewise",
                      first.position, first.hint)  # fmt: skip


def _faults(load: Any) -> list[PamsimError]:
    try:
        load()
    except InputErrors as errors:
        return list(errors.errors)
    except PamsimError as error:
        return [error]
    return []
