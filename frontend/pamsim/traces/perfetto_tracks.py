"""The tracks of a trace shown on a time line: which there are, in which order, under which name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pamsim.errors import InputError
from pamsim.traces.header import TraceHeader

MAX_TRACKS = 1 << 14
BUSES = ("row", "column")
_SHORT = {"PseudoChannel": "pseudo-channel", "BankGroup": "bank group", "Sid": "SID"}
_WIDE = {"Channel"}  # named by the trace, not by its number in an address

Path = tuple[int, ...]  # of a node: one number a level from the channel on


@dataclass(frozen=True)
class Node:
    """A track: `thread` is its own in the whole file, `process` groups tracks."""

    process: int
    thread: int


class Tracks:
    """The tracks of one channel.

    A process for what the channel has once (buses, its own units), then one for each node of the
    level below. In a process: the tracks of each bank group (its banks, then its units), then
    those of units that serve several groups.
    """

    def __init__(self, header: TraceHeader) -> None:
        self._header = header
        levels = header.levels
        self._banks = max(0, len(levels) - 4)  # depth of the level that has a track for its banks
        self._split = max(0, min(1, self._banks - 1))  # depth of a process's node
        self._metadata: list[dict[str, Any]] = []
        self._threads = 0
        self._nodes: dict[tuple[str, Path], Node] = {}
        self._known: dict[tuple[str, Path], list[Node]] = {}  # by what an address names
        self._processes: dict[Path, int] = {}
        self._units = _units_by_depth(header)
        self._process((), f"channel {header.channel}: command buses")
        for bus in BUSES:
            self._thread((), f"{bus} bus", (f"{bus} bus", (0,)))
        self._walk((0,))

    def metadata(self) -> list[dict[str, Any]]:
        """The events that name and sort processes and threads."""
        return self._metadata

    def bus(self, slot: str) -> Node:
        """The track of a command bus, "row" or "column"."""
        return self._nodes[f"{slot} bus", (0,)]

    def groups(self, address: Sequence[int]) -> list[Node]:
        """The tracks of the banks that an address reaches."""
        return self._reached("", self._banks, address)

    def units(self, unit: str, level: str, address: Sequence[int]) -> list[Node]:
        """The tracks of a unit, one in each node of `level`, that an address reaches."""
        return self._reached(unit, self._header.levels.index(level), address)

    def _reached(self, unit: str, depth: int, address: Sequence[int]) -> list[Node]:
        where = tuple(address[: depth + 1])
        found = self._known.get((unit, where))
        if found is None:
            found = [self._nodes[unit, path] for path in self._paths(where)]
            self._known[unit, where] = found
        return found

    def _paths(self, where: Path) -> Iterator[Path]:
        sizes = self._header.sizes
        for level, number in enumerate(where):
            if number >= sizes[level]:
                name = self._header.levels[level]
                raise InputError(f"{name} must be under {sizes[level]}, not {number}")
        return product(*((n,) if n >= 0 else range(sizes[k]) for k, n in enumerate(where)))

    def _walk(self, path: Path) -> None:
        depth = len(path) - 1
        if depth == self._split:
            self._process(path, self._name(path) if depth else f"{self._name(path)}: banks")
        if depth == self._banks:
            self._thread(path, self._title(path, "banks"), ("", path))
        if depth >= self._banks:
            self._unit_threads(path)
        if depth < max(self._banks, *self._units):
            for child in range(self._header.sizes[depth + 1]):
                self._walk((*path, child))
        if depth < self._banks:
            self._unit_threads(path)

    def _unit_threads(self, path: Path) -> None:
        for unit in self._units.get(len(path) - 1, ()):
            self._thread(path, self._title(path, unit), (unit, path))

    def _title(self, path: Path, what: str) -> str:
        inside = self._name(path, self._split + 1)
        return f"{inside}: {what}" if inside else what

    def _name(self, path: Path, first: int = 0) -> str:
        names = []
        for depth in range(first, len(path)):
            level = self._header.levels[depth]
            number = self._header.channel if level in _WIDE else path[depth]
            if level not in _WIDE or len(path) == 1:
                names.append(f"{_SHORT.get(level, level.lower())} {number}")
        return " ".join(names)

    def _process(self, path: Path, name: str) -> None:
        number = self._processes.setdefault(path, len(self._processes) + 1)
        for kind, value in (("process_name", {"name": name}),
                            ("process_sort_index", {"sort_index": number})):  # fmt: skip
            self._metadata.append({"ph": "M", "pid": number, "name": kind, "args": value})

    def _thread(self, path: Path, name: str, key: tuple[str, Path]) -> None:
        process = self._processes.get(path[: self._split + 1], 1)
        self._threads += 1
        if self._threads > MAX_TRACKS:
            raise InputError(f"tracks must be at most {MAX_TRACKS}, and the channel has more")
        node = Node(process, self._threads)
        self._nodes[key] = node
        for kind, value in (("thread_name", {"name": name}),
                            ("thread_sort_index", {"sort_index": self._threads})):  # fmt: skip
            self._metadata.append(
                {"ph": "M", "pid": process, "tid": node.thread, "name": kind, "args": value}
            )


def _units_by_depth(header: TraceHeader) -> dict[int, list[str]]:
    """The units of each level, in order of the commands."""
    found: dict[int, list[str]] = {0: []}
    for command in header.commands:
        if command.unit:
            depth = header.levels.index(command.unit_level)
            units = found.setdefault(depth, [])
            if command.unit not in units:
                units.append(command.unit)
    return found
