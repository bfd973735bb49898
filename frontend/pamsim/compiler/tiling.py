"""How the PU buffer is shared between queries, scores and outputs.

The buffer is shared in time: in the K phase it holds n queries and the tile's scores, in the V
phase n outputs and the tile's P. n is the largest number of queries for which n x (2 d + 2 T) bytes
fit with T of at least `min_tile_tokens` tokens a bank. A head dimension that leaves no room for one
query is worked on in parts; then the scores of the K phase are FP32 partial sums of 4 bytes. So
they are where K comes in pieces (latent attention) or has scales, which multiply finished sums; P
times the scales of V is FP32 in the V phase. Queries and outputs are FP16 whatever K and V are.
"""

from __future__ import annotations

import numpy as np

from pamsim.compiler.compiled import Tiling
from pamsim.config.spec import DeviceSpec, Organisation
from pamsim.errors import InputError
from pamsim.layout.placing import columns_of
from pamsim.model.spec import ModelSpec
from pim_isa import load
from pim_isa.arithmetic import FP16_MAX
from pim_isa.formats import FORMATS, Format

LANES = "packed_lanes"  # "fixed": 16 elements a cycle; "widened": a column a cycle
_SCORE_BYTES = {"fp16": 2, "fp32": 4}
# How K and V are stored. What is bf16 in the model is converted, as its activations are.
_FORMAT = {"fp16": "fp16", "bf16": "fp16", "fp8": "fp8", "int8": "int8", "int4": "int4"}


def choose_tiling(model: ModelSpec, device: DeviceSpec, tile_slots: int) -> Tiling:
    """The tiling of a model on a device.

    T is the capacity that the largest n leaves, rounded down to a multiple of `tile_slots` (the
    layout's whole rows) and to the scores that the instruction set can name. Raises InputError when
    not even one column of a query fits.
    """
    organisation, pim = device.organisation, device.pim
    table = load(device.family)
    form = FORMATS[_FORMAT[model.kv_dtype]]
    vector_columns = columns_of(model.value_dim, model, organisation)
    _check_query(model, organisation, form, table.constants["query_columns"])
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
        part_bytes = part_columns * form.pack * organisation.column_bytes
        partial = parts > 1 or model.mla is not None or form.scaled
        token_bytes = _SCORE_BYTES["fp32"] if partial else score_bytes
        for queries in range(most, 0, -1):
            room = (buffer_bytes // queries - part_bytes) // token_bytes
            tokens = min(room, table.constants["max_slots"]) // tile_slots * tile_slots
            if tokens >= pim.min_tile_tokens:
                return Tiling(
                    queries=queries,
                    tokens=tokens,
                    parts=parts,
                    part_columns=part_columns,
                    passes=-(-model.group_size // queries),
                    format=form.name,
                    column_cycles=form.pack if pim.extra.get(LANES) == "fixed" else 1,
                    softcap_bits=_fp16_bits(model.softcap),
                )
    raise InputError(
        f"PU buffer must hold one column of a query and {pim.min_tile_tokens} scores "
        f"({organisation.column_bytes + pim.min_tile_tokens * 4} B), not {buffer_bytes} B"
    )


def _check_query(
    model: ModelSpec, organisation: Organisation, form: Format, query_columns: int
) -> None:
    pieces = (model.mla.kv_rank, model.mla.rope_dim) if model.mla else (model.head_dim,)
    columns = sum(columns_of(n, model, organisation) for n in pieces) * form.pack
    if columns > query_columns:
        most = query_columns * organisation.column_bytes // _SCORE_BYTES["fp16"]
        raise InputError(
            f"head_dim of {model.name} must be at most {most}, which is what an instruction can "
            f"name of a query, not {model.head_dim}"
        )


def _fp16_bits(softcap: float | None) -> int | None:
    if softcap is None:
        return None
    if not 2.0**-24 <= softcap <= FP16_MAX:
        raise InputError(f"softcap must be a positive FP16 number, not {softcap!r}")
    return int(np.array(softcap, np.float16).view(np.uint16))
