"""DDR-PIM steps made small, for the tests of the `ddr_pim` family."""

from __future__ import annotations

from dataclasses import replace

from pamsim.compiler import compile_share
from pamsim.compiler.compiled import CompiledStep
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pamsim.workload.step import DecodeStep

DEVICES = ("ddr4-pam", "ddr4-pam-striped", "ddr4-pam-gqa", "ddr5-pam")


def model(query_heads: int, kv_heads: int, head_dim: int, layers: int = 2) -> ModelSpec:
    return ModelSpec(
        name="small", architecture="LlamaForCausalLM", layers=layers,
        hidden=query_heads * head_dim, query_heads=query_heads, kv_heads=kv_heads,
        head_dim=head_dim, ffn_hidden=64, ffn_matrices=3, vocabulary=100, max_context=1 << 20,
        dtype="fp16",
    )  # fmt: skip


def system(device: str = "ddr4-pam", devices: int = 1, **extra: object) -> SystemSpec:
    """`ddr-only` with another device; `extra` replaces what only the family knows."""
    found = load_system("ddr-only", [f"tiers.ddr.device={device}"])
    tier = found.tier("ddr")
    pim = replace(tier.device.pim, extra={**tier.device.pim.extra, **extra})  # type: ignore[dict-item]
    tier = replace(tier, device=replace(tier.device, pim=pim), devices=devices)
    return replace(found, tiers=(tier,))


def compile_small(
    shape: ModelSpec,
    contexts: tuple[int, ...],
    machine: SystemSpec,
    *,
    append: bool = True,
    divided: bool = False,
) -> CompiledStep:
    batch = len(contexts)
    share = TierShare(
        tier="ddr",
        layers=tuple(range(shape.layers)),
        step=DecodeStep(contexts),
        requests=tuple(range(batch)),
        divided=(divided,) * batch,
        append=(append,) * batch,
    )
    return compile_share(shape, share, machine)
