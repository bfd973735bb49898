"""What the parts of docs/fidelity.md share: jobs, machines, and one run of a job on a machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pamsim.compiler import CompiledPart, compile_parts
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.model import load_model
from pamsim.model.spec import ModelSpec, with_kv_dtype
from pamsim.report.document import multiplicity, step_document
from pamsim.system import simulate_parts
from pamsim.workload import make_step

NS_PER_MS, PJ_PER_MJ = 10**6, 10**9


@dataclass(frozen=True)
class Job:
    """A decode step of `batch` requests with `context` KV tokens each."""

    name: str
    model: str
    context: int
    batch: int

    @property
    def option(self) -> str:
        """How the command line asks for it."""
        return f"--model {self.model} --context {self.context} --batch {self.batch}"


# Batches that give every bank group of every device the same work, so that no channel waits.
MHA = Job("MHA", "llama-2-7b", 4096, 20)
GQA = Job("GQA", "llama-3-8b", 8192, 40)
FULL = (MHA, GQA)
# A token fewer, so that no flash page is filled and programmed in the step.
BETWEEN = tuple(replace(job, context=job.context - 1) for job in FULL)
LIGHT = Job("light", "llama-3-8b", 8192, 4)


@dataclass(frozen=True)
class Machine:
    """A system with overrides, and the dtype of its KV cache (None: the model's)."""

    system: str
    overrides: tuple[str, ...] = ()
    kv_dtype: str | None = None

    def but(self, *overrides: str, kv_dtype: str | None = None) -> Machine:
        return replace(self, overrides=(*self.overrides, *overrides), kv_dtype=kv_dtype)

    @property
    def option(self) -> str:
        """How the command line asks for it."""
        return " ".join([f"--system {self.system}", *self.changes()])

    def changes(self, base: Machine | None = None) -> list[str]:
        """Its options but for the system, and but for those that it has of `base`."""
        own = self.overrides[len(base.overrides) if base else 0 :]
        dtype = [f"--kv-dtype {self.kv_dtype}"] if self.kv_dtype else []
        return [*(f"--set {override}" for override in own), *dtype]


HBM = Machine("pam-hbm")
DDR = Machine("ddr-only")
_ONE = ("instances=1", "tensor_parallel=1")
_NO_KV = tuple(f"tiers.{tier}.kv_gib=0" for tier in ("hbm", "ddr"))
SSD = Machine("pam-node", (*_ONE, "pipeline_parallel=1", *_NO_KV))
ATTACC = Machine("attacc", _ONE)
# 160 channels: each has equally many heads of both jobs.
AIM = Machine("aim", ("tiers.aim.devices=80",))


@dataclass(frozen=True)
class Measured:
    """A run's result document, as `pamsim run --validate off --json` prints it."""

    system: SystemSpec
    document: dict[str, Any]
    batch: int

    def tier(self, name: str = "") -> dict[str, Any]:
        """The entry of a tier; of the only one that attends if not named."""
        tiers: dict[str, dict[str, Any]] = self.document["tiers"]
        (own,) = [name] if name else tiers
        return tiers[own]

    def commands(self) -> dict[str, int]:
        """Commands of the only tier, all channels, layers and instances, by name."""
        total: dict[str, int] = {}
        for channel in self.tier()["channels"]:
            for command, count in channel["commands"].items():
                total[command] = total.get(command, 0) + count * multiplicity(channel)
        return total

    @property
    def attention_ms(self) -> float:
        """Attention in memory over all layers, of the slowest tier."""
        tiers = self.document["tiers"].values()
        return float(max(t["latency_ns"] for t in tiers)) / NS_PER_MS

    @property
    def token_mj(self) -> float:
        """Energy of the step over its batch; NaN where a constant is not known."""
        energy = self.document["energy_pj"]
        return float(energy["total"]) / PJ_PER_MJ / self.batch if energy else math.nan


def model_of(job: Job, machine: Machine) -> ModelSpec:
    model = load_model(job.model)
    return with_kv_dtype(model, machine.kv_dtype) if machine.kv_dtype else model


def parts_of(job: Job, machine: Machine) -> tuple[CompiledPart, ...]:
    """The step's programs. Raises PamsimError where the machine cannot run it."""
    system = load_system(machine.system, machine.overrides)
    return compile_parts(model_of(job, machine), make_step(job.context, job.batch), system)


@cache
def measure(job: Job, machine: Machine) -> Measured:
    """One step, without proofs. Raises PamsimError where the machine cannot run it."""
    system = load_system(machine.system, machine.overrides)
    runs = simulate_parts(parts_of(job, machine), threads=1)
    step = make_step(job.context, job.batch)
    document = step_document(
        model_of(job, machine), system, step, runs, engine="embedded", validation={}
    )
    return Measured(system, document, job.batch)


def run_lines(jobs: Iterable[Job], machine: str) -> str:
    """The commands that give the numbers of a table."""
    return "\n".join(f"pamsim run {j.option} {machine} --validate off   # {j.name}" for j in jobs)


def change(now: float, base: float) -> str:
    """In percent of the base, with its sign; "0 %" only for no change at all."""
    if now == base:
        return "0 %"
    percent = 100 * (now - base) / base
    digits = 0 if abs(percent) >= 99.5 else 1 if abs(percent) >= 0.1 else 2
    return f"{'+' if percent > 0 else '−'}{abs(percent):.{digits}f} %"


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def figure(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def joined(values: Sequence[str]) -> str:
    return " / ".join(values)
