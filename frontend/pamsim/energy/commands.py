"""What one HBM-PIM command does, in the things that energy constants are for.

A command works in the banks of its scope: ACTbg opens four banks, MACbg_q2 reads a column in each
of four and each PU multiplies it for two queries. Operands in names: docs/hbm-pim-commands.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pamsim.config.spec import DeviceSpec
from pamsim.energy.units import bits


@dataclass(frozen=True)
class CommandWork:
    """One command of a device. Everything is a number of the named thing, all banks together."""

    bank_activates: int = 0
    mac_column_bits: int = 0  # read in the banks into their PUs
    macs: int = 0  # of the PUs
    buffer_bytes: int = 0  # read from or written to PU and RU buffers
    maximum_elements: int = 0
    exponential_elements: int = 0
    sum_elements: int = 0
    group_macs: int = 0  # of the bank group's reduction unit
    group_exponentials: int = 0
    pu_to_group_bits: int = 0
    group_to_die_bits: int = 0
    die_macs: int = 0  # of the logic die's reduction units
    die_to_group_bits: int = 0
    group_to_pu_bits: int = 0
    read_bits: int = 0  # a bank to the stack's pins
    write_bits: int = 0  # the stack's pins to a bank
    refreshes: int = 0  # of a pseudo-channel


def split_name(name: str) -> tuple[str, int | None]:
    """Stem and operand of a command's name: "MACbg_q2" -> ("MACbg", 2), "ACT" -> ("ACT", None)."""
    stem, _, operand = name.partition("_")
    if not operand:
        return name, None
    return stem, int(operand.removeprefix("q"))


def command_work(name: str, device: DeviceSpec) -> CommandWork:
    """What one `name` does on `device`. Raises KeyError for a command that is not of the family."""
    stem, operand = split_name(name)
    return _WORK[stem](device, operand or 0)


def banks_of(name: str, device: DeviceSpec) -> int:
    """Banks that one `name` works in: 0 for a command that addresses none (RDRES)."""
    organisation = device.organisation
    stem, _ = split_name(name)
    if stem in ("PREab", "REFab"):
        return organisation.sids * organisation.bank_groups * organisation.banks
    if stem in ("ACT", "PREpb", "RD", "WR", "RDA", "WRA"):
        return 1
    if stem in ("REDLD", "RDRES"):
        return 0
    return organisation.banks


def _mac(device: DeviceSpec, queries: int) -> CommandWork:
    banks, column = device.organisation.banks, device.organisation.column_bytes
    return CommandWork(
        mac_column_bits=bits(column * banks),
        macs=device.pim.lanes * banks * queries,
        # q.K reads 32 B of each query. P.V reads 2 B of P and keeps outputs in registers: the
        # command does not tell them apart, so both are charged the larger.
        buffer_bytes=column * banks * queries,
    )


def _query(device: DeviceSpec, _: int) -> CommandWork:
    banks, column = device.organisation.banks, device.organisation.column_bytes
    return CommandWork(
        die_to_group_bits=bits(column),
        group_to_pu_bits=bits(column * banks),
        buffer_bytes=column * banks,
    )


def _elements(field: str) -> Callable[[DeviceSpec, int], CommandWork]:
    def work(device: DeviceSpec, elements: int) -> CommandWork:
        total = elements * device.organisation.banks
        return CommandWork(**{field: total, "buffer_bytes": total * _FP16_BYTES})

    return work


def _group_reduction(device: DeviceSpec, elements: int) -> CommandWork:
    banks = device.organisation.banks
    return CommandWork(
        group_macs=elements * banks,
        group_exponentials=banks,
        pu_to_group_bits=bits(elements * banks * _FP16_BYTES),
        buffer_bytes=2 * elements * banks * _FP16_BYTES,
    )


def _to_die(device: DeviceSpec, _: int) -> CommandWork:
    column = device.organisation.column_bytes
    # A merge scales the accumulator and the newcomer: two MACs an element.
    return CommandWork(
        group_to_die_bits=bits(column),
        die_macs=2 * column // _FP16_BYTES,
        buffer_bytes=2 * column,
    )


def _result(device: DeviceSpec, _: int) -> CommandWork:
    return CommandWork(buffer_bytes=device.organisation.column_bytes)


def _read(device: DeviceSpec, _: int) -> CommandWork:
    return CommandWork(read_bits=bits(device.organisation.column_bytes))


def _write(device: DeviceSpec, _: int) -> CommandWork:
    return CommandWork(write_bits=bits(device.organisation.column_bytes))


_FP16_BYTES = 2

_WORK: dict[str, Callable[[DeviceSpec, int], CommandWork]] = {
    "ACT": lambda device, _: CommandWork(bank_activates=1),
    "ACTbg": lambda device, _: CommandWork(bank_activates=device.organisation.banks),
    "PREpb": lambda device, _: CommandWork(),  # the activate's constant holds the precharge
    "PREab": lambda device, _: CommandWork(),
    "PREbg": lambda device, _: CommandWork(),
    "RD": _read,
    "RDA": _read,
    "WR": _write,
    "WRA": _write,
    "REFab": lambda device, _: CommandWork(refreshes=1),
    "MACbg": _mac,
    "WRQ": _query,
    "MAX": _elements("maximum_elements"),
    "EXP": _elements("exponential_elements"),
    "SUM": _elements("sum_elements"),
    "REDBG": _group_reduction,
    "REDLD": _to_die,
    "RDRES": _result,
}
