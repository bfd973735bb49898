"""The timing proof: a log of issued commands held against the device's rules.

>>> verdict = check_log(device, levels, commands, log, ticks=result.ticks)
>>> verdict.verdict
'passed'
"""

from pamsim.validate.timing.checker import Checker, check_log
from pamsim.validate.timing.families import family_names, find_family
from pamsim.validate.timing.findings import TimingVerdict, combine
from pamsim.validate.timing.sequence import SequenceFault, check_sequence

__all__ = [
    "Checker",
    "SequenceFault",
    "TimingVerdict",
    "check_log",
    "check_sequence",
    "combine",
    "family_names",
    "find_family",
]
