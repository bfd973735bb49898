"""Batches of decode contexts, drawn from a trace with a seed.

A request of i input and o output tokens decodes o times; its k-th decode step (k = 1..o) attends to
i + k tokens, the new one included.
"""

from __future__ import annotations

import numpy as np

from pamsim.errors import InputError, did_you_mean
from pamsim.workload.trace import Trace

RULES = {
    "tokens": "every decode step of the trace is equally likely: what a server sees at a moment",
    "requests": "every request is equally likely, then each of its decode steps",
    "arrival": "requests that follow each other in the trace, each at a decode step of its own",
}


def draw_contexts(trace: Trace, batch: int, seed: int, draw: int, rule: str) -> tuple[int, ...]:
    """The contexts of batch number `draw` (0, 1, ...): one a request, with repetition.

    The same trace, batch, seed, draw and rule give the same contexts on any machine; another draw
    is independent. Raises InputError for an unknown rule or where requests are too few to follow
    each other.
    """
    if rule not in RULES:
        hint = did_you_mean(rule, RULES)
        raise InputError(f"rule of drawing must be a known one, not {rule!r}", None, hint)
    if trace.requests == 0:
        raise InputError(f"trace must have requests to draw from, not none ({trace.name})")
    if rule == "arrival" and trace.requests < batch:
        raise InputError(f"batch must be at most {trace.requests}, the requests of the trace, "
                         f"not {batch}, to take them in a row")  # fmt: skip
    # PCG64 over a SeedSequence is the same on every platform and version of numpy.
    bits = np.random.PCG64(np.random.SeedSequence((seed, draw, batch)))
    if rule == "tokens":
        ends = np.cumsum(trace.output_tokens)
        ticket = _below(bits, np.full(batch, int(ends[-1]), np.uint64))
        request = np.searchsorted(ends, ticket, side="right")
        step = ticket - (ends[request] - trace.output_tokens[request]) + 1
    else:
        if rule == "requests":
            request = _below(bits, np.full(batch, trace.requests, np.uint64))
        else:
            places = np.array([trace.requests - batch + 1], np.uint64)
            request = int(_below(bits, places)[0]) + np.arange(batch)
        step = _below(bits, trace.output_tokens[request].astype(np.uint64)) + 1
    return tuple(int(c) for c in trace.input_tokens[request] + step)


def _below(bits: np.random.PCG64, limits: np.ndarray) -> np.ndarray:
    """Whole numbers in [0, limit), one each; int64. By raw output, which numpy never changes.

    The remainder's bias is below 2^-33 for limits up to 2^31, 2^-24 for any trace that is read.
    """
    raw = bits.random_raw(len(limits))
    return np.asarray(np.asarray(raw, np.uint64) % limits, np.int64)
