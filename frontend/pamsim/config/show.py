"""What `pamsim config show`, manifests and the schema directory print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

from pamsim.config.constants import own_constants
from pamsim.config.load import load_device, load_document, load_system
from pamsim.config.schema import MODELS
from pamsim.config.spec import Constant, DeviceSpec, SystemSpec
from pamsim.errors import Position


def config_constants(
    kind: str, name_or_path: str, overrides: tuple[str, ...] = ()
) -> tuple[Constant, ...]:
    """Every constant of a description and of all that it names: value, unit, source, range.

    Names are the keys that --set takes (but `refresh_all_bank_pj`, which follows from two of them).
    Raises InputError(s).
    """
    if kind == "system":
        return tuple(_of_system(load_system(name_or_path, overrides)))
    if kind == "device":
        return tuple(_of_device(load_device(name_or_path, overrides)))
    return own_constants(load_document(kind, name_or_path, overrides))


def _of_device(device: DeviceSpec, prefix: str = "") -> Iterator[Constant]:
    for constant in device.constants:
        yield replace(constant, name=prefix + constant.name)
    for constant in device.energy.constants:
        yield replace(constant, name=f"{prefix}energy.constants.{constant.name}")


def _of_system(system: SystemSpec) -> Iterator[Constant]:
    yield from system.constants
    for constant in system.host.constants:
        yield replace(constant, name=f"host.{constant.name}")
    if system.interconnect is not None:
        for constant in system.interconnect.constants:
            yield replace(constant, name=f"interconnect.{constant.name}")
    for tier in system.tiers:
        yield from _of_device(tier.device, f"tiers.{tier.name}.device.")
        for constant in tier.link.constants:
            yield replace(constant, name=f"tiers.{tier.name}.link.{constant.name}")


def resolved_json(spec: Any) -> str:
    """A spec or Description as JSON: sorted keys, no places of files, the same on every machine."""
    return json.dumps(_plain(spec), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _plain(getattr(value, f.name))
            for f in fields(value)
            if f.name not in ("path", "written")
            and not isinstance(getattr(value, f.name), Position)
        }
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def schema_files() -> dict[str, str]:
    """File name -> JSON Schema of each kind of description, as a user may write it.

    A document that extends another may leave out what it inherits; where a document names another,
    it may hold the other in its place.
    """
    files = {}
    for kind, model in MODELS.items():
        schema = model.model_json_schema()
        required = schema.pop("required", [])
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        schema["properties"]["extends"] = {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "names of the documents that this one changes",
        }
        schema["anyOf"] = [{"required": required}, {"required": ["extends"]}]
        for name, definition in schema.get("$defs", {}).items():
            if name in _PARTIAL:
                definition.pop("required", None)
            if f"#/$defs/{name}" in _DOCUMENTS:  # one that stands in its place may extend another
                definition["properties"]["extends"] = schema["properties"]["extends"]
        for document in (schema, *schema.get("$defs", {}).values()):
            _lists_that_follow(document)
        _name_or_document(schema)
        files[f"{kind}.schema.json"] = json.dumps(schema, indent=2, sort_keys=True) + "\n"
    return files


# Sections that a document which extends another may give in part.
_PARTIAL = (
    "OrganisationModel", "PimModel", "EnergyConstants", "TierModel", "CommandModel",
    "DeviceModel", "EnergyModel", "HostModel", "LinkModel",
)  # fmt: skip
_DOCUMENTS = tuple(f"#/$defs/{model.__name__}" for model in MODELS.values())


def _lists_that_follow(document: dict[str, Any]) -> None:
    """Allows `key+` beside a list: its entries follow on those of what is extended."""
    properties = document.get("properties", {})
    lists = {f"{name}+": p for name, p in properties.items() if p.get("type") == "array"}
    properties.update(lists)


def _name_or_document(node: Any) -> None:
    """Allows a name wherever another document stands."""
    if isinstance(node, dict):
        for key, child in node.items():
            if isinstance(child, dict) and child.get("$ref") in _DOCUMENTS:
                node[key] = {"anyOf": [{"type": "string"}, child]}
            else:
                _name_or_document(child)
    elif isinstance(node, list):
        if any(isinstance(child, dict) and child.get("$ref") in _DOCUMENTS for child in node):
            node.append({"type": "string"})  # one that may be left out
        for child in node:
            _name_or_document(child)
