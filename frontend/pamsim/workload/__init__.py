"""Workloads: which requests a step serves and how much KV each of them reads."""

from pamsim.workload.draw import RULES, draw_contexts
from pamsim.workload.formats import FORMATS, read_trace
from pamsim.workload.make import context_warning, make_step
from pamsim.workload.step import DecodeStep
from pamsim.workload.trace import Trace

__all__ = [
    "FORMATS",
    "RULES",
    "DecodeStep",
    "Trace",
    "context_warning",
    "draw_contexts",
    "make_step",
    "read_trace",
]
