"""The whole machine in one decode step: host roofline, links, attention, reduction; a timeline."""

from pamsim.system.schedule import Task
from pamsim.system.step import StepResult, TierResult, TierRun, step_timeline

__all__ = ["StepResult", "Task", "TierResult", "TierRun", "step_timeline"]
