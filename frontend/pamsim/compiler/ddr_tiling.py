"""How the buffer of a DDR-PIM unit is shared between queries, scores and outputs.

As on HBM-PIM the buffer is shared in time: n queries and the tile's scores, then n outputs and the
tile's probabilities. 128 B do not hold a query of 256 B: q and O go in pieces, each of which reads
its columns of the tile's rows again, and until the last piece the scores are FP32 partial sums. So
they are until the chips' parts are added up where vectors are striped.
"""

from __future__ import annotations

from itertools import product

from pamsim.compiler.compiled import Tiling
from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.layout.ddr import STRIPED, vector_columns
from pamsim.model.spec import ModelSpec
from pim_isa import load

_SCORE_BYTES = {"fp16": 2, "fp32": 4}


def choose_ddr_tiling(model: ModelSpec, device: DeviceSpec, tile_slots: int) -> Tiling:
    """The tiling of a model: most queries, then fewest pieces, then T in whole rows.

    Raises InputError when not even one column of a query and the smallest tile fit.
    """
    pim, table = device.pim, load(device.family)
    column_bytes = device.organisation.column_bytes // device.organisation.chips
    columns = vector_columns(model, device)
    buffer_bytes = pim.buffer_for(model.group_size)
    held = table.spec("CFG").field("queries").maximum
    most = -(-model.group_size // -(-model.group_size // held))  # even passes
    whole_bytes = max(_SCORE_BYTES[pim.score_dtype], _SCORE_BYTES[pim.probability_dtype])
    striped = pim.extra.get("kv_layout") == STRIPED
    pieces = [p for p in range(1, columns + 1) if columns % p == 0]
    for queries, parts in product(range(most, 0, -1), pieces):
        part_bytes = columns // parts * column_bytes
        token_bytes = _SCORE_BYTES["fp32"] if parts > 1 or striped else whole_bytes
        room = (buffer_bytes // queries - part_bytes) // token_bytes
        tokens = min(room, table.constants["max_slots"]) // tile_slots * tile_slots
        if tokens >= pim.min_tile_tokens:
            return Tiling(
                queries=queries,
                tokens=tokens,
                parts=parts,
                part_columns=columns // parts,
                passes=-(-model.group_size // queries),
                lanes=pim.lanes * (device.organisation.chips if striped else 1),
            )
    raise InputError(
        f"PU buffer of {device.name} must hold a column of a query and {pim.min_tile_tokens} "
        f"scores, in whole rows of {tile_slots} ({column_bytes} B and {_SCORE_BYTES['fp32']} B "
        f"each), not {buffer_bytes} B"
    )
