"""docs/fidelity.md, part 3: what PAM says of itself, beside what we get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fidelity_bandwidth import achieved
from fidelity_run import ATTACC, DDR, GQA, HBM, LIGHT, MHA, SSD, Job, Machine, Measured
from fidelity_run import compiled, measure, share
from pamsim.compiler import CompiledPart
from pamsim.config import load_device
from pamsim.energy import command_work
from pamsim.system import simulate_parts
from sensitivity import table

REDUCTIONS = ("REDG", "REDL")  # instructions of the RUs, in every family
BANKS_A_GROUP = 4
PAM_SAVED = 0.59  # PAM, arXiv 2602.11521, section 7.5
PAM_RATES = {"hbm": 1600.0, "ddr": 204.0, "ssd": 18.0}  # GB/s a device, section 7.1
DEVICES_A_NODE = {"hbm": 40, "ddr": 40, "ssd": 8}  # Table 1
US_PER_MS = 1000


def section() -> str:
    return "\n\n".join(
        (
            "## 3. What PAM says of itself",
            "PAM is arXiv 2602.11521. It has no artifact, and the heights of its bars are not in its text.",
            reduction_time(),
            transfers(),
            rates(),
            layered(),
            access_round(),
        )
    )


def without_reduction(part: CompiledPart) -> CompiledPart:
    """A part whose programs leave out what the reduction units do, and all that is moved to them."""
    programs = tuple(
        replace(
            channel,
            program=replace(
                channel.program,
                streams=tuple(
                    replace(
                        stream,
                        instructions=tuple(
                            i for i in stream.instructions if i.mnemonic not in REDUCTIONS
                        ),
                    )
                    for stream in channel.program.streams
                ),
            ),
        )
        for channel in part.step.programs
    )
    return replace(part, step=replace(part.step, programs=programs))


def reduction_times(job: Job, machine: Machine) -> tuple[float, float, float]:
    """Of a step, ms: attention, attention without reduction commands, merging after it."""
    measured = measure(job, machine)
    _, parts = compiled(job, machine)
    bare = simulate_parts([without_reduction(p) for p in parts], threads=1)
    merging = measured.document["reduction"]["latency_ns"] / 1e6
    return measured.attention_ms, sum(r.attention_ps for r in bare) / 1e9, merging


def reduction_time() -> str:
    body = []
    for name, job, machine in (
        ("HBM-PIM, all groups busy", MHA, HBM),
        ("HBM-PIM, all groups busy", GQA, HBM),
        ("HBM-PIM, heads spread over channels", LIGHT, HBM),
        ("DDR-PIM", MHA, DDR),
        ("DDR-PIM", GQA, DDR),
    ):
        attention, bare, merging = reduction_times(job, machine)
        part = (attention - bare + merging) / (attention + merging)
        body.append([
            name, f"`{job.option} {machine.option}`", f"{attention:.3f}", f"{bare:.3f}",
            f"{merging:.3f}", share(part),
        ])  # fmt: skip
    return "\n\n".join(
        (
            "### Reduction: below 2 % of attention (PAM section 7.5)",
            "`without`: the same programs, simulated without the instructions REDG and REDL (merging in the "
            "group, moving to the logic die or central buffer). `after`: merging between channels and "
            "devices, `reduction` of the timeline. ms a step. share = (attention - without + after) / "
            "(attention + after).",
            table(["tier", "pamsim run", "attention", "without", "after", "share"], body, 4),
            "Met by HBM-PIM where a bank holds a tile or more of a head. DDR-PIM merges four pieces of O, "
            "each behind 12 + 8 cycles of 2 ns of a group's RU, while the group's banks wait.",
        )
    )


def moved(measured: Measured) -> tuple[int, int]:
    """Bytes of a step from bank groups to the logic die (central buffer), and the other way."""
    tier = measured.system.tiers[0]
    up = down = 0
    for name, count in measured.commands(tier.name).items():
        work = command_work(name, tier.device, 1)
        up += count * work.group_to_die_bits
        down += count * work.die_to_group_bits
    return up // 8, down // 8


def transfers() -> str:
    body = []
    for name, job, machine in (
        ("HBM-PIM", MHA, HBM),
        ("HBM-PIM", GQA, HBM),
        ("HBM-PIM", LIGHT, HBM),
        ("HBM-PIM, `spread=channel`: 4 tiles a share", LIGHT, HBM.but("spread=channel")),
        ("DDR-PIM", MHA, DDR),
    ):
        up, down = moved(measure(job, machine))
        saved = 1 - (up + down) / (BANKS_A_GROUP * up + down)
        body.append([
            name, f"`{job.option} {machine.option}`", f"{up / 1e6:,.1f}", f"{down / 1e6:,.1f}",
            share(1 - 1 / BANKS_A_GROUP), share(saved),
        ])  # fmt: skip
    pam_up, pam_down = moved(measure(MHA, HBM))
    other_up, other_down = moved(measure(MHA, ATTACC))
    ratio = 1 - (pam_up + pam_down) / (other_up + other_down)
    return "\n\n".join(
        (
            "### Tiered reduction: 59 % fewer transfers inside a device (PAM section 7.5)",
            "Counted from the commands of the run, MB a step. `up`: REDLD (HBM-PIM, 32 B) and REDCB (DDR-PIM, "
            "64 B over the chips). `queries`: WRQ. With an RU in each bank group one (O, m, l) of a query "
            "goes up per group; without, one per bank: 4 x `up`. saved upward = 1 - up / 4 up; with "
            "queries = 1 - (up + queries) / (4 up + queries).",
            table(
                ["tier", "pamsim run", "up", "queries", "saved upward", "saved with queries"], body, 4
            ),
            "PAM does not say what it counts. By hand, for one query of 128 elements in a bank group: O is 8 "
            "columns of 32 B and (m, l) one, so up = 9; a tile loads the query once, 8 columns. With one "
            "tile a share: 1 - (9 + 8) / (36 + 8) = 61.4 %, beside PAM's 59 %. With more tiles the query is "
            "loaded anew for each, since the buffer held P and O meanwhile: that share falls, and the "
            "upward one stays 75 %. Results to the pins (RDRES) are the same in both and left out.",
            f"Against AttAcc, which ships scores and exponentials: the MHA job moves "
            f"{(other_up + other_down) / 1e6:,.0f} MB between bank groups and buffer die on `attacc` and "
            f"{(pam_up + pam_down) / 1e6:,.0f} MB on `pam-hbm`: {share(ratio)} fewer "
            f"(`pamsim run {MHA.option} {ATTACC.option}`).",
        )
    )


def rates() -> str:
    body = []
    ours = {}
    for tier, name in (("hbm", "hbm3-pam"), ("ddr", "ddr4-pam"), ("ssd", "ssd-pam")):
        ours[tier] = achieved(MHA, load_device(name)) * DEVICES_A_NODE[tier]
    power = achieved(MHA, load_device("hbm3-pam-power"))
    for tier, paper in PAM_RATES.items():
        count = DEVICES_A_NODE[tier]
        body.append([
            tier, str(count), f"{paper:,.0f}", f"{paper * count / PAM_RATES['ssd'] / 8:,.0f}",
            f"{ours[tier] / count:,.1f}", f"{ours[tier] / ours['ssd']:,.0f}",
            share(ours[tier] / count / paper - 1) if ours[tier] / count < paper
            else "+" + share(ours[tier] / count / paper - 1),
        ])  # fmt: skip
    return "\n\n".join(
        (
            "### Rates of the tiers: 444 : 57 : 1 (PAM section 7.1, Table 1)",
            "GB/s a device of PAM at one operation a byte (MHA), and ours for the MHA job (part 1); the ratio "
            "is of a node's tiers.",
            table(
                ["tier", "devices", "PAM", "ratio", "measured", "ratio", "against PAM"], body, 6
            ),
            "PAM's 1.6 TFLOPS of HBM-PIM does not follow from its Table 1: 1,024 PUs of 16 lanes at 666 MHz "
            f"do 21.8. `hbm3-pam-power` reaches {power:,.0f} GB/s: AttAcc's power limit on bus-mode MACs "
            "explains it; the default has no power limit.",
        )
    )


@dataclass(frozen=True)
class Layered:
    """A step of L-PIM with so many GiB of KV cache in HBM and in DDR; the rest lies in SSDs."""

    job: Job
    hbm_gib: int
    ddr_gib: int
    words: str = ""
    overrides: tuple[str, ...] = ()

    @property
    def machine(self) -> Machine:
        split = (f"tiers.hbm.kv_gib={self.hbm_gib}", f"tiers.ddr.kv_gib={self.ddr_gib}")
        return Machine("l-pim", (*split, *self.overrides))


# No step of these contexts fills a page: 63 of 64 steps do not.
LLAMA = Job("L-PIM", "llama-3-70b", 8191, 64)
OPT = Job("L-PIM", "opt-175b", 2047, 64)
PER_QUERY = ("tiers.hbm.device=hbm3-pam-gqa", "tiers.ddr.device=ddr4-pam-gqa")
CASES = (
    Layered(LLAMA, 16, 40, "GQA, buffers shared"),
    Layered(LLAMA, 16, 40, "GQA, buffers for each query head", PER_QUERY),
    Layered(LLAMA, 40, 16, "GQA, buffers shared"),
    Layered(OPT, 58, 144, "MHA"),
)


def layered() -> str:
    body = []
    for case in CASES:
        document = measure(case.job, case.machine).document
        tiers = {name: document["tiers"][name] for name in PAM_RATES}
        tokens = {n: t["kv_tokens"] for n, t in tiers.items()}
        held = " / ".join(f"{100 * n / sum(tokens.values()):.0f}" for n in tokens.values())
        # The slowest part of a tier: one layer of one instance.
        layer_us = {n: max(p["latency_ns"] for p in t["parts"]) / 1e3 for n, t in tiers.items()}
        by_hand = {n: tokens[n] / PAM_RATES[n] / DEVICES_A_NODE[n] for n in tiers}
        waited = sum(
            t["end_ns"] - t["start_ns"]
            for t in document["timeline"]
            if t["critical"] and t["task"] == "attention" and t["resource"].endswith("ssd")
        )
        body.append([
            f"{case.job.model}, {case.words}", f"`pamsim run {case.job.option} {case.machine.option}`",
            held, " / ".join(f"{us:,.0f}" for us in layer_us.values()),
            share(layer_us["ssd"] / sum(layer_us.values())),
            share(waited / document["latency_ns"]),
            share(by_hand["ssd"] / sum(by_hand.values())),
        ])  # fmt: skip
    head = ["model", "how", "% of KV", "us a layer", "SSD of the sum", "SSD of the step", "PAM's rates"]
    return "\n\n".join(
        (
            "### L-PIM: the SSD holds 65 % of the KV and takes 93 % of the time (PAM section 7.2)",
            "Whole requests fill HBM, then DDR, then SSD; attention is dense. PAM names neither model nor "
            "batch nor the split of the other 35 %. `us a layer`: attention of one layer in HBM / DDR / "
            "SSD. `of the sum`: SSD / (HBM + DDR + SSD). `of the step`: the time in which the step "
            "waited for SSD attention. `PAM's rates`: the sum by hand with the rates of section 7.1.",
            table(head, body, 5),
            "PAM's two numbers contradict its rates: 93 : 7 of the time for 65 : 35 of the KV make a byte in "
            "the SSD (93 / 65) / (7 / 35) = 7.2 times as slow as one elsewhere, where its rates are 57 and "
            "444 to 1. What slows our DDR and HBM tiers in the GQA cases is named: a PU buffer that holds "
            "one query reads every byte once for each query head of the group (part 2).",
        )
    )


ONE_ROUND = Job("round", "llama-3-70b", 8192, 1)
ROUND_MACHINE = Machine("pam-node", ("tiers.hbm.kv_gib=1.25", "tiers.ddr.kv_gib=1.2"))


def access_round() -> str:
    tier = measure(ONE_ROUND, ROUND_MACHINE).tier("ssd")
    (tokens,) = {p["kv_tokens"] for p in tier["parts"]}
    slowest = max(p["latency_ns"] for p in tier["parts"]) / 1e3
    return "\n\n".join(
        (
            "### One round of the SSD: at least 30 us a layer (PAM Table 1, tR)",
            f"`pamsim run {ONE_ROUND.option} {ROUND_MACHINE.option}`: {tokens} tokens of every layer lie in "
            f"the SSD, and a layer takes {slowest:.1f} us there. By hand: tR 30 us of K, tR 30 us of V "
            "behind it in the same plane, 6.83 us for V's page on the bus, then the PUs. 80 layers in two "
            f"stages wait {80 * slowest / US_PER_MS:.1f} ms a step for it.",
        )
    )
