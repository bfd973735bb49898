"""`pamsim isa`: instruction sets and their programs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pamsim.cli.output import note
from pamsim.errors import EXIT_OK, EXIT_VIOLATION, InputError

FILE = click.Path(path_type=Path, allow_dash=True)


@click.group("isa")
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
    from pim_isa import assemble, encode

    _write(output, encode(assemble(_text(source))))
    return EXIT_OK


@command.command("disasm")
@click.argument("binary", type=FILE)
def disassemble_file(binary: Path) -> int:
    """Print BINARY (- for stdin) as text, which `asm` reads back to the same bytes."""
    from pim_isa import decode, disassemble

    click.echo(disassemble(decode(_read(binary))), nl=False)
    return EXIT_OK


@command.command("check")
@click.argument("program", type=FILE)
def check_file(program: Path) -> int:
    """Say what is wrong with PROGRAM (binary or text). Exit code 4 when something is."""
    from pim_isa import assemble, check, decode

    content = _read(program)
    try:
        text = content.decode("utf-8")
        is_text = "\0" not in text
    except UnicodeDecodeError:
        is_text = False
    faults = check(assemble(text) if is_text else decode(content))
    for fault in faults:
        click.echo(str(fault))
    if not faults:
        note(f"{program}: no faults")
    return EXIT_VIOLATION if faults else EXIT_OK


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"program must be a readable file, not {str(path)!r} ({error.strerror})"
        ) from error


def _text(path: Path) -> str:
    try:
        return _read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"assembly must be UTF-8 text, not {str(path)!r} (byte {error.start})"
        ) from error


def _write(path: Path, content: bytes) -> None:
    if str(path) == "-":
        sys.stdout.buffer.write(content)
        return
    aside = path.with_name(f".{path.name}.partial")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(
            f"output must be a writable file, not {str(path)!r} ({error.strerror})"
        ) from error
