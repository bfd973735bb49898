"""What is said of a layout or spread that a system names and that there is not."""

from __future__ import annotations

from pamsim.config.spec import SystemSpec
from pamsim.errors import InputError, nearest


def unknown(system: SystemSpec, what: str, name: str, known: tuple[str, ...]) -> InputError:
    """The error, with the place of the system's key `what` that holds `name`."""
    listed = " or ".join((", ".join(map(repr, known[:-1])), repr(known[-1])))
    return InputError(
        f"{what} must be one of {listed}, not {name[:60]!r}",
        system.written.get(what),
        nearest(name, known),
    )
