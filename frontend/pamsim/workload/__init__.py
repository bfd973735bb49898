"""Workloads: which requests a step serves and how much KV each of them reads."""

from pamsim.workload.make import context_warning, make_step
from pamsim.workload.step import DecodeStep

__all__ = ["DecodeStep", "context_warning", "make_step"]
