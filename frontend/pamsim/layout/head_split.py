"""`head-split`: a row holds K vectors of one head, other rows its V vectors; both token-major.

With head dimension 128 and rows of 1 KiB four K vectors of one (request, KV head) fill a row of a
bank, and four V vectors a row elsewhere in the same bank, so that P.V needs no transfer and an
append is one run of columns for K and one for V in one bank. Latent attention (MLA) keeps a latent
vector and a rope part in place of K and V: `pamsim.layout.latent`.
"""

from __future__ import annotations

from pamsim.config.spec import Organisation
from pamsim.layout.latent import latent_shape
from pamsim.layout.placing import Regions, RowLayout, RowShape, columns_of_vector, fit_row
from pamsim.layout.region import Region
from pamsim.layout.stack import Unit
from pamsim.model.spec import ModelSpec


def _shape(model: ModelSpec, organisation: Organisation) -> RowShape:
    if model.mla:
        return latent_shape(model, model.mla, organisation)
    columns = columns_of_vector(model, organisation)
    row_fit = fit_row(model, organisation, columns, 1)
    slots, scales = row_fit.slots, row_fit.scale_column(0)

    def regions(row: int, rows: int, head: int) -> Regions:
        key = Region(row, slots, columns, 0, columns, scale_column=scales)
        value = Region(row + rows // 2, slots, columns, 0, columns, scale_column=scales)
        return (key,), (value,)

    return RowShape(1, Unit(organisation.banks * slots, 2), columns, columns, regions)


HEAD_SPLIT = RowLayout("head-split", _shape)
