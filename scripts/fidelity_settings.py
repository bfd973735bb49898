"""docs/fidelity.md, part 2: what each large assumption does to attention and energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fidelity_run import DDR, FULL, HBM, LIGHT, SSD, Job, Machine, change, measure, run_lines
from sensitivity import table

HBM_DEVICE, DDR_DEVICE, SSD_DEVICE = (f"tiers.{t}.device" for t in ("hbm", "ddr", "ssd"))


@dataclass(frozen=True)
class Setting:
    """A choice in place of the base's, and where it is argued."""

    words: str
    machine: Machine
    base: Machine
    argued: str  # link

    @property
    def option(self) -> str:
        """What it adds to the base's command line."""
        if self.machine == self.base:
            return self.machine.option
        added = self.machine.overrides[len(self.base.overrides) :]
        dtype = [f"--kv-dtype {self.machine.kv_dtype}"] if self.machine.kv_dtype else []
        return " ".join([*(f"--set {o}" for o in added), *dtype])


def decision(number: int) -> str:
    return f"[{number}](decisions.md)"


def _family(base: Machine, words: str, rows: Sequence[tuple[str, Machine, str]]) -> list[Setting]:
    first = Setting(words, base, base, "")
    return [first, *(Setting(w, m, base, argued) for w, m, argued in rows)]


def hbm_settings() -> list[Setting]:
    gqa = HBM.but(f"{HBM_DEVICE}=hbm3-pam-gqa")
    wide = f"{HBM_DEVICE}.pim.extra.packed_lanes=widened"
    dtypes = [
        (f"KV as {dtype}, {how}", machine.but(*sets, kv_dtype=dtype), argued)
        for dtype, argued in (("fp8", decision(38)), ("int8", decision(40)), ("int4", decision(40)))
        for how, machine, sets in (
            ("16 lanes a cycle", HBM, ()),
            ("lanes divided (`widened`)", HBM, (wide,)),
        )
    ]
    return [
        *_family(
            HBM,
            "**HBM-PIM**: 512 B shared by the queries, bus mode, all-bank refresh, `head-split`, FP16",
            [
                ("512 B for each query head of a group", gqa, decision(3)),
                ("MACs 6 / 4 as far apart (power)", HBM.but(f"{HBM_DEVICE}=hbm3-pam-power"), decision(36)),
                ("PUs with a sequencer", HBM.but(f"{HBM_DEVICE}=hbm3-pam-seq"), decision(33)),
                (
                    "sequencer, columns 6 / 4 as far apart",
                    HBM.but(f"{HBM_DEVICE}=hbm3-pam-seq-power"),
                    decision(36),
                ),
                ("refresh bank by bank", HBM.but(f"{HBM_DEVICE}=hbm3-pam-refpb"), decision(35)),
                ("layout `head-fused`", HBM.but("layout=head-fused"), decision(28)),
                ("layout `token-major`", HBM.but("layout=token-major"), decision(28)),
                ("layout `naive`", HBM.but("layout=naive"), decision(27)),
                *dtypes,
            ],
        ),
        *(
            Setting(f"512 B a query head, KV as int8, {how}", machine, HBM, decision(39))
            for how, machine in (
                ("16 lanes a cycle", gqa.but(kv_dtype="int8")),
                ("`widened`", gqa.but(wide, kv_dtype="int8")),
            )
        ),
    ]


def ddr_settings() -> list[Setting]:
    append = f"{DDR_DEVICE}.pim.extra.append_mode=grouped"
    striped = DDR.but(f"{DDR_DEVICE}=ddr4-pam-striped")
    return _family(
        DDR,
        "**DDR-PIM**: a token in a chip, masked appends, 128 B shared",
        [
            ("vectors striped over the chips", striped, "[ddr-pim-commands](ddr-pim-commands.md)"),
            ("appends in groups of 8 tokens", DDR.but(append), "[ddr-pim-commands](ddr-pim-commands.md)"),
            ("128 B for each query head of a group", DDR.but(f"{DDR_DEVICE}=ddr4-pam-gqa"), decision(3)),
        ],
    )


def ssd_settings() -> list[Setting]:
    page = "[ssd-pim-commands](ssd-pim-commands.md)"
    return _family(
        SSD,
        "**SSD-PIM**: sense and transfer overlap by cache registers",
        [
            ("overlap of dies only", SSD.but(f"{SSD_DEVICE}=ssd-pam-nocache"), page),
            ("no overlap in a channel", SSD.but(f"{SSD_DEVICE}=ssd-pam-serial"), page),
        ],
    )


def light_settings() -> list[Setting]:
    """What matters where there are fewer tokens than would fill the banks."""
    return _family(
        HBM,
        "`spread`, at least 128 tokens a bank, `head-split`",
        [
            ("at least 16 tokens a bank", HBM.but("spread_min_bank_tokens=16"), decision(14)),
            ("at least 512 tokens a bank", HBM.but("spread_min_bank_tokens=512"), decision(14)),
            ("every bank group (`all`)", HBM.but("spread=all"), decision(30)),
            ("one channel a head (`channel`)", HBM.but("spread=channel"), decision(30)),
            ("a head to a channel (`head-parallel`)", HBM.but("spread=head-parallel"), decision(31)),
            ("layout `head-fused`", HBM.but("layout=head-fused"), decision(28)),
            ("layout `token-major`", HBM.but("layout=token-major"), decision(28)),
            ("layout `naive`", HBM.but("layout=naive"), decision(27)),
        ],
    )


def row(setting: Setting, jobs: Sequence[Job]) -> list[str]:
    cells = []
    for job in jobs:
        now, base = measure(job, setting.machine), measure(job, setting.base)
        for value, then in ((now.attention_ms, base.attention_ms), (now.energy_mj, base.energy_mj)):
            if math.isnan(value) or math.isnan(then):
                cells.append("not known")
            else:
                shown = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
                cells.append(shown if setting.machine == setting.base else f"{shown} ({change(value, then)})")
    return [setting.words, f"`{setting.option}`", setting.argued, *cells]


def settings_table(settings: Sequence[Setting], jobs: Sequence[Job]) -> str:
    head = ["setting", "how", "why"]
    for job in jobs:
        head += [f"{job.name}: attention ms", f"{job.name}: mJ a token"]
    return table(head, [row(s, jobs) for s in settings], 2 * len(jobs))


def section() -> str:
    return "\n\n".join(
        (
            "## 2. What the named assumptions do",
            "`attention` is attention in memory of all layers; `mJ a token` is the energy of the whole step "
            "(projections included) over its batch. In brackets the change against the first line of the "
            "block. Every smaller constant is varied in [sensitivity](sensitivity.md).",
            run_lines(FULL, "HOW"),
            settings_table([*hbm_settings(), *ddr_settings(), *ssd_settings()], FULL),
            "The jobs above fill every bank group, so the spread does nothing to them. With a small batch "
            "it decides:",
            run_lines((LIGHT,), "HOW"),
            settings_table(light_settings(), (LIGHT,)),
        )
    )
