"""How the PU buffer is shared between queries, scores and outputs.

The buffer is shared in time: in the K phase it holds n queries and the tile's scores, in the V
phase n outputs and the tile's P. n is the largest number of queries for which n x (2 d + 2 T) bytes
fit with T of at least `min_tile_tokens` tokens a bank. A head dimension that leaves no room for one
query is worked on in parts; then the scores of the K phase are FP32 partial sums of 4 bytes.
"""

from __future__ import annotations

from pamsim.compiler.compiled import Tiling
from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.model.spec import ModelSpec
from pim_isa import load

_SCORE_BYTES = {"fp16": 2, "fp32": 4}


def choose_tiling(model: ModelSpec, device: DeviceSpec) -> Tiling:
    """The tiling of a model on a device.

    T is the capacity that the largest n leaves, rounded down to whole rows and to the scores that
    the instruction set can name. Raises InputError when not even one column of a query fits.
    """
    organisation, pim = device.organisation, device.pim
    table = load(device.family)
    column_elements = organisation.column_bytes // model.dtype_bytes
    vector_columns = -(-model.head_dim // column_elements)
    slots_per_row = organisation.columns // vector_columns
    buffer_bytes = pim.buffer_for(model.group_size)
    # Above what the instruction set can hold at once, passes of equal width beat a narrow last one.
    most = -(
        -model.group_size // -(-model.group_size // table.spec("CFG").field("queries").maximum)
    )
    score_bytes = max(_SCORE_BYTES[pim.score_dtype], _SCORE_BYTES[pim.probability_dtype])
    for parts in range(1, vector_columns + 1):
        if vector_columns % parts:
            continue
        part_columns = vector_columns // parts
        part_bytes = part_columns * organisation.column_bytes
        token_bytes = score_bytes if parts == 1 else _SCORE_BYTES["fp32"]
        for queries in range(most, 0, -1):
            room = (buffer_bytes // queries - part_bytes) // token_bytes
            tokens = min(room, table.constants["max_slots"]) // slots_per_row * slots_per_row
            if tokens >= pim.min_tile_tokens:
                return Tiling(
                    queries=queries,
                    tokens=tokens,
                    parts=parts,
                    part_columns=part_columns,
                    vector_columns=vector_columns,
                    slots_per_row=slots_per_row,
                    passes=-(-model.group_size // queries),
                )
    raise InputError(
        f"PU buffer must hold one column of a query and {pim.min_tile_tokens} scores "
        f"({organisation.column_bytes + pim.min_tile_tokens * 4} B), not {buffer_bytes} B"
    )
