"""The reference engine: docs/engine-rules.md read aloud, one tick after another.

Numbers in comments are the rules of that page. Rules 13 and 14 and the host queues are reserved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pyramulator.description import Bus, Description, RowUse, Slot
from pyramulator.errors import Deadlock
from pyramulator.result import ChannelResult
from pyramulator.stream import LOG, CommandStream
from reference.device import Address, Device, Node
from reference.record import ResidencyBook, StallBook, StallClass
from reference.streams import REFRESH, Barriers, Request, Stream, expand


class TooLong(Exception):
    """The run did not end within the ticks it was given."""


@dataclass(frozen=True)
class Need:
    """The command that a request needs next (rule 6)."""

    command: int
    address: Address
    final: bool
    opens: bool = False


@dataclass(frozen=True)
class Issue:
    """One command on the bus."""

    tick: int
    command: int
    source: int
    address: Address
    row: int
    column: int


def run(
    description: Description, stream: CommandStream, max_ticks: int = 1_000_000
) -> ChannelResult:
    """Run one channel to its end. Raises Deadlock (rule 18), TooLong beyond `max_ticks`."""
    return Reference(description, stream).run(max_ticks)


# 18 gives up after 1000 refreshes without a stream's command. Where they are far apart the FIFO is
# empty in between and a few rounds show all there is to see.
MOST_REFRESHES, FEWEST_REFRESHES, PATIENT_TICKS = 1000, 20, 5000


class Reference:
    """One channel and everything that happens in it."""

    def __init__(self, description: Description, stream: CommandStream) -> None:
        self.description = description
        self.device = Device(description)
        self.streams = expand(stream)
        self.barriers = Barriers(self.streams)
        self.fifo: list[Request] = []  # the priority FIFO (rules 10 and 15)
        self.log: list[Issue] = []
        self.end = 0  # max over finals of issue + completion so far (rule 16)
        self.last_row_command: Issue | None = None  # for the pairing rule (rule 12)
        self.stalls = StallBook(len(self.streams), len(description.rows))
        self.residency = ResidencyBook(self.device)
        self.last_stream_issue = 0
        self.patience = self._patience()

    def _patience(self) -> int:
        """18: ticks without a stream's command after which there will never be one."""
        times = [row.latency for row in self.description.rows]
        times += [command.completion for command in self.description.commands]
        longest = max(times, default=0) + 4  # the last push, the last completion, both edges
        refresh = self.description.refresh
        if refresh is None:
            return longest
        most, fewest = MOST_REFRESHES * refresh.interval, FEWEST_REFRESHES * refresh.interval
        return longest + max(fewest, min(most, PATIENT_TICKS))

    def run(self, max_ticks: int) -> ChannelResult:
        tick = 0
        while True:
            self.barriers.pass_all(tick)
            self.check_deadlock(tick)
            if all(s.ended for s in self.streams) and tick >= self.end:  # 16
                return self.result(tick)
            tick += 1
            if tick > max_ticks:
                raise TooLong(f"no end within {max_ticks} ticks")
            self.one_tick(tick)

    def check_deadlock(self, tick: int) -> None:
        """18: no barrier can open, or no head will ever be ready."""
        stuck = self.barriers.deadlocked()
        waiting = [s for s in self.streams if not s.ended]
        if stuck is None and waiting and tick > self.last_stream_issue + self.patience:
            stuck = waiting[0]
        if stuck is not None:
            item = stuck.items[stuck.position]
            raise Deadlock(f"stream {stuck.number} waits forever at {item} (rules 8 and 18)")

    def one_tick(self, tick: int) -> None:
        self.enter_refreshes(tick)
        self.enter_fifo_streams(tick)
        before = [self.classify(s, tick) for s in self.streams]
        issues: dict[Slot, Issue] = {}
        for slot in self.slots(tick):
            issue = self.give(slot, tick, {i.source for i in issues.values()})
            if issue is not None:
                issues[slot] = issue
        self.stalls.record(before, issues, self.description.bus == Bus.SINGLE)
        self.residency.record(tick)

    # Requests enter the FIFO before the controller acts

    def enter_refreshes(self, tick: int) -> None:
        """10: at ticks k x interval, one for each scope node in order, or for those in turn."""
        refresh = self.description.refresh
        if refresh is None or tick % refresh.interval != 0:
            return
        command = self.description.command_index(refresh.command)
        nodes = self.device.levels[self.description.level_index(refresh.scope)]
        if refresh.in_turn is not None:
            above = self.device.levels[self.description.level_index(refresh.in_turn)]
            turns = len(nodes) // len(above)
            nodes = nodes[(tick // refresh.interval - 1) % turns :: turns]
        for node in nodes:
            target = [-1] * self.device.depth
            step: Node | None = node
            while step is not None:
                target[step.level] = step.index
                step = step.parent
            self.fifo.append(Request(REFRESH, command, tuple(target), -1, -1))

    def enter_fifo_streams(self, tick: int) -> None:
        """15: as long as fewer than `window` of its requests are in the FIFO, the next enters."""
        for stream in self.streams:
            while stream.window > 0 and (
                stream.entered - stream.position < stream.window
                and stream.entered < len(stream.items)
                and stream.visible <= tick
            ):
                item = stream.items[stream.entered]
                if not isinstance(item, Request):
                    break
                self.fifo.append(item)
                stream.entered += 1

    # What a request needs, and what is in its way

    def need(self, request: Request) -> Need | None:
        """6: the final command, or what has to be issued before it; None where that has no name."""
        final = self.device.command(request.command)
        scope = self.device.address(request.command, request.target)
        rows = {bank.open_row for bank in self.device.matched_banks(scope)}
        closed = rows == {None}
        if final.row_use in (RowUse.NONE, RowUse.CLOSE):
            go = True
        elif final.row_use == RowUse.ACCESS:
            go = rows == {request.row}
        else:  # OPEN, ALL_CLOSED
            go = closed
        if go:
            return Need(request.command, scope, final=True)
        opens = final.row_use == RowUse.ACCESS and closed
        name = final.opens if opens else final.closes
        if name is None:
            return None
        command = self.description.command_index(name)
        return Need(command, self.device.address(command, scope), final=False, opens=opens)

    def held_by_another(self, need: Need, source: int) -> bool:
        """9: it closes a row and touches a bank that belongs to another stream."""
        what = self.device.command(need.command)
        if what.row_use != RowUse.CLOSE and not what.auto_precharge:
            return False
        return any(
            bank.holder not in (None, source) for bank in self.device.matched_banks(need.address)
        )

    def meets_refresh(self, request: Request) -> bool:
        """11(d): its scope meets the scope of a refresh in the FIFO."""
        scope = self.device.address(request.command, request.target)
        banks = set(map(id, self.device.matched_banks(scope)))
        return any(
            id(bank) in banks
            for other in self.fifo
            if other.source == REFRESH
            for bank in self.device.matched_banks(self.device.address(other.command, other.target))
        )

    # Who issues

    def slots(self, tick: int) -> tuple[Slot, ...]:
        """12: the slots of a tick, in order. SINGLE has one; both kinds of command may use it."""
        if self.description.bus == Bus.SINGLE:
            return (Slot.ROW,)
        if self.description.bus == Bus.HALF_CLOCK and tick % 2 == 0:
            return (Slot.ROW,)
        return (Slot.COLUMN, Slot.ROW)

    def on_slot(self, command: int, slot: Slot) -> bool:
        return self.description.bus == Bus.SINGLE or self.device.command(command).slot == slot

    def edge_allows(self, need: Need, tick: int) -> bool:
        """12: on even ticks of HALF_CLOCK only falling-edge row commands, paired as JESD238 says"""
        if self.description.bus != Bus.HALF_CLOCK or tick % 2 == 1:
            return True
        what = self.device.command(need.command)
        if what.slot != Slot.ROW or not what.falling_edge:
            return False
        last = self.last_row_command
        if last is None or tick != last.tick + self.device.command(last.command).cycles:
            return True
        mine, other = need.address, last.address
        if mine[1] != other[1] and -1 not in (mine[1], other[1]):
            return True  # no common pseudo-channel
        my_banks, other_banks = map(self.device.matched_banks, (mine, other))
        if len(my_banks) > 1 or len(other_banks) > 1:
            return False
        return my_banks != other_banks

    def candidates(self, tick: int, issued_for: set[int]) -> Iterator[Request]:
        """11: the order in which a slot looks at the requests."""
        # 7: nothing issues twice in a tick for an ordinary stream; the FIFO may use both slots
        heads = [
            (s, head)
            for s in self.streams
            if (head := s.head(tick)) is not None and (s.window > 0 or s.number not in issued_for)
        ]
        holding = [(s.opened, s.number, head) for s, head in heads if s.opened is not None]
        for _, _, head in sorted(holding, key=lambda h: h[:2]):  # (b)
            yield head
        if self.fifo:  # (c)
            yield self.fifo[0]
        others = [
            (s.visible, s.number, head) for s, head in heads if s.opened is None and s.window == 0
        ]
        for _, _, head in sorted(others, key=lambda h: h[:2]):  # (d)
            if not self.meets_refresh(head):
                yield head

    def give(self, slot: Slot, tick: int, issued_for: set[int]) -> Issue | None:
        """11: the slot takes the first ready candidate."""
        for request in self.candidates(tick, issued_for):
            need = self.need(request)
            if (
                need is not None
                and self.on_slot(need.command, slot)
                and self.edge_allows(need, tick)
                and not self.held_by_another(need, request.source)
                and self.device.ready(need.command, need.address, tick)
            ):
                return self.issue(request, need, tick)
        return None

    def issue(self, request: Request, need: Need, tick: int) -> Issue:
        what = self.device.command(need.command)
        issue = Issue(
            tick,
            need.command,
            request.source,
            need.address,
            request.row,
            request.column,
        )
        self.log.append(issue)
        self.device.push(need.command, need.address, tick)
        self.device.state_change(need.command, need.address, request.row)
        if what.slot == Slot.ROW:
            self.last_row_command = issue
        self.residency.issued(need.command, need.address, tick)
        if request.source != REFRESH:
            self.last_stream_issue = tick
        if need.final:
            if self.fifo and self.fifo[0] is request:
                self.fifo.pop(0)
            if request.source != REFRESH:
                self.final_issued(self.streams[request.source], tick, what.completion)
        elif need.opens and request.source != REFRESH:  # 9
            self.streams[request.source].opened = tick
            scope = self.device.address(request.command, request.target)
            for bank in self.device.matched_banks(scope):
                bank.holder = request.source
        return issue

    def final_issued(self, stream: Stream, tick: int, completion: int) -> None:
        for bank in self.device.banks:
            if bank.holder == stream.number:
                bank.holder = None
        stream.final_issued(tick, completion)
        self.end = max(self.end, tick + completion)  # 16

    # Stalls

    def classify(self, stream: Stream, tick: int) -> StallClass:
        """17, from the state at the start of the tick; issued or not is seen afterwards."""
        if not stream.requests_left:
            return StallClass("done")
        request = stream.head(tick)
        if request is None:
            return StallClass("barrier")
        need = self.need(request)
        if need is None or self.held_by_another(need, stream.number):
            return StallClass("held")
        if stream.window > 0:
            before = self.fifo[: self.fifo.index(request)]
            excluded = any(r.source == REFRESH for r in before)
        else:
            excluded = stream.opened is None and self.meets_refresh(request)
        if excluded:
            return StallClass("refresh")
        binding = self.device.binding(need.command, need.address)
        if binding.tick > tick:
            if self.device.command(binding.cause).refresh:
                return StallClass("refresh")
            return StallClass("row", row=binding.row)
        if not self.edge_allows(need, tick):
            return StallClass("edge")
        front = self.fifo[0].source if stream.window > 0 else REFRESH
        return StallClass("slot", slot=self.device.command(need.command).slot, front=front)

    def result(self, ticks: int) -> ChannelResult:
        log = np.zeros(len(self.log), dtype=LOG)
        for record, issue in zip(log, self.log, strict=True):
            address = (*issue.address, issue.row, issue.column)
            record["tick"], record["command"] = issue.tick, issue.command
            record["source"] = issue.source
            record["address"][: len(address)] = address
        names = Counter(self.device.command(issue.command).name for issue in self.log)
        return ChannelResult(ticks, dict(names), self.stalls.result(), self.residency.result(), log)
