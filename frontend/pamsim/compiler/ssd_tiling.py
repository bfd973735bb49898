"""How the buffer of an SSD-PIM unit is shared between queries, scores and outputs.

A tile is a page of K and the page of V of the same tokens, so T is what a full page gives a unit.
As on HBM-PIM the buffer is shared in time: n queries and the scores, then n outputs and the
probabilities. A head dimension that leaves no room for one query is worked on in parts; until the
last part the scores are FP32 partial sums.
"""

from __future__ import annotations

from itertools import product

from pamsim.compiler.compiled import Tiling
from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.layout.ssd_pages import COLUMN_BYTES, LANES, PageShape
from pamsim.model.spec import ModelSpec
from pim_isa import load

_SCORE_BYTES = {"fp16": 2, "fp32": 4}


def choose_ssd_tiling(model: ModelSpec, device: DeviceSpec, shape: PageShape) -> Tiling:
    """The tiling of a model: most queries, then fewest parts. Raises InputError when a column of a
    query and a page's scores do not fit."""
    pim, table, columns = device.pim, load(device.family), shape.vector_columns
    if columns > table.constants["query_columns"]:
        most = table.constants["query_columns"] * LANES
        raise InputError(
            f"head_dim of {model.name} must be at most {most}, which is what an instruction can "
            f"name of a query, not {model.head_dim}"
        )
    buffer_bytes = pim.buffer_for(model.group_size)
    held = table.spec("CFG").field("queries").maximum
    most_queries = -(-model.group_size // -(-model.group_size // held))  # even passes
    whole_bytes = max(_SCORE_BYTES[pim.score_dtype], _SCORE_BYTES[pim.probability_dtype])
    pieces = [p for p in range(1, columns + 1) if columns % p == 0]
    for queries, parts in product(range(most_queries, 0, -1), pieces):
        part_bytes = columns // parts * COLUMN_BYTES
        token_bytes = _SCORE_BYTES["fp32"] if parts > 1 else whole_bytes
        if parts > 1 and queries > 1:
            continue  # queries that fit only in parts are held one after the other
        if queries * (part_bytes + shape.slots * token_bytes) <= buffer_bytes:
            return Tiling(
                queries=queries,
                tokens=shape.slots,
                parts=parts,
                part_columns=columns // parts,
                passes=-(-model.group_size // queries),
                lanes=LANES,
            )
    raise InputError(
        f"PU buffer of {device.name} must hold a column of a query and the {shape.slots} scores "
        f"that a page gives a unit ({COLUMN_BYTES + shape.slots * _SCORE_BYTES['fp32']} B), not "
        f"{buffer_bytes} B"
    )
