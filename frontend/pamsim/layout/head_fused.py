"""`head-fused`: a row holds K and V of the same tokens of one head, side by side.

With head dimension 128 and rows of 1 KiB a row holds K and V of two tokens. An append opens one
row; attention opens every row twice, once for K and once for V, for half as many columns as
`head-split` reads of a row.
"""

from __future__ import annotations

from pamsim.config.spec import Organisation
from pamsim.layout.placing import Regions, RowLayout, RowShape, columns_of_vector, fit_row
from pamsim.layout.region import Region
from pamsim.layout.stack import Unit
from pamsim.model.spec import ModelSpec


def _shape(model: ModelSpec, organisation: Organisation) -> RowShape:
    columns = columns_of_vector(model, organisation, 2)
    row_fit = fit_row(model, organisation, columns, 2)
    slots = row_fit.slots

    def regions(row: int, rows: int, head: int) -> Regions:
        key, value = (
            Region(
                row, slots, 2 * columns, n * columns, columns, scale_column=row_fit.scale_column(n)
            )
            for n in range(2)
        )
        return (key,), (value,)

    return RowShape(1, Unit(organisation.banks * slots, 1), columns, columns, regions)


HEAD_FUSED = RowLayout("head-fused", _shape)
