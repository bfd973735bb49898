"""`pamsim isa`: instruction sets and their programs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pamsim.cli.options import PlainGroup
from pamsim.cli.output import note
from pamsim.cli.output_file import write_file
from pamsim.errors import EXIT_OK, EXIT_VIOLATION

FILE = click.Path(path_type=Path, allow_dash=True)


@click.group("isa", cls=PlainGroup)
def command() -> None:
    """Instruction sets: show, asm, disasm, check."""


@command.command("show")
@click.argument("family", default="hbm_pim")
def show(family: str) -> int:
    """Print the reference of FAMILY (default hbm_pim): every instruction, field and command."""
    from pim_isa.docs import render

    click.echo(render(family), nl=False)
    return EXIT_OK


@command.command("asm")
@click.argument("source", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Binary to write; - for stdout.")
def assemble_file(source: Path, output: Path) -> int:
    """Assemble SOURCE (- for stdin) into a binary."""
    from pamsim.cli.program_file import read_assembly, read_bytes
    from pim_isa import encode

    binary = encode(read_assembly(source, read_bytes(source)))
    if str(output) == "-":
        sys.stdout.buffer.write(binary)
    else:
        write_file(output, lambda file: file.write(binary), force=True)
    return EXIT_OK


@command.command("disasm")
@click.argument("binary", type=FILE)
def disassemble_file(binary: Path) -> int:
    """Print BINARY (- for stdin) as text, which `asm` reads back to the same bytes."""
    from pamsim.cli.program_file import read_binary, read_bytes
    from pim_isa import disassemble

    click.echo(disassemble(read_binary(binary, read_bytes(binary))), nl=False)
    return EXIT_OK


@command.command("check")
@click.argument("program", type=FILE)
def check_file(program: Path) -> int:
    """Say what is wrong with PROGRAM (binary or text). Exit code 4 when something is."""
    from pamsim.cli.program_file import read_program
    from pim_isa import check

    faults = check(read_program(program))
    for fault in faults:
        click.echo(str(fault))
    if not faults:
        note(f"{program}: no faults")
    return EXIT_VIOLATION if faults else EXIT_OK
