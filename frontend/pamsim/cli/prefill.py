"""`pamsim prefill`: what it costs to write a prompt's KV cache into the tiers."""

from __future__ import annotations

import click

from pamsim.cli.options import Inputs, input_options
from pamsim.cli.output import console, print_json
from pamsim.errors import EXIT_OK


@click.command("prefill")
@input_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(inputs: Inputs, as_json: bool) -> int:
    """Say how a prompt's KV cache is distributed over the tiers, and how long writing it takes.

    The prompt is what the requests of --context and --batch hold before their next token. Tiers
    are written side by side; in each the slower of link and devices decides.
    """
    from rich.table import Table

    from pamsim.cli import pipeline
    from pamsim.config.units import shown_bytes
    from pamsim.report import words
    from pamsim.system.clock import ps_to_ns
    from pamsim.system.prefill import prefill_writes

    job = pipeline.load(inputs, quiet=as_json)
    writes = prefill_writes(job.system, job.model, job.step)
    longest = max((w.time_ps for w in writes), default=0)
    if as_json:
        print_json(
            {
                "model": job.model.name,
                "system": job.system.name,
                "latency_ns": ps_to_ns(longest),
                "tiers": {
                    w.tier: {
                        "bytes_per_instance": w.size_bytes,
                        "link_ns": ps_to_ns(w.link_ps),
                        "device_ns": ps_to_ns(w.device_ps),
                        "link_pj": w.link_pj,
                    }
                    for w in writes
                },
            }
        )
        return EXIT_OK
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("tier", "an instance writes", "over the link", "into the devices", "waits for"):
        table.add_column(head, justify="left" if head in ("tier", "waits for") else "right")
    for w in writes:
        table.add_row(
            w.tier,
            shown_bytes(w.size_bytes),
            words.duration(ps_to_ns(w.link_ps)),
            words.duration(ps_to_ns(w.device_ps)),
            "link" if w.link_ps >= w.device_ps else "devices",
        )
    console().print(table)
    click.echo(f"KV cache written in {words.duration(ps_to_ns(longest))}, tiers side by side")
    return EXIT_OK
