"""One entry per distinct engine run: what the channels issued, moved and waited for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pamsim.compiler import CompiledPart
from pamsim.energy import banks_of, command_work, energy_family
from pamsim.energy.units import whole_bytes
from pamsim.errors import PamsimError
from pamsim.model.spec import ModelSpec
from pamsim.report.stalls import stall_classes, stall_rules
from pamsim.sim.run import ChannelRun

PS_PER_SECOND = 10**12
SCALE_BYTES = 2  # FP16


class InternalError(PamsimError):
    """pamsim contradicts itself."""

    exit_code = 1


def channel_entry(run: ChannelRun, part: CompiledPart, number: int) -> dict[str, Any]:
    """The `channels` entry of a run of part `number`; all but `count`, `layers`, `steps` per run.

    bytes_internal: what PUs read from banks. bytes_useful: the K and V of the channel's tokens,
    each counted once. bytes_ext_read, bytes_ext_write: what passes the channel's data bus.
    """
    compiled = part.step
    result, device = run.result, compiled.device
    counts = dict(sorted(result.counts.items()))
    column = device.organisation.column_bytes
    columns = compiled.tiling.output_columns
    internal_bits = sum(
        n * command_work(c, device, columns).mac_column_bits for c, n in counts.items()
    )
    family = energy_family(device)
    reads_out, writes_in = (family.READS_OUT, family.WRITES_IN) if family else ((), ())
    rate = run.description.ticks_per_second
    return {
        "program_sha": run.program.sha256,
        "part": number,
        "count": run.channels,
        "layers": run.layers,
        "steps": 1,
        "ticks": result.ticks,
        "ticks_per_second": rate,
        "tick_ps": float(Decimal(PS_PER_SECOND) / Decimal(rate)),
        "commands": counts,
        "banks_per_command": {name: banks_of(name, device) for name in counts},
        "bytes_internal": whole_bytes(internal_bits),
        "bytes_useful": useful_bytes(run, part.shard.model),
        "bytes_ext_read": column * sum(counts.get(name, 0) for name in reads_out),
        "bytes_ext_write": column * sum(counts.get(name, 0) for name in writes_in),
        "residency_ticks": {
            "active": int(result.residency.active.sum()),
            "precharged": int(result.residency.precharged.sum()),
            "refreshing": int(result.residency.refreshing.sum()),
        },
        "residency_nodes": len(result.residency.active),
        "residency_level": result.residency.level,
        "open_bank_ticks": int(result.residency.open_bank_ticks.sum()),
        "stalls": stall_classes(run),
        "stall_rules": stall_rules(run),
    }


def useful_bytes(run: ChannelRun, model: ModelSpec) -> int:
    """K and V bytes, scales included, of the tokens that a channel's banks hold in one layer."""
    per_token = -(-model.kv_elements_per_token_layer * model.kv_bits // (8 * model.kv_heads))
    if model.kv_scaled:
        per_token += 2 * SCALE_BYTES  # of K and of V
    tokens = {sum(s.tokens for s in b.segments) - b.buffered_tokens for b in run.program.bindings}
    if len(tokens) != 1:
        raise InternalError(
            f"channels of one program must hold equally many tokens, not {sorted(tokens)}"
        )
    return tokens.pop() * per_token
