"""Whether every token of a head counted once, by where a result's numbers came from."""

from __future__ import annotations

import numpy as np

from pamsim.layout.attacc import PARTITIONS, AttAccShape
from pamsim.layout.whole_heads import HeadSegment
from pim_isa.semantics.attacc import Event

RANKS, BANKS = 2, 4


def token_faults(event: Event, segment: HeadSegment, shape: AttAccShape) -> list[str]:
    """What is wrong with the tokens behind one result; nothing when each counts exactly once."""
    faults = []
    if event.tokens != segment.tokens:
        faults.append(f"softmax must be over {segment.tokens} tokens, not {event.tokens}")
    token = np.arange(segment.tokens)
    local, partition = np.divmod(token, PARTITIONS)
    have = event.score_row.shape[1]
    if local[-1] >= have:
        return [*faults, f"scores of {segment.tokens} tokens must be moved, not {have} a partition"]
    row = segment.key_row + local // shape.row_slots
    column = local % shape.row_slots * shape.part
    for name, found, right in (
        ("row of the K", event.score_row, row),
        ("column of the K", event.score_column, column),
        ("times that the score is moved", event.moved, np.ones_like(token)),
    ):
        wrong = found[partition, local] != right
        if wrong.any():
            t = int(np.argmax(wrong))
            what = found[partition[t], local[t]]
            faults.append(f"{name} of token {t} must be {right[t]}, not {what}")
    return faults + _output_faults(event, segment, shape)


def _output_faults(event: Event, segment: HeadSegment, shape: AttAccShape) -> list[str]:
    """Every column of V of every token is weighed once, with its token's exponential."""
    moved = sorted((rank, bank, chunk) for rank, bank, chunk, _ in event.outputs)
    every = sorted(
        (rank, bank, chunk)
        for rank in range(RANKS)
        for bank in range(BANKS)
        for chunk in range(shape.part)
    )
    if moved != every:
        return [f"outputs must be moved once each, not {len(moved)} of {len(every)}"]
    faults = []
    locals_ = -(-segment.tokens // PARTITIONS)
    valid = np.arange(locals_) * PARTITIONS + np.arange(PARTITIONS)[:, None] < segment.tokens
    for rank, bank, chunk, weighed in event.outputs:
        times = np.zeros((PARTITIONS, locals_), np.int64)
        first = segment.value_row + chunk * shape.chunk_rows(segment.tokens)
        for w in weighed:
            used = np.array([w.mask >> p & 1 for p in range(PARTITIONS)])
            at = w.first + np.arange(w.tokens)
            if (first + at // shape.columns != w.row).any() or (
                at % shape.columns != w.column + np.arange(w.tokens)
            ).any():
                faults.append(f"V of local token {w.first} must not be read from row {w.row}")
                break
            times[:, at] += used[:, None]
        if not np.array_equal(times, valid):
            faults.append(f"V must count once for each token in rank {rank}, bank {bank}")
    return faults
