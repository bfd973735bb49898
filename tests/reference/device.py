"""The channel of the reference: a tree of nodes with histories, and the state of every bank.

Written from docs/engine-rules.md (rules 2, 3 and 6) for clarity, not for speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyramulator.description import Command, Description, RowUse, TimingRow

Address = tuple[int, ...]  # one number for each target level, -1 = all children (rule 3)


@dataclass(frozen=True)
class Bound:
    """The earliest tick that one timing row allows, and the command whose push set it."""

    tick: int
    cause: int
    push: int  # number of the issue, in the order of issue


@dataclass(eq=False)
class Node:
    """One node of the tree: a channel, a pseudo-channel, ..., a bank."""

    level: int
    index: int  # among its parent's children
    parent: Node | None
    children: list[Node] = field(default_factory=list)
    history: dict[int, list[int]] = field(default_factory=dict)  # command -> ticks, newest first
    bounds: dict[int, dict[int, Bound]] = field(default_factory=dict)  # command -> row -> bound
    open_row: int | None = None  # banks only
    holder: int | None = None  # banks only: the stream they belong to (rule 9)
    refreshing_until: int = 0  # last tick of a refresh that covers the node


@dataclass(frozen=True)
class Binding:
    """What keeps a command from issuing: the greatest ready tick and the row that set it."""

    tick: int
    row: int  # index in Description.rows, -1 when no row has set anything
    cause: int  # the preceding command whose push set the value, -1 when none


class Device:
    """The tree, with issue and readiness of commands at addresses."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.depth = description.target_levels
        self.n_pushes = 0
        self.levels: list[list[Node]] = [[Node(0, 0, None)]]
        for level in range(1, self.depth):
            nodes = []
            for parent in self.levels[level - 1]:
                parent.children = [Node(level, i, parent) for i in range(description.sizes[level])]
                nodes += parent.children
            self.levels.append(nodes)
        self.banks = self.levels[-1]
        self.scopes = [description.level_index(c.scope) for c in description.commands]
        numbers = {c.name: i for i, c in enumerate(description.commands)}
        self.rows = [
            (row, {numbers[p] for p in row.preceding}, [numbers[f] for f in row.following])
            for row in description.rows
        ]
        self.rows_at: list[list[int]] = [[] for _ in range(self.depth)]
        for i, row in enumerate(description.rows):
            self.rows_at[description.level_index(row.level)].append(i)

    def command(self, number: int) -> Command:
        return self.description.commands[number]

    def address(self, command: int, target: Address) -> Address:
        """The target as this command addresses it: every level below its scope is -1."""
        scope = self.scopes[command]
        return tuple(a if level <= scope else -1 for level, a in enumerate(target))

    def matched(self, level: int, address: Address) -> list[Node]:
        """Rule 3: the nodes of a level that an address matches; -1 matches all children."""
        nodes = self.levels[0]
        for depth in range(1, level + 1):
            wanted = address[depth]
            nodes = [c for n in nodes for c in n.children if wanted in (-1, c.index)]
        return nodes

    def matched_banks(self, address: Address) -> list[Node]:
        return self.matched(self.depth - 1, address)

    def push(self, command: int, address: Address, tick: int) -> None:
        """Rule 2: push an issue on the histories of the matched nodes and raise the bounds."""
        self.n_pushes += 1
        for level in range(self.depth):
            for node in self.matched(level, address):
                history = node.history.setdefault(command, [])
                history.insert(0, tick)
                for number in self.rows_at[level]:
                    row, preceding, following = self.rows[number]
                    if command not in preceding or len(history) < row.window:
                        continue
                    bound = Bound(history[row.window - 1] + row.latency, command, self.n_pushes)
                    for constrained in self._constrained(row, node, address[level]):
                        for later in following:
                            raise_bound(constrained, later, number, bound)

    def _constrained(self, row: TimingRow, node: Node, named: int) -> list[Node]:
        if not row.sibling:
            return [node]
        if named == -1 or node.parent is None:  # a wildcard at that level has no siblings
            return []
        return [c for c in node.parent.children if c is not node]

    def ready(self, command: int, address: Address, tick: int) -> bool:
        """Rule 2: ready in every matched node of every level."""
        return all(
            bound.tick <= tick
            for level in range(self.depth)
            if self.rows_at[level]
            for node in self.matched(level, address)
            for bound in node.bounds.get(command, {}).values()
        )

    def binding(self, command: int, address: Address) -> Binding:
        """Rule 17: the row with the greatest ready tick; ties: outermost level, then row order,
        then the earlier push."""
        found = [
            (-bound.tick, level, row, bound.push, bound.cause)
            for level in range(self.depth)
            if self.rows_at[level]
            for node in self.matched(level, address)
            for row, bound in node.bounds.get(command, {}).items()
        ]
        if not found:
            return Binding(0, -1, -1)
        negative_tick, _, row, _, cause = min(found)
        return Binding(-negative_tick, row, cause)

    def state_change(self, command: int, address: Address, row: int) -> None:
        """Rule 6: what a command does to the banks in its scope, at its issue."""
        what = self.command(command)
        for bank in self.matched_banks(address):
            if what.row_use == RowUse.OPEN:
                bank.open_row = row
            elif what.row_use == RowUse.CLOSE or what.auto_precharge:
                bank.open_row = None


def raise_bound(node: Node, command: int, row: int, bound: Bound) -> None:
    """ready[f] = max(ready[f], ...), kept for each row so that a stall can name its row."""
    bounds = node.bounds.setdefault(command, {})
    if row not in bounds or bound.tick > bounds[row].tick:
        bounds[row] = bound
