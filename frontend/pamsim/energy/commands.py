"""What one command of a device does, in the things that energy constants are for.

What each command does is its family's (`pamsim.energy.families`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from pamsim.config.spec import DeviceSpec

DTYPE_BYTES = {"fp16": 2, "fp32": 4}


@dataclass(frozen=True)
class CommandWork:
    """One command of a device. Everything is a number of the named thing, all banks together."""

    bank_activates: int = 0
    mac_column_bits: int = 0  # read in the banks into their PUs
    macs: int = 0  # of the PUs
    buffer_bytes: int = 0  # read from or written to PU and RU buffers, but for MACs
    maximum_elements: int = 0
    exponential_elements: int = 0
    sum_elements: int = 0
    group_macs: int = 0  # of the bank group's reduction unit
    group_exponentials: int = 0
    pu_to_group_bits: int = 0
    group_to_die_bits: int = 0
    die_to_group_bits: int = 0
    group_to_pu_bits: int = 0
    read_bits: int = 0  # a bank to the stack's pins
    write_bits: int = 0  # the stack's pins to a bank
    refreshes: int = 0  # of all banks of a REFab
    pin_bits: int = 0  # over a chip's pins, of a family that charges them by command
    bank_refreshes: int = 0  # of a bank
    block_erases: int = 0  # of a flash plane


class EnergyFamily(Protocol):
    """A module of `pamsim.energy.families`.

    One that charges the pins by command (`pin_bits`) has PINS_BY_COMMAND = True; the pins of the
    others are charged for what a step moves.
    """

    READS_OUT: tuple[str, ...]  # commands that move a column of a channel to its pins
    WRITES_IN: tuple[str, ...]  # commands that move a column from its pins into banks

    def command_work(self, name: str, device: DeviceSpec, part_columns: int) -> CommandWork: ...

    def banks_of(self, name: str, device: DeviceSpec) -> int: ...


def energy_family(device: DeviceSpec) -> EnergyFamily | None:
    """What is known of the commands of a device's family; None where nothing is."""
    name = f"pamsim.energy.families.{device.family}"
    return cast(EnergyFamily, import_module(name)) if find_spec(name) else None


def pins_by_command(device: DeviceSpec) -> bool:
    """Whether the work of the device's commands holds what crosses its pins."""
    return bool(getattr(energy_family(device), "PINS_BY_COMMAND", False))


def command_work(name: str, device: DeviceSpec, part_columns: int) -> CommandWork:
    """What one `name` does on `device`; a query's O has `part_columns` columns.

    Nothing where the family has no energy module. Raises KeyError for a command that is not of it.
    """
    family = energy_family(device)
    return CommandWork() if family is None else family.command_work(name, device, part_columns)


def banks_of(name: str, device: DeviceSpec) -> int | None:
    """Banks that one `name` works in: 0 for a command that addresses none, None if unknown."""
    family = energy_family(device)
    return None if family is None else family.banks_of(name, device)


def split_name(name: str) -> tuple[str, int | None]:
    """Stem and operand of a command's name: "MACbg_q2" -> ("MACbg", 2), "ACT" -> ("ACT", None)."""
    stem, *operands = name.split("_")
    return stem, int(operands[0].removeprefix("q")) if operands else None


def columns_of(name: str) -> int:
    """Columns of a macro command: "MACseq_q2_c32" -> 32; 1 for any other."""
    return int(name.partition("_c")[2] or 1)
