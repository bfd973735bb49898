"""`pamsim models`: the presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pamsim.cli.output import print_json
from pamsim.errors import EXIT_OK

if TYPE_CHECKING:
    from pamsim.model import ModelSpec

HEAD = (
    "name", "parameters", "layers", "hidden", "heads", "KV heads", "head dim", "window", "experts",
    "context", "KV bytes a token",
)  # fmt: skip


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> int:
    """List the models that are known by name, with their shapes.

    Any other decoder is read from its Hugging Face config.json: --model FILE.
    """
    from pamsim.model import list_models, load_model

    models = [load_model(name) for name in list_models()]
    if as_json:
        from dataclasses import asdict

        print_json([asdict(m) for m in models])
        return EXIT_OK
    rows = [HEAD, *(_row(m) for m in models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        click.echo("  ".join([name.ljust(widths[0]), *right]))
    return EXIT_OK


def _row(model: ModelSpec) -> tuple[str, ...]:
    from pamsim.model.weights import model_parameters

    experts = model.experts
    return (
        model.name,
        f"{model_parameters(model) / 1e9:.1f} B",
        str(model.layers),
        str(model.hidden),
        str(model.query_heads),
        "latent" if model.mla else str(model.kv_heads),
        f"{model.mla.kv_rank}+{model.mla.rope_dim}" if model.mla else str(model.head_dim),
        _window(model),
        f"{experts.per_token} of {experts.experts}" if experts else "-",
        str(model.max_context),
        str(model.layers * model.kv_bytes_per_token_layer),
    )


def _window(model: ModelSpec) -> str:
    """The window, and in how many layers where not in all of them."""
    windows = [w for n in range(model.layers) if (w := model.window_of(n)) is not None]
    if not windows:
        return "-"
    where = "" if len(windows) == model.layers else f" in {len(windows)}"
    return f"{windows[0]}{where}"
