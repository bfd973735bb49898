"""Checks of the composed data itself, so that their faults come together with the schema's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pamsim.config.constants import source_text
from pamsim.config.documents import REFERENCES, Tree
from pamsim.config.problems import dotted
from pamsim.config.reader import DataPath
from pamsim.config.timing import CLOCK_NAMES
from pamsim.errors import InputError, PamsimError, did_you_mean, short


def tree_faults(tree: Tree) -> list[PamsimError]:
    """Sources that name nothing, timing names that the family lacks, timing that is not given."""
    faults = list(_source_faults(tree, tree.data, (), tree.data.get("sources")))
    if tree.kind == "device":
        faults += _timing_faults(tree, tree.data, ())
    tiers = tree.data.get("tiers") if tree.kind == "system" else None
    for name, tier in tiers.items() if isinstance(tiers, dict) else ():
        if isinstance(tier, dict) and isinstance(tier.get("device"), dict):
            faults += _timing_faults(tree, tier["device"], ("tiers", name, "device"))
    return faults


def _is_document(kind: str, path: DataPath) -> bool:
    return any(
        len(path) == len(pattern)
        and all(p in ("*", part) for part, p in zip(path, pattern, strict=True))
        for pattern, _ in REFERENCES[kind]
    )


def _source_faults(tree: Tree, node: Any, at: DataPath, sources: Any) -> Iterator[PamsimError]:
    if not isinstance(node, dict):
        return
    if _is_document(tree.kind, at):
        sources = node.get("sources")
    source = node.get("source")
    if "value" in node and isinstance(source, str):
        known = sources if isinstance(sources, dict) else {}
        if source_text(source, known) is None:
            yield InputError(
                f"source of {dotted(at)} must be a key of sources, or start with 'assumption: ' "
                f"or 'derived: ', not {short(source)}",
                tree.position((*at, "source")),
                did_you_mean(source[:60], known),
            )
        return
    for key, child in node.items():
        yield from _source_faults(tree, child, (*at, key), sources)


def _timing_faults(tree: Tree, device: dict[str, Any], at: DataPath) -> Iterator[PamsimError]:
    parameters, timing = device.get("parameters"), device.get("timing")
    if not isinstance(parameters, list) or not isinstance(timing, dict):
        return  # the schema says so
    known = [*CLOCK_NAMES, *(p for p in parameters if isinstance(p, str))]
    where = (*at, "timing")
    for name in timing:
        if name not in known:
            yield InputError(
                f"key of {dotted(where)} must be a timing parameter, not {short(name)}",
                tree.position((*where, name), of_key=True),
                did_you_mean(name[:60], known),
            )
    for name in known:
        if name not in timing and name != "tCK":
            yield InputError(f"{dotted((*where, name))} must be given", tree.position(where))
