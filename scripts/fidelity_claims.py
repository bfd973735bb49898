"""docs/fidelity.md, part 3: what PAM says of itself, beside what we get."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fidelity_bandwidth import achieved, jobs_of
from fidelity_run import (
    ATTACC,
    BETWEEN,
    DDR,
    GQA,
    HBM,
    LIGHT,
    MHA,
    NS_PER_MS,
    SSD,
    Job,
    Machine,
    Measured,
    change,
    figure,
    joined,
    measure,
    parts_of,
    share,
)
from sensitivity import table

from pamsim.compiler import CompiledPart
from pamsim.config import load_device
from pamsim.energy import command_work
from pamsim.system import simulate_parts
from pim_isa import Program

REDUCTIONS = ("REDG", "REDL")  # what the reduction units do, in every family's instructions
BANKS = 4  # of a bank group
PS_PER_MS = 10**9
BITS = 8

# PAM, arXiv 2602.11521, section 7.1 and Table 1: tier -> preset, devices of a node, GB/s of one
RATES = {
    "hbm": ("hbm3-pam", 40, 1600.0),
    "ddr": ("ddr4-pam", 40, 204.0),
    "ssd": ("ssd-pam", 8, 18.0),
}


def fields() -> dict[str, str]:
    pam, centralised = measure(MHA, HBM), measure(MHA, ATTACC)
    here, there = sum(moved(pam)), sum(moved(centralised))
    sums = [ssd_of_sum(layer_us(case)) for case in LAYERED]
    return {
        "reduction_table": reduction_table(),
        "ddr_burst_share": share(ddr_burst_share()),
        "transfer_table": transfer_table(),
        "attacc_run": f"{MHA.option} {ATTACC.option}",
        "attacc_moved": figure(there / 1e6),
        "pam_moved": figure(here / 1e6),
        "attacc_saved": share(1 - here / there),
        "rates_table": rates_table(),
        "power_gbps": figure(achieved(MHA, load_device("hbm3-pam-power"))),
        "layered_table": layered_table(),
        "layered_low": share(min(sums)),
        "layered_high": share(max(sums)),
        **round_fields(),
    }


def reduction_table() -> str:
    body = []
    for tier, job, machine in (
        ("HBM-PIM, groups full", MHA, HBM),
        ("HBM-PIM, groups full", GQA, HBM),
        ("HBM-PIM, heads over channels", LIGHT, HBM),
        ("DDR-PIM", MHA, DDR),
        ("DDR-PIM", GQA, DDR),
        ("SSD-PIM", BETWEEN[0], SSD),
        ("SSD-PIM", BETWEEN[1], SSD),
    ):
        measured = measure(job, machine)
        attention, bare = measured.attention_ms, attention_without(job, machine)
        after = measured.document["reduction"]["latency_ns"] / NS_PER_MS
        part = (attention - bare + after) / (attention + after)
        numbers = [f"{n:,.3f}" for n in (attention, bare, after)]
        body.append([tier, f"`pamsim run {job.option} {machine.option}`", *numbers, share(part)])
    return table(["tier", "how", "attention", "without", "after", "share"], body, 4)


def attention_without(job: Job, machine: Machine) -> float:
    """Attention of a step without the reduction units' instructions, in ms."""
    bare = [without_reduction(part) for part in parts_of(job, machine)]
    return sum(run.attention_ps for run in simulate_parts(bare, threads=1)) / PS_PER_MS


def ddr_burst_share() -> float:
    """Of a run, what REDCB of all ranks keep the DIMM's data bus."""
    measured = measure(MHA, DDR)
    (channel,) = measured.tier()["channels"]
    device = measured.system.tiers[0].device
    busy = channel["commands"]["REDCB"] * device.timing_ck["nBL"]
    return float(busy * device.ticks_per_ck / channel["ticks"])


def without_reduction(part: CompiledPart) -> CompiledPart:
    """For their time only: the results of such programs mean nothing."""

    def bare(program: Program) -> Program:
        streams = (
            replace(
                s, instructions=tuple(i for i in s.instructions if i.mnemonic not in REDUCTIONS)
            )
            for s in program.streams
        )
        return replace(program, streams=tuple(streams))

    programs = tuple(replace(p, program=bare(p.program)) for p in part.step.programs)
    return replace(part, step=replace(part.step, programs=programs))


def transfer_table() -> str:
    body = []
    for tier, job, machine in (("HBM-PIM", MHA, HBM), ("HBM-PIM", GQA, HBM), ("DDR-PIM", MHA, DDR)):
        up, down = moved(measure(job, machine))
        numbers = [figure(n / 1e6) for n in (up, down)]
        numbers += [share(1 - 1 / BANKS), share(1 - (up + down) / (BANKS * up + down))]
        body.append([tier, f"`pamsim run {job.option} {machine.option}`", *numbers])
    return table(["tier", "how", "up", "queries", "saved upward", "saved with queries"], body, 4)


def moved(measured: Measured) -> tuple[int, int]:
    """Bytes of a step from bank groups to the logic die (central buffer), and the other way."""
    device = measured.system.tiers[0].device
    up = down = 0
    for name, count in measured.commands().items():
        work = command_work(name, device, part_columns=1)
        up += count * work.group_to_die_bits
        down += count * work.die_to_group_bits
    return up // BITS, down // BITS


def rates_table() -> str:
    ours = {}
    for tier, (name, devices, _) in RATES.items():
        device = load_device(name)
        ours[tier] = devices * achieved(jobs_of(device)[0], device)
    theirs = {tier: devices * gbps for tier, (_, devices, gbps) in RATES.items()}
    body = []
    for tier, (name, devices, gbps) in RATES.items():
        measured = ours[tier] / devices
        body.append([
            f"`{name}`", f"{gbps:,.0f}", f"{theirs[tier] / theirs['ssd']:,.0f}",
            f"{measured:,.1f}", f"{ours[tier] / ours['ssd']:,.0f}", change(measured, gbps),
        ])  # fmt: skip
    head = ["tier", "PAM", "PAM, node", "measured", "measured, node", "measured against PAM"]
    return table(head, body, 5)


@dataclass(frozen=True)
class Layered:
    """A step of L-PIM with so many GiB of KV cache in HBM and in DDR; the rest lies in SSDs."""

    job: Job
    hbm_gib: int
    ddr_gib: int
    words: str
    changes: tuple[str, ...] = ()

    @property
    def machine(self) -> Machine:
        split = (f"tiers.hbm.kv_gib={self.hbm_gib}", f"tiers.ddr.kv_gib={self.ddr_gib}")
        return Machine("l-pim", (*split, *self.changes))


# Contexts at which no step fills a page.
_LLAMA, _OPT = Job("", "llama-3-70b", 8191, 64), Job("", "opt-175b", 2047, 32)
_PER_QUERY = ("tiers.hbm.device=hbm3-pam-gqa", "tiers.ddr.device=ddr4-pam-gqa")
LAYERED = (
    Layered(_LLAMA, 16, 40, "GQA, group of 8"),
    Layered(_LLAMA, 16, 40, "the same, buffers for each query head", _PER_QUERY),
    Layered(_LLAMA, 40, 16, "GQA, more in HBM than in DDR"),
    Layered(_OPT, 29, 72, "MHA"),
)


def layered_table() -> str:
    body = []
    for case in LAYERED:
        document = measure(case.job, case.machine).document
        tiers = document["tiers"]
        tokens = {tier: tiers[tier]["kv_tokens"] for tier in RATES}
        taken = layer_us(case)
        by_rates = {tier: tokens[tier] / (n * gbps) for tier, (_, n, gbps) in RATES.items()}
        waited = sum(
            task["end_ns"] - task["start_ns"]
            for task in document["timeline"]
            if task["critical"] and task["task"] == "attention" and task["resource"].endswith("ssd")
        )
        body.append([
            f"{case.job.model}, {case.words}",
            f"`pamsim run {case.job.option} {case.machine.option}`",
            joined([f"{100 * n / sum(tokens.values()):.0f}" for n in tokens.values()]),
            joined([figure(us) for us in taken.values()]),
            share(ssd_of_sum(taken)),
            share(waited / document["latency_ns"]),
            share(by_rates["ssd"] / sum(by_rates.values())),
        ])  # fmt: skip
    head = ["model", "how", "% of KV", "us a layer", "of the sum", "of the step", "by PAM's rates"]
    return table(head, body, 5)


def layer_us(case: Layered) -> dict[str, float]:
    """Attention of one layer by tier, in the slowest instance, in us."""
    tiers = measure(case.job, case.machine).document["tiers"]
    return {t: max(part["latency_ns"] for part in tiers[t]["parts"]) / 1e3 for t in RATES}


def ssd_of_sum(taken: dict[str, float]) -> float:
    return taken["ssd"] / sum(taken.values())


ROUND = Job("", "llama-3-70b", 8192, 1)
ROUND_MACHINE = Machine("pam-node", ("tiers.hbm.kv_gib=1.25", "tiers.ddr.kv_gib=1.24"))


def round_fields() -> dict[str, str]:
    """Few tokens in the SSD: how long a layer waits for them."""
    parts = measure(ROUND, ROUND_MACHINE).tier("ssd")["parts"]
    slowest_us = max(part["latency_ns"] for part in parts) / 1e3
    step_ms = sum(part["latency_ns"] * len(part["layers"]) for part in parts) / NS_PER_MS
    return {
        "round_run": f"{ROUND.option} {ROUND_MACHINE.option}",
        "round_tokens": str(max(part["kv_tokens"] for part in parts)),
        "round_us": f"{slowest_us:.1f}",
        "round_stage_ms": f"{step_ms / len(parts):.1f}",
        "round_step_ms": f"{step_ms:.1f}",
    }
