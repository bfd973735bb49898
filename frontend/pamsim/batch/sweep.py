"""A sweep file: which runs it asks for. Read and checked whole; every fault with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pamsim.batch.axis import MAX_VALUES, Axis, Value, read_axis
from pamsim.batch.condition import Condition, read_condition
from pamsim.batch.sample import METHODS
from pamsim.config.problems import raise_all
from pamsim.config.reader import DataPath, Document, read
from pamsim.errors import InputError, PamsimError, Position, did_you_mean, nearest, short
from pamsim.model.parts import KV_BITS
from pamsim.report.text import sha256_bytes
from pamsim.workload import FORMATS, RULES

MAX_POINTS = 1_000_000
FIELDS = ("model", "kv_dtype", "system", "seed", "validate", "engine")  # at the top of a file
TOP = ("name", "description", *FIELDS, "workload", "set", "zip", "sample", "where")
WORKLOAD = ("context", "batch", "contexts", "trace", "format", "rule", "draws", "draw_seed",
            "max_context")  # fmt: skip
SAMPLE = ("method", "count", "seed")
DEFAULTS: dict[str, Value] = {"kv_dtype": None, "system": "pam-hbm", "seed": 0,
                              "validate": "default", "engine": "embedded", "batch": 1,
                              "rule": "tokens", "draw_seed": 0, "max_context": None}  # fmt: skip
CHOICES = {"kv_dtype": tuple(KV_BITS), "validate": ("full", "default", "off"),
           "engine": ("embedded",), "rule": tuple(RULES)}  # fmt: skip
NAMES = ("model", "system", "trace")  # fields that hold a name
# field -> least and greatest value
NUMBERS = {"context": (1, 1 << 30), "batch": (1, 1 << 20), "seed": (0, 2**63 - 1),
           "draws": (1, MAX_VALUES), "draw_seed": (0, 2**63 - 1),
           "max_context": (1, 1 << 30)}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """How many draws of all fields that have distributions, by which method, from which seed."""

    method: str
    count: int
    seed: int


@dataclass(frozen=True)
class Sweep:
    """What a file asks for: axes in the file's order, and how they are combined.

    axes: by name; fields that were left out have their default. zips: axes that walk together. All
    else is a product, the last axis fastest, of which the points that meet `conditions` stay.
    """

    name: str
    path: Path
    sha256: str
    axes: dict[str, Axis]
    set_paths: tuple[str, ...]
    zips: tuple[tuple[str, ...], ...]
    sample: Sample | None
    conditions: tuple[tuple[Condition, Position | None], ...]
    form: str | None  # of the traces, None: recognised
    document: Document

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Fields with more than one value: what tells the points apart."""
        return tuple(name for name, axis in self.axes.items()
                     if axis.distribution or len(axis.values) > 1)  # fmt: skip

    @property
    def traced(self) -> bool:
        """Whether contexts are drawn from traces."""
        return "trace" in self.axes


def read_sweep(path: str | Path) -> Sweep:
    """The sweep in a YAML file. Raises InputError(s) with all faults that its text shows."""
    path = Path(path)
    document = read(path)
    reader = _Reader(document)
    if not isinstance(document.data, dict):
        raise InputError(f"sweep must be a mapping of keys to values, not {short(document.data)}",
                         document.position(()))  # fmt: skip
    axes = reader.axes()
    zips, sample = reader.zips(axes), reader.sample(axes)
    conditions = reader.conditions(axes)
    form = reader.form()
    raise_all(reader.faults)
    name = document.data.get("name", path.stem)
    return Sweep(
        name=str(name),
        path=path.absolute(),
        sha256=sha256_bytes(path.read_bytes()),
        axes=axes,
        set_paths=tuple(document.data.get("set") or ()),
        zips=zips,
        sample=sample,
        conditions=conditions,
        form=form,
        document=document,
    )


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document, self.data = document, document.data
        self.faults: list[PamsimError] = []

    def fault(self, text: str, path: DataPath, hint: str = "", of_key: bool = False) -> None:
        self.faults.append(InputError(text, self.document.position(path, of_key), hint))

    def keys(self, data: dict[str, Any], path: DataPath, known: Iterable[str]) -> None:
        where = f"key of {path[-1]}" if path else "key"
        for key in data:
            if key not in known:
                hint = did_you_mean(key, known)
                self.fault(
                    f"{where} must be a known one, not {short(key)}", (*path, key), hint, True
                )

    def section(self, name: str) -> dict[str, Any]:
        found = self.data.get(name)
        if found is None:
            return {}
        if not isinstance(found, dict):
            self.fault(f"{name} must be a mapping, not {short(found)}", (name,))
            return {}
        return found

    def axes(self) -> dict[str, Axis]:
        """Every field's axis, defaults included; checks names, numbers and what goes together."""
        self.keys(self.data, (), TOP)
        for key in ("name", "description"):
            if key in self.data and not isinstance(self.data[key], str):
                self.fault(f"{key} must be text, not {short(self.data[key])}", (key,))
        workload = self.section("workload")
        self.keys(workload, ("workload",), WORKLOAD)
        found: dict[str, Axis] = {}
        for name, data in self.data.items():
            if name in FIELDS:
                found[name] = self.axis(name, data, (name,))
            elif name == "workload":
                for inner, value in workload.items():
                    if inner in WORKLOAD and inner not in ("format", "contexts"):
                        found[inner] = self.axis(inner, value, ("workload", inner))
                    elif inner == "contexts":
                        found[inner] = self.batches(value)
            elif name == "set":
                for inner, value in self.section("set").items():
                    found[inner] = self.axis(inner, value, ("set", inner))
        if "model" not in found:
            self.fault("model must be given", ())
        self.workload(workload, found)
        for name, value in DEFAULTS.items():
            if name not in found and self.applies(name, found):
                found[name] = Axis(name, (value,), None, None)
        return found

    def applies(self, name: str, found: dict[str, Axis]) -> bool:
        """Whether a field's default means something beside what is given."""
        if name in ("rule", "draw_seed", "max_context"):
            return "trace" in found
        return name != "batch" or "contexts" not in found

    def workload(self, workload: dict[str, Any], found: dict[str, Axis]) -> None:
        ways = [way for way in ("context", "contexts", "trace") if way in workload]
        if len(ways) != 1:
            given = f"not {' and '.join(ways)}" if ways else "not none of them"
            self.fault(f"workload must have one of context, contexts and trace, {given}",
                       ("workload",))  # fmt: skip
        if "contexts" in workload and "batch" in workload:
            self.fault("batch must be left out where contexts list each request",
                       ("workload", "batch"), "", True)  # fmt: skip
        for name in ("format", "rule", "draws", "draw_seed", "max_context"):
            if name in workload and "trace" not in workload:
                self.fault(f"{name} must go with a trace", ("workload", name), "", True)
        if "draws" in found:  # a number of batches, each its own point
            count = found.pop("draws").values
            if len(count) != 1 or not isinstance(count[0], int):
                self.fault("draws must be one number: how many batches are drawn",
                           ("workload", "draws"))  # fmt: skip
            else:
                place = self.document.position(("workload", "draws"))
                found["draw"] = Axis("draw", tuple(range(count[0])), None, place)
        elif "trace" in found:
            found["draw"] = Axis("draw", (0,), None, None)

    def axis(self, name: str, data: Any, path: DataPath) -> Axis:
        axis = read_axis(name, data, self.document, path, self.faults)
        values = axis.values or (axis.distribution.bounds if axis.distribution else ())
        for number, value in enumerate(values):
            place = (*path, number) if isinstance(data, list) else path
            if name in CHOICES and value not in CHOICES[name]:
                self.fault(f"{name} must be one of {', '.join(CHOICES[name])}, not {short(value)}",
                           place, nearest(str(value), CHOICES[name]))  # fmt: skip
            elif name in NAMES and not (isinstance(value, str) and value):
                self.fault(f"{name} must be text, not {short(value)}", place)
            elif name in NUMBERS and not _whole(value, *NUMBERS[name]):
                low, high = NUMBERS[name]
                rule = f"a whole number from {low} to {high}"
                self.fault(f"{name} must be {rule}, not {short(value)}", place)
        if name in NUMBERS and axis.distribution and axis.distribution.kind in (
            "uniform", "log_uniform"
        ):  # fmt: skip
            self.fault(f"{name} must be drawn from integer, log_integer or choice", path)
        return axis

    def batches(self, data: Any) -> Axis:
        """`contexts`: one batch as a list of numbers, or a list of such lists."""
        path: DataPath = ("workload", "contexts")
        place = self.document.position(path)
        several = isinstance(data, list) and bool(data) and all(isinstance(b, list) for b in data)
        for number, batch in enumerate(data if several else [data]):
            where = (*path, number) if several else path
            if not isinstance(batch, list) or not batch:
                self.fault(f"contexts must be a list of numbers, not {short(batch)}", where)
                return Axis("contexts", (), None, place)
            for inner, context in enumerate(batch):
                if not _whole(context, *NUMBERS["context"]):
                    self.fault(f"context must be a whole number from 1 to {1 << 30}, not "
                               f"{short(context)}", (*where, inner))  # fmt: skip
        lists = data if several else [data]
        return Axis("contexts", tuple(tuple(batch) for batch in lists), None, place)

    def zips(self, axes: dict[str, Axis]) -> tuple[tuple[str, ...], ...]:
        groups = self.data.get("zip", [])
        flat = isinstance(groups, list) and bool(groups) and isinstance(groups[0], str)
        if flat:
            groups = [groups]
        if not isinstance(groups, list) or not all(isinstance(g, list) for g in groups):
            self.fault("zip must be a list of lists of fields", ("zip",))
            return ()
        seen: set[str] = set()
        for number, group in enumerate(groups):
            lengths = {}
            where: DataPath = ("zip",) if flat else ("zip", number)
            for inner, name in enumerate(group):
                place = (*where, inner)
                if not isinstance(name, str) or name not in axes:
                    self.fault(f"zip must be of fields of the sweep, not {short(name)}", place,
                               did_you_mean(str(name), axes))  # fmt: skip
                elif name in seen or axes[name].distribution:
                    self.fault(f"{name} must be in one zip at most, and have values", place)
                else:
                    lengths[name] = len(axes[name].values)
                    seen.add(name)
            if len(set(lengths.values())) > 1:
                said = ", ".join(f"{name} {n}" for name, n in lengths.items())
                self.fault(f"zip must be of fields with equally many values, not {said}",
                           where)  # fmt: skip
        return tuple(tuple(group) for group in groups)

    def sample(self, axes: dict[str, Axis]) -> Sample | None:
        drawn = [name for name, axis in axes.items() if axis.distribution]
        data = self.section("sample")
        self.keys(data, ("sample",), SAMPLE)
        if not data:
            for name in drawn:
                self.faults.append(InputError(f"distribution of {name} must go with sample",
                                              axes[name].position))  # fmt: skip
            return None
        if not drawn:
            self.fault("sample must go with a field that has a distribution", ("sample",), "", True)
        method, count, seed = data.get("method", "random"), data.get("count"), data.get("seed", 0)
        if method not in METHODS:
            self.fault(f"method must be one of {', '.join(METHODS)}, not {short(method)}",
                       ("sample", "method"), nearest(str(method), METHODS))  # fmt: skip
        if not _whole(count, 1, MAX_POINTS):
            self.fault(f"count must be a whole number from 1 to {MAX_POINTS}, not {short(count)}",
                       ("sample", "count"))  # fmt: skip
        if not _whole(seed, 0, 2**63 - 1):
            self.fault(f"seed must be a whole number from 0, not {short(seed)}", ("sample", "seed"))
        return Sample(str(method), count if isinstance(count, int) else 1, seed)

    def conditions(self, axes: dict[str, Axis]) -> tuple[tuple[Condition, Position | None], ...]:
        texts = self.data.get("where", [])
        found = []
        for number, text in enumerate(texts if isinstance(texts, list) else [texts]):
            place = self.document.position(("where", number) if isinstance(texts, list)
                                           else ("where",))  # fmt: skip
            try:
                found.append((read_condition(text, axes, place), place))
            except PamsimError as error:
                self.faults.append(error)
        return tuple(found)

    def form(self) -> str | None:
        form = self.section("workload").get("format")
        if form is not None and form not in FORMATS:
            self.fault(f"format must be one of {', '.join(FORMATS)}, not {short(form)}",
                       ("workload", "format"), nearest(str(form), FORMATS))  # fmt: skip
        return form


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
