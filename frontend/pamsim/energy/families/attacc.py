"""What one AttAcc command does, in both pseudo-channels together.

A move pays the way between bank group and buffer die for every bank group it goes to or comes from,
and the way between banks and their bank group for every bank. A write of one pseudo-channel is
charged for both (an upper bound: only appends write). The softmax unit works on whole blocks.
"""

from __future__ import annotations

from collections.abc import Callable

from pamsim.config.spec import DeviceSpec
from pamsim.energy.commands import CommandWork, split_name
from pamsim.energy.units import bits

READS_OUT = ("RD",)
WRITES_IN = ("WR",)

SOFTMAX_BLOCK = 256  # scores
FP16_BYTES = 2


def command_work(name: str, device: DeviceSpec, part_columns: int) -> CommandWork:
    """What one `name` does on `device`. Raises KeyError for a command that is not of the family."""
    del part_columns
    stem, operand = split_name(name)
    return _WORK[stem](device, operand or 0)


def banks_of(name: str, device: DeviceSpec) -> int:
    """Banks of both pseudo-channels that one `name` works in: 0 for one that addresses none."""
    stem, _ = split_name(name)
    if stem in ("ACTAB", "MACAB", "PREA", "REFab", "WRGB"):
        return _banks(device)
    if stem in ("ACT", "PRE", "RD", "WR"):
        return device.organisation.chips
    if stem in ("MVSB", "MVGB", "MVSO"):
        organisation = device.organisation
        return organisation.chips * organisation.banks  # of a group; one of each of four groups
    return 0


def _banks(device: DeviceSpec) -> int:
    organisation = device.organisation
    return organisation.chips * organisation.groups_per_channel * organisation.banks


def _mac(device: DeviceSpec, _: int) -> CommandWork:
    """At most 32 B of a GEMV buffer face a bank's column: of q; of exponentials it is one."""
    moved = device.organisation.column_bytes // device.organisation.chips * _banks(device)
    macs = device.pim.lanes * _banks(device)
    return CommandWork(mac_column_bits=bits(moved), macs=macs, buffer_bytes=moved)


def _write_query(device: DeviceSpec, _: int) -> CommandWork:
    """Both pseudo-channels' 32 B to one bank of every bank group."""
    groups = device.organisation.groups_per_channel
    moved = device.organisation.column_bytes * groups
    return CommandWork(
        die_to_group_bits=bits(moved), group_to_pu_bits=bits(moved), buffer_bytes=moved
    )


def _scores(device: DeviceSpec, _: int) -> CommandWork:
    """The four banks' sums of a bank group, added, to the softmax buffer."""
    column, banks = device.organisation.column_bytes, device.organisation.banks
    return CommandWork(
        pu_to_group_bits=bits(column * banks), group_to_die_bits=bits(column), buffer_bytes=column
    )


def _outputs(device: DeviceSpec, _: int) -> CommandWork:
    """One bank of each bank group of a rank, added, to the buffer die."""
    moved = device.organisation.column_bytes * device.organisation.bank_groups
    return CommandWork(
        pu_to_group_bits=bits(moved), group_to_die_bits=bits(moved), buffer_bytes=moved
    )


def _exponentials(device: DeviceSpec, _: int) -> CommandWork:
    """From the softmax buffer to the four banks of a bank group."""
    column, banks = device.organisation.column_bytes, device.organisation.banks
    return CommandWork(
        die_to_group_bits=bits(column),
        group_to_pu_bits=bits(column * banks),
        buffer_bytes=column * (1 + banks),
    )


def _softmax(_: DeviceSpec, blocks: int) -> CommandWork:
    elements = blocks * SOFTMAX_BLOCK
    return CommandWork(
        maximum_elements=elements,
        exponential_elements=elements,
        sum_elements=elements,
        buffer_bytes=2 * elements * FP16_BYTES,
    )


_WORK: dict[str, Callable[[DeviceSpec, int], CommandWork]] = {
    "ACT": lambda device, _: CommandWork(bank_activates=device.organisation.chips),
    "ACTAB": lambda device, _: CommandWork(bank_activates=_banks(device)),
    "PRE": lambda _, __: CommandWork(),  # the activate's constant holds the precharge
    "PREA": lambda _, __: CommandWork(),
    "RD": lambda device, _: CommandWork(read_bits=bits(device.organisation.column_bytes)),
    "WR": lambda device, _: CommandWork(write_bits=bits(device.organisation.column_bytes)),
    "REFab": lambda _, __: CommandWork(refreshes=1),
    "MACAB": _mac,
    "WRGB": _write_query,
    "MVSB": _scores,
    "MVSO": _outputs,
    "MVGB": _exponentials,
    "SFM": _softmax,
}
