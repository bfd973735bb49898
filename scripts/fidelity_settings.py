"""docs/fidelity.md, part 2: what each large assumption does to attention and energy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fidelity_run import (
    BETWEEN,
    DDR,
    FULL,
    HBM,
    LIGHT,
    MHA,
    SSD,
    Job,
    Machine,
    change,
    figure,
    measure,
    run_lines,
)
from sensitivity import table

from pamsim.model import load_model

HBM_DEVICE, DDR_DEVICE, SSD_DEVICE = (f"tiers.{t}.device" for t in ("hbm", "ddr", "ssd"))
DDR_PAGE = "[ddr-pim-commands](ddr-pim-commands.md)"
SSD_PAGE = "[ssd-pim-commands](ssd-pim-commands.md)"
WIDENED = f"{HBM_DEVICE}.pim.extra.packed_lanes=widened"
PAGE_STEPS = 64  # tokens of 128 FP16 elements in a 16 KiB page: a step in so many fills it

Setting = tuple[str, Machine, str]  # in words, the machine, where it is argued


DIES = 32  # of a drive: 8 channels x 4
PROGRAM_MS = 0.75  # a page, CMU-SAFARI/MQSim @7ec40e3 ssdconfig.xml


def fields() -> dict[str, str]:
    page, rest = measure(MHA, SSD).attention_ms, measure(BETWEEN[0], SSD).attention_ms
    model = load_model(MHA.model)
    heads = MHA.batch * model.kv_heads
    programs_ms = 2 * heads * model.layers * PROGRAM_MS
    return {
        "full_runs_how": run_lines(FULL, "HOW"),
        "hbm_table": settings_table(HBM, hbm_settings(), FULL),
        "ddr_table": settings_table(DDR, ddr_settings(), FULL),
        "append_runs": run_lines(BETWEEN, "HOW"),
        "append_table": settings_table(DDR, append_settings(), BETWEEN),
        "ssd_runs": run_lines(BETWEEN, "HOW"),
        "ssd_table": settings_table(SSD, ssd_settings(), BETWEEN),
        "ssd_context": f"{BETWEEN[0].context:,}",
        "fill_ms": figure(page),
        "fill_heads": str(heads),
        "fill_layers": str(model.layers),
        "fill_hand_ms": figure(programs_ms),
        "fill_even_ms": figure(programs_ms / DIES),
        "fill_more_ms": figure(page - rest),
        "plain_ms": figure(rest),
        "fill_percent": f"{100 * (page - rest) / PAGE_STEPS / rest:.0f} %",
        "light_runs": run_lines((LIGHT,), "HOW"),
        "light_table": settings_table(HBM, light_settings(), (LIGHT,)),
    }


def decision(number: int) -> str:
    return f"[{number}](decisions.md)"


def layouts() -> tuple[Setting, ...]:
    return (
        ("layout `head-fused`", HBM.but("layout=head-fused"), decision(28)),
        ("layout `token-major`", HBM.but("layout=token-major"), decision(28)),
        ("layout `naive`", HBM.but("layout=naive"), decision(27)),
    )


def hbm_settings() -> tuple[Setting, ...]:
    def device(name: str) -> Machine:
        return HBM.but(f"{HBM_DEVICE}={name}")

    gqa = device("hbm3-pam-gqa")
    return (
        ("512 B shared, bus mode, refresh of all banks, `head-split`, FP16", HBM, ""),
        ("512 B of PU buffer for each query head of a group", gqa, decision(3)),
        ("power: MACs 6 / 4 as far apart", device("hbm3-pam-power"), decision(36)),
        ("PUs with a sequencer", device("hbm3-pam-seq"), decision(33)),
        ("sequencer, columns 6 / 4 as far apart", device("hbm3-pam-seq-power"), decision(36)),
        ("refresh bank by bank", device("hbm3-pam-refpb"), decision(35)),
        *layouts(),
        ("KV fp8, PU takes 16 elements a cycle", HBM.but(kv_dtype="fp8"), decision(39)),
        ("KV fp8, `widened`: 32", HBM.but(WIDENED, kv_dtype="fp8"), decision(39)),
        ("KV int8, 16 elements a cycle", HBM.but(kv_dtype="int8"), decision(40)),
        ("KV int8, `widened`: 32", HBM.but(WIDENED, kv_dtype="int8"), decision(40)),
        ("KV int4, 16 elements a cycle", HBM.but(kv_dtype="int4"), decision(40)),
        ("KV int4, `widened`: 64", HBM.but(WIDENED, kv_dtype="int4"), decision(40)),
        ("512 B a query head, KV int8, 16 a cycle", gqa.but(kv_dtype="int8"), decision(39)),
        ("512 B a query head, KV int8, `widened`: 32", gqa.but(WIDENED, kv_dtype="int8"),
         decision(39)),
    )  # fmt: skip


def ddr_settings() -> tuple[Setting, ...]:
    return (
        ("a token in a chip (`chip`), 128 B shared", DDR, ""),
        ("vectors over the chips (`striped`)", DDR.but(f"{DDR_DEVICE}=ddr4-pam-striped"), DDR_PAGE),
        ("128 B for each query head of a group", DDR.but(f"{DDR_DEVICE}=ddr4-pam-gqa"),
         decision(3)),
    )  # fmt: skip


def append_settings() -> tuple[Setting, ...]:
    grouped = DDR.but(f"{DDR_DEVICE}.pim.extra.append_mode=grouped")
    return (
        ("`masked`: a token at once, 64 B on the bus for 8 B", DDR, ""),
        ("`grouped`: when 8 tokens wait", grouped, DDR_PAGE),
    )


def ssd_settings() -> tuple[Setting, ...]:
    return (
        ("cache registers: sense and transfer of a plane overlap", SSD, ""),
        ("only those of different dies overlap", SSD.but(f"{SSD_DEVICE}=ssd-pam-nocache"),
         SSD_PAGE),
        ("none overlap in a channel", SSD.but(f"{SSD_DEVICE}=ssd-pam-serial"), SSD_PAGE),
    )  # fmt: skip


def light_settings() -> tuple[Setting, ...]:
    return (
        ("spread `spread`, 128 tokens a bank, `head-split`", HBM, ""),
        ("16 tokens a bank", HBM.but("spread_min_bank_tokens=16"), decision(14)),
        ("512 tokens a bank", HBM.but("spread_min_bank_tokens=512"), decision(14)),
        ("spread `all`: every bank group", HBM.but("spread=all"), decision(30)),
        ("spread `channel`: one channel a head", HBM.but("spread=channel"), decision(30)),
        ("spread `head-parallel`: channel i", HBM.but("spread=head-parallel"), decision(31)),
        *layouts(),
    )


def settings_table(base: Machine, settings: Sequence[Setting], jobs: Sequence[Job]) -> str:
    head = ["setting", "HOW", "why"]
    for job in jobs:
        head += [f"{job.name}: attention ms", f"{job.name}: mJ a token"]
    body = []
    for words, machine, argued in settings:
        how = base.option if machine == base else " ".join(machine.changes(base))
        body.append([words, f"`{how}`", argued, *effects(base, machine, jobs)])
    return table(head, body, 2 * len(jobs))


def effects(base: Machine, machine: Machine, jobs: Sequence[Job]) -> list[str]:
    """Attention and energy of each job, with their change against the base."""
    cells = []
    for job in jobs:
        now, then = measure(job, machine), measure(job, base)
        for value, before in (
            (now.attention_ms, then.attention_ms),
            (now.token_mj, then.token_mj),
        ):
            changed = "" if machine == base else f" ({change(value, before)})"
            cells.append("not known" if math.isnan(value) else figure(value) + changed)
    return cells
