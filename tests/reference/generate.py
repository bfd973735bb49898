"""Random devices and streams, most of them live, to hold two engines against each other.

Everything is drawn from a `random.Random`, so a seed names a case; hypothesis hands in its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from pyramulator.description import (
    Bus,
    Command,
    Description,
    Refresh,
    RowUse,
    Slot,
    TimingRow,
)
from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream

MAX_BANKS = 16
Record = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class Case:
    """One run: a device and what it is asked to do."""

    description: Description
    stream: CommandStream


def case(rng: random.Random) -> Case:
    """A random case. About one in fifty has a barrier that cannot open."""
    description = random_description(rng)
    return Case(description, random_stream(rng, description))


# Devices


def random_description(rng: random.Random) -> Description:
    """A channel of 2 to 5 target levels with commands of every row use and random timing."""
    bus = rng.choice(list(Bus))
    levels, sizes = random_tree(rng, bus)
    max_latency = rng.choice((4, 12, 30))
    commands = random_commands(rng, levels, max_latency)
    rows = random_rows(rng, levels, commands, max_latency)
    refresh = None
    if rng.random() < 0.6:
        commands, refresh = add_refresh(rng, levels, sizes, commands, max_latency)
        rows += random_rows(rng, levels, commands, max_latency, rng.randint(1, 4), "REF")
        rng.shuffle(rows)
    return Description(
        name="random",
        levels=(*levels, "Row", "Column"),
        sizes=(*sizes, 64, 64),
        ticks_per_second=10**9,
        bus=bus,
        commands=tuple(commands),
        rows=tuple(rows),
        refresh=refresh,
    )


def random_tree(rng: random.Random, bus: Bus) -> tuple[list[str], list[int]]:
    """Target levels and children per node, at most MAX_BANKS banks."""
    n_between = rng.randint(1 if bus == Bus.HALF_CLOCK else 0, 3)
    names = ["PseudoChannel", *sorted(rng.sample(["Sid", "BankGroup"], 2), reverse=True)]
    levels = ["Channel", *names[:n_between], "Bank"]
    while True:
        sizes = [1, *(rng.randint(1, 4) for _ in levels[1:])]
        if np.prod(sizes) <= MAX_BANKS:
            return levels, sizes


def random_commands(rng: random.Random, levels: list[str], max_latency: int) -> list[Command]:
    """ACT, PRE, accesses and plain commands at the bank and at wider scopes."""

    def make(name: str, scope: str, slot: Slot, row_use: RowUse, **more: object) -> Command:
        if rng.random() < 0.1:
            slot = Slot(1 - slot)
        completion = rng.choice((0, rng.randint(0, max_latency)))
        falling = slot == Slot.ROW and rng.random() < 0.5
        return Command(
            name,
            scope,
            slot,
            cycles=rng.randint(1, 4),
            row_use=row_use,
            completion=completion,
            falling_edge=falling,
            **more,  # type: ignore[arg-type]
        )

    commands = []
    scopes = [levels[-1], *rng.sample(levels[:-1], rng.randint(1, min(2, len(levels) - 1)))]
    for scope in scopes:
        # rule 6: opens may be narrower than the final, closes narrower or wider
        deeper = [s for s in scopes if levels.index(s) >= levels.index(scope)]
        opens = "ACT" + (scope if rng.random() < 0.8 else rng.choice(deeper))
        closes: str | None = "PRE" + (scope if rng.random() < 0.8 else rng.choice(scopes))
        if rng.random() < 0.01:
            closes = None
        act_scope = "Row" if scope == levels[-1] and rng.random() < 0.5 else scope
        access_scope = "Column" if scope == levels[-1] and rng.random() < 0.5 else scope
        commands += [
            make("ACT" + scope, act_scope, Slot.ROW, RowUse.OPEN, closes=closes),
            make("PRE" + scope, scope, Slot.ROW, RowUse.CLOSE),
        ]
        accesses = ["RD", "WR"] if scope == levels[-1] else ["MAC"]
        if rng.random() < 0.6:
            accesses.append("RDA")
        commands += [
            make(
                access + scope,
                access_scope,
                Slot.COLUMN,
                RowUse.ACCESS,
                opens=opens,
                closes=closes,
                auto_precharge=access == "RDA",
            )
            for access in accesses
        ]
    if rng.random() < 0.6:
        commands.append(make("EXP", rng.choice(scopes), Slot.COLUMN, RowUse.NONE))
    return commands


def add_refresh(
    rng: random.Random,
    levels: list[str],
    sizes: list[int],
    commands: list[Command],
    max_latency: int,
) -> tuple[list[Command], Refresh]:
    """A refresh command and an interval that leaves its nodes enough time."""
    closer = rng.choice([c for c in commands if c.row_use == RowUse.CLOSE])
    scope = closer.scope if rng.random() < 0.7 else rng.choice(levels)
    refresh = Command(
        "REF",
        scope,
        Slot.ROW if rng.random() < 0.9 else Slot.COLUMN,
        cycles=rng.randint(1, 2),
        row_use=RowUse.ALL_CLOSED if rng.random() < 0.9 else RowUse.NONE,
        closes=closer.name,
        completion=rng.randint(0, max_latency),
        refresh=True,
    )
    nodes = int(np.prod(sizes[: levels.index(scope) + 1]))
    # a precharge, a refresh and a held head that goes first, each after the longest latency
    interval = nodes * (3 * max_latency + 8) + max_latency + rng.randint(8, 80)
    if rng.random() < 0.03:  # and one that may starve the streams (rule 18)
        interval = rng.randint(1, interval)
    return [*commands, refresh], Refresh("REF", scope, interval)


def random_rows(
    rng: random.Random,
    levels: list[str],
    commands: list[Command],
    max_latency: int,
    count: int | None = None,
    about: str | None = None,
) -> list[TimingRow]:
    """Random rows between random commands; `about` names one that each of them has."""
    names = [c.name for c in commands]
    rows = []
    for _ in range(rng.randint(2, 14) if count is None else count):
        preceding = rng.sample(names, rng.randint(1, min(3, len(names))))
        following = rng.sample(names, rng.randint(1, min(3, len(names))))
        if about is not None:
            side = rng.choice((preceding, following))
            if about not in side:
                side[0] = about
        window = rng.choice((1, 1, 1, rng.randint(2, 5)))
        level = rng.choice(levels)
        sibling = level != levels[0] and window == 1 and rng.random() < 0.25
        rows.append(
            TimingRow(
                level=level,
                preceding=tuple(preceding),
                following=tuple(following),
                latency=rng.choice((rng.randint(-1, 3), rng.randint(1, max_latency))),
                window=window,
                sibling=sibling,
            )
        )
    return rows


# Streams


class StreamWriter:
    """Records of several streams at once, so that shared barriers stay in one order."""

    def __init__(self, rng: random.Random, description: Description, n_streams: int) -> None:
        self.rng = rng
        self.description = description
        self.targets: dict[tuple[int, ...], int] = {}
        self.streams: list[list[Record]] = [[] for _ in range(n_streams)]
        self.next_barrier = 0
        self.n_rows = rng.randint(1, 4)
        # long bursts and many rounds now and then: an engine may jump over what recurs
        self.longest_burst, self.most_rounds = rng.choice((*[(6, 3)] * 8, (100, 3), (6, 10)))
        hot = rng.sample(range(len(description.commands)), min(3, len(description.commands)))
        self.finals = rng.choice((hot, list(range(len(description.commands)))))

    def target(self, command: Command) -> int:
        """Place in the table of a target that suits the command; one in ten is any pattern."""
        rng, depth = self.rng, self.description.target_levels
        named = min(self.description.level_index(command.scope), depth - 1)
        if rng.random() < 0.1:  # a wildcard, or a name that the command's scope hides
            named = rng.randint(0, depth - 1)
        address = [
            rng.randrange(size) if level <= named else -1
            for level, size in enumerate(self.description.sizes[:depth])
        ]
        if rng.random() < 0.1:
            address = [-1 if level and rng.random() < 0.4 else a for level, a in enumerate(address)]
        return self.targets.setdefault(tuple(address), len(self.targets))

    def burst(self) -> Record:
        number = self.rng.choice(self.finals)
        command = self.description.commands[number]
        accesses = command.row_use == RowUse.ACCESS
        count = self.rng.randint(1, self.longest_burst) if accesses else self.rng.choice((1, 1, 2))
        step = self.rng.choice((0, 1, 2, -1))
        return (
            number,
            self.target(command),
            self.rng.randrange(self.n_rows),
            self.rng.randint(16, 32),  # stays positive in bursts and loops that step back
            max(step, 0) if count > 6 else step,
            count,
        )

    def segment(self, depth: int = 0) -> list[Record]:
        """A few bursts, some in loops."""
        records: list[Record] = []
        for _ in range(self.rng.randint(0, 3)):
            if depth < 2 and self.rng.random() < 0.25:
                steps = (
                    self.rng.randint(0, 1),
                    self.rng.randint(-1 if self.most_rounds < 6 else 0, 4),
                )
                body = self.segment(depth + 1) or [self.burst()]
                records += [
                    (LOOP, 0, *steps, 0, self.rng.randint(1, self.most_rounds)),
                    *body,
                    (END, 0, 0, 0, 0, 0),
                ]
            else:
                records.append(self.burst())
        return records

    def each(self, numbers: list[int], *records: Record) -> None:
        for number in numbers:
            self.streams[number] += records

    def barrier(self) -> None:
        """A barrier of some streams; sometimes in a loop that all of them walk equally often."""
        subset = self.rng.sample(range(len(self.streams)), self.rng.randint(1, len(self.streams)))
        loops = self.rng.random() < 0.3
        if loops:
            rounds = self.rng.randint(1, self.most_rounds)
            self.each(subset, (LOOP, 0, self.rng.randint(0, 1), 1, 0, rounds))
        for _ in range(self.rng.choice((1, 1, 2))):
            for number in subset:
                self.streams[number] += self.segment(1)
            self.each(subset, (BARRIER, 0, self.next_barrier, 0, 0, 1))
            self.next_barrier += self.rng.randint(0, 1)
        if loops:
            self.each(subset, (END, 0, 0, 0, 0, 0))
        self.next_barrier += 1


def random_stream(rng: random.Random, description: Description) -> CommandStream:
    """One to six streams over a few rows, with barriers that (nearly always) all open."""
    n_streams = rng.randint(1, 6)
    writer = StreamWriter(rng, description, n_streams)
    for _ in range(rng.randint(1, 4)):
        for number in range(n_streams):
            writer.streams[number] += writer.segment()
        if rng.random() < 0.5:
            writer.barrier()
    if rng.random() < 0.02:
        writer.each([rng.randrange(n_streams)], (BARRIER, 0, 0, 0, 0, 1))
    if not writer.targets:
        writer.streams[0].append(writer.burst())
    fifo = rng.random() < 0.35
    windows = [rng.choice((0, rng.randint(1, 4))) if fifo else 0 for _ in range(n_streams)]
    return CommandStream(
        np.array(list(writer.targets), dtype=np.int32).reshape(-1, description.target_levels),
        tuple(np.array(records, dtype=RECORD) for records in writer.streams),
        tuple(windows),
    )
