"""The program of one DDR-PIM channel: appends, attention of every stream, results."""

from __future__ import annotations

from pamsim.compiler.channel import Work
from pamsim.compiler.compiled import Tiling
from pamsim.compiler.ddr_emit import FAMILY, append_tokens, attend, make, writer
from pamsim.config.spec import DeviceSpec
from pamsim.layout.ddr import STRIPED
from pim_isa import Program, Stream, Unit

APPENDED, ATTENDED = 0, 1  # barriers
SOURCES = 2  # of an append: K and V


def writes_groups(device: DeviceSpec) -> bool:
    """Whether tokens are written eight at a time: one in each chip, where each has its own."""
    extra = device.pim.extra
    return extra["append_mode"] == "grouped" and extra["kv_layout"] != STRIPED


def channel_program(work: Work, tiling: Tiling, device: DeviceSpec, group_size: int) -> Program:
    """The channel's program: a stream a bank group of a rank.

    Raises InputError when it has more queries than can be named.
    """
    striped = device.pim.extra["kv_layout"] == STRIPED
    grouped = writes_groups(device)
    per_pair = group_size * tiling.parts
    writer.check_number("query heads x parts", len(work.pairs) * per_pair, "RDR", "query")
    writer.check_number("appended vectors", len(work.appends) * SOURCES, "APP", "source")
    source = {s: number * SOURCES for number, s in enumerate(work.appends)}
    streams = []
    for number, stream in enumerate(work.streams):
        appends = [(work.segments[s], source[s]) for s in stream if s in source]
        code = list(append_tokens(appends, striped, grouped))
        if source:
            code.append(make("BAR", id=APPENDED))
        for s in stream:
            query = work.pair_of[s] * per_pair
            code += attend(work.segments[s], tiling, group_size, query, striped)
        code.append(make("BAR", id=ATTENDED))
        if number == 0:  # one data bus: one reader
            code += writer.results(work.whole, per_pair, 0, len(work.whole))
        group = work.segments[stream[0]].group
        unit = Unit(*divmod(group, device.organisation.bank_groups))
        streams.append(Stream(unit, tuple(code)))
    return Program(FAMILY, tuple(streams))
