"""Rows of latent attention (MLA): the latent vector is a part of K and the whole of V, stored once.

Latent vectors and rope parts lie in rows of their own. Both come in blocks of as many slots as a
row of rope parts holds, the rope row behind the latent rows of its block, so that both move alike
from tile to tile. With DeepSeek-V3's 512 + 64 FP16 elements and rows of 1 KiB a row holds one
latent vector or eight rope parts, and a block is 8 + 1 rows.
"""

from __future__ import annotations

from pamsim.config.spec import Organisation
from pamsim.errors import InputError
from pamsim.layout.placing import Regions, RowShape, columns_of
from pamsim.layout.region import Region
from pamsim.layout.stack import Unit
from pamsim.model.parts import MlaSpec
from pamsim.model.spec import ModelSpec


def latent_shape(model: ModelSpec, mla: MlaSpec, organisation: Organisation) -> RowShape:
    """The rows of a model with latent attention. Raises InputError when a part does not fit one."""
    if model.kv_scaled:
        raise InputError(
            f"kv_dtype of {model.name} must be fp16, bf16 or fp8, not {model.kv_dtype!r}: latent "
            "attention (MLA) has one vector for K and V, without a scale of its own as either"
        )
    latent = columns_of(mla.kv_rank, model, organisation)
    rope = columns_of(mla.rope_dim, model, organisation)
    most = organisation.row_bytes * 8 // model.kv_bits
    for name, elements in (("kv_rank", mla.kv_rank), ("rope_dim", mla.rope_dim)):
        if elements > most:
            raise InputError(
                f"{name} of {model.name} must be at most {most}, a row of "
                f"{organisation.row_bytes} B, not {elements}"
            )
    fit = [organisation.columns // columns for columns in (latent, rope)]
    few, many = sorted(fit)
    block = many // few * few
    latent_slots, rope_slots = (block if n == many else few for n in fit)
    latent_rows, rope_rows = block // latent_slots, block // rope_slots
    step = latent_rows + rope_rows

    def regions(row: int, rows: int, head: int) -> Regions:
        vector = Region(row, latent_slots, latent, 0, latent, latent_rows, step)
        part = Region(row + latent_rows, rope_slots, rope, 0, rope, rope_rows, step)
        return (vector, part), (vector,)

    unit = Unit(organisation.banks * block, step)
    return RowShape(1, unit, latent + rope, latent, regions)
