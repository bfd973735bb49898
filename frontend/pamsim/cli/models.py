"""`pamsim models`: the presets."""

from __future__ import annotations

import click

from pamsim.cli.output import print_json
from pamsim.errors import EXIT_OK


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> int:
    """List the models that are known by name, with their shapes."""
    from pamsim.model import list_models, load_model

    models = [load_model(name) for name in list_models()]
    if as_json:
        from dataclasses import asdict

        print_json([asdict(m) for m in models])
        return EXIT_OK
    width = max(len(m.name) for m in models)
    head = f"{'name':<{width}}  layers  hidden  query/KV heads  head dim  context  KV bytes a token"
    click.echo(head)
    for m in models:
        heads = f"{m.query_heads}/{m.kv_heads}"
        click.echo(
            f"{m.name:<{width}}  {m.layers:>6}  {m.hidden:>6}  {heads:>14}  {m.head_dim:>8}  "
            f"{m.max_context:>7}  {m.layers * m.kv_bytes_per_token_layer:>16}"
        )
    return EXIT_OK
