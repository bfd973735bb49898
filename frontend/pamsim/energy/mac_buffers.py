"""What MACs read from the PU buffers: one command, but q.K and P.V read different things.

q.K reads the 32 B of each query that face its column of K. P.V reads a probability for each query;
its outputs are in the PU's registers (docs/decisions.md, row 4). The program tells them apart.
"""

from __future__ import annotations

from dataclasses import replace

from pamsim.config.spec import DeviceSpec
from pamsim.energy.commands import DTYPE_BYTES, split_name
from pamsim.sim.expand import count_commands
from pim_isa import Program, load


def mac_buffer_bytes(program: Program, device: DeviceSpec) -> int:
    """Bytes that the MACs of one run of `program` read from the buffers of all PUs."""
    query_bytes = device.organisation.column_bytes
    probability_bytes = DTYPE_BYTES[device.pim.probability_dtype]
    return device.organisation.banks * (
        _macs_of_queries(program, "MACK") * query_bytes
        + _macs_of_queries(program, "MACV") * probability_bytes
    )


def _macs_of_queries(program: Program, mnemonic: str) -> int:
    """MAC commands of that instruction, each as often as it holds queries."""
    table = load(program.family)
    kept = (mnemonic, table.configured_by, table.loop.open, table.loop.close)
    streams = tuple(
        replace(s, instructions=tuple(i for i in s.instructions if i.mnemonic in kept))
        for s in program.streams
    )
    counts = count_commands(replace(program, streams=streams))
    return sum(n * (split_name(name)[1] or 0) for name, n in counts.items())
