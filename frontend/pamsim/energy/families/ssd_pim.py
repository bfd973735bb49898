"""What one SSD-PIM command does.

READ senses a page of a plane, XFER brings it over the flash bus, which is the way that
`group_to_die` stands for, into a page buffer of the controller. A channel's 8 units work in
lockstep: MAC_q64 is 64 cycles of each, which read as many columns of the page. Operands in names:
docs/ssd-pim-commands.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pamsim.config.spec import DeviceSpec
from pamsim.energy.commands import DTYPE_BYTES, CommandWork, split_name
from pamsim.energy.units import bits
from pim_isa import load

READS_OUT = ("XFER",)
WRITES_IN = ("PROG",)
MERGE = ""  # the controller's merges are in MRG

_FP16_BYTES, _FP32_BYTES = DTYPE_BYTES["fp16"], DTYPE_BYTES["fp32"]
_UNITS = load("ssd_pim").constants["units"]
_COLUMN_BYTES = load("ssd_pim").constants["lanes"] * _FP16_BYTES

MAC_UNITS = (_UNITS, _COLUMN_BYTES)  # of a MAC: units, and bytes of a query that face a column


def command_work(name: str, device: DeviceSpec, part_columns: int) -> CommandWork:
    """What one `name` does on `device`; a query's O has `part_columns` columns.

    Raises KeyError for a command that is not of the family.
    """
    stem, operand = split_name(name)
    return _WORK[stem](_Issue(device, operand or 0, part_columns))


def banks_of(name: str, device: DeviceSpec) -> int:
    """Planes that one `name` works in: 0 for the controller's commands."""
    return int(name in ("READ", "CACHE", "XFER", "PROG", "ERASE"))


@dataclass(frozen=True)
class _Issue:
    """A command with the number in its name."""

    device: DeviceSpec
    operand: int
    part_columns: int

    @property
    def page(self) -> int:
        """Bytes of a page."""
        return self.device.organisation.row_bytes

    @property
    def elements(self) -> int:
        """Of all units."""
        return self.operand * _UNITS


def _mac(issue: _Issue) -> CommandWork:
    return CommandWork(
        macs=issue.device.pim.lanes * issue.elements,
        buffer_bytes=issue.elements * _COLUMN_BYTES,  # of the page
    )


def _maximum(issue: _Issue) -> CommandWork:
    score = DTYPE_BYTES[issue.device.pim.score_dtype]
    return CommandWork(maximum_elements=issue.elements, buffer_bytes=issue.elements * score)


def _exponential(issue: _Issue) -> CommandWork:
    pim = issue.device.pim
    read_and_written = DTYPE_BYTES[pim.score_dtype] + DTYPE_BYTES[pim.probability_dtype]
    return CommandWork(
        exponential_elements=issue.elements, buffer_bytes=issue.elements * read_and_written
    )


def _sum(issue: _Issue) -> CommandWork:
    probability = DTYPE_BYTES[issue.device.pim.probability_dtype]
    return CommandWork(sum_elements=issue.elements, buffer_bytes=issue.elements * probability)


def _reduction(issue: _Issue) -> CommandWork:
    # Each unit has a weight, and an l beside O, for each query.
    weights = issue.elements * _FP16_BYTES // (issue.part_columns * _COLUMN_BYTES)
    return CommandWork(
        group_macs=issue.elements + weights,
        group_exponentials=weights,
        buffer_bytes=2 * issue.elements * _FP16_BYTES,
    )


def _merge(issue: _Issue) -> CommandWork:
    """The accumulator and the newcomer are scaled and added; l like an element of O."""
    accumulated = 2 * issue.operand * _FP32_BYTES  # read and written back
    return CommandWork(
        group_macs=2 * (issue.operand + 1),
        group_exponentials=2,
        buffer_bytes=issue.operand * _FP16_BYTES + accumulated,
    )


_WORK: dict[str, Callable[[_Issue], CommandWork]] = {
    "READ": lambda issue: CommandWork(mac_column_bits=bits(issue.page)),
    "CACHE": lambda _: CommandWork(),
    "XFER": lambda issue: CommandWork(group_to_die_bits=bits(issue.page), buffer_bytes=issue.page),
    "PROG": lambda issue: CommandWork(write_bits=bits(issue.page), buffer_bytes=issue.page),
    "ERASE": lambda _: CommandWork(block_erases=1),
    "WRB": lambda issue: CommandWork(buffer_bytes=issue.operand * _FP16_BYTES),
    "WRQ": lambda issue: CommandWork(buffer_bytes=issue.elements * _FP16_BYTES),
    "MAC": _mac,
    "MAX": _maximum,
    "EXP": _exponential,
    "SUM": _sum,
    "RED": _reduction,
    "MRG": _merge,
    "RDRES": lambda issue: CommandWork(buffer_bytes=issue.operand * _FP16_BYTES),
}
