"""`pamsim compare`: the same decode step on several machines or layouts, side by side."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import click

from pamsim.cli.options import (
    Conduct,
    Inputs,
    conduct_options,
    input_options,
    validate_option,
)
from pamsim.cli.output import Progress, console, note, print_json
from pamsim.errors import (
    EXIT_OK,
    EXIT_POINTS_FAILED,
    EXIT_VIOLATION,
    InputError,
    PamsimError,
)

if TYPE_CHECKING:
    from pamsim.report.compare import Case

MOST_CASES = 64


@click.command("compare")
@click.argument("cases", nargs=-1, metavar="[SYSTEM[,KEY=VALUE]...]...")
@input_options()
@click.option(
    "--vary",
    metavar="KEY=V1,V2,...",
    multiple=True,
    help="Take every case with each of these values, e.g. "
    "layout=head-split,token-major. Repeatable.",
)
@validate_option
@conduct_options(directory=False)
def command(
    cases: tuple[str, ...],
    inputs: Inputs,
    vary: tuple[str, ...],
    validate: str,
    conduct: Conduct,
) -> int:
    """Run one decode step in several cases and print their figures side by side.

    A case is a system, with changes as --set takes them:

    \b
      pamsim compare pam-hbm pam-hbm,layout=token-major attacc --model llama-3-8b

    Without a case, --system is the one that --vary changes. Ratios are to the first case. A case
    that cannot be run says why; then the exit code is 3.
    """
    from pamsim.report.compare import compare_document, print_comparison
    from pamsim.report.validation import violated

    wanted = [v for case in cases or (inputs.system,) for v in variants(case, vary)]
    if len(wanted) > MOST_CASES:
        raise InputError(f"cases must be at most {MOST_CASES}, not {len(wanted)}", None,
                         "`pamsim sweep` runs more")  # fmt: skip
    found = []
    with Progress(conduct.quiet) as progress:
        for number, (system, overrides) in enumerate(wanted):
            own = replace(inputs, system=system, overrides=(*inputs.overrides, *overrides))
            found.append(_run(own, ",".join((system, *overrides)), validate, conduct, progress,
                              quiet=conduct.quiet or number > 0))  # fmt: skip
    if conduct.json:
        print_json(compare_document(found))
    elif not conduct.quiet:
        print_comparison(found, console())
    else:
        for case in found:
            if case.document is None:
                note(f"{case.name}: {case.fault}")
    if any(c.document is not None and violated(c.document["validation"]) for c in found):
        return EXIT_VIOLATION
    return EXIT_POINTS_FAILED if any(c.document is None for c in found) else EXIT_OK


def variants(case: str, vary: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """(system, overrides) of a case with every combination of the values to vary.

    Raises InputError for a case without a system or a change without a value.
    """
    system, *changes = [part.strip() for part in case.split(",")]
    if not system or "=" in system:
        raise InputError(f"case must begin with a system, not {case!r}")
    axes = []
    for text in vary:
        key, separator, values = text.partition("=")
        chosen = [v.strip() for v in values.split(",") if v.strip()]
        if not separator or not key.strip() or not chosen:
            raise InputError(f"--vary must be KEY=V1,V2,..., not {text!r}")
        axes.append([f"{key.strip()}={value}" for value in chosen])
    for change in changes:
        if "=" not in change:
            raise InputError(f"change of a case must be KEY=VALUE, not {change!r}")
    return [(system, (*changes, *combination)) for combination in product(*axes)]


def _run(
    inputs: Inputs, name: str, validate: str, conduct: Conduct, progress: Progress, quiet: bool
) -> Case:
    """One case; an error of its own input is its fault, not the comparison's."""
    from pamsim.cli import evaluate, pipeline
    from pamsim.report.compare import Case

    try:
        job = pipeline.load(inputs, quiet)
        parts = pipeline.compile_job(job, progress)
        return Case(name, evaluate.evaluate(job, parts, conduct, validate, progress))
    except PamsimError as error:
        return Case(name, None, str(error))
