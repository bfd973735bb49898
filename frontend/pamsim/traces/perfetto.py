"""A trace as Chrome trace events (JSON), which ui.perfetto.dev and chrome://tracing show.

A process for the command buses and one for each pseudo-channel (rank, ...); in it a track for each
bank group and each of its units, in order of the levels. How long an event lasts is from the
description: on a bus the ticks that the command occupies it; on a bank group's track, for what
opens, closes or refreshes rows, its completion; else the least gap to another of its kind.
"""

from __future__ import annotations

import json
from typing import Any, TextIO

from pamsim.traces.header import TraceCommand
from pamsim.traces.perfetto_tracks import Node, Tracks
from pamsim.traces.trace import WHOLE, Cut, Trace, records

# Colours of Chrome's trace viewer by what a command does; Perfetto colours by name.
COLOURS = {
    "open": "thread_state_iowait",
    "close": "grey",
    "access": "thread_state_running",
    "refresh": "terrible",
    "host": "yellow",
    "unit": "rail_response",
}
_HOST = ("RD", "RDA", "WR", "WRA", "RDRES")


def write_perfetto(out: TextIO, trace: Trace, cut: Cut = WHOLE, *, ticks: bool = False) -> int:
    """Writes a trace as JSON trace events; returns how many commands.

    ticks: a tick is shown as a microsecond, for Perfetto keeps whole nanoseconds only. A track
    shows one thing at a time: an event that lasts into the next one is cut there (args `cut`), as
    where banks of a group work side by side. Raises InputError where the trace does not say enough.
    """
    header = trace.header
    what = "Perfetto"
    header.require(what, sizes=header.sizes)
    header.require_commands(what, "slot", "cycles", "scope", "row_use", "completion", "busy")
    tracks = Tracks(header)
    events = _Events(out, 10**6 if ticks else header.ticks_per_second)
    about = {
        "device": header.device,
        "channel": header.channel,
        "layer": header.layer,
        "ticks_per_second": header.ticks_per_second,
        "time": "a tick is shown as 1 us" if ticks else "us",
        **header.inputs,
    }
    out.write(
        '{"displayTimeUnit":"ns","otherData":'
        + json.dumps(about, sort_keys=True)
        + ',"traceEvents":[\n'
    )
    events.write(tracks.metadata())
    looks = [_Look(command) for command in header.commands]
    written, row = 0, len(header.levels) - 2
    for piece in trace.pieces(cut):
        for tick, number, source, address in records(piece):
            look = looks[number]
            args: dict[str, Any] = {"source": source if source >= 0 else "refresh"}
            if address[row - 1] >= 0:
                args[header.levels[row - 1].lower()] = address[row - 1]
            if address[row] >= 0:
                args["row"] = address[row]
            if address[row + 1] >= 0:
                args["column"] = address[row + 1]
            events.add(tracks.bus(look.slot), tick, look.cycles, look, args)
            if look.banks_ticks:
                for node in tracks.groups(address):
                    events.add(node, tick, look.banks_ticks, look, args)
            if look.unit:
                for node in tracks.units(look.unit, look.unit_level, address):
                    events.add(node, tick, look.busy, look, args)
        written += len(piece)
    events.finish()
    out.write("\n]}\n")
    return written


class _Look:
    """What all events of a command share."""

    def __init__(self, command: TraceCommand) -> None:
        self.name, self.slot, self.unit = command.name, command.slot or "", command.unit
        self.unit_level = command.unit_level
        self.cycles, self.busy = command.cycles or 0, command.busy or 0
        self.kind = _kind(command)
        if command.row_use == "none":
            self.banks_ticks = 0
        else:
            self.banks_ticks = self.busy if command.row_use == "access" else command.completion or 0
        self.start = json.dumps(
            {"ph": "X", "name": self.name, "cat": self.kind, "cname": COLOURS[self.kind]},
            separators=(",", ":"),
        )[:-1]


def _kind(command: TraceCommand) -> str:
    if command.refresh:
        return "refresh"
    if command.name in _HOST:
        return "host"
    return command.row_use if command.row_use in ("open", "close", "access") else "unit"


class _Events:
    """Writes events; each track's last one is held until the next says where it must end."""

    def __init__(self, out: TextIO, ticks_per_second: int) -> None:
        self._out, self._ticks_per_second = out, ticks_per_second
        self._held: dict[Node, tuple[int, int, _Look, dict[str, Any]]] = {}
        self._between = ""

    def add(self, node: Node, tick: int, ticks: int, look: _Look, args: dict[str, Any]) -> None:
        if (held := self._held.get(node)) is not None:
            self._put(node, *held, next_tick=tick)
        self._held[node] = (tick, ticks, look, args)

    def finish(self) -> None:
        for node, held in self._held.items():
            self._put(node, *held, next_tick=None)

    def write(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._text(json.dumps(event, separators=(",", ":")))

    def _put(
        self,
        node: Node,
        tick: int,
        ticks: int,
        look: _Look,
        args: dict[str, Any],
        next_tick: int | None,
    ) -> None:
        shown = {"tick": tick, "ticks": ticks, **args}
        end = tick + ticks
        if next_tick is not None and end > next_tick:
            end, shown["cut"] = next_tick, True
        # Whole picoseconds, so that what does not overlap in ticks does not in text either.
        start_ps, end_ps = self._ps(tick), self._ps(end)
        time = f'"ts":{_us(start_ps)},"dur":{_us(end_ps - start_ps)}'
        where = f'"pid":{node.process},"tid":{node.thread}'
        text = json.dumps(shown, separators=(",", ":"))
        self._text(f'{look.start},{where},{time},"args":{text}}}')

    def _ps(self, tick: int) -> int:
        return tick * 10**12 // self._ticks_per_second

    def _text(self, event: str) -> None:
        self._out.write(self._between + event)
        self._between = ",\n"


def _us(ps: int) -> str:
    whole, rest = divmod(ps, 10**6)
    return f"{whole}.{rest:06d}"
