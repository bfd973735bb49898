"""The command trace of a channel in one layer, as an engine issues it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TextIO

import numpy as np

from pamsim.compiler.compiled import ChannelProgram, CompiledStep
from pamsim.config import describe
from pamsim.errors import InputError
from pamsim.sim.engines import EMBEDDED, engine_type
from pamsim.sim.expand import expand
from pamsim.traces import Cut, Trace, TraceEnd, TraceHeader, normal_form, write_text
from pamsim.traces.header import commands_of
from pamsim.traces.trace import PIECE
from pim_isa import Unit, load
from pyramulator.description import Description

_SLICE_TICKS = 1 << 16


class ChannelTrace(Trace):
    """A channel's program, run as its trace is read; memory does not grow with the trace.

    inputs: what the step was made from, for the header. Raises InputError when the channel has no
    program, the model no such layer, or the engine cannot be used.
    """

    def __init__(
        self,
        compiled: CompiledStep,
        *,
        channel: int = 0,
        layer: int = 0,
        engine: str = EMBEDDED,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        program = _program(compiled, channel)
        if not 0 <= layer < compiled.layers:
            raise InputError(f"layer must be between 0 and {compiled.layers - 1}, not {layer}")
        self._description = describe(compiled.device, compiled.variants)
        self._stream = expand(program.program, self._description)
        self._engine = engine_type(engine)
        self._row_offset = np.array(
            [
                _row_offset(compiled, self._description, channel, layer, stream.unit)
                for stream in program.program.streams
            ],
            np.int64,
        )
        super().__init__(
            TraceHeader(
                device=compiled.device.name,
                levels=self._description.levels,
                commands=commands_of(self._description, _units(program, self._description)),
                ticks_per_second=self._description.ticks_per_second,
                sizes=self._description.sizes,
                family=compiled.device.family,
                tier=compiled.tier,
                engine=engine,
                channel=channel,
                layer=layer,
                layers=compiled.layers,
                ticks_per_ck=compiled.device.ticks_per_ck,
                column_bytes=compiled.device.organisation.column_bytes,
                dq_bits=compiled.device.organisation.dq_bits,
                timing_ck=dict(compiled.device.timing_ck),
                inputs=dict(inputs or {}),
                sources={"program": program.sha256, "description": _sha256(self._description)},
            )
        )

    def _pieces(self, cut: Cut) -> Iterator[tuple[int, np.ndarray]]:
        run = self._engine(self._description, self._stream, log=True, stalls=False)
        given, until, finished = 0, 0, False
        while not finished:
            until += _SLICE_TICKS
            finished = run.advance(until)
            log = run.result().log if finished else run.take_log()
            assert log is not None
            whole = normal_form(log, self._description, self._row_offset)
            for start in range(0, len(whole), PIECE):
                yield given + start, whole[start : start + PIECE]
            given += len(whole)
        self.end = TraceEnd(given, run.result().ticks, True)


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

    limit: stop after that many commands. Raises InputError as ChannelTrace.
    """
    trace = ChannelTrace(compiled, channel=channel, layer=layer, engine=engine)
    return write_text(out, trace, Cut(limit=limit))


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


def _row_offset(
    compiled: CompiledStep, description: Description, channel: int, layer: int, unit: Unit
) -> int:
    """Rows from layer 0 to `layer` where a stream runs; all groups of a wider unit move alike."""
    index, units = 0, 1
    for number, size in zip(unit, description.sizes[1:], strict=False):
        index, units = index * size + number, units * size
    group = index * compiled.table.groups // units
    return int(compiled.table.rows_per_layer[channel, group]) * layer


def _units(program: ChannelProgram, description: Description) -> dict[str, str]:
    """What executes each command, by the instruction set; units of a unit are that unit.

    Nothing for the banks, which every command that names a row works on.
    """
    table = load(program.program.family)
    places = {level.lower() for level in description.levels}
    found: dict[str, str] = {}
    for spec in table.instructions:
        if spec.unit.replace(" ", "") in places:
            continue
        for e in spec.expands:
            name = re.compile(re.sub(r"\\\{\w+\\\}", r"\\d+", re.escape(e.command)))
            for command in description.commands:
                if name.fullmatch(command.name):
                    found.setdefault(command.name, spec.unit)
    whole = set(found.values())
    return {
        command: next((w for w in sorted(whole, key=len) if unit.startswith(w + " ")), unit)
        for command, unit in found.items()
    }


def _sha256(description: Description) -> str:
    text = json.dumps(asdict(description), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
