"""Simulation: programs become DRAM commands, an engine issues them."""

from pamsim.sim.engines import EMBEDDED, ENGINES, engine_build, engine_type, must_compile
from pamsim.sim.expand import count_commands, expand
from pamsim.sim.run import ChannelRun
from pamsim.sim.simulate import simulate
from pamsim.sim.trace import ChannelTrace, write_trace

__all__ = [
    "EMBEDDED",
    "ENGINES",
    "ChannelRun",
    "ChannelTrace",
    "count_commands",
    "engine_build",
    "engine_type",
    "expand",
    "must_compile",
    "simulate",
    "write_trace",
]
