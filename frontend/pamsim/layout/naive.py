"""`naive`: blocks of 16 tokens, handed out to bank groups as they come.

What a paged KV cache does without knowledge of PIM: a block holds K and V of 16 tokens for all KV
heads of a layer (as in vLLM), requests arrive one after the other, and block n goes to bank group n
of the tier, round and round, channels first as addresses interleave, and takes the next rows there.
A (request, KV head) so lies scattered over as many groups as it has blocks, however few tokens a
bank then holds, and groups differ by whole blocks of all heads. PAM, arXiv 2602.11521, section 7
compares with a naive distribution that ignores how often tokens are used; where that puts them is
not said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pamsim.config.spec import Organisation, SystemSpec
from pamsim.errors import InputError
from pamsim.layout.capacity import Room, check_groups, check_total, reserved_rows
from pamsim.layout.placing import columns_of_vector, fit_row, group_order, make_table
from pamsim.layout.region import BLOCK_TOKENS, Region, Segment
from pamsim.layout.table import BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class _Block:
    """A block in a group: for each KV head `rows` rows of K and as many of V."""

    heads: int
    columns: int  # of a vector
    slots_per_row: int
    rows: int
    scale_column: int | None

    @property
    def all_rows(self) -> int:
        return 2 * self.heads * self.rows

    def regions(self, row: int, head: int, step: int) -> tuple[Region, Region]:
        """K and V of a head in blocks that begin `step` rows apart, the first in `row`."""
        first = row + 2 * head * self.rows
        key = Region(
            first_row=first,
            slots_per_row=self.slots_per_row,
            slot_columns=self.columns,
            column=0,
            vector_columns=self.columns,
            block_rows=self.rows,
            block_step=step,
            scale_column=self.scale_column,
        )
        return key, replace(key, first_row=first + self.rows)


class Naive:
    """The layout; see the module. Implements `Layout`; the system's `spread` has no say."""

    name = "naive"

    def place(
        self,
        model: ModelSpec,
        step: DecodeStep,
        system: SystemSpec,
        tier: str,
        room: Room | None = None,
    ) -> BlockTable:
        """Segments come by channel, group and row, one for each (request, KV head) in a group.

        Raises CapacityError when it does not fit, InputError when a vector does not fit a row or a
        block the banks.
        """
        spec = system.tier(tier)
        organisation = spec.device.organisation
        block = _block(model, organisation)
        room = room or Room(model.layers, reserved_rows(model, system, tier))
        check_total(model, step, system, tier, room)
        order = group_order(organisation)
        groups = spec.channels * len(order)
        segments: list[Segment] = []
        handed_out = 0
        for request, context in enumerate(step.contexts):
            blocks = -(-context // BLOCK_TOKENS)
            for first in range(min(groups, blocks)):
                own = np.arange(first, blocks, groups, dtype=np.int64)
                turn, place = divmod(handed_out + first, groups)
                group, channel = divmod(place, spec.channels)
                row = room.first_row + turn * block.all_rows
                step_rows = block.all_rows if len(own) > 1 else block.rows
                missing = blocks * BLOCK_TOKENS - context if own[-1] == blocks - 1 else 0
                for kv_head in range(model.kv_heads):
                    key, value = block.regions(row, kv_head, step_rows)
                    segments.append(
                        Segment(
                            request=request,
                            kv_head=kv_head,
                            channel=channel,
                            group=order[group],
                            tokens=len(own) * BLOCK_TOKENS - missing,
                            key=(key,),
                            value=(value,),
                            blocks=own,
                        )
                    )
            handed_out += blocks
        number = np.arange(groups).reshape(len(order), spec.channels)
        rows_per_layer = np.empty((spec.channels, len(order)), np.int64)
        rows_per_layer[:, order] = -((number - handed_out) // groups).T * block.all_rows
        check_groups(model, system, tier, rows_per_layer, room)
        segments.sort(key=lambda s: (s.channel, s.group, s.key[0].first_row))
        return make_table(
            self.name, spec, room, segments, rows_per_layer, block.columns, block.columns
        )


def _block(model: ModelSpec, organisation: Organisation) -> _Block:
    columns = columns_of_vector(model, organisation)
    slots, rest = divmod(BLOCK_TOKENS, organisation.banks)
    if rest:
        raise InputError(
            f"banks of a group must divide a block of {BLOCK_TOKENS} tokens, "
            f"not {organisation.banks}"
        )
    row_fit = fit_row(model, organisation, columns, 1)
    per_row = next(n for n in range(min(row_fit.slots, slots), 0, -1) if slots % n == 0)
    return _Block(model.kv_heads, columns, per_row, slots // per_row, row_fit.scale_column(0))


NAIVE = Naive()
