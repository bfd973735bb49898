"""The most KV bytes a second that a device's MACs can read, by hand from its description."""

from __future__ import annotations

import re
from fractions import Fraction
from math import prod

from pamsim.config.spec import Organisation
from pyramulator.description import Bus, Description


def internal_peak(
    description: Description, command: str, organisation: Organisation, ck_hz: int, columns: int = 1
) -> tuple[int, str]:
    """(bytes per second of one device, the arithmetic in words).

    `command` is the MAC of one query, of `columns` columns. Its rate in a channel is the least,
    over the timing rows from it to itself, of nodes at that level / latency: the command slot,
    nCCDS per pseudo-channel, and nCCDL or the PU's time per bank group.
    """
    edge = 2 if description.bus is Bus.HALF_CLOCK else 1  # ticks from one column slot to the next
    rates = [(Fraction(1, edge), "column command slot", 1)]
    for row in description.rows:
        itself = command in row.preceding and command in row.following
        if itself and row.latency and not row.sibling:
            depth = description.level_index(row.level)
            nodes = prod(description.sizes[: depth + 1])
            rates.append((Fraction(nodes * row.window, row.latency), row.rule, nodes))
    rate, rule, nodes = min(rates, key=lambda r: r[0])
    scope = next(c.scope for c in description.commands if c.name == command)
    depth = description.level_index(scope)
    banks = prod(description.sizes[depth + 1 : description.target_levels])
    bytes_per_command = banks * organisation.column_bytes * columns
    per_second = rate * description.ticks_per_second
    total = bytes_per_command * per_second * organisation.channels_per_device
    per_ck = per_second / ck_hz
    words = (
        f"{bytes_per_command} B a MAC of a {_words(scope)} x {_decimal(per_ck)} a CK "
        f"({rule}, {nodes} in a channel) x {_decimal(Fraction(ck_hz, 10**9))} GHz x "
        f"{organisation.channels_per_device} channels = {_decimal(total / 10**9)} GB/s"
    )
    return int(total), words


def _words(level: str) -> str:
    """A level's name for people: BankGroup -> bank group."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", level).lower()


def _decimal(value: Fraction) -> str:
    return f"{float(value):.6g}"
