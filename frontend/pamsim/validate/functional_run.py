"""Runs the assembled programs of one (request, KV head) on the functional machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
)
from pamsim.layout.region import BLOCK_TOKENS, Segment
from pamsim.validate.functional_data import PairData
from pamsim.validate.functional_quantise import FP16
from pamsim.validate.functional_store import (
    LANES,
    new_scale,
    new_vector,
    query_vector,
    write_tokens,
)
from pamsim.validate.functional_trace import TokenUse, part_count, segment_tokens
from pim_isa import Arithmetic, IsaError, Machine, MachineResult, Program, Unit, decode
from pim_isa.arithmetic import Saturations, exponential, to_fp16
from pim_isa.formats import Format
from pim_isa.semantics.hbm_pim import Partial


@dataclass(frozen=True)
class PairOutcome:
    """What the device made of a pair.

    output: float32 [heads, head_dim], FP16 numbers. scores: float32 [heads, tokens] as stored.
    faults: what went wrong that numbers do not show, e.g. a token without a score.
    """

    output: np.ndarray
    scores: np.ndarray
    saturations: Saturations
    faults: tuple[str, ...]


@dataclass(frozen=True)
class PartOutcome:
    """What the device made of its part of a pair: (O, m, l) of every head, O float32 [head_dim].

    scores: float32 [heads, tokens of this part].
    """

    partials: tuple[Partial, ...]
    scores: np.ndarray
    saturations: Saturations
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _Left:
    """What the channels left: by (head of the group, part of the head dimension)."""

    final: dict[tuple[int, int], np.ndarray]  # float32, FP16 numbers
    partial: dict[tuple[int, int], PartialSum]
    use: TokenUse
    saturations: Saturations
    faults: list[str]


def arithmetic_of(compiled: CompiledStep) -> Arithmetic:
    """The device's number formats."""
    pim = compiled.device.pim
    return Arithmetic(pim.score_dtype, pim.probability_dtype)


class PairRunner:
    """Runs pairs of a compiled step; decodes every binary once.

    partials: (O, m, l) that one merge of a group's result takes in.
    """

    partials = 1

    def __init__(
        self,
        compiled: CompiledStep,
        value_dim: int,
        group_size: int,
        *,
        form: Format = FP16,
        softcap: float | None = None,
        append: Sequence[bool] | None = None,
    ) -> None:
        """form: of K and V, as the model says; softcap: its cap of scores; append: whether the
        newest token of a request comes by an append, as it does of all if not given."""
        self.compiled, self.value_dim, self.group_size = compiled, value_dim, group_size
        self.form, self.softcap, self.append = form, softcap, append
        self.value_width = compiled.table.value_columns * LANES * form.pack
        self.part_width = compiled.tiling.part_columns * LANES * form.pack
        self.arithmetic = arithmetic_of(compiled)
        self._machine: dict[str, Machine] = {}
        self._binding: dict[int, tuple[ChannelProgram, ChannelBinding]] = {
            binding.channel: (program, binding)
            for program in compiled.programs
            for binding in program.bindings
        }
        self._segments: dict[tuple[int, int], list[Segment]] = {}
        for segment in compiled.table.segments:
            self._segments.setdefault((segment.request, segment.kv_head), []).append(segment)

    def segments(self, request: int, kv_head: int) -> list[Segment]:
        """Where the pair lies."""
        return self._segments.get((request, kv_head), [])

    def program_of(self, channel: int) -> ChannelProgram | None:
        """The program of a channel, None for an idle one."""
        held = self._binding.get(channel)
        return held[0] if held else None

    def run(self, request: int, kv_head: int, data: PairData) -> PairOutcome:
        """The pair on every channel that holds it, ascending, merged in FP32."""
        left = self._run(request, kv_head, data)
        faults = left.faults
        for key, total in left.partial.items():
            if key in left.final:
                faults.append(f"query head {key[0]} has a final and a partial result")
            left.final[key] = total.result(left.saturations)
        output = self._assemble(left.final, self.group_size, faults)
        faults += left.use.verdict(kv_head * self.group_size)
        return PairOutcome(output, left.use.scores, left.saturations, tuple(faults))

    def run_part(self, request: int, kv_head: int, data: PairData) -> PartOutcome:
        """As `run`, of a pair that has tokens in other tiers too: nothing is divided by l yet."""
        left = self._run(request, kv_head, data)
        faults = left.faults
        if left.final:
            faults.append(f"KV head {kv_head} must leave (O, m, l), not O / l")
        none = np.zeros(0, np.float32)
        outputs = {k: none if t.output is None else t.output for k, t in left.partial.items()}
        output = self._assemble(outputs, self.group_size, faults)
        first = [left.partial.get((head, 0), PartialSum()) for head in range(self.group_size)]
        for (head, part), total in left.partial.items():
            if (total.maximum, total.total) != (first[head].maximum, first[head].total):
                faults.append(f"m and l of part {part} of query head {head} must be those of all")
        faults += left.use.verdict(kv_head * self.group_size)
        partials = tuple(
            Partial(output[head], total.maximum, total.total) for head, total in enumerate(first)
        )
        return PartOutcome(partials, left.use.scores, left.saturations, tuple(faults))

    def _run(self, request: int, kv_head: int, data: PairData) -> _Left:
        heads = range(kv_head * self.group_size, (kv_head + 1) * self.group_size)
        columns = self.compiled.tiling.part_columns
        own = self.segments(request, kv_head)
        parts = (
            max((part_count(s.key, columns) for s in own), default=1),
            self.compiled.tiling.parts,
        )
        use = TokenUse(
            self.compiled.table, len(heads), data.tokens, parts, columns,
            scaled=self.form.scaled, capped=self.softcap is not None,
        )  # fmt: skip
        saturations = Saturations()
        faults: list[str] = []
        final: dict[tuple[int, int], np.ndarray] = {}  # (head of the group, part) -> float32
        partial: dict[tuple[int, int], PartialSum] = {}
        by_channel: dict[int, list[Segment]] = {}
        for segment in own:
            by_channel.setdefault(segment.channel, []).append(segment)
        for channel, segments in sorted(by_channel.items()):
            if channel not in self._binding:
                faults.append(f"channel {channel} holds tokens and has no program")
                continue
            program, binding = self._binding[channel]
            numbers = {
                number: (q.query_head - heads.start, q.part, q.whole)
                for number, q in enumerate(binding.queries)
                if q.request == request and q.query_head in heads
            }
            try:
                result = self._channel(program, binding, segments, numbers, data)
            except IsaError as error:
                faults.append(f"channel {channel}: {error}")
                continue
            for name in vars(saturations):
                setattr(
                    saturations,
                    name,
                    getattr(saturations, name) + getattr(result.saturations, name),
                )
            meaning = {number: (head, part) for number, (head, part, _) in numbers.items()}
            use.replay(result.events, self._streams(program, segments), meaning)
            for number, (head, part, whole) in numbers.items():
                what = f"query head {heads.start + head} on channel {channel}"
                left = result.results.get(number)
                elements = min(self.value_width - part * self.part_width, self.part_width)
                if left is None:
                    faults.append(f"{what} leaves no result")
                elif isinstance(left, Partial) == whole:
                    faults.append(f"{what} must be {'O / l' if whole else '(O, m, l)'}")
                elif len(left if whole else left.output) != elements:
                    faults.append(f"{what} must have {elements} elements")
                elif whole:
                    final[head, part] = left.astype(np.float32)
                else:
                    partial.setdefault((head, part), PartialSum()).merge(left)
        return _Left(final, partial, use, saturations, faults)

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
            decoded = decode(program.binary)
            self._check_constants(decoded)
            machine = Machine(decoded, self.arithmetic, rows=self.compiled.table.rows)
            self._machine[program.sha256] = machine
        machine.clear()
        banks, first = self.compiled.table.banks, segments[0]
        for segment in segments:
            pieces = (
                (data.key, data.key_dims, segment.key),
                (data.value, data.value_dims, segment.value),
            )
            # the new token comes through the append buffer
            token = segment_tokens(segment)
            old = np.flatnonzero(token < data.tokens - self._new(first.request))
            memory = machine.memory(self._unit(segment.group))
            write_tokens(memory, banks, token, old, pieces)
        queries = {
            n: query_vector(data.folded[head], data.key_dims, first.key, self.form)
            for n, (head, _, _) in numbers.items()
        }
        appends = {
            number: self._append(a, binding, data)
            for number, a in enumerate(binding.appends)
            if a.request == first.request and a.kv_head == first.kv_head
        }
        if appends and not self._new(first.request):
            raise IsaError(f"request {first.request} must be appended to elsewhere, not here")
        return machine.run(queries, appends, wanted=numbers.keys(), record=True)

    def _new(self, request: int) -> int:
        """Tokens of a request that the step writes: one, or none where another tier holds it."""
        return 1 if self.append is None or self.append[request] else 0

    def _check_constants(self, program: Program) -> None:
        """Raises IsaError where a program tells the PUs another constant than it should and numbers
        need not show it: the cycles of a column, which decide how long a MACbg lasts, and the cap.
        """
        fixed = self.compiled.device.pim.extra["packed_lanes"] == "fixed"
        told = {"extra_cycles": self.form.pack - 1 if fixed else 0}
        if self.softcap is not None:
            told["cap"] = int(np.array(self.softcap, np.float16).view(np.uint16))
        for number, stream in enumerate(program.streams):
            for index, instruction in enumerate(stream.instructions):
                for name, value in instruction.operands:
                    if value != told.get(name, value):
                        raise IsaError(
                            f"{instruction.mnemonic} {name} must be {told[name]}, not {value}",
                            stream=number,
                            index=index,
                        )

    def _append(self, a: AppendBinding, binding: ChannelBinding, data: PairData) -> np.ndarray:
        """What an append brings: a piece of the new token's vector, or its column of scales."""
        last = (data.tokens - 1) // BLOCK_TOKENS
        segment = next(
            s
            for s in binding.segments
            if (s.request, s.kv_head) == (a.request, a.kv_head) and s.blocks[-1] == last
        )
        stored, dims, regions = (
            (data.value, data.value_dims, segment.value)
            if a.value
            else (data.key, data.key_dims, segment.key)
        )
        if not a.scale:
            return new_vector(stored, dims, regions)[a.piece]
        banks, region = self.compiled.table.banks, regions[a.piece]
        return new_scale(stored, region, banks, segment, segment_tokens(segment))

    def _unit(self, group: int) -> Unit:
        o = self.compiled.device.organisation
        rest, bank_group = divmod(group, o.bank_groups)
        return Unit(rest // o.sids, rest % o.sids, bank_group)

    def _streams(
        self, program: ChannelProgram, segments: list[Segment]
    ) -> dict[int, list[Segment]]:
        """Stream number -> the segments that lie on its unit."""
        found: dict[int, list[Segment]] = {}
        units = {s.unit: k for k, s in enumerate(self._machine[program.sha256].program.streams)}
        for segment in segments:
            number = units.get(self._unit(segment.group))
            if number is not None:
                found.setdefault(number, []).append(segment)
        return found

    def _assemble(
        self, final: dict[tuple[int, int], np.ndarray], heads: int, faults: list[str]
    ) -> np.ndarray:
        output = np.full((heads, self.value_width), np.nan, dtype=np.float32)
        for (head, part), values in final.items():
            start = part * self.part_width
            output[head, start : start + len(values)] = values
        if np.isnan(output).any() and not faults:
            faults.append("a part of the output was not computed")
        return output[:, : self.value_dim]


class PartialSum:
    """Merges (O, m, l) in FP32, in the order they come."""

    def __init__(self) -> None:
        self.output: np.ndarray | None = None
        self.maximum, self.total = np.float32(-np.inf), np.float32(0)

    def merge(self, part: Partial) -> None:
        if part.maximum == -np.inf:
            return
        if self.output is None:
            self.output, self.maximum, self.total = part.output, part.maximum, part.total
            return
        top = max(self.maximum, part.maximum)
        both = np.array([self.maximum, part.maximum], dtype=np.float64)
        old, new = exponential(both - np.float64(top), "fp32")
        self.output = old * self.output + new * part.output
        self.total = old * self.total + new * part.total
        self.maximum = top

    def result(self, saturations: Saturations) -> np.ndarray:
        if self.output is None:
            return np.zeros(0, dtype=np.float32)
        rounded, count = to_fp16(self.output / self.total, saturate=True)
        saturations.results += count
        return rounded
