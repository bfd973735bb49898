"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pamsim.errors import InputError

ENGINES = ("embedded", "ramulator2", "ramulator2-replay")
VALIDATE = ("full", "default", "off")
KV_DTYPES = ("fp16", "bf16", "fp8", "int8", "int4")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class PlainGroup(click.Group):
    """A group whose help says what each command does in a whole sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, c.get_short_help_str(limit=200)) for name, c in commands if c is not None]
            )


@dataclass(frozen=True)
class Inputs:
    """What a decode step is made from, as the user wrote it."""

    model: str
    system: str
    context: str
    batch: int | None
    overrides: tuple[str, ...]
    seed: int
    engine: str
    kv_dtype: str | None = None  # None: the model's


@dataclass(frozen=True)
class Conduct:
    """How to run and what to show."""

    out_dir: Path | None
    json: bool
    quiet: bool
    threads: int
    force: bool


def input_options(required: bool = True) -> Decorator:
    """--model, --system, --context, --batch, --kv-dtype, --set, --seed, --engine as `inputs`.

    required: a model must be given; else `inputs` is None where it is not.
    """
    options = (
        click.option("--model", metavar="NAME|FILE", required=required,
                     help="Model: a name (see `pamsim models`) or a config.json."),
        click.option("--system", metavar="NAME|FILE", default="pam-hbm", show_default=True,
                     help="Machine: a name (see `pamsim config list`) or a YAML file."),
        click.option("--context", metavar="N[,N...]", default="4096", show_default=True,
                     help="KV tokens that a request attends to, the new one included: one number "
                     "for all, or one a request."),
        click.option("--batch", metavar="N", type=int, default=None,
                     help="Requests in the step.  [default: 1]"),
        click.option("--kv-dtype", type=click.Choice(KV_DTYPES), default=None,
                     help="Of the KV cache.  [default: the model's]"),
        click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True,
                     help="Change a field of the system, e.g. "
                     "tiers.hbm.device.timing.nFAW=20. Repeatable."),
        click.option("--seed", metavar="N", type=click.IntRange(0, 2**63 - 1), default=0,
                     show_default=True, help="Of the numbers that the functional proof draws."),
        click.option("--engine", type=click.Choice(ENGINES), default="embedded",
                     show_default=True,
                     help="What issues the commands; Ramulator 2.1 needs RAMULATOR2_ROOT."),
    )  # fmt: skip

    def gather(values: dict[str, Any]) -> Inputs | None:
        names = ("model", "system", "context", "batch", "overrides", "seed", "engine", "kv_dtype")
        taken = {name: values.pop(name) for name in names}
        if taken["model"] is None:
            return None
        return Inputs(**taken)

    return _bundle("inputs", options, gather)


def conduct_options(directory: bool = True) -> Decorator:
    """-o, --force (unless not `directory`), --json, --quiet, --threads as argument `conduct`."""
    options: tuple[Decorator, ...] = (
        click.option("--json", "json", is_flag=True,
                     help="Print one JSON document on stdout, all else on stderr."),
        click.option("--quiet", "-q", is_flag=True, help="No progress and no summary."),
        click.option("--threads", metavar="N", type=click.IntRange(1, 4096), default=None,
                     help="Channels simulated at a time.  [default: one a core]"),
    )  # fmt: skip
    if directory:
        options += (
            click.option("--out-dir", "-o", metavar="DIR", type=_directory, default=None,
                         help="Where the result goes.  [default: pamsim-out/...]"),
            click.option("--force", is_flag=True,
                         help="Replace a result in DIR; other files there stay."),
        )  # fmt: skip

    def gather(values: dict[str, Any]) -> Conduct:
        return Conduct(
            out_dir=values.pop("out_dir") if directory else None,
            json=values.pop("json"),
            quiet=values.pop("quiet"),
            threads=values.pop("threads") or cores(),
            force=values.pop("force") if directory else False,
        )

    return _bundle("conduct", options, gather)


def _directory(text: str) -> Path:
    """An option's directory; an empty one is a variable that was not set, not the current one."""
    if not text:
        raise InputError("output directory must have a name, not ''")
    return Path(text)


def validate_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--validate full|default|off."""
    option = click.option(
        "--validate",
        type=click.Choice(VALIDATE),
        default="default",
        show_default=True,
        help="How much the proofs take: every pair, a pair of every program, or nothing.",
    )
    decorated: Callable[..., Any] = option(function)
    return decorated


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _bundle(
    name: str, options: tuple[Decorator, ...], gather: Callable[[dict[str, Any]], Any]
) -> Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(**values: Any) -> Any:
            values[name] = gather(values)
            return function(**values)

        call.__name__, call.__doc__ = function.__name__, function.__doc__
        call.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
        decorated: Callable[..., Any] = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
