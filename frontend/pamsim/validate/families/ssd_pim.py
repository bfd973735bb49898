"""The proofs of SSD-PIM programs: where tokens lie in pages, and in the write buffer.

What is shown of the numbers, and the bound, is docs/functional-proof.md: a page's 8 units add up
columns like a bank's, and their reduction unit merges 8 partial results in place of 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from pamsim.compiler.compiled import ChannelBinding, ChannelProgram, CompiledStep
from pamsim.config.spec import SystemSpec
from pamsim.layout.region import Segment
from pamsim.layout.ssd_pages import COLUMN_BYTES, FAMILY, PLACES, planes_of
from pamsim.layout.table import BlockTable
from pamsim.model.spec import ModelSpec
from pamsim.validate.functional_data import PairData
from pamsim.validate.functional_run import PairRunner
from pamsim.validate.functional_store import LANES
from pamsim.validate.functional_trace import segment_tokens
from pamsim.validate.layout import LayoutVerdict, prove_places
from pamsim.workload.step import DecodeStep
from pim_isa import IsaError, Machine, MachineResult, Unit, decode, load
from pim_isa.semantics.ssd_pim.controller import CONTROLLER, ROW_BITS
from pim_isa.semantics.ssd_pim.memory import Pages

_CONTROLLER_UNIT = Unit(load(FAMILY).constants["controller"], 0)
_NO_STREAM = 512  # planes without a stream of their own count from here


def make_runner(
    compiled: CompiledStep, model: ModelSpec, _append: Sequence[bool] | None = None
) -> PairRunner:
    """What runs the pairs of a compiled step, whose `held` says what is appended."""
    return SsdRunner(compiled, model.head_dim, model.group_size)


def prove_layout(
    table: BlockTable,
    model: ModelSpec,
    step: DecodeStep,
    system: SystemSpec,
    *,
    tier: str = "ssd",
    layers: int | None = None,
) -> LayoutVerdict:
    """As pamsim.validate.prove_layout. A place is a unit of the channel: an eighth of every page.

    bytes_fetched counts whole pages, which is what leaves the flash.
    """
    spec = system.tier(tier)
    organisation = spec.device.organisation
    layers = layers or model.layers
    columns = organisation.row_bytes // COLUMN_BYTES // PLACES  # of a page, of one place
    verdict = prove_places(
        table,
        model,
        step,
        {
            "channels": spec.channels,
            "groups": planes_of(spec.device),
            "banks": PLACES,
            "rows": organisation.rows,
            "layers": layers,
        },
        column_bytes=COLUMN_BYTES,
        columns=columns,
    )
    pages = sum(_pages(s) for s in table.segments) * layers
    fetched = pages * organisation.row_bytes
    faults = [] if verdict.first_fault else _shared_pages(table)
    if faults:
        verdict = replace(verdict, verdict="violated", first_fault=faults[0])
    return replace(verdict, bytes_fetched=fetched)


def _pages(s: Segment) -> int:
    slots = -(-s.tokens // PLACES)
    return sum(r.row_count(slots) for r in s.regions)


def _shared_pages(table: BlockTable) -> list[str]:
    """Faults: a page that holds more than one (request, KV head), or both K and V."""
    taken: dict[tuple[int, int, int], Segment] = {}
    for s in table.segments:
        slots = -(-s.tokens // PLACES)
        for region in (*s.key, *s.value):
            first = np.arange(region.row_count(slots)) * region.slots_per_row
            for row in region.row(first).tolist():
                if (s.channel, s.group, row) in taken:
                    return [f"page {row} of plane {s.group}, channel {s.channel} is used twice"]
                taken[s.channel, s.group, row] = s
    return []


class SsdRunner(PairRunner):
    """Runs pairs on the planes and the controller of a flash channel."""

    def __init__(self, compiled: CompiledStep, head_dim: int, group_size: int) -> None:
        super().__init__(compiled, head_dim, group_size)
        if compiled.held is None:
            raise ValueError("a compiled step of SSD-PIM must say what its devices hold")
        self.held = compiled.held
        self.width = compiled.table.key_columns * LANES

    def _channel(
        self,
        program: ChannelProgram,
        binding: ChannelBinding,
        segments: list[Segment],
        numbers: dict[int, tuple[int, int, bool]],
        data: PairData,
    ) -> MachineResult:
        machine = self._machine.get(program.sha256)
        if machine is None:
            rows = self.compiled.table.rows
            machine = Machine(decode(program.binary), self.arithmetic, rows=rows)
            self._machine[program.sha256] = machine
        machine.clear()
        request, kv_head = segments[0].request, segments[0].kv_head
        filling = {
            number: a.value
            for number, a in enumerate(binding.appends)
            if (a.request, a.kv_head) == (request, kv_head)
        }
        new = int(self.held.append[request])
        if filling and not new:
            raise IsaError(f"request {request} must be appended to elsewhere, not here")
        for segment in segments:
            self._store(machine, segment, filling, data, data.tokens - new)
        queries = {n: self._padded(data.folded[head]) for n, (head, _, _) in numbers.items()}
        newest = {False: data.key[-1], True: data.value[-1]}
        appends = {number: self._padded(newest[value]) for number, value in filling.items()}
        result = machine.run(queries, appends, wanted=numbers.keys(), record=True)
        self._check_programmed(machine, segments, filling, data)
        return self._placed(result, program, segments, filling)

    def _store(
        self,
        machine: Machine,
        segment: Segment,
        filling: dict[int, bool],
        data: PairData,
        old: int,
    ) -> None:
        """Writes the first `old` tokens where they lie: the page that is being filled in the write
        buffer, all others in flash."""
        token = segment_tokens(segment)
        slot, place = np.divmod(np.arange(len(token)), PLACES)
        flash, buffer = self._pages(machine, segment)
        for value, (region,), vectors in (
            (False, segment.key, data.key),
            (True, segment.value, data.value),
        ):
            row, stored = region.row(slot), self._padded(vectors[token])
            column = slot % region.slots_per_row * PLACES + place  # vector of the page
            column = column * region.vector_columns
            inside = known = token < old
            if filling and token[-1] == data.tokens - 1:
                page = next(number for number, own in filling.items() if own == value)
                inside = known & (row != row[-1])
                held = known & (row == row[-1])
                buffer.write(np.full(held.sum(), page), column[held], stored[held])
            flash.write(row[inside], column[inside], stored[inside])

    def _pages(self, machine: Machine, segment: Segment) -> tuple[Pages, Pages]:
        """Those of the segment's plane, and of the write buffer."""
        units = self._unit(segment.group), _CONTROLLER_UNIT
        flash, buffer = (cast(Pages, machine.memory(unit)) for unit in units)
        return flash, buffer

    def _check_programmed(
        self,
        machine: Machine,
        segments: list[Segment],
        filling: dict[int, bool],
        data: PairData,
    ) -> None:
        """What a program left in flash is what its pages of the write buffer held."""
        segment = _newest(segments)
        if not filling or data.tokens % (segment.key[0].slots_per_row * PLACES):
            return
        flash, buffer = self._pages(machine, segment)
        slot = -(-segment.tokens // PLACES) - 1
        for page, value in filling.items():
            (region,) = segment.value if value else segment.key
            if not np.array_equal(flash.page(int(region.row(slot))), buffer.page(page)):
                raise IsaError(
                    f"page {page} of the write buffer must be programmed when it is full"
                )

    def _placed(
        self,
        result: MachineResult,
        program: ChannelProgram,
        segments: list[Segment],
        filling: dict[int, bool],
    ) -> MachineResult:
        """The result, its events of the write buffer's pages at the rows these are kept for."""
        if not filling:
            return result
        last = _newest(segments)
        moved = self._moved(last, program)
        slot = -(-last.tokens // PLACES) - 1
        rows = {
            page: int((moved.value if value else moved.key)[0].row(slot))
            for page, value in filling.items()
        }
        events = tuple(
            replace(e, rows=np.array([rows.get(int(e.rows[0]), e.rows[0])]))
            if e.rows is not None and e.kind in ("dot", "weigh") and e.rows[0] >> ROW_BITS == 0
            else e
            for e in result.events
        )
        return replace(result, events=events)

    def _streams(
        self, program: ChannelProgram, segments: list[Segment]
    ) -> dict[int, list[Segment]]:
        """All tokens of a channel are worked on by the controller's stream."""
        return {CONTROLLER: [self._moved(s, program) for s in segments]}

    def _moved(self, segment: Segment, program: ChannelProgram) -> Segment:
        """The segment at the rows that events have: its plane's stream x 2^26 + row."""
        unit = self._unit(segment.group)
        numbers = {s.unit: number for number, s in enumerate(program.program.streams)}
        start = numbers.get(unit, _NO_STREAM + segment.group) << ROW_BITS
        return replace(
            segment,
            key=tuple(replace(r, first_row=r.first_row + start) for r in segment.key),
            value=tuple(replace(r, first_row=r.first_row + start) for r in segment.value),
        )

    def _padded(self, vectors: np.ndarray) -> np.ndarray:
        missing = self.width - vectors.shape[-1]
        return np.pad(vectors, [(0, 0)] * (vectors.ndim - 1) + [(0, missing)])

    def _unit(self, group: int) -> Unit:
        return Unit(*divmod(group, self.compiled.device.organisation.planes))


def _newest(segments: list[Segment]) -> Segment:
    """The one that holds the last token of those on a channel."""
    return max(segments, key=lambda s: int(s.blocks[-1]))
