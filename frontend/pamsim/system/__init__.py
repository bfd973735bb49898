"""The whole machine in one decode step: host roofline, links, attention, reduction; a timeline."""

from pamsim.system.parts import PartRun, simulate_parts
from pamsim.system.schedule import Task
from pamsim.system.step import StepResult, TierResult, step_timeline

__all__ = ["PartRun", "StepResult", "Task", "TierResult", "simulate_parts", "step_timeline"]
