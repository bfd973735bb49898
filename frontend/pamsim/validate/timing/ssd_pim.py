"""SSD-PIM: NAND flash and the units in the controller; the rules of docs/ssd-pim-commands.md.

Rules between flash commands stand in `nand`; those of the channel's PUs and RU stand here.
"""

from __future__ import annotations

from pamsim.config.spec import PimUnit
from pamsim.validate.timing import nand
from pamsim.validate.timing.rule import Bus, CommandKind, Family, PairRule, Scope

CONTROLLER = "docs/ssd-pim-commands.md, Controller"

PUS_OF_A_CHANNEL = 8  # 64 of a controller, 8 channels: PAM, arXiv 2602.11521, section 7.1


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def page_cycles(pim: PimUnit, elements: int) -> int:
    """nPAGE: a column of 16 elements a cycle."""
    return _ceil(elements, pim.lanes)


def mac_cycles(pim: PimUnit, cycles: int) -> int:
    """nMAC: a column of a query a cycle, then the depth of the adder tree."""
    return cycles + pim.sum_latency_cycles


def maximum_cycles(pim: PimUnit, elements: int) -> int:
    """nMAX: all lanes every cycle, then the depth of the comparator tree."""
    return _ceil(elements, pim.lanes) + pim.maximum_latency_cycles


def exponential_cycles(pim: PimUnit, elements: int) -> int:
    """nEXP: one element a cycle a lane, pipelined."""
    return _ceil(elements, pim.exponential_lanes) + pim.exponential_latency_cycles


def sum_cycles(pim: PimUnit, elements: int) -> int:
    """nSUM: all lanes every cycle, then the depth of the adder tree."""
    return _ceil(elements, pim.lanes) + pim.sum_latency_cycles


def merge_cycles(pim: PimUnit, elements: int) -> int:
    """nMRG: compare, exponential, one output through the RU's lanes."""
    start = pim.reduction_compare_cycles + pim.exponential_latency_cycles
    return start + _ceil(elements, pim.reduction_lanes)


def reduction_cycles(pim: PimUnit, elements: int) -> int:
    """nRED: compare, exponential, the channel's partial outputs through the RU's lanes."""
    start = pim.reduction_compare_cycles + pim.exponential_latency_cycles
    return start + PUS_OF_A_CHANNEL * _ceil(elements, pim.reduction_lanes)


_CYCLES = {
    "WRB": page_cycles,
    "WRQ": page_cycles,
    "MAC": mac_cycles,
    "MAX": maximum_cycles,
    "EXP": exponential_cycles,
    "SUM": sum_cycles,
    "RED": reduction_cycles,
    "MRG": merge_cycles,
    "RDRES": page_cycles,
}

KINDS = (
    *nand.KINDS,
    *(CommandKind(n, Bus.ROW, 1, Scope.CHANNEL, cycles=cycles) for n, cycles in _CYCLES.items()),
)

PAIRS = (
    PairRule(
        "SSD controller units",
        CONTROLLER,
        "The units of a channel do one thing at a time.",
        Scope.CHANNEL,
        ((tuple(_CYCLES), tuple(_CYCLES)),),
        "duration",
    ),
)

FAMILY = Family(
    "ssd_pim",
    KINDS,
    (*nand.PAIRS, *PAIRS),
    (),
    nand.CHECKS,
    on=nand.on_device,
    second_rows=nand.CACHE_REGISTER,
)
