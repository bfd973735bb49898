"""What one HBM-PIM command does.

A command works in the banks of its scope: ACTbg opens four banks, MACbg_q2 reads a column in each
of four and each PU multiplies for two cycles. Operands in names: docs/hbm-pim-commands.md. What a
command's name does not tell is counted elsewhere: the buffer reads of MACs
(pamsim.energy.mac_buffers), merges on the logic die (pamsim.energy.merges).

MACs are counted by the cycles that the lanes of a PU work. So an FP8, INT8 or INT4 element that a
lane takes on its own costs a whole FP16 MAC (it is widened to FP16 first), and lanes that divide
into narrow ones (packed_lanes: widened) cost one FP16 MAC a cycle for 2 or 4 elements. Assumptions,
like the soft cap's worth of two exponentials an element: its own, and as much for an addition, a
reciprocal and two products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pamsim.config.spec import DeviceSpec
from pamsim.energy.commands import DTYPE_BYTES, CommandWork, columns_of, split_name
from pamsim.energy.unit_work import exponential_work, maximum_work, sum_work
from pamsim.energy.units import bits

READS_OUT = ("RD", "RDA", "RDRES")
WRITES_IN = ("WR", "WRA")


def command_work(name: str, device: DeviceSpec, part_columns: int) -> CommandWork:
    """What one `name` does on `device`; a query's O has `part_columns` columns.

    Raises KeyError for a command that is not of the family.
    """
    stem, operand = split_name(name)
    banks = banks_of(name, device)
    return _WORK[stem](_Issue(device, operand or 0, part_columns, banks, columns_of(name)))


def banks_of(name: str, device: DeviceSpec) -> int:
    """Banks that one `name` works in: 0 for a command that addresses none (RDRES)."""
    organisation = device.organisation
    stem, _ = split_name(name)
    if stem in ("PREab", "REFab", "ACTab", "MACab"):
        return organisation.sids * organisation.bank_groups * organisation.banks
    if stem in ("ACT", "PREpb", "RD", "WR", "RDA", "WRA", "REFpb"):
        return 1
    if stem in ("REDLD", "RDRES"):
        return 0
    return organisation.banks


@dataclass(frozen=True)
class _Issue:
    """A command with the number in its name."""

    device: DeviceSpec
    operand: int
    part_columns: int
    banks: int  # that it works in
    columns: int  # of each bank's row, of a MAC

    @property
    def elements(self) -> int:
        """Of all PUs."""
        return self.operand * self.banks

    @property
    def column(self) -> int:
        return self.device.organisation.column_bytes


def _mac(issue: _Issue) -> CommandWork:
    return CommandWork(
        mac_column_bits=bits(issue.column * issue.banks * issue.columns),
        macs=issue.device.pim.lanes * issue.banks * issue.operand * issue.columns,
    )


def _scale(issue: _Issue) -> CommandWork:
    """16 scales a bank; of each query 16 FP32 sums become scores, or exponentials FP32 weights. All
    16 are charged: fewer are scaled where a row holds fewer vectors."""
    products = issue.device.pim.lanes * issue.banks * issue.operand
    stored = DTYPE_BYTES[issue.device.pim.score_dtype]
    return CommandWork(
        mac_column_bits=bits(issue.column * issue.banks),
        macs=products,
        buffer_bytes=products * (_FP32_BYTES + stored),
    )


def _softcap(issue: _Issue) -> CommandWork:
    elements = issue.elements
    read_and_written = 2 * DTYPE_BYTES[issue.device.pim.score_dtype]
    return CommandWork(exponential_elements=2 * elements, buffer_bytes=elements * read_and_written)


def _query(issue: _Issue) -> CommandWork:
    return CommandWork(
        die_to_group_bits=bits(issue.column),
        group_to_pu_bits=bits(issue.column * issue.banks),
        buffer_bytes=issue.column * issue.banks,
    )


def _group_reduction(issue: _Issue) -> CommandWork:
    elements = issue.elements
    # Each PU has a weight, and an l beside O, for each query.
    weights = elements * _FP16_BYTES // (issue.part_columns * issue.column)
    return CommandWork(
        group_macs=elements + weights,
        group_exponentials=weights,
        pu_to_group_bits=bits(elements * _FP16_BYTES),
        buffer_bytes=2 * elements * _FP16_BYTES,
    )


def _to_die(issue: _Issue) -> CommandWork:
    accumulated = issue.column // _FP16_BYTES * _FP32_BYTES  # read and written back
    return CommandWork(
        group_to_die_bits=bits(issue.column), buffer_bytes=issue.column + 2 * accumulated
    )


def _result(issue: _Issue) -> CommandWork:
    return CommandWork(buffer_bytes=issue.column)


def _read(issue: _Issue) -> CommandWork:
    return CommandWork(read_bits=bits(issue.column))


def _write(issue: _Issue) -> CommandWork:
    return CommandWork(write_bits=bits(issue.column))


_FP16_BYTES, _FP32_BYTES = DTYPE_BYTES["fp16"], DTYPE_BYTES["fp32"]

_WORK: dict[str, Callable[[_Issue], CommandWork]] = {
    "ACT": lambda _: CommandWork(bank_activates=1),
    "ACTbg": lambda issue: CommandWork(bank_activates=issue.banks),
    "PREpb": lambda _: CommandWork(),  # the activate's constant holds the precharge
    "PREab": lambda _: CommandWork(),
    "PREbg": lambda _: CommandWork(),
    "RD": _read,
    "RDA": _read,
    "WR": _write,
    "WRA": _write,
    "REFab": lambda _: CommandWork(refreshes=1),
    "REFpb": lambda _: CommandWork(bank_refreshes=1),
    "ACTab": lambda issue: CommandWork(bank_activates=issue.banks),
    "MACab": _mac,
    "MACseq": _mac,
    "MACbg": _mac,
    "SCbg": _scale,
    "WRQ": _query,
    "CAP": _softcap,
    "MAX": lambda issue: maximum_work(issue.elements, issue.device.pim),
    "EXP": lambda issue: exponential_work(issue.elements, issue.device.pim),
    "SUM": lambda issue: sum_work(issue.elements, issue.device.pim),
    "REDBG": _group_reduction,
    "REDLD": _to_die,
    "RDRES": _result,
}
