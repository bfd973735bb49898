"""Traces of AttAcc's public simulator as command streams: what it asks for, on our engine.

A line is `<OP> 0x<byte address>`; the address is, most significant first, channel (4 bits), pseudo-
channel (1), rank (1), bank group (2), bank (2), row (14), column (5), byte (5). One line is one
command of one channel, both pseudo-channels meant. Source: scale-snu/attacc_simulator @c600051,
pim_ramulator_src/pim_loadstore_trace.cpp and trace_gen/gen_trace_attacc_bank.py.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pamsim.errors import InputError, did_you_mean
from pyramulator.description import Description
from pyramulator.stream import BARRIER, RECORD, CommandStream

COMMANDS = {
    "PIM_MAC_AB": "MACAB",
    "PIM_WR_GB": "WRGB",
    "PIM_MV_SB": "MVSB",  # scores and outputs alike
    "PIM_MV_GB": "MVGB",
    "PIM_SFM": "SFM",
    "PIM_BARRIER": "",
}
_LEVELS = {"column": (5, 5), "row": (10, 14), "bg": (26, 2), "rank": (28, 1), "channel": (30, 4)}
_ALL = -1


@dataclass(frozen=True)
class Request:
    """One line of a trace."""

    command: str  # "" for a barrier
    rank: int
    bg: int
    row: int
    column: int


def read_attacc(path: Path) -> dict[int, list[Request]]:
    """Channel -> its requests, in order. Raises InputError with the number of a wrong line."""
    found: dict[int, list[Request]] = {}
    with lzma.open(path, "rt") if path.suffix == ".xz" else path.open() as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if len(words) != 2 or words[0] not in COMMANDS:
                raise InputError(
                    f"line {number} of {path.name} must be an operation of AttAcc's banks and an "
                    f"address, not {line.strip()[:60]!r}",
                    None,
                    did_you_mean((words or [""])[0], COMMANDS),
                )
            try:
                address = int(words[1], 16)
            except ValueError:
                raise InputError(
                    f"address of line {number} of {path.name} must be hexadecimal, "
                    f"not {words[1][:60]!r}"
                ) from None
            field = {n: address >> low & (1 << bits) - 1 for n, (low, bits) in _LEVELS.items()}
            channel = field.pop("channel")
            found.setdefault(channel, []).append(Request(COMMANDS[words[0]], **field))
    return found


def attacc_streams(
    requests: Iterable[Request], description: Description, softmax_blocks: int
) -> CommandStream:
    """A channel's requests as two streams, MACs and everything else, with its barriers in both.

    softmax_blocks: 256-score blocks of every softmax, which a trace does not tell. The simulator
    takes requests between two barriers in an order of its own; here each stream keeps its order.
    """
    numbers = {c.name: i for i, c in enumerate(description.commands)}
    targets: dict[tuple[int, ...], int] = {}
    streams: tuple[list[tuple[int, ...]], ...] = ([], [])
    for request in requests:
        if not request.command:
            for stream in streams:
                stream.append((BARRIER, 0, 0, 0, 0, 0))
            continue
        of_group = request.command in ("MVSB", "MVGB")
        place = (request.rank, request.bg, _ALL) if of_group else (_ALL,) * 3
        target = targets.setdefault((0, *place), len(targets))
        name = f"SFM_{softmax_blocks}" if request.command == "SFM" else request.command
        if name == "MACAB":
            record = (numbers[name], target, request.row, request.column, 1, 1)
            streams[0].append(record)
        else:
            streams[1].append((numbers[name], target, 0, 0, 0, 1))
    table = np.array(list(targets), dtype=np.int32).reshape(len(targets), -1)
    return CommandStream(table, tuple(np.array(s, dtype=RECORD) for s in streams))
