"""AttAcc: what its tests share, and the figures of its public simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from pamsim.compiler import CompiledStep, compile_step
from pamsim.config import describe, load_system
from pamsim.config.spec import SystemSpec
from pamsim.model.spec import ModelSpec
from pamsim.sim.expand import expand
from pamsim.workload.step import DecodeStep
from pyramulator.many import run_many
from pyramulator.result import ChannelResult

DEVICES = ("attacc", "attacc-sim", "attacc-exempt", "attacc-npc")

# scale-snu/attacc_simulator @c600051 on CMU-SAFARI/ramulator2 b7c7027, its attacc_bank.yaml, the
# trace of docs/fidelity-attacc.md: cycles of 64 heads of 128 with 2048 tokens on one stack.
SIMULATOR_CYCLES = 16_161
SIMULATOR_CYCLES_WITHOUT_REFRESH = 14_847
SIMULATOR_CYCLES_WITHOUT_POWER_LIMIT = 11_755

# The same trace, lines of one channel (all 16 are alike).
SIMULATOR_LINES = {
    "PIM_MAC_AB": 2049,
    "PIM_WR_GB": 32,
    "PIM_MV_SB": 320,
    "PIM_MV_GB": 256,
    "PIM_SFM": 4,
    "PIM_BARRIER": 42,
}


def attention(
    heads: int = 64, kv_heads: int = 64, head_dim: int = 128, **more: object
) -> ModelSpec:
    """One layer of a decoder with these heads; nothing else of it matters here."""
    model = ModelSpec(
        name="heads", architecture="any", layers=1, hidden=64, query_heads=heads,
        kv_heads=kv_heads, head_dim=head_dim, ffn_hidden=64, ffn_matrices=2, vocabulary=100,
        max_context=1 << 20, dtype="fp16",
    )  # fmt: skip
    return replace(model, **more)


@cache
def one_stack(device: str, *overrides: str) -> SystemSpec:
    """One stack of a device."""
    return load_system(
        "attacc",
        [
            f"tiers.hbm.device={device}",
            "tiers.hbm.devices=1",
            "instances=1",
            "tensor_parallel=1",
            *(f"tiers.hbm.device.{o}" for o in overrides),
        ],
    )


def compiled(
    device: str, model: ModelSpec, contexts: Sequence[int], *overrides: str
) -> CompiledStep:
    return compile_step(model, DecodeStep(tuple(contexts)), one_stack(device, *overrides))


def simulated(step: CompiledStep, *, refresh: bool = True) -> ChannelResult:
    """The first program of a step on the embedded engine, with its log."""
    description = describe(step.device, step.variants)
    if not refresh:
        description = replace(description, refresh=None)
    stream = expand(step.programs[0].program, description)
    return run_many([(description, stream)], 1, log=True)[0]
