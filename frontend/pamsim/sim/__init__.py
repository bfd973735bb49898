"""Simulation: programs become DRAM commands, an engine issues them."""

from pamsim.sim.expand import count_commands, expand
from pamsim.sim.run import ChannelRun
from pamsim.sim.simulate import ENGINES, simulate
from pamsim.sim.trace import write_trace

__all__ = ["ENGINES", "ChannelRun", "count_commands", "expand", "simulate", "write_trace"]
