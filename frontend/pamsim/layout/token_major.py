"""`token-major`: a row holds the K vectors of several KV heads of a token side by side, another
row their V vectors.

With head dimension 128 and rows of 1 KiB a row holds K of four heads of one token: a token's append
opens one row for four heads, and attention of a head opens every row for its own vectors alone.
KV heads are divided evenly over the fewest rows; where fewer heads than fit a row are left, the row
holds more tokens.
"""

from __future__ import annotations

from pamsim.config.spec import Organisation
from pamsim.layout.placing import Regions, RowLayout, RowShape, columns_of_vector, fit_row
from pamsim.layout.region import Region
from pamsim.layout.stack import Unit
from pamsim.model.spec import ModelSpec


def _shape(model: ModelSpec, organisation: Organisation) -> RowShape:
    columns = columns_of_vector(model, organisation)
    room = columns + model.kv_scaled  # a column of scales
    sets = -(-model.kv_heads // (organisation.columns // room))
    heads = -(-model.kv_heads // sets)
    row_fit = fit_row(model, organisation, columns, heads)
    slots = row_fit.slots

    def regions(row: int, rows: int, head: int) -> Regions:
        key, value = (
            Region(
                first,
                slots,
                heads * columns,
                head * columns,
                columns,
                scale_column=row_fit.scale_column(head),
            )
            for first in (row, row + rows // 2)
        )
        return (key,), (value,)

    return RowShape(heads, Unit(organisation.banks * slots, 2), columns, columns, regions)


TOKEN_MAJOR = RowLayout("token-major", _shape)
