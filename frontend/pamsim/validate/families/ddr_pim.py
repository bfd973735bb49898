"""The functional proof of DDR-PIM programs: where tokens lie in a rank, and what appends bring.

The rest, with what is shown and the bound, is docs/functional-proof.md: a unit's adder tree has two
levels in place of four, columns of 4 elements are added in order, and the chips' (O, m, l) are so
many merges more in the central buffer. A score of striped vectors takes three more additions, over
the chips, but has an eighth of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
)
from pamsim.compiler.ddr_channel import writes_groups
from pamsim.layout.ddr import STRIPED
from pamsim.layout.region import Segment
from pamsim.model.spec import ModelSpec
from pamsim.validate.functional_data import PairData
from pamsim.validate.functional_run import PairRunner
from pamsim.validate.functional_trace import segment_tokens
from pim_isa import Machine, MachineResult, Unit, decode, load
from pim_isa.memory import GroupMemory


def make_runner(
    compiled: CompiledStep, model: ModelSpec, _append: Sequence[bool] | None = None
) -> PairRunner:
    """What runs the pairs of a compiled step, whose `held` says what is appended."""
    return DdrRunner(compiled, model.head_dim, model.group_size)


class DdrRunner(PairRunner):
    """Runs pairs on the chips of a rank."""

    def __init__(self, compiled: CompiledStep, head_dim: int, group_size: int) -> None:
        super().__init__(compiled, head_dim, group_size)
        constants, extra = load(compiled.device.family).constants, compiled.device.pim.extra
        if compiled.held is None:
            raise ValueError("a compiled step of DDR-PIM must say what its devices hold")
        self.held, self.lanes, self.chips = compiled.held, constants["lanes"], constants["chips"]
        self.striped = extra["kv_layout"] == STRIPED
        self.grouped = writes_groups(compiled.device)
        self.partials = 1 if self.striped else self.chips
        each = self.lanes * self.chips if self.striped else self.lanes
        self.width = compiled.table.key_columns * each
        self.value_width = compiled.table.value_columns * each
        self.part_width = compiled.tiling.part_columns * each

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
        newest = data.tokens - self._new(request)
        for segment in segments:
            token = segment_tokens(segment)
            local = np.flatnonzero(token < newest)  # the new ones come through the append buffer
            slot, place = np.divmod(local, self.compiled.table.banks)
            memory = machine.memory(self._unit(segment.group))
            for (region,), vectors in ((segment.key, data.key), (segment.value, data.value)):
                at = (place, region.row(slot), region.column_of(slot))
                self._store(memory, *at, self._padded(vectors[token[local]]))
        queries = {n: self._padded(data.folded[head]) for n, (head, _, _) in numbers.items()}
        appends = {
            number: self._appended(a, data)
            for number, a in enumerate(binding.appends)
            if (a.request, a.kv_head) == (request, kv_head)
        }
        return machine.run(queries, appends, wanted=numbers.keys(), record=True)

    def _new(self, request: int) -> int:
        """Tokens that the step writes."""
        each = self.chips if self.grouped else 1
        return each if self.held.append[request] else 0

    def _store(
        self,
        memory: GroupMemory,
        place: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        vectors: np.ndarray,
    ) -> None:
        """Vectors [n, width] at places [n]: units, or banks over whose chips a vector lies."""
        if not self.striped:
            memory.write(place, row, column, vectors)
            return
        columns = vectors.shape[1] // (self.chips * self.lanes)
        bursts = vectors.reshape(-1, columns, self.chips, self.lanes)
        for chip in range(self.chips):
            part = bursts[:, :, chip].reshape(-1, columns * self.lanes)
            memory.write(place * self.chips + chip, row, column, part)

    def _appended(self, binding: AppendBinding, data: PairData) -> np.ndarray:
        """What a source holds: a vector, or eight side by side, a column of each in turn."""
        vectors = data.value if binding.value else data.key
        if not self.grouped:
            return self._padded(vectors[-1])
        columns = self._padded(vectors[-self.chips :]).reshape(self.chips, -1, self.lanes)
        return columns.transpose(1, 0, 2).reshape(-1)

    def _padded(self, vectors: np.ndarray) -> np.ndarray:
        missing = self.width - vectors.shape[-1]
        return np.pad(vectors, [(0, 0)] * (vectors.ndim - 1) + [(0, missing)])

    def _unit(self, group: int) -> Unit:
        return Unit(*divmod(group, self.compiled.device.organisation.bank_groups))
