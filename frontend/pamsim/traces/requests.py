"""Host reads and writes in the two forms of Ramulator's trace frontends, one a line.

    rw      ReadWriteTrace: `R 0,1,0,2,3,17,4` or `W ...`, one number a level
    ldst    LoadStoreTrace: `LD 0x1f40` or `ST ...`, a byte address in the channel

Syntax: CMU-SAFARI/ramulator2 @c5b1c3a, src/ramulator/frontend/impl/memory_trace. The forms know no
time, no names and no comments: nothing but a request may stand on a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, TextIO

import numpy as np

from pamsim.errors import InputError, Position
from pamsim.traces.header import TraceHeader
from pamsim.traces.trace import PIECE, WHOLE, Cut, Trace
from pyramulator.stream import MAX_LEVELS

READS = ("RD", "RDA", "RDRES")  # RDRES: a finished result, from the logic die
WRITES = ("WR", "WRA")
MAX_LINE = 1000
_WORDS = {"rw": ("R", "W"), "ldst": ("LD", "ST")}
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19}")
_VECTOR = re.compile(r"[0-9]{1,10}(,[0-9]{1,10})*")

REQUEST = np.dtype([("write", "?"), ("address", "<i8", (MAX_LEVELS,))])


@dataclass
class Requests:
    """What a trace's host traffic came to: commands written, and those that have no equal."""

    reads: int = 0
    writes: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def write_requests(out: TextIO, trace: Trace, form: str, cut: Cut = WHOLE) -> Requests:
    """Writes the reads and writes of a trace in form "rw" or "ldst"; all else is counted.

    A level that a read names no child of is 0 (RDRES: it reads no bank). An `ldst` address is the
    column's number in the channel, levels from the outermost as most significant, times the
    bytes of a column: Ramulator's ChRaBaRoCo mapper takes it apart into the same levels.
    """
    header = trace.header
    if form == "ldst":
        header.require("LD|ST", sizes=header.sizes, column_bytes=header.column_bytes)
    names = [command.name for command in header.commands]
    write = np.array([name in WRITES for name in names])
    wanted = write | np.array([name in READS for name in names])
    read_word, write_word = _WORDS[form]
    counts = np.zeros(len(names), np.int64)
    for piece in trace.pieces(cut):
        counts += np.bincount(piece["command"], minlength=len(names))
        kept = piece[wanted[piece["command"]]]
        address = np.maximum(kept["address"][:, : len(header.levels)], 0)
        if form == "rw":
            texts = [",".join(map(str, vector)) for vector in address.tolist()]
        else:
            texts = [f"{place:#x}" for place in byte_addresses(header, address).tolist()]
        words = np.where(write[kept["command"]], write_word, read_word).tolist()
        out.write("".join(f"{w} {t}\n" for w, t in zip(words, texts, strict=True)))
    left_out = {n: int(c) for n, c, w in zip(names, counts, wanted, strict=True) if c and not w}
    return Requests(int(counts[wanted & ~write].sum()), int(counts[write].sum()), left_out)


def byte_addresses(header: TraceHeader, address: np.ndarray) -> np.ndarray:
    """int [n, levels] -> int64 [n], byte addresses in the channel.

    Raises InputError where an address does not lie inside the device.
    """
    place = np.zeros(len(address), np.int64)
    for level in range(1, len(header.levels)):
        numbers, size = address[:, level], header.sizes[level]
        if len(numbers) and numbers.max() >= size:
            raise InputError(
                f"{header.levels[level]} must be under {size}, not {int(numbers.max())}"
            )
        place = place * size + numbers
    return place * header.column_bytes


class RequestTrace:
    """A file of requests, read line by line. Raises InputError with the line of a fault."""

    def __init__(self, file: BinaryIO, name: str, form: str) -> None:
        self.form = form
        self.levels = 0  # numbers of a vector, known after the first line; ldst: 1
        self._file, self._name, self._line = file, name, 0

    def pieces(self) -> Iterator[np.ndarray]:
        """REQUEST records [n], n <= PIECE; `address` has one number a level, ldst: only one."""
        held: list[tuple[bool, list[int]]] = []
        while raw := self._file.readline(MAX_LINE):
            self._line += 1
            held.append(self._request(raw))
            if len(held) == PIECE:
                yield np.array(held, REQUEST)
                held = []
        if held:
            yield np.array(held, REQUEST)

    def line(self, request: np.void) -> str:
        """A request as it is written, without the end of the line."""
        word = _WORDS[self.form][int(request["write"])]
        numbers = request["address"][: self.levels].tolist()
        return f"{word} {numbers[0]:#x}" if self.form == "ldst" else (
            f"{word} {','.join(map(str, numbers))}"
        )  # fmt: skip

    def _request(self, raw: bytes) -> tuple[bool, list[int]]:
        text = raw.decode("ascii", "replace").removesuffix("\n")
        word, _, where = text.partition(" ")
        if word not in _WORDS[self.form]:
            expected = " or ".join(_WORDS[self.form])
            raise self._fault(f"a request must begin with {expected}, not {word[:20]!r}")
        numbers = self._vector(where) if self.form == "rw" else self._address(where)
        self.levels = self.levels or len(numbers)
        if len(numbers) != self.levels:
            raise self._fault(f"an address must have {self.levels} numbers, not {len(numbers)}")
        return word == _WORDS[self.form][1], numbers + [0] * (MAX_LEVELS - len(numbers))

    def _vector(self, text: str) -> list[int]:
        if not _VECTOR.fullmatch(text):
            raise self._fault(f"an address must be numbers with commas, not {text[:40]!r}")
        numbers = [int(number) for number in text.split(",")]
        if len(numbers) > MAX_LEVELS or max(numbers) >= 1 << 31:
            raise self._fault(f"an address must be {MAX_LEVELS} numbers under 2^31 at most")
        return numbers

    def _address(self, text: str) -> list[int]:
        if not _ADDRESS.fullmatch(text):
            raise self._fault(f"an address must be a number, 0x for hexadecimal, not {text[:40]!r}")
        number = int(text, 16) if text[:2] in ("0x", "0X") else int(text)
        if number >= 1 << 63:
            raise self._fault(f"an address must be under 2^63, not {text}")
        return [number]

    def _fault(self, message: str) -> InputError:
        return InputError(message, Position(self._name, self._line))
