"""`pamsim config`: machine descriptions."""

from __future__ import annotations

from typing import Any

import click

from pamsim.cli.options import PlainGroup
from pamsim.cli.output import note, print_json
from pamsim.errors import EXIT_OK, InputError, nearest

KIND = click.option(
    "--kind",
    metavar="KIND",
    default="system",
    show_default=True,
    help="device, energy, host, link or system.",
)
SET = click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a field.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("config", cls=PlainGroup)
def command() -> None:
    """Machine descriptions: list, show, check, schema."""


@command.command("list")
@click.argument("kind", required=False)
@JSON
def list_names(kind: str | None, as_json: bool) -> int:
    """List the descriptions known by name, of all kinds, or of one KIND with what each is."""
    from pamsim.config import KINDS, list_configs

    kinds = (_known(kind),) if kind else KINDS
    names = {k: list(list_configs(k)) for k in kinds}
    if as_json:
        print_json(names)
    elif kind:
        from pamsim.config.documents import load_tree, locate

        width = max(map(len, names[kind]))
        for name in names[kind]:
            said = load_tree(kind, locate(kind, name)).data.get("description", "")
            click.echo(f"{name:<{width}}  {said}".rstrip())
    else:
        for k in kinds:
            click.echo(f"{k}: {', '.join(names[k])}")
    return EXIT_OK


@command.command("show")
@click.argument("name")
@KIND
@SET
@JSON
def show(name: str, kind: str, overrides: tuple[str, ...], as_json: bool) -> int:
    """Print every resolved constant of NAME (a name or a YAML file) with unit and source."""
    from pamsim.config import config_constants

    constants = config_constants(_kind_of(name, kind), name, overrides)
    if as_json:
        print_json([_plain(c) for c in constants])
        return EXIT_OK
    width = max((len(c.name) for c in constants), default=0)
    for c in constants:
        value = f"{c.value} {c.unit}" if c.unit not in ("", "1") else str(c.value)
        span = f", {c.range[0]:g} to {c.range[1]:g}" if c.range else ""
        click.echo(f"{c.name:<{width}}  {value:<14}  {c.source}{span}")
    return EXIT_OK


@command.command("check")
@click.argument("name")
@KIND
@SET
def check(name: str, kind: str, overrides: tuple[str, ...]) -> int:
    """Check NAME (a name or a YAML file) against its schema and its own rules."""
    from pamsim.config import config_constants, load_device, load_system

    kind = _kind_of(name, kind)
    constants = config_constants(kind, name, overrides)
    devices = [load_device(name, overrides)] if kind == "device" else []
    if kind == "system":
        devices += [tier.device for tier in load_system(name, overrides).tiers]
    for device in devices:
        for warning in device.warnings:
            note(f"warning: {device.name}: {warning}")
    assumed = sum(c.assumed for c in constants)
    click.echo(f"{name}: a sound {kind}, {len(constants)} constants, {assumed} of them assumptions")
    return EXIT_OK


@command.command("schema")
@click.argument("kind")
def schema(kind: str) -> int:
    """Print the JSON Schema of a KIND of description, or of `run`'s result."""
    if kind == "run":
        from pamsim.report.schema import schema_text

        click.echo(schema_text(), nl=False)
        return EXIT_OK
    from pamsim.config import schema_files

    files = schema_files()
    click.echo(files[f"{_known(kind, 'run')}.schema.json"], nl=False)
    return EXIT_OK


def _known(kind: str, *more: str) -> str:
    from pamsim.config import KINDS

    if kind not in KINDS:
        known = (*KINDS, *more)
        raise InputError(
            f"kind must be one of {', '.join(known)}, not {kind!r}", hint=nearest(kind, known)
        )
    return kind


def _kind_of(name: str, kind: str) -> str:
    """The kind asked for; where it is left at `system` and only another kind has the name, that."""
    from pamsim.config import KINDS, list_configs

    _known(kind)
    if kind == "system" and name not in list_configs("system"):
        return next((k for k in KINDS if name in list_configs(k)), kind)
    return kind


def _plain(constant: Any) -> dict[str, Any]:
    return {
        "name": constant.name,
        "value": constant.value,
        "unit": constant.unit,
        "source": constant.source,
        "range": list(constant.range) if constant.range else None,
    }
