"""Constants of a document: their sources in full, and their public form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pamsim.config.overrides import SET_SOURCE
from pamsim.config.problems import dotted
from pamsim.config.quantity import ConstantModel, Section
from pamsim.config.reader import DataPath
from pamsim.config.schema import Titled
from pamsim.config.spec import Constant
from pamsim.errors import Position

Place = Callable[..., Position | None]


def source_text(source: str, sources: dict[str, str]) -> str | None:
    """The source in full: a key of `sources`, or text that says assumption or derived."""
    if source.startswith(("assumption: ", "derived: ")) or source == SET_SOURCE:
        return source
    return sources.get(source)


def constants_in(section: Any, at: DataPath = ()) -> Iterator[tuple[DataPath, ConstantModel]]:
    """Every constant of a section that is its own, not of a document that it names."""
    items: Iterable[tuple[str, Any]] = section.items() if isinstance(section, dict) else section
    for name, value in items:
        if isinstance(value, ConstantModel):
            yield (*at, name), value
        elif isinstance(value, dict) or (
            isinstance(value, Section) and not isinstance(value, Titled)
        ):
            yield from constants_in(value, (*at, name))


def public(
    name: str,
    model: ConstantModel,
    sources: dict[str, str],
    value: int | float | str | bool | None = None,
    unit: str | None = None,
    ends: tuple[float, float] | None = None,
) -> Constant:
    """The public form. With `value`, `unit` and, where it has a range, its `ends`, all converted,
    what was written goes into the note."""
    written, written_unit = model.written
    note = model.note
    if value is None and model.range:
        ends = (float(model.range[0]), float(model.range[1]))
    if value is not None and (written != value or written_unit not in ("", unit)):
        as_written = f"written as {written} {written_unit}".strip()
        note = f"{as_written}; {note}" if note else as_written
    return Constant(
        name=name,
        value=written if value is None else value,
        unit=unit or written_unit or "1",
        source=source_text(model.source, sources) or model.source,
        range=ends,
        choices=tuple(str(c).lower() for c in model.choices or ()),
        scope=model.scope,
        note=note,
    )


def own_constants(document: Titled) -> tuple[Constant, ...]:
    """The document's own constants as written, named by their dotted path."""
    return tuple(
        public(dotted(path), model, document.sources) for path, model in constants_in(document)
    )
