"""Command traces in files: one model of a trace, and the formats that hold it.

A trace is a header (what the numbers mean) and the commands of one channel in order of time, as
pieces of LOG records. Each format is a module with its writer and, where it can be read back, its
reader; `formats` knows them by name, suffix and first bytes.
"""

from pamsim.traces.formats import FORMATS, OpenTrace, Written, format_of, open_trace, write
from pamsim.traces.header import TraceCommand, TraceHeader
from pamsim.traces.requests import RequestTrace
from pamsim.traces.text import write_text
from pamsim.traces.trace import WHOLE, Cut, Trace, TraceEnd, normal_form

__all__ = [
    "FORMATS",
    "WHOLE",
    "Cut",
    "OpenTrace",
    "RequestTrace",
    "Trace",
    "TraceCommand",
    "TraceEnd",
    "TraceHeader",
    "Written",
    "format_of",
    "normal_form",
    "open_trace",
    "write",
    "write_text",
]
