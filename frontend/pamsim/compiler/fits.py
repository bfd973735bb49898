"""Whether a device is the one that its family's instruction set is for."""

from __future__ import annotations

from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError


def check_device(device: DeviceSpec, **expected: tuple[int, int]) -> None:
    """Raises InputError for the first number that differs. expected: (has, should have), by what
    it is a number of, words parted by underscores."""
    for what, (has, should) in expected.items():
        if has != should:
            raise InputError(
                f"{what.replace('_', ' ')} of {device.name} must be {should}, as the instruction "
                f"set has them, not {has}"
            )
