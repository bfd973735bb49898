"""The most KV bytes a second that a device's units can read, by hand from its description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod

from pamsim.config.spec import Organisation
from pyramulator.description import Bus, Description

Rate = tuple[Fraction, str, int]  # commands a tick in a channel, the rule, nodes that it holds in


def internal_peak(
    description: Description,
    commands: Sequence[str],
    organisation: Organisation,
    ck_hz: int,
    columns: int = 1,
) -> tuple[int, str]:
    """(bytes per second of one device, the arithmetic in words).

    `commands` are those that every column goes through: the MAC of one query, of `columns` columns,
    or a flash page's sense and transfer. The rate of each in a channel is the least, over the
    timing rows from it to itself, of nodes at that level / latency: the command slot, nCCDS per
    pseudo-channel, and nCCDL or the PU's time per bank group. Where a row leads from the first to
    the last and another one back, a node that both share goes in rounds.
    """
    edge = 2 if description.bus is Bus.HALF_CLOCK else 1  # ticks from one column slot to the next
    rates: list[Rate] = [(Fraction(1, edge), "column command slot", 1)]
    for command in commands:
        rates += _alone(description, command)
    if len(commands) > 1:
        rates += _rounds(description, commands[0], commands[-1])
    rate, rule, nodes = min(rates, key=lambda r: r[0])
    scope = next(c.scope for c in description.commands if c.name == commands[0])
    banks = _nodes(description, description.levels[description.target_levels - 1], scope)
    bytes_per_command = banks * organisation.column_bytes * columns
    per_second = rate * description.ticks_per_second
    total = bytes_per_command * per_second * organisation.channels_per_device
    per_ck = per_second / ck_hz
    what = commands[0] if len(commands) > 1 else "MAC"
    words = (
        f"{bytes_per_command} B a {what} of a {_words(scope)} x {_decimal(per_ck)} a CK "
        f"({rule}, {nodes} in a channel) x {_decimal(Fraction(ck_hz, 10**9))} GHz x "
        f"{organisation.channels_per_device} channels = {_decimal(total / 10**9)} GB/s"
    )
    return int(total), words


def _alone(description: Description, command: str) -> Iterator[Rate]:
    for row in description.rows:
        itself = command in row.preceding and command in row.following
        if itself and row.latency and not row.sibling:
            nodes = _nodes(description, row.level)
            yield Fraction(nodes * row.window, row.latency), row.rule, nodes


def _rounds(description: Description, first: str, last: str) -> Iterator[Rate]:
    """A round of a node: all `first` at once, then after the row's latency every `last` in turn."""
    back = [r for r in description.rows if last in r.preceding and first in r.following]
    scope = next(c.scope for c in description.commands if c.name == first)
    for row in description.rows:
        if first in row.preceding and last in row.following and back:
            inside = _nodes(description, scope, row.level)
            turn = max(back, key=lambda r: r.latency)
            ticks = row.latency + inside * turn.latency
            nodes = _nodes(description, row.level)
            yield Fraction(nodes * inside, ticks), f"{row.rule} + {inside} x {turn.rule}", nodes


def _nodes(description: Description, level: str, above: str | None = None) -> int:
    """Nodes of a level in a channel, or in one node of a level above."""
    start = 0 if above is None else description.level_index(above) + 1
    return prod(description.sizes[start : description.level_index(level) + 1])


def _words(level: str) -> str:
    """A level's name for people: BankGroup -> bank group."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", level).lower()


def _decimal(value: Fraction) -> str:
    return f"{float(value):.6g}"
