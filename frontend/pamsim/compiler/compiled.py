"""What the compiler hands on: the distinct channel programs of a step and what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pamsim.config.spec import DeviceSpec, ProgramVariants
from pamsim.layout.table import BlockTable, Segment
from pamsim.placement.share import TierShare
from pim_isa.formats import FORMATS
from pim_isa.program import Program


@dataclass(frozen=True)
class QueryBinding:
    """What a program's local `query` number stands for on one channel."""

    request: int
    query_head: int
    part: int  # which part of the head dimension, 0 where it is not split
    whole: bool  # this channel holds every token of (request, KV head): its result is final


@dataclass(frozen=True)
class AppendBinding:
    """What a program's `source` number stands for: a piece of the new token's K or V vector, or
    the column of scales with the vector's own.
    """

    request: int
    kv_head: int
    value: bool  # False: K, True: V
    piece: int = 0  # which region of the segment's `key` or `value`
    scale: bool = False


@dataclass(frozen=True)
class ChannelBinding:
    """One channel's meaning of its program's local numbers."""

    channel: int  # of the tier
    queries: tuple[QueryBinding, ...]
    appends: tuple[AppendBinding, ...]
    segments: tuple[Segment, ...]
    stream_segments: tuple[tuple[int, ...], ...]  # per stream: which of `segments` it works on
    buffered_tokens: int = 0  # of the segments: that lie in a write buffer, not in banks yet


@dataclass(frozen=True)
class ChannelProgram:
    """A program and the channels that run it (in every layer)."""

    program: Program
    binary: bytes  # pim_isa.encode of it
    sha256: str  # of binary
    bindings: tuple[ChannelBinding, ...]  # one per channel, ascending


@dataclass(frozen=True)
class Tiling:
    """How the PU buffer is shared: n x (bytes of a part + T x bytes of a score) <= buffer; and what
    the PUs are told of the numbers they work on.
    """

    queries: int  # n: queries held at a time
    tokens: int  # T: tokens a bank per tile
    parts: int  # parts V, and the head dimension, is worked on in
    part_columns: int  # of K and V
    passes: int  # over the KV of a group of query heads
    format: str = "fp16"  # of K and V elements (pim_isa.formats)
    column_cycles: int = 1  # PU cycles of a column and a query
    softcap_bits: int | None = None  # the cap of the scores as an FP16 number
    lanes: int = 16  # FP16 numbers in a column of O, over the chips that hold parts of it

    @property
    def output_columns(self) -> int:
        """Columns of FP16 numbers in a part of a query or of O."""
        return self.part_columns * FORMATS[self.format].pack

    def rounds(self, group_size: int, query: int) -> Iterator[tuple[int, int, int]]:
        """(queries held, passes with so many, number of the first one): what a group needs, and
        last the pass with the queries that are left over. query: number of the group's first."""
        whole, narrow = divmod(group_size, self.queries)
        if whole:
            yield self.queries, whole, query
        if narrow:
            yield narrow, 1, query + whole * self.queries * self.parts

    @property
    def output_elements(self) -> int:
        """Elements of O that one merge works through: those of a part of the head dimension."""
        return self.output_columns * self.lanes


@dataclass(frozen=True)
class CompiledStep:
    """One layer of a decode step on one tier; every layer runs the same with other rows."""

    tier: str
    device: DeviceSpec
    layers: int
    table: BlockTable
    tiling: Tiling
    programs: tuple[ChannelProgram, ...]
    variants: ProgramVariants
    idle_channels: int  # channels of the tier with no program
    held: TierShare | None = None  # what the devices hold, where it can be less than the share
    outside_ps: int = 0  # of a layer, what a controller does between two parts of the programs

    @property
    def end_row(self) -> int:
        """The first row above all layers of this step, in every bank."""
        return self.table.first_row + int(self.table.rows_per_layer.max(initial=0)) * self.layers
