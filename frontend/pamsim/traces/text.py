"""A trace as text: one command a line, and five lines of header that begin with #."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, TextIO

import numpy as np

from pamsim.errors import InputError, Position
from pamsim.traces.header import TraceCommand, TraceHeader
from pamsim.traces.trace import NOT_NAMED, PIECE, WHOLE, Cut, Trace, records
from pyramulator.stream import LOG, MAX_LEVELS

MAGIC = b"# pamsim command trace; "
MAX_LINE = 1000
MAX_TICK = 1 << 62
_SHORT = {"PseudoChannel": "pc", "BankGroup": "bg"}
_LONG = {"pc": "PseudoChannel", "bg": "BankGroup"}
_HEADER = (
    re.compile(r"# pamsim command trace; device (?P<device>\S.*), tier (?P<tier>\S+)\n"),
    re.compile(r"# program (?P<program>\S+); channel (?P<channel>\d{1,9}), "
               r"layer (?P<layer>\d{1,9}) of (?P<layers>\d{1,9})\n"),
    re.compile(r"# a tick is 1/(?P<ticks_per_second>[1-9]\d{0,17}) s; ticks count from 1\n"),
    re.compile(r"# \* is every child of a level, - is not named; .*\n"),
    re.compile(r"# tick command (?P<levels>[a-z]+( [a-z]+){2,7}) source\n"),
)  # fmt: skip
_COMMAND = re.compile(r"[!-~]{1,60}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


def write_text(out: TextIO, trace: Trace, cut: Cut = WHOLE) -> int:
    """Writes a trace as text; returns how many commands.

    `*` is every child of a level, `-` is not named by the command; source is the number of the
    stream, or `refresh`. Memory does not grow with the trace.
    """
    header, written = trace.header, 0
    for line in _header(header):
        out.write(f"# {line}\n")
    names, above = [command.name for command in header.commands], len(header.levels) - 2
    for piece in trace.pieces(cut):
        lines = []
        for tick, command, source, address in records(piece):
            where = " ".join("*" if n < 0 else str(n) for n in address[1:above])
            row, column = ("-" if n < 0 else str(n) for n in address[above : above + 2])
            who = source if source >= 0 else "refresh"
            lines.append(f"{tick} {names[command]} {header.channel} {where} {row} {column} {who}\n")
        out.write("".join(lines))
        written += len(lines)
    return written


def _header(header: TraceHeader) -> list[str]:
    levels = " ".join(_SHORT.get(level, level.lower()) for level in header.levels)
    program = header.sources.get("program", "-")
    return [
        f"pamsim command trace; device {header.device}, tier {header.tier or '-'}",
        f"program {program}; channel {header.channel}, layer {header.layer} of {header.layers}",
        f"a tick is 1/{header.ticks_per_second} s; ticks count from 1",
        "* is every child of a level, - is not named; pc: pseudo-channel, bg: bank group",
        f"tick command {levels} source",
    ]


class TextTrace(Trace):
    """A text trace read line by line; the file is read twice, first for the commands' names.

    Of the commands it knows only the names. Raises InputError with the line of the first fault.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._line = 0
        found = self._read_header()
        levels = tuple(_LONG.get(word, word.capitalize()) for word in found["levels"].split())
        self._start = file.tell()
        self._commands: dict[str, int] = {}
        self._channel = found["channel"]
        self._levels = len(levels)
        header_lines = self._line
        for fields in self._lines():
            self._commands.setdefault(fields[1], len(self._commands))
        super().__init__(
            TraceHeader(
                device=found["device"],
                levels=levels,
                commands=tuple(TraceCommand(name) for name in self._commands),
                ticks_per_second=int(found["ticks_per_second"]),
                tier=found["tier"].strip("-"),
                channel=int(found["channel"]),
                layer=int(found["layer"]),
                layers=int(found["layers"]),
                sources={} if found["program"] == "-" else {"program": found["program"]},
            )
        )
        for fault in self.header.faults():
            raise self._fault(fault)
        file.seek(self._start)
        self._line = header_lines

    def _read_header(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for expected in _HEADER:
            line = self._next() or ""
            match = expected.fullmatch(line)
            if match is None:
                raise self._fault(f"a line of the header must be as written, not {line[:70]!r}")
            found |= match.groupdict()
        return found

    def _next(self) -> str | None:
        raw = self._file.readline(MAX_LINE)
        self._line += 1
        if not raw:
            return None
        if not raw.endswith(b"\n"):
            raise self._fault("a line must be whole, not cut")
        if not raw.isascii():
            raise self._fault("a line must be ASCII text")
        return raw.decode("ascii")

    def _lines(self) -> Iterator[list[str]]:
        while (line := self._next()) is not None:
            fields = line[:-1].split(" ")
            if len(fields) != self._levels + 3:
                raise self._fault(
                    f"a command must have {self._levels + 3} fields, not {len(fields)}"
                )
            if not _COMMAND.fullmatch(fields[1]):
                raise self._fault(f"a command must be a word, not {fields[1][:70]!r}")
            yield fields

    def _pieces(self, cut: Cut) -> Iterator[tuple[int, np.ndarray]]:
        records: list[tuple[int, int, int, list[int]]] = []
        given, tick = 0, 0
        for fields in self._lines():
            record = self._record(fields)
            if record[0] < tick:
                raise self._fault(f"a tick must be {tick} or later, not {record[0]}")
            tick = record[0]
            records.append(record)
            if len(records) == PIECE:
                yield given, np.array(records, LOG)
                given, records = given + PIECE, []
        if records:
            yield given, np.array(records, LOG)

    def _record(self, fields: list[str]) -> tuple[int, int, int, list[int]]:
        tick, command, channel, *where, source = fields
        if channel != self._channel:
            raise self._fault(f"a channel must be {self._channel}, not {channel[:70]!r}")
        rowed = len(where) - 2
        address = [0]
        for place, text in enumerate(where):
            mark = "*" if place < rowed else "-"
            address.append(NOT_NAMED if text == mark else self._number(text, 1 << 31))
        address += [0] * (MAX_LEVELS - len(address))
        who = -1 if source == "refresh" else self._number(source, 1 << 31)
        return self._number(tick, MAX_TICK), self._commands[command], who, address

    def _number(self, text: str, below: int) -> int:
        if not _NUMBER.fullmatch(text) or int(text) >= below:
            raise self._fault(f"a number must be a whole one under {below}, not {text[:70]!r}")
        return int(text)

    def _fault(self, message: str) -> InputError:
        return InputError(message, Position(self._name, self._line))
