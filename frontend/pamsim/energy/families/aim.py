"""What one GDDR6-AiM command does, as CENT charges it.

Yufeng98/CENT @8c79786 cent_simulation/cent_power_calculator.py: a copy, a register access and a
bank access are one read or write; AF16 and WRA16 are sixteen; EWMUL16 is a quarter of a MAC16; a
write of the global buffer costs the pins and the buffer.
"""

from __future__ import annotations

from pamsim.config.spec import DeviceSpec
from pamsim.energy.commands import CommandWork
from pamsim.energy.units import bits

READS_OUT = ("RD", "RDMAC16", "RDAF16")
WRITES_IN = ("WR", "WRGB", "WRMAC16", "WRA16")
PINS_BY_COMMAND = True  # scores and probabilities cross the pins too, many times over

_ROWS = {"ACT": 1, "ACT4": 4, "ACT16": 16}
_READS = {"RD": 1, "RDCP": 1, "RDMAC16": 1, "RDAF16": 1, "AF16": 16}  # columns
_WRITES = {"WR": 1, "WRCP": 1, "WRMAC16": 1, "WRA16": 16}
_MACS = {"MAC": 1, "MAC16": 16, "EWMUL16": 4}
_BUFFER = ("WRGB", "RDCP", "WRCP")  # move a column into or out of the global buffer
_BANKS = {
    **dict.fromkeys(("ACT", "PRE", "RD", "WR", "MAC", "RDCP", "WRCP"), 1),
    **dict.fromkeys(("ACT4", "PRE4"), 4),
    **dict.fromkeys(("ACT16", "PREA", "MAC16", "AF16", "EWMUL16", "WRA16", "REFab"), 16),
    **dict.fromkeys(("WRGB", "WRMAC16", "RDMAC16", "RDAF16", "TMOD"), 0),
}


def command_work(name: str, device: DeviceSpec, part_columns: int) -> CommandWork:
    """What one `name` does on `device`. Raises KeyError for a command that is not of the family."""
    if name not in _BANKS:
        raise KeyError(name)
    column = device.organisation.column_bytes
    macs = _MACS.get(name, 0)
    return CommandWork(
        bank_activates=_ROWS.get(name, 0),
        mac_column_bits=bits(column * macs),
        macs=device.pim.lanes * macs,
        buffer_bytes=column if name in _BUFFER else 0,
        read_bits=bits(column * _READS.get(name, 0)),
        write_bits=bits(column * _WRITES.get(name, 0)),
        refreshes=int(name == "REFab"),
        pin_bits=bits(column) if name in (*READS_OUT, *WRITES_IN) else 0,
    )


def banks_of(name: str, device: DeviceSpec) -> int:
    """Banks that one `name` works in: 0 for registers and the global buffer."""
    return _BANKS[name]
