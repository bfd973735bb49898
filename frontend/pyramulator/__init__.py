"""Cycle-accurate engines for DRAM channels with processing in memory; of use without pamsim."""

from pyramulator.description import Bus, Command, Description, Refresh, RowUse, Slot, TimingRow
from pyramulator.engine import Engine, build_id, run
from pyramulator.errors import Cancelled, Deadlock, DescriptionError, EngineError, StreamError
from pyramulator.many import run_many
from pyramulator.result import STALL_CLASSES, ChannelResult, Residency, Stalls
from pyramulator.stream import BARRIER, END, LOG, LOOP, MAX_LEVELS, RECORD, CommandStream

__all__ = [
    "BARRIER",
    "END",
    "LOG",
    "LOOP",
    "MAX_LEVELS",
    "RECORD",
    "STALL_CLASSES",
    "Bus",
    "Cancelled",
    "ChannelResult",
    "Command",
    "CommandStream",
    "Deadlock",
    "Description",
    "DescriptionError",
    "Engine",
    "EngineError",
    "Refresh",
    "Residency",
    "RowUse",
    "Slot",
    "Stalls",
    "StreamError",
    "TimingRow",
    "build_id",
    "run",
    "run_many",
]
