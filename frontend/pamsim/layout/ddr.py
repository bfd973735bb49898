"""Layouts of a DDR-PIM rank, whose chips work side by side on one command.

`chip`: a token's vector lies in one chip, so that the chips hold so many tokens at the same row and
column. Rows of K and rows of V, both token-major, as in `head-split`.

`striped`: a token's vector lies over the chips, column after column. K and V of so many tokens as
a PU's buffer has scores for share a row, so that a tile is whole rows.
"""

from __future__ import annotations

from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.layout.placing import Regions, RowLayout, RowShape
from pamsim.layout.region import Region
from pamsim.layout.stack import Unit
from pamsim.model.spec import ModelSpec

CHIP, STRIPED = "chip", "striped"
_PARTIAL_BYTES = 4  # a part of a score waits for the others in FP32
_FP16_BYTES = 2


def ddr_layout(device: DeviceSpec) -> RowLayout:
    """The layout that a device names. Raises InputError for another."""
    name = device.pim.extra.get("kv_layout")
    if name == CHIP:
        return RowLayout(CHIP, lambda model, _: _chip_shape(model, device))
    if name == STRIPED:
        return RowLayout(STRIPED, lambda model, _: _striped_shape(model, device))
    raise InputError(
        f"kv_layout of {device.name} must be {CHIP!r} or {STRIPED!r}, not {name!r}", None
    )


def vector_columns(model: ModelSpec, device: DeviceSpec) -> int:
    """Columns that a K or V vector takes, padded to whole columns."""
    organisation = device.organisation
    chips = 1 if device.pim.extra.get("kv_layout") == STRIPED else organisation.chips
    return -(-model.head_dim * _FP16_BYTES * chips // organisation.column_bytes)


def _chip_shape(model: ModelSpec, device: DeviceSpec) -> RowShape:
    organisation = device.organisation
    columns = vector_columns(model, device)
    slots = organisation.columns // columns
    if not slots:
        most = organisation.row_bytes // organisation.chips // _FP16_BYTES
        raise _too_long(model, most, f"a row of {organisation.row_bytes} B over the chips")

    def regions(row: int, rows: int, _head: int) -> Regions:
        key = Region(row, slots, columns, 0, columns)
        return (key,), (Region(row + rows // 2, slots, columns, 0, columns),)

    tokens = organisation.banks * organisation.chips * slots
    return RowShape(1, Unit(tokens, 2), columns, columns, regions, organisation.chips)


def _striped_shape(model: ModelSpec, device: DeviceSpec) -> RowShape:
    organisation = device.organisation
    columns = vector_columns(model, device)
    chip_column = organisation.column_bytes // organisation.chips
    scores = (device.pim.buffer_bytes - columns * chip_column) // _PARTIAL_BYTES
    slots = min(organisation.columns // (2 * columns), scores)
    if slots < 1:
        columns = (device.pim.buffer_bytes - _PARTIAL_BYTES) // chip_column
        most = columns * organisation.column_bytes // _FP16_BYTES
        raise _too_long(model, most, f"the chips' PU buffers of {device.pim.buffer_bytes} B")

    def regions(row: int, _rows: int, _head: int) -> Regions:
        key = Region(row, slots, columns, 0, columns)
        return (key,), (Region(row, slots, columns, slots * columns, columns),)

    return RowShape(1, Unit(organisation.banks * slots, 1), columns, columns, regions)


def _too_long(model: ModelSpec, most: int, what: str) -> InputError:
    return InputError(
        f"head_dim of {model.name} must be at most {most}, which {what} hold, not {model.head_dim}"
    )
