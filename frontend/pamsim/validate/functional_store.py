"""What lies in the banks before a run of the functional proof, and what its appends bring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pamsim.layout.region import SCALES_PER_COLUMN, Region, Segment
from pamsim.validate.functional_quantise import Stored
from pim_isa import IsaError
from pim_isa.formats import Format
from pim_isa.memory import GroupMemory

LANES = 16


def words(
    elements: np.ndarray, dims: Sequence[int], regions: Sequence[Region], form: Format
) -> list[np.ndarray]:
    """Vectors [n, sum of dims] cut into what each region holds, as uint16 words [n, width]: each
    piece with zeros up to whole columns."""
    pieces = []
    start = 0
    for dim, region in zip(dims, regions, strict=True):
        piece = np.zeros((len(elements), region.vector_columns * LANES * form.pack), elements.dtype)
        piece[:, :dim] = elements[:, start : start + dim]
        pieces.append(form.encode(piece))
        start += dim
    return pieces


def query_vector(
    folded: np.ndarray, dims: Sequence[int], regions: Sequence[Region], form: Format
) -> np.ndarray:
    """float16: a query's pieces, each padded to the columns that face its region's."""
    pieces = []
    start = 0
    for dim, region in zip(dims, regions, strict=True):
        missing = region.vector_columns * LANES * form.pack - dim
        pieces.append(np.pad(folded[start : start + dim], (0, missing)))
        start += dim
    return np.concatenate(pieces)


def write_tokens(
    memory: GroupMemory,
    banks: int,
    token: np.ndarray,
    local: np.ndarray,
    pieces: Sequence[tuple[Stored, Sequence[int], Sequence[Region]]],
) -> None:
    """Writes tokens of a segment.

    token: int64, of all its local tokens; local: which of these. pieces: stored vectors of K or V,
    elements of each piece, regions.
    """
    slot, bank = local // banks, local % banks
    for stored, dims, regions in pieces:
        held = words(stored.elements[token[local]], dims, regions, stored.form)
        for region, vectors in zip(regions, held, strict=True):
            memory.write(bank, region.row(slot), region.column_of(slot), vectors)
            if stored.scales is not None:
                _write_scales(memory, banks, region, local, stored.scales[token[local]])


def _write_scales(
    memory: GroupMemory, banks: int, region: Region, local: np.ndarray, scales: np.ndarray
) -> None:
    """The columns of scales of a region; the places of other tokens are NaN."""
    if not len(local):
        return
    rows = region.row_count(int(local[-1]) // banks + 1)
    width = region.scale_columns * SCALES_PER_COLUMN
    columns = np.full((rows, banks, width), np.nan, dtype=np.float16)
    row, lane = np.divmod(local // banks, region.slots_per_row)
    columns[row, local % banks, lane] = scales
    place = region.row(np.arange(rows) * region.slots_per_row)
    first = np.full(rows * banks, region.scale_column)
    bank = np.tile(np.arange(banks), rows)
    memory.write(bank, np.repeat(place, banks), first, columns.reshape(-1, width))


def new_vector(stored: Stored, dims: Sequence[int], regions: Sequence[Region]) -> list[np.ndarray]:
    """The last token's pieces as an append brings them."""
    return [piece[0] for piece in words(stored.elements[-1:], dims, regions, stored.form)]


def new_scale(
    stored: Stored, region: Region, banks: int, segment: Segment, token: np.ndarray
) -> np.ndarray:
    """The column of scales that an append of the segment's last token writes, float16 [16].

    Raises IsaError for a format without scales.
    """
    if stored.scales is None:
        raise IsaError(f"APP of scales must be of a format that has them, not {stored.form.name}")
    last = segment.tokens - 1
    slot = last // banks
    _, lane = region.scale_place(slot)
    column = np.zeros(SCALES_PER_COLUMN, dtype=np.float16)
    column[: lane + 1] = stored.scales[token[last - lane * banks : last + 1 : banks]]
    return column
