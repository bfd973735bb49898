"""What one DDR-PIM command does.

A command works in the banks of its scope and in all chips of the rank: MACbg_q2 reads a column of
64 B in each of four banks, 8 B into each of 32 PUs, which multiply it for two queries. A write of
one token under the data mask is charged for all 64 B that the bus carries (an upper bound). What is
the logic die elsewhere is the central buffer here, whose way to a chip is the DQ pins. Operands in
names: docs/ddr-pim-commands.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pamsim.config.spec import DeviceSpec
from pamsim.energy.commands import DTYPE_BYTES, CommandWork, split_name
from pamsim.energy.unit_work import exponential_work, maximum_work, sum_work
from pamsim.energy.units import bits

READS_OUT = ("RD", "RDA", "RDRES")
WRITES_IN = ("WR", "WRA")
MERGE = "REDCB"  # brings the chips' (O, m, l) to the central buffer

_FP16_BYTES, _FP32_BYTES = DTYPE_BYTES["fp16"], DTYPE_BYTES["fp32"]


def command_work(name: str, device: DeviceSpec, part_columns: int) -> CommandWork:
    """What one `name` does on `device`; a query's O has `part_columns` columns in a PU.

    Raises KeyError for a command that is not of the family.
    """
    stem, operand = split_name(name)
    return _WORK[stem](_Issue(device, operand or 0, part_columns))


def banks_of(name: str, device: DeviceSpec) -> int:
    """Banks of a rank that one `name` works in: 0 for a command that addresses none."""
    organisation = device.organisation
    stem, _ = split_name(name)
    if stem in ("PREab", "REFab"):
        return organisation.bank_groups * organisation.banks
    if stem in ("ACT", "PREpb", "RD", "WR", "RDA", "WRA"):
        return 1
    if stem in ("REDCB", "RDRES"):
        return 0
    return organisation.banks


@dataclass(frozen=True)
class _Issue:
    """A command with the number in its name."""

    device: DeviceSpec
    operand: int
    part_columns: int

    @property
    def banks(self) -> int:
        return self.device.organisation.banks

    @property
    def units(self) -> int:
        """PUs of a bank group."""
        return self.banks * self.device.organisation.chips

    @property
    def elements(self) -> int:
        """Of all PUs."""
        return self.operand * self.units

    @property
    def column(self) -> int:
        """Bytes of a column over the chips, which is a burst."""
        return self.device.organisation.column_bytes


def _mac(issue: _Issue) -> CommandWork:
    return CommandWork(
        mac_column_bits=bits(issue.column * issue.banks),
        macs=issue.device.pim.lanes * issue.units * issue.operand,
    )


def _query(issue: _Issue) -> CommandWork:
    return CommandWork(
        die_to_group_bits=bits(issue.column),
        group_to_pu_bits=bits(issue.column * issue.banks),
        buffer_bytes=issue.column * issue.banks,
    )


def _parts_of_scores(issue: _Issue) -> CommandWork:
    """A burst of FP32 parts of scores to the central buffer, which adds them up."""
    return CommandWork(
        group_to_die_bits=bits(issue.column),
        pu_to_group_bits=bits(issue.column),
        buffer_bytes=issue.column,
        sum_elements=issue.column // _FP32_BYTES,
    )


def _sums_of_scores(issue: _Issue) -> CommandWork:
    return CommandWork(
        die_to_group_bits=bits(issue.column),
        group_to_pu_bits=bits(issue.column),
        buffer_bytes=issue.column,
    )


def _group_reduction(issue: _Issue) -> CommandWork:
    elements = issue.elements
    # Each PU has a weight, and an l beside O, for each query.
    chip_column = issue.column // issue.device.organisation.chips
    weights = elements * _FP16_BYTES // (issue.part_columns * chip_column)
    return CommandWork(
        group_macs=elements + weights,
        group_exponentials=weights,
        pu_to_group_bits=bits(elements * _FP16_BYTES),
        buffer_bytes=2 * elements * _FP16_BYTES,
    )


def _to_buffer(issue: _Issue) -> CommandWork:
    accumulated = issue.column // _FP16_BYTES * _FP32_BYTES  # read and written back
    return CommandWork(
        group_to_die_bits=bits(issue.column), buffer_bytes=issue.column + 2 * accumulated
    )


_WORK: dict[str, Callable[[_Issue], CommandWork]] = {
    "ACT": lambda _: CommandWork(bank_activates=1),
    "ACTbg": lambda issue: CommandWork(bank_activates=issue.banks),
    "PREpb": lambda _: CommandWork(),  # the activate's constant holds the precharge
    "PREab": lambda _: CommandWork(),
    "PREbg": lambda _: CommandWork(),
    "RD": lambda issue: CommandWork(read_bits=bits(issue.column)),
    "RDA": lambda issue: CommandWork(read_bits=bits(issue.column)),
    "WR": lambda issue: CommandWork(write_bits=bits(issue.column)),
    "WRA": lambda issue: CommandWork(write_bits=bits(issue.column)),
    "REFab": lambda _: CommandWork(refreshes=1),
    "MACbg": _mac,
    "WRQ": _query,
    "RDSC": _parts_of_scores,
    "WRSC": _sums_of_scores,
    "MAX": lambda issue: maximum_work(issue.elements, issue.device.pim),
    "EXP": lambda issue: exponential_work(issue.elements, issue.device.pim),
    "SUM": lambda issue: sum_work(issue.elements, issue.device.pim),
    "REDBG": _group_reduction,
    "REDCB": _to_buffer,
    "RDRES": lambda issue: CommandWork(buffer_bytes=issue.column),
}
