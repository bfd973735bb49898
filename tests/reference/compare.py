"""Two runs of one case held against each other, and a case cut down to what still disagrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import numpy as np

from pyramulator.description import Command, Description
from pyramulator.errors import Deadlock, EngineError
from pyramulator.result import STALL_CLASSES, ChannelResult
from pyramulator.stream import BARRIER, END, LOOP, CommandStream
from reference.generate import Case

Runner = Callable[[Description, CommandStream], ChannelResult]


def outcome(run: Runner, case: Case) -> ChannelResult | type[Exception]:
    """The result, or Deadlock; every other error is let through."""
    try:
        return run(case.description, case.stream)
    except Deadlock:
        return Deadlock


def disagreement(
    mine: ChannelResult | type[Exception],
    theirs: ChannelResult | type[Exception],
    description: Description,
) -> str | None:
    """The first difference in words, or None: log, ticks, counts, stalls, residency.

    Stalls are compared where both have them.
    """
    if not isinstance(mine, ChannelResult) or not isinstance(theirs, ChannelResult):
        if mine is theirs:
            return None
        return f"deadlock: {not isinstance(mine, ChannelResult)}, " + (
            f"deadlock: {not isinstance(theirs, ChannelResult)}"
        )
    assert mine.log is not None and theirs.log is not None
    if mine.log.tobytes() != theirs.log.tobytes():  # record by record is slow
        for place, (a, b) in enumerate(zip(mine.log, theirs.log, strict=False)):
            if a != b:
                return f"log[{place}]: {spelled(a, description)}, {spelled(b, description)}"
    if len(mine.log) != len(theirs.log):
        return f"log: {len(mine.log)} commands, {len(theirs.log)}"
    if mine.ticks != theirs.ticks:
        return f"ticks: {mine.ticks}, {theirs.ticks}"
    if mine.counts != theirs.counts:
        return f"counts: {mine.counts}, {theirs.counts}"
    both = mine.stalls is not None and theirs.stalls is not None
    for part in ("classes", "slot_to", "rows") if both else ():
        a, b = getattr(mine.stalls, part), getattr(theirs.stalls, part)
        if a.shape != b.shape:
            return f"stalls.{part}: shape {a.shape}, {b.shape}"
        if not np.array_equal(a, b):
            stream, column = np.argwhere(a != b)[0]
            name = STALL_CLASSES[column] if part == "classes" else column
            return f"stalls.{part}[{stream}, {name}]: {a[stream, column]}, {b[stream, column]}"
    for field in fields(mine.residency):
        a, b = getattr(mine.residency, field.name), getattr(theirs.residency, field.name)
        if not np.array_equal(a, b):
            return f"residency.{field.name}: {a}, {b}"
    return None


def spelled(record: np.void, description: Description) -> str:
    """A log record for people."""
    address = record["address"][: len(description.levels)].tolist()
    name = description.commands[record["command"]].name
    return f"tick {record['tick']} {name} source {record['source']} {address}"


def minimise(case: Case, disagrees: Callable[[Case], bool]) -> Case:
    """The case with everything left out that the disagreement does not need."""
    smaller = True
    while smaller:
        smaller = False
        for simpler in simplifications(case):
            try:
                found = disagrees(simpler)
            except (EngineError, AssertionError, IndexError, KeyError):
                found = False
            if found:
                case, smaller = simpler, True
                break
    return case


def simplifications(case: Case) -> Iterator[Case]:
    """Every case that is one step simpler, the greatest steps first."""
    description, stream = case.description, case.stream
    for n in range(len(stream.streams)):
        yield Case(description, without_stream(stream, n))
    if description.refresh is not None:
        yield Case(replace(description, refresh=None), stream)
    for n, records in enumerate(stream.streams):
        for fewer in fewer_records(records):
            yield Case(description, with_stream(stream, n, fewer))
        if stream.fifo_window[n] > 0:
            for window in {0, 1, stream.fifo_window[n] - 1} - {stream.fifo_window[n]}:
                windows = list(stream.fifo_window)
                windows[n] = window
                yield Case(description, replace(stream, fifo_window=tuple(windows)))
    for n in range(len(description.rows)):
        rows = description.rows[:n] + description.rows[n + 1 :]
        yield Case(replace(description, rows=rows), stream)
    for n, row in enumerate(description.rows):
        changes: list[dict[str, object]] = [
            {side: getattr(row, side)[:i] + getattr(row, side)[i + 1 :]}
            for side in ("preceding", "following")
            if len(getattr(row, side)) > 1
            for i in range(len(getattr(row, side)))
        ]
        lower = (1, row.latency // 2, row.latency - 1)
        changes += [{"latency": ticks} for ticks in lower if 0 < ticks < row.latency]
        if row.window > 1:
            changes.append({"window": row.window - 1})
        for change in changes:
            new = replace(row, **change)  # type: ignore[arg-type]
            rows = (*description.rows[:n], new, *description.rows[n + 1 :])
            yield Case(replace(description, rows=rows), stream)
    yield from simpler_commands(case)
    for level in range(1, description.target_levels):
        if description.sizes[level] > 1:
            sizes = list(description.sizes)
            sizes[level] -= 1
            if (stream.targets[:, level] < sizes[level]).all():
                yield Case(replace(description, sizes=tuple(sizes)), stream)


def simpler_commands(case: Case) -> Iterator[Case]:
    description, stream = case.description, case.stream
    used: set[str] = {name for row in description.rows for name in row.preceding + row.following}
    used |= {name for c in description.commands for name in (c.opens, c.closes) if name}
    used |= {description.refresh.command} if description.refresh else set()
    used |= {
        description.commands[r["command"]].name
        for records in stream.streams
        for r in records
        if r["command"] < LOOP
    }
    for n, command in enumerate(description.commands):
        if command.name not in used:
            kept = description.commands[:n] + description.commands[n + 1 :]
            streams = []
            for records in stream.streams:
                moved = records.copy()
                later = (moved["command"] < LOOP) & (moved["command"] > n)
                moved["command"][later] -= 1
                streams.append(moved)
            yield Case(replace(description, commands=kept), replace(stream, streams=tuple(streams)))
            continue
        for change in ({"completion": 0}, {"cycles": 1}, {"falling_edge": False}):
            new: Command = replace(command, **change)
            if new != command:
                commands = (*description.commands[:n], new, *description.commands[n + 1 :])
                yield Case(replace(description, commands=commands), stream)


def without_stream(stream: CommandStream, n: int) -> CommandStream:
    return CommandStream(
        stream.targets,
        stream.streams[:n] + stream.streams[n + 1 :],
        stream.fifo_window[:n] + stream.fifo_window[n + 1 :],
    )


def with_stream(stream: CommandStream, n: int, records: np.ndarray) -> CommandStream:
    streams = (*stream.streams[:n], records, *stream.streams[n + 1 :])
    return replace(stream, streams=streams)


def fewer_records(records: np.ndarray) -> Iterator[np.ndarray]:
    """The records without one of them, without a loop's ends, or with a smaller count."""
    for at, record in enumerate(records):
        if record["command"] == END:
            continue
        if record["command"] == LOOP:
            depth, end = 1, at
            while depth:
                end += 1
                depth += int(records[end]["command"] == LOOP) - int(records[end]["command"] == END)
            yield np.delete(records, range(at, end + 1))
            yield np.delete(records, [at, end])
        else:
            yield np.delete(records, at)
        if record["command"] != BARRIER and record["count"] > 1:
            for count in {1, int(record["count"]) - 1}:
                fewer = records.copy()
                fewer[at]["count"] = count
                yield fewer


def as_python(case: Case) -> str:
    """The case as Python text that makes `description` and `stream`."""
    d, s = case.description, case.stream
    lines = [
        "import numpy as np",
        "from pyramulator.description import (",
        "    Bus, Command, Description, Refresh, RowUse, Slot, TimingRow)",
        "from pyramulator.stream import BARRIER, END, LOOP, RECORD, CommandStream",
        "",
        "description = Description(",
        f"    name={d.name!r}, levels={d.levels!r}, sizes={d.sizes!r},",
        f"    ticks_per_second={d.ticks_per_second}, bus=Bus.{d.bus.name},",
        "    commands=(",
    ]
    for c in d.commands:
        more = [
            f"{f.name}={getattr(c, f.name)!r}"
            for f in fields(c)[5:]
            if getattr(c, f.name) != f.default
        ]
        first = f"{c.name!r}, {c.scope!r}, Slot.{c.slot.name}, {c.cycles}, RowUse.{c.row_use.name}"
        lines.append(f"        Command({', '.join([first, *more])}),")
    lines += ["    ),", "    rows=("]
    for r in d.rows:
        more = [f"window={r.window}"] if r.window > 1 else []
        more += ["sibling=True"] if r.sibling else []
        first = f"{r.level!r}, {r.preceding!r}, {r.following!r}, {r.latency}"
        lines.append(f"        TimingRow({', '.join([first, *more])}),")
    lines += ["    ),", f"    refresh={d.refresh!r},", ")", "stream = CommandStream("]
    lines += [f"    np.array({s.targets.tolist()!r}, dtype=np.int32),", "    ("]
    names = {LOOP: "LOOP", END: "END", BARRIER: "BARRIER"}
    for records in s.streams:
        lines.append("        np.array([  # command, target, row, column, column_step, count")
        for r in records:
            number, *rest = (int(x) for x in r.tolist())
            values = ", ".join(map(str, [names.get(number, number), *rest]))
            comment = "" if number in names else f"  # {d.commands[number].name}"
            lines.append(f"            ({values}),{comment}")
        lines.append("        ], dtype=RECORD),")
    lines += ["    ),", f"    {s.fifo_window!r},", ")", ""]
    return "\n".join(lines)
