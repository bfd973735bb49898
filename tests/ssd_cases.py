"""SSD-PIM steps and programs made small, for the tests of the `ssd_pim` family."""

from __future__ import annotations

from dataclasses import replace

from ddr_cases import model

from pamsim.compiler import compile_share
from pamsim.compiler.compiled import CompiledStep
from pamsim.config import load_device, load_system
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pamsim.workload.step import DecodeStep
from pim_isa import Program, assemble

DEVICES = ("ssd-pam", "ssd-pam-nocache", "ssd-pam-serial")
# Pages of 512 B: the times of ssd-pam, 32 times shorter, so that few ticks show every rule.
SHORT = (
    "organisation.row_bytes=512", "organisation.column_bytes=512", "timing.nBL=256",
    "timing.nR=1125 CK", "timing.nCA=12 CK", "timing.nPROG=2000 CK", "timing.nBERS=3000 CK",
)  # fmt: skip


def short_device(name: str = "ssd-pam", *more: str) -> DeviceSpec:
    return load_device(name, [*SHORT, *more])


def system(device: str = "ssd-pam", devices: int = 1, **extra: object) -> SystemSpec:
    """`pam-node` with one instance's drives alone; `extra` replaces what only the family knows."""
    found = load_system("pam-node", [f"tiers.ssd.device={device}"])
    tier = found.tier("ssd")
    pim = replace(tier.device.pim, extra={**tier.device.pim.extra, **extra})  # type: ignore[dict-item]
    tier = replace(tier, device=replace(tier.device, pim=pim), devices=devices)
    return replace(found, tiers=(tier,), weights_tier="none", instances=1)


def share_of(
    shape: ModelSpec, contexts: tuple[int, ...], *, append: bool = True, divided: bool = False
) -> TierShare:
    batch = len(contexts)
    return TierShare(
        tier="ssd",
        layers=tuple(range(shape.layers)),
        step=DecodeStep(contexts),
        requests=tuple(range(batch)),
        divided=(divided,) * batch,
        append=(append,) * batch,
    )


def compile_small(
    shape: ModelSpec, contexts: tuple[int, ...], machine: SystemSpec, **how: bool
) -> CompiledStep:
    return compile_share(shape, share_of(shape, contexts, **how), machine)


def reads(overlap: str, planes: list[tuple[int, int]], tiles: int) -> Program:
    """`tiles` x 2 pages of each (die, plane), with a controller that does nothing but meet them."""
    lines = [".family ssd_pim", ".stream die=255 plane=0", f"LOOP count={tiles}"]
    lines += [line for k, _ in enumerate(planes, 1) for line in (f"BAR id={k}",)]
    lines += [f"FREE input={k} row=0 pages=2" for k, _ in enumerate(planes, 1)]
    lines.append("END")
    lines[2] += " row_step=2"
    last = 2 * tiles - 2
    for k, (die, plane) in enumerate(planes, 1):
        lines.append(f".stream die={die} plane={plane}")
        if overlap == "cache":
            lines += ["RDP row=0", "CPY row=0"]
            if tiles > 1:
                lines += [f"LOOP count={tiles - 1} row_step=2", "RDP row=1", "OUT row=0"]
                lines += ["CPY row=1", "RDP row=2", "OUT row=1", f"BAR id={k}", "CPY row=2", "END"]
            lines += [f"RDP row={last + 1}", f"OUT row={last}", f"CPY row={last + 1}"]
            lines += [f"OUT row={last + 1}", f"BAR id={k}"]
        else:
            lines += [f"LOOP count={tiles} row_step=2"]
            lines += [f"{name} row={row}" for row in (0, 1) for name in ("RDP", "CPY", "OUT")]
            lines += [f"BAR id={k}", "END"]
    return assemble("\n".join(lines))


__all__ = [
    "DEVICES", "compile_small", "model", "reads", "share_of", "short_device", "system",
]  # fmt: skip
