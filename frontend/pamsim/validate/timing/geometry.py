"""Where a log's addresses point, and one piece of a log prepared for the rules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from pamsim.config.spec import Organisation
from pamsim.errors import InputError, did_you_mean
from pamsim.validate.timing.rule import Scope
from pamsim.validate.timing.table import CommandTable

_NAMES = {
    "channel": Scope.CHANNEL,
    "pseudochannel": Scope.PSEUDO_CHANNEL,
    "sid": Scope.SID,
    "stackid": Scope.SID,
    "rank": Scope.SID,
    "die": Scope.SID,
    "bankgroup": Scope.GROUP,
    "bank": Scope.BANK,
    "plane": Scope.BANK,
}
_WORDS = ("channel", "pc", "sid", "group", "bank")

MAX_TICK = 1 << 43  # 56 minutes at 2.6 GHz; keys and ticks share one int64 in `pairwise`


class Geometry:
    """The levels of a channel by place in an address, and how many nodes each has.

    Raises InputError when `levels` lacks one that the organisation has more than one of.
    """

    def __init__(self, organisation: Organisation, levels: Sequence[str]) -> None:
        children = (
            1,
            organisation.pseudo_channels,
            organisation.sids * organisation.ranks * organisation.dies,
            organisation.bank_groups,
            organisation.banks * organisation.planes,
        )
        self.children = children
        self.rows, self.columns = organisation.rows, organisation.columns
        self.nodes = tuple(int(np.prod(children[: scope + 1])) for scope in Scope)
        if self.nodes[Scope.BANK] > np.iinfo(np.int16).max:
            raise InputError(f"banks of a channel must be under 32768, not {self.nodes[-1]}")
        places = {name.lower().replace("_", ""): place for place, name in enumerate(levels)}
        self.places: list[int | None] = [None] * len(Scope)
        for name, scope in _NAMES.items():
            if name in places:
                self.places[scope] = places[name]
        for scope in Scope:
            if self.places[scope] is None and children[scope] > 1:
                raise InputError(
                    f"levels must name {_WORDS[scope]!r} of {children[scope]} nodes, "
                    f"not {', '.join(levels)}",
                    hint=did_you_mean(_WORDS[scope], levels),
                )
        if "row" not in places or "column" not in places:
            raise InputError(f"levels must end in Row, Column, not {', '.join(levels)}")
        self.row_place, self.column_place = places["row"], places["column"]

    def describe(self, record: np.void, table: CommandTable) -> str:
        """A record as people read it: `RD [pc 0 sid 0 group 1 bank 2 row 5 column 0]`."""
        index = int(record["command"])
        if not 0 <= index < len(table):
            return f"command {index}"
        address = record["address"]
        words = [
            f"{_WORDS[scope]} {address[place]}"
            for scope in Scope
            if scope is not Scope.CHANNEL
            and (place := self.places[scope]) is not None
            and scope <= max(table.scope[index], Scope.PSEUDO_CHANNEL)
        ]
        if table.names_row[index]:
            words.append(f"row {address[self.row_place]}")
        if table.names_column[index]:
            words.append(f"column {address[self.column_place]}")
        return f"{table.names[index]} [{' '.join(words)}]"


class Chunk:
    """A piece of a log: its records, the key of each at every level, and their order by key.

    `command` is the index of "no command" where the address or index is invalid (`valid` False),
    so that keyed rules pass over such records. Keys are int16 [n]: the node's number in its level.
    """

    def __init__(self, log: np.ndarray, base: int, geometry: Geometry, table: CommandTable) -> None:
        self.log, self.base, self.geometry, self.table = log, base, geometry, table
        self.tick = np.ascontiguousarray(log["tick"])
        self.row = np.ascontiguousarray(log["address"][:, geometry.row_place])
        raw = log["command"].astype(np.intp)
        raw[(raw < 0) | (raw >= len(table))] = len(table)
        self.raw_command = raw
        scopes = table.scope[raw]
        valid = raw < len(table)
        self.keys: list[np.ndarray] = []
        key = np.zeros(len(log), np.int32)
        for scope in Scope:
            place, children = geometry.places[scope], geometry.children[scope]
            if place is not None:
                number = np.ascontiguousarray(log["address"][:, place])
                named = scopes >= scope
                inside = (number >= 0) & (number < children)
                if scope is Scope.CHANNEL:
                    inside = np.ones(len(log), bool)  # a channel's own number is not ours to know
                else:
                    key = key * children + np.where(inside, number, 0)
                valid &= np.where(named, inside, (number == -1) | ~table.known[raw])
            self.keys.append(key.astype(np.int16))
        column = log["address"][:, geometry.column_place]
        valid &= ~table.names_row[raw] | ((self.row >= 0) & (self.row < geometry.rows))
        valid &= ~table.names_column[raw] | ((column >= 0) & (column < geometry.columns))
        self.valid = valid
        self.command = np.where(valid, raw, len(table))
        self.present = np.bincount(self.command, minlength=len(table) + 1)

    def __len__(self) -> int:
        return len(self.log)

    @cached_property
    def _orders(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None]:
        return [None] * len(Scope)

    def by_level(self, scope: Scope) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(order, command, key, tick), each [n], sorted by the level's key, then as in the log."""
        cached = self._orders[scope]
        if cached is None:
            key = self.keys[scope]
            order = np.argsort(key, kind="stable")  # 16-bit keys: a radix sort
            cached = (order, self.command[order], key[order].astype(np.int64), self.tick[order])
            self._orders[scope] = cached
        return cached

    @cached_property
    def sid_in_channel(self) -> np.ndarray:
        """The SID number (not the node) of each record, int [n]."""
        return self.keys[Scope.SID] % self.geometry.children[Scope.SID]
