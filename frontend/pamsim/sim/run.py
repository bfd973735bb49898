"""What a simulation gives back: one entry per distinct engine run."""

from __future__ import annotations

from dataclasses import dataclass

from pamsim.compiler.compiled import ChannelProgram
from pyramulator.description import Description
from pyramulator.result import ChannelResult
from pyramulator.stream import CommandStream


@dataclass(frozen=True)
class ChannelRun:
    """A distinct channel program, what it expanded into and what the engine made of it."""

    program: ChannelProgram
    stream: CommandStream
    description: Description
    result: ChannelResult
    layers: int
    copies: int = 1  # instances that do the same

    @property
    def channels(self) -> int:
        """How many channels ran it."""
        return len(self.program.bindings) * self.copies
