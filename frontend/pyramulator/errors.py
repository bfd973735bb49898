"""Everything that can go wrong in an engine, by name."""

from __future__ import annotations


class EngineError(Exception):
    """Base of all engine errors; the message is one line for people."""


class DescriptionError(EngineError):
    """The description is not one that the engines can run."""


class StreamError(EngineError):
    """A stream holds a record that cannot be: names stream, record and reason."""


class Deadlock(EngineError):
    """Nothing will ever issue but refresh: names the stream, the request and the rule (18)."""


class Cancelled(EngineError):
    """The run was cancelled; what it had done so far is gone."""
