"""The time line: sound events, tracks in a sensible order, nothing at a time that cannot be."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from trace_cases import COMMANDS, HEADER, ListTrace, busy_channel, log, step, written

from pamsim.errors import InputError
from pamsim.sim import ChannelTrace
from pamsim.traces import Cut, TraceHeader, write
from pamsim.traces.perfetto_tracks import MAX_TRACKS, Tracks

Event = dict[str, Any]


def document(header: TraceHeader, records: np.ndarray, **options: bool) -> Event:
    content = written(write, ListTrace(header, records), "perfetto", **options)
    found: Event = json.loads(content)
    return found


@cache
def run() -> tuple[ChannelTrace, np.ndarray, Event]:
    """A layer of a small model: its trace, its records and its time line."""
    compiled = step("8192")
    channel = busy_channel(compiled)
    records = np.concatenate(list(ChannelTrace(compiled, channel=channel).pieces()))
    trace = ChannelTrace(compiled, channel=channel)
    return trace, records, json.loads(written(write, trace, "perfetto"))


def slices(found: Event) -> list[Event]:
    return [event for event in found["traceEvents"] if event["ph"] == "X"]


def names(found: Event) -> dict[int, str]:
    """`process | thread` by thread."""
    processes = {e["pid"]: e["args"]["name"] for e in found["traceEvents"]
                 if e["name"] == "process_name"}  # fmt: skip
    return {e["tid"]: f"{processes[e['pid']]} | {e['args']['name']}"
            for e in found["traceEvents"] if e["name"] == "thread_name"}  # fmt: skip


def test_every_event_has_what_the_format_asks_for() -> None:
    _, _, found = run()
    assert set(found) == {"displayTimeUnit", "otherData", "traceEvents"}
    threads = names(found)
    for event in found["traceEvents"]:
        assert event["ph"] in ("X", "M") and event["name"]
        assert isinstance(event["pid"], int)
        if event["ph"] == "X":
            assert event["tid"] in threads
            assert event["ts"] >= 0 and event["dur"] > 0
            assert event["cat"] and event["cname"]
            assert event["args"]["tick"] > 0


def test_times_are_microseconds_of_the_exact_tick() -> None:
    trace, _, found = run()
    for event in slices(found):
        assert abs(event["ts"] * trace.header.ticks_per_second - event["args"]["tick"] * 1e6) < 2600
    # 2,600 is one picosecond: the last digit that is written.


def test_every_command_is_on_its_bus_once() -> None:
    trace, records, found = run()
    issued = Counter(trace.header.commands[n].name for n in records["command"])
    threads = names(found)
    buses = Counter(e["name"] for e in slices(found) if threads[e["tid"]].endswith(" bus"))
    assert buses == issued
    for event in slices(found):
        if threads[event["tid"]].endswith(" bus"):
            command = next(c for c in trace.header.commands if c.name == event["name"])
            assert threads[event["tid"]].endswith(f"| {command.slot} bus")
            assert event["args"]["ticks"] == command.cycles


def test_a_track_shows_one_thing_at_a_time() -> None:
    _, _, found = run()
    tracks = defaultdict(list)
    for event in slices(found):
        start = round(event["ts"] * 10**6)
        tracks[event["tid"]].append((start, start + round(event["dur"] * 10**6)))
    for times in tracks.values():
        assert times == sorted(times)
        assert all(first[1] <= second[0] for first, second in pairwise(times))


def test_buses_and_units_do_not_overlap_by_themselves() -> None:
    """What the hardware forbids: nothing had to be cut on a bus, a PU or a reduction unit."""
    _, _, found = run()
    threads = names(found)
    cut = {threads[e["tid"]] for e in slices(found) if e["args"].get("cut")}
    assert cut and all(name.endswith(": banks") for name in cut)
    units = {threads[e["tid"]].rsplit(" | ")[1].split(": ")[-1] for e in slices(found)}
    assert units == {"row bus", "column bus", "banks", "PU", "bank-group RU", "logic-die RU"}


def test_refresh_is_on_all_bank_groups_of_its_pseudo_channel() -> None:
    trace, records, found = run()
    refreshes = int((records["source"] == -1).sum())
    shown = [e for e in slices(found) if e["args"]["source"] == "refresh"]
    # Once on the row bus, and on 2 SIDs x 4 bank groups (hbm3-pam): REFab and its PREab.
    assert refreshes > 10 and len(shown) == 9 * refreshes
    lasting = [e for e in shown if e["name"] == "REFab" and e["args"]["ticks"] > 1]
    refresh = next(c for c in trace.header.commands if c.name == "REFab")
    assert {e["args"]["ticks"] for e in lasting} == {refresh.completion}
    assert {e["cat"] for e in lasting} == {"refresh"}


def test_tracks_are_in_order_of_the_levels() -> None:
    found = document(HEADER, log([]))
    assert list(names(found).values()) == [
        "channel 7: command buses | row bus",
        "channel 7: command buses | column bus",
        *(f"pseudo-channel {pc} | {track}"
          for pc in range(2)
          for track in [f"bank group {g}: {what}" for g in range(4) for what in ("banks", "PU")]
          + ["RU"]),
    ]  # fmt: skip
    order = [e["args"]["sort_index"] for e in found["traceEvents"] if e["name"].endswith("_index")]
    processes = [e for e in found["traceEvents"] if e["name"] == "process_sort_index"]
    assert [e["args"]["sort_index"] for e in processes] == [1, 2, 3]
    assert len(order) == 3 + 20


@pytest.mark.parametrize(
    ("levels", "sizes", "scopes", "expected"),
    [
        # GDDR6: no pseudo-channels; an all-bank unit is the channel's
        (("Channel", "BankGroup", "Bank", "Row", "Column"), (1, 2, 4, 9, 9), ("Channel", "Channel"),
         ["channel 7: command buses | row bus", "channel 7: command buses | column bus",
          "channel 7: banks | bank group 0: banks", "channel 7: banks | bank group 1: banks",
          "channel 7: banks | PU"]),
        # DDR: ranks; a unit for each bank
        (("Channel", "Rank", "BankGroup", "Bank", "Row", "Column"), (1, 1, 1, 2, 9, 9),
         ("Bank", "Bank"),
         ["channel 7: command buses | row bus", "channel 7: command buses | column bus",
          "rank 0 | bank group 0: banks", "rank 0 | bank group 0 bank 0: PU",
          "rank 0 | bank group 0 bank 1: PU"]),
    ],
)  # fmt: skip
def test_tracks_of_other_trees(
    levels: tuple[str, ...], sizes: tuple[int, ...], scopes: tuple[str, str], expected: list[str]
) -> None:
    commands = (replace(COMMANDS[5], scope=scopes[0], unit_level=scopes[1]),)
    header = replace(HEADER, levels=levels, sizes=sizes, commands=commands)
    assert list(names(document(header, log([]))).values()) == expected


def test_ticks_can_be_shown_as_microseconds() -> None:
    records = log([(11, 0, 0, (0, 0, 0, 0, 0)), (31, 3, 0, (0, 0, 0, 0, 0))])
    found = slices(document(HEADER, records, ticks=True))
    assert {(e["name"], e["ts"]) for e in found} == {("ACT", 11.0), ("WR", 31.0)}
    by_track = {(e["name"], e["tid"]): e["dur"] for e in found}
    # ACT: 3 ticks on the row bus, 20 until the row is open; WR: 2 on the column bus, the next 8 on.
    assert sorted(by_track.values()) == [2.0, 3.0, 8.0, 20.0]


def test_what_lasts_into_the_next_is_cut_there() -> None:
    records = log([(11, 0, 0, (0, 0, 0, 0, 0)), (21, 0, 0, (0, 0, 1, 0, 0))])  # banks 0 and 1
    banks = [e for e in slices(document(HEADER, records, ticks=True)) if e["dur"] > 3]
    assert [(e["ts"], e["dur"], e["args"].get("cut")) for e in banks] == [
        (11.0, 10.0, True), (21.0, 20.0, None)]  # fmt: skip
    assert banks[0]["args"] == {
        "tick": 11,
        "ticks": 20,
        "source": 0,
        "bank": 0,
        "row": 0,
        "cut": True,
    }


def test_a_part_is_a_file_of_its_own() -> None:
    _, records, _ = run()
    compiled = step("8192")
    again = ChannelTrace(compiled, channel=busy_channel(compiled))
    content = written(write, again, "perfetto", Cut(first=1000, last=1500))
    inside = (records["tick"] >= 1000) & (records["tick"] <= 1500)
    ticks = {event["args"]["tick"] for event in slices(json.loads(content))}
    assert ticks == set(records["tick"][inside].tolist())


def test_more_tracks_than_anybody_can_read_are_refused() -> None:
    header = replace(HEADER, sizes=(1, 256, 256, 4, 64, 32))
    with pytest.raises(InputError, match=f"tracks must be at most {MAX_TRACKS}"):
        Tracks(header)
