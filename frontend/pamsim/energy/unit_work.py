"""What the score units of a PU do and move in its buffer, alike in PAM's families."""

from __future__ import annotations

from pamsim.config.spec import PimUnit
from pamsim.energy.commands import DTYPE_BYTES, CommandWork


def maximum_work(elements: int, pim: PimUnit) -> CommandWork:
    """The maximum of scores."""
    read = elements * DTYPE_BYTES[pim.score_dtype]
    return CommandWork(maximum_elements=elements, buffer_bytes=read)


def exponential_work(elements: int, pim: PimUnit) -> CommandWork:
    """Scores become probabilities."""
    read_and_written = DTYPE_BYTES[pim.score_dtype] + DTYPE_BYTES[pim.probability_dtype]
    return CommandWork(exponential_elements=elements, buffer_bytes=elements * read_and_written)


def sum_work(elements: int, pim: PimUnit) -> CommandWork:
    """The sum of probabilities."""
    read = elements * DTYPE_BYTES[pim.probability_dtype]
    return CommandWork(sum_elements=elements, buffer_bytes=read)
