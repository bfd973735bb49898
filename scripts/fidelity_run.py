"""What the parts of docs/fidelity.md share: jobs, machines, and one run of a job on a machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pamsim.compiler import CompiledPart, compile_parts
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.model import load_model
from pamsim.model.spec import with_kv_dtype
from pamsim.report.document import multiplicity, step_document
from pamsim.system import simulate_parts
from pamsim.workload import make_step

PS_PER_MS, PJ_PER_MJ = 10**9, 10**9


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
        dtype = [f"--kv-dtype {self.kv_dtype}"] if self.kv_dtype else []
        return " ".join([f"--system {self.system}", *(f"--set {o}" for o in self.overrides), *dtype])


HBM = Machine("pam-hbm")
DDR = Machine("ddr-only")
SSD = Machine("ssd-only")
# One instance of the eight, with every head: all its channels hold equally many.
ATTACC = Machine("attacc", ("instances=1", "tensor_parallel=1"))
# 160 channels, of which each holds equally many heads of both jobs.
AIM = Machine("aim", ("tiers.aim.devices=80",))


@dataclass(frozen=True)
class Measured:
    """A run's result document, as `pamsim run --validate off --json` prints it."""

    system: SystemSpec
    document: dict[str, Any]
    batch: int

    def tier(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a tier; of the only one without a name."""
        tiers: dict[str, dict[str, Any]] = self.document["tiers"]
        (only,) = [name] if name else list(tiers)
        return tiers[only]

    def commands(self, name: str | None = None) -> dict[str, int]:
        """Commands of all channels of a tier, layers and instances, by name."""
        total: dict[str, int] = {}
        for channel in self.tier(name)["channels"]:
            for command, count in channel["commands"].items():
                total[command] = total.get(command, 0) + count * multiplicity(channel)
        return total

    @property
    def attention_ms(self) -> float:
        """Attention in memory over all layers, of the slowest tier."""
        return max(float(t["latency_ns"]) for t in self.document["tiers"].values()) / 1e6

    @property
    def energy_mj(self) -> float:
        """Of a step, a token. NaN where a constant is not known."""
        energy = self.document["energy_pj"]
        return energy["total"] / PJ_PER_MJ / self.batch if energy else math.nan


def compiled(job: Job, machine: Machine) -> tuple[SystemSpec, tuple[CompiledPart, ...]]:
    """The step's programs on the machine. Raises PamsimError where it cannot run it."""
    model = load_model(job.model)
    if machine.kv_dtype:
        model = with_kv_dtype(model, machine.kv_dtype)
    system = load_system(machine.system, machine.overrides)
    return system, compile_parts(model, make_step(job.context, job.batch), system)


@cache
def measure(job: Job, machine: Machine) -> Measured:
    """One step, without proofs. Raises PamsimError where the machine cannot run it."""
    system, parts = compiled(job, machine)
    model, step = load_model(job.model), make_step(job.context, job.batch)
    if machine.kv_dtype:
        model = with_kv_dtype(model, machine.kv_dtype)
    runs = simulate_parts(parts, threads=1)
    document = step_document(model, system, step, runs, engine="embedded", validation={})
    return Measured(system, document, job.batch)


def run_lines(jobs: Sequence[Job], machine: str = "...") -> str:
    """The commands that give the numbers of a table."""
    return "\n".join(
        ["```", *(f"pamsim run {j.option} {machine} --validate off   # {j.name}" for j in jobs), "```"]
    )


def change(now: float, base: float) -> str:
    """In percent of the base, with its sign; "0 %" only for no change at all."""
    if now == base:
        return "0 %"
    percent = 100 * (now - base) / base
    digits = 0 if abs(percent) >= 99.5 else 1
    return f"{'+' if percent > 0 else '−'}{abs(percent):.{digits}f} %"


def share(value: float) -> str:
    return f"{100 * value:.1f} %"
