"""The command trace of a channel in one layer, as text: every command that an engine issued."""

from __future__ import annotations

from typing import TextIO

import numpy as np

from pamsim.compiler.compiled import ChannelProgram, CompiledStep
from pamsim.config import describe
from pamsim.errors import InputError
from pamsim.sim.engines import EMBEDDED, engine_type
from pamsim.sim.expand import expand
from pim_isa import Unit
from pyramulator.description import Description, RowUse

COLUMNS = "tick command channel pc sid bg bank row column source"
_SLICE_TICKS = 1 << 16


def write_trace(
    out: TextIO,
    compiled: CompiledStep,
    *,
    channel: int = 0,
    layer: int = 0,
    limit: int | None = None,
    engine: str = EMBEDDED,
) -> int:
    """Runs a channel's program and writes what it issues, one command a line; returns how many.

    Header lines begin with #. Columns are those of COLUMNS; `*` is every child of a level, `-` is
    not named by the command; source is the number of the stream, or `refresh`. Written as it runs:
    memory does not grow with the trace. limit: stop after that many commands. Raises InputError
    when the channel has no program, the model no such layer, or the engine cannot be used.
    """
    program = _program(compiled, channel)
    if not 0 <= layer < compiled.layers:
        raise InputError(f"layer must be between 0 and {compiled.layers - 1}, not {layer}")
    description = describe(compiled.device, compiled.variants)
    stream = expand(program.program, description)
    moves = [_row_offset(compiled, channel, layer, s.unit) for s in program.program.streams]
    for line in _header(compiled, description, program, channel, layer):
        out.write(f"# {line}\n")
    run = engine_type(engine)(description, stream, log=True, stalls=False)
    written, until, finished = 0, 0, False
    while not finished and (limit is None or written < limit):
        until += _SLICE_TICKS
        finished = run.advance(until)
        if not finished:
            written += _write(out, run.take_log(), description, moves, channel, limit, written)
    if finished:
        log = run.result().log
        if log is not None:
            written += _write(out, log, description, moves, channel, limit, written)
    return written


def _program(compiled: CompiledStep, channel: int) -> ChannelProgram:
    if not 0 <= channel < compiled.table.channels:
        raise InputError(
            f"channel must be between 0 and {compiled.table.channels - 1}, not {channel}"
        )
    for program in compiled.programs:
        if any(binding.channel == channel for binding in program.bindings):
            return program
    busy = compiled.programs[0].bindings[0].channel
    raise InputError(f"channel must have work in this step, not {channel}", None, f"{busy} has")


def _row_offset(compiled: CompiledStep, channel: int, layer: int, unit: Unit) -> int:
    organisation = compiled.device.organisation
    node = unit.pseudo_channel * organisation.sids + unit.sid
    group = node * organisation.bank_groups + unit.bank_group
    return int(compiled.table.rows_per_layer[channel, group]) * layer


def _header(
    compiled: CompiledStep,
    description: Description,
    program: ChannelProgram,
    channel: int,
    layer: int,
) -> list[str]:
    return [
        f"pamsim command trace; device {compiled.device.name}, tier {compiled.tier}",
        f"program {program.sha256}; channel {channel}, layer {layer} of {compiled.layers}",
        f"a tick is 1/{description.ticks_per_second} s; ticks count from 1",
        "* is every child of a level, - is not named; pc: pseudo-channel, bg: bank group",
        COLUMNS,
    ]


def _write(
    out: TextIO,
    log: np.ndarray,
    description: Description,
    moves: list[int],
    channel: int,
    limit: int | None,
    written: int,
) -> int:
    if limit is not None:
        log = log[: limit - written]
    names = [command.name for command in description.commands]
    rowed = [command.row_use in (RowUse.ACCESS, RowUse.OPEN) for command in description.commands]
    columned = [command.row_use is RowUse.ACCESS for command in description.commands]
    lines = []
    for tick, command, source, address in log.tolist():
        where = " ".join("*" if n < 0 else str(n) for n in address[1:5])
        row = str(address[5] + (moves[source] if source >= 0 else 0)) if rowed[command] else "-"
        column = str(address[6]) if columned[command] else "-"
        who = source if source >= 0 else "refresh"
        lines.append(f"{tick} {names[command]} {channel} {where} {row} {column} {who}\n")
    out.write("".join(lines))
    return len(lines)
