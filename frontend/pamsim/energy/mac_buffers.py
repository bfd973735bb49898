"""What MACs read from the PU buffers: one command, but q.K and P.V read different things.

q.K reads the elements of each query that face its column of K: 32 B a query of an FP16 column, 64 B
or 128 B of a packed one. P.V reads a probability for each query, FP32 where V has scales; its
outputs are in the PU's registers (docs/decisions.md, row 4). The program tells them apart.
"""

from __future__ import annotations

from dataclasses import replace

from pamsim.compiler.compiled import Tiling
from pamsim.config.spec import DeviceSpec
from pamsim.energy.commands import DTYPE_BYTES, energy_family, split_name
from pamsim.sim.expand import count_commands
from pim_isa import Program, load
from pim_isa.formats import FORMATS


def mac_buffer_bytes(program: Program, device: DeviceSpec, tiling: Tiling) -> int:
    """Bytes that the MACs of one run of `program` read from the buffers of all PUs."""
    form = FORMATS[tiling.format]
    organisation = device.organisation
    places, column_bytes = getattr(
        energy_family(device), "MAC_UNITS", (organisation.banks, organisation.column_bytes)
    )
    query_bytes = column_bytes * form.pack
    probability = "fp32" if form.scaled else device.pim.probability_dtype
    read = (
        _mac_cycles(program, "MACK") * query_bytes
        + _mac_cycles(program, "MACV") * DTYPE_BYTES[probability] * organisation.chips
    )
    return int(places) * read // tiling.column_cycles


def _mac_cycles(program: Program, mnemonic: str) -> int:
    """MAC commands of that instruction, each as often as it says: queries x cycles of a column."""
    table = load(program.family)
    kept = (mnemonic, table.configured_by, table.loop.open, table.loop.close)
    streams = tuple(
        replace(s, instructions=tuple(i for i in s.instructions if i.mnemonic in kept))
        for s in program.streams
    )
    counts = count_commands(replace(program, streams=streams))
    return sum(n * (split_name(name)[1] or 0) for name, n in counts.items())
