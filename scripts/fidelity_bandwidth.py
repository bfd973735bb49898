"""docs/fidelity.md, part 1: peak and achieved internal bandwidth of every device preset."""

from __future__ import annotations

from collections.abc import Iterable

from fidelity_run import AIM, ATTACC, DDR, FULL, GQA, HBM, MHA, SSD, Job, Machine, measure
from fidelity_run import Measured, run_lines, share
from pamsim.config import list_configs, load_device
from pamsim.config.spec import DeviceSpec
from sensitivity import table

# The machine that a family's devices are put into, and the tier.
BASES = {
    "hbm_pim": (HBM, "hbm"),
    "attacc": (ATTACC, "hbm"),
    "aim": (AIM, "aim"),
    "ddr_pim": (DDR, "ddr"),
    "ssd_pim": (SSD, "ssd"),
}
# Instructions name one bank group (docs/decisions.md, 34): a model's programs do not use their MACs.
UNCOMPILED = ("hbm3-pam-ab", "hbm3-pam-ab-exempt")

PAM_HBM = (
    "PAM section 7.1: 1.6 TFLOPS a device under peak power, 1.6 TB/s at one operation a byte (MHA); "
    "the same paper's \"SSD-PIM gives below 100 GB/s, 5 % of HBM-PIM\" (section 3) means 2 TB/s"
)
ATTACC_SIM = "scale-snu/attacc_simulator @c600051"
LIMITED = (
    f"{ATTACC_SIM} pim_ramulator_src/HBM3-PIM.cpp: nCCDAB 6 gives 7.10 TB/s; its src/config.py: 9 x "
    "670.4 GB/s = 6.03 TB/s. The two limits of one simulator differ"
)
UNLIMITED = f"{ATTACC_SIM} pim_ramulator_src/HBM3-PIM.cpp, HBM3_5.2Gbps_NPC: nCCDAB 4, 10.65 TB/s"
AIM_PEAK = (
    "ISSCC 2022 (S. Lee et al.): 1 TFLOPS a chip, 512 GB/s a channel; arkhadem/aim_simulator @0f28a07 "
    "src/dram/impl/GDDR6.cpp: 16 banks x 32 B every nCCDS = 1 ns"
)
NO_PAPER = "no paper has it"
SAYS = {
    "hbm3-pam": PAM_HBM,
    "hbm3-pam-gqa": "as hbm3-pam; only the reading of the 512 B differs",
    "hbm3-pam-power": f"nearest to PAM's 1.6 TB/s; AttAcc's 6 / 4 CK ({ATTACC_SIM}) on the bus",
    "hbm3-pam-refpb": "as hbm3-pam; PAM Table 1 gives tREFI and is silent on the kind of refresh",
    "hbm3-pam-seq": UNLIMITED,
    "hbm3-pam-seq-power": LIMITED,
    "hbm3-pam-ab": UNLIMITED,
    "hbm3-pam-ab-exempt": UNLIMITED,
    "hbm2e-pam": "Samsung HBM2-PIM: 128 units x 32 B x 300 MHz = 1,229 GB/s (SAITPublic/PIMSimulator "
    "@b464dde; ISSCC 2021, 25.4: 1.2 TFLOPS), 4 x its 307.2 GB/s outside: the same factor",
    "hbm3-6400": f"{NO_PAPER}; 819.2 GB/s outside (CMU-SAFARI/ramulator2 @c5b1c3a)",
    "hbm3e-pam": NO_PAPER,
    "hbm4-pam": NO_PAPER,
    "attacc": LIMITED,
    "attacc-exempt": LIMITED,
    "attacc-sim": LIMITED,
    "attacc-npc": UNLIMITED + "; src/config.py: 16 x 670.4 GB/s = 10.73 TB/s",
    "gddr6-aim": AIM_PEAK,
    "gddr6-aim-norefresh": AIM_PEAK,
    "gddr6-aim-staggered": AIM_PEAK,
    "ddr4-pam": "PAM section 7.1: 204 GFLOPS a DIMM, 204 GB/s at one operation a byte",
    "ddr4-pam-gqa": "as ddr4-pam; only the reading of the 128 B differs",
    "ddr4-pam-striped": "as ddr4-pam; only where a vector lies differs",
    "ddr5-pam": NO_PAPER,
    "ssd-pam": "PAM section 7.1: 18 GFLOPS a drive; section 3: below 100 GB/s a node of 8 drives",
    "ssd-pam-nocache": "by hand, docs/ssd-pim-commands.md; PAM's 18 GFLOPS exclude it",
    "ssd-pam-serial": "by hand, docs/ssd-pim-commands.md; PAM's 18 GFLOPS exclude it",
    "ssd-mqsim": "CMU-SAFARI/MQSim @7ec40e3 ssdconfig.xml: 8 channels x 333 MT/s = 2.66 GB/s",
}


def machine_of(device: DeviceSpec) -> Machine:
    """The family's machine with this device in it."""
    machine, tier = BASES[device.family]
    return machine.but(f"tiers.{tier}.device={device.name}")


def modelled() -> tuple[DeviceSpec, ...]:
    """Device presets of families that are put into a machine here, by family and name."""
    order = list(BASES)
    devices = (load_device(name) for name in list_configs("device"))
    return tuple(sorted((d for d in devices if d.family in BASES), key=lambda d: order.index(d.family)))


def units(device: DeviceSpec) -> int:
    """What of a device a line is about: AiM's figures are of a channel, the others' of the device."""
    return device.organisation.channels_per_device if device.family == "aim" else 1


def achieved(job: Job, device: DeviceSpec) -> float:
    """GB/s that the units of one device (channel of AiM) read from their cells."""
    tier = measure(job, machine_of(device)).tier()
    return float(tier["bandwidth_gbps"]) / tier["devices"] / units(device)


def reads(job: Job, device: DeviceSpec) -> float:
    """How often every KV byte is read."""
    channels = measure(job, machine_of(device)).tier()["channels"]
    return sum(c["bytes_internal"] for c in channels) / sum(c["bytes_useful"] for c in channels)


def rows() -> Iterable[list[str]]:
    for device in modelled():
        peak = device.peak_bytes_per_second / 10**9 / units(device)
        outside = device.external_bytes_per_second / 10**9 / units(device)
        head = [f"`{device.name}`", f"{peak:,.1f}", f"{device.peak_rule}; {peak / outside:.3g} x outside"]
        if device.name in UNCOMPILED:
            figures = ["not compiled", "", "", ""]
        else:
            found = [achieved(job, device) for job in FULL]
            figures = [f"{f:,.1f}" for f in found]
            figures.append(" / ".join(share(f / peak) for f in found))
            figures.append(" / ".join(f"{reads(job, device):.2f}" for job in FULL))
        yield [*head, *figures, SAYS[device.name]]


def section() -> str:
    head = ["preset", "peak", "rule", "MHA", "GQA", "of peak", "KV read", "what others say"]
    options = sorted({f"`{machine.option}`" for machine, _ in BASES.values()})
    return "\n\n".join(
        (
            "## 1. Internal bandwidth",
            "GB/s that the processing units read from their cells, of one device (stack, DIMM, drive; "
            "of AiM one channel). `peak` is by hand: the least of the rules that a MAC of one query, or "
            "a page read, meets. `outside` is the device's data pins. `MHA` and `GQA` are measured: bytes "
            "read / time of the attention of a layer, refresh and appends included. `KV read`: how often "
            "every KV byte is read (MHA / GQA); achieved / `KV read` is what reaches the result.",
            run_lines(FULL, "MACHINE"),
            f"MACHINE is one of {', '.join(options)}, and `--set tiers.TIER.device=PRESET`. All channels "
            "are busy and do the same. `hbm3-pam-ab` and `-exempt` have no programs of models "
            "([decisions](decisions.md), 34).",
            table(head, rows(), 0),
            where_it_goes(),
        )
    )


def where_it_goes() -> str:
    """Shares of a channel's time, counted from its commands."""
    body = []
    for name, split in (
        ("hbm3-pam", _bus),
        ("hbm3-pam-seq", _sequencer),
        ("attacc", _attacc),
        ("attacc-sim", _attacc),
        ("gddr6-aim", _aim),
        ("ddr4-pam", _ddr),
    ):
        device = load_device(name)
        measured = measure(MHA, machine_of(device))
        (channel,) = measured.tier()["channels"]
        refreshing = channel["residency_ticks"]["refreshing"] / channel["residency_nodes"]
        ck = channel["ticks"] / device.ticks_per_ck
        parts = {w: n / ck for w, n in split(device, channel["commands"]).items()}
        parts["refreshing"] = refreshing / channel["ticks"]
        parts["the rest"] = 1 - sum(parts.values())
        body.append([f"`{name}`", ", ".join(f"{w} {share(n)}" for w, n in parts.items())])
    return "\n\n".join(
        (
            "Where a channel's time goes, MHA job: commands of one layer x their distance / cycles.",
            table(["preset", "shares of the time"], body, 0),
            "- `hbm3-pam-seq`: not the MACs but four activates in nFAW bind: 2 pseudo-channels x 4 rows of "
            f"1,024 B each {load_device('hbm3-pam-seq').timing_ck['nFAW']} CK are "
            f"{_row_bound(load_device('hbm3-pam-seq')):,.0f} GB/s a stack.\n"
            "- `attacc` opens the 16 banks of a rank four at a time, `attacc-sim` at once "
            "([fidelity-attacc](fidelity-attacc.md)).\n"
            "- AiM changes mode (TMOD) around every read of its MAC registers; a row used once reaches 57 % "
            "([fidelity-aim](fidelity-aim.md)).\n"
            "- `ddr4-pam`: what is left is rows opened anew for each of four 64 B pieces of q and of O.",
        )
    )


Counts = dict[str, int]


def _sum(commands: Counts, *stems: str) -> int:
    return sum(n for name, n in commands.items() if name.partition("_")[0] in stems)


def _bus(_: DeviceSpec, commands: Counts) -> dict[str, float]:
    others = _sum(commands, "MAX", "EXP", "SUM", "REDBG", "REDLD", "RDRES", "WR", "WRQ")
    return {"MACs on the column bus": _sum(commands, "MACbg"), "other columns": others}


def _sequencer(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    nodes = device.organisation.pseudo_channels
    return {"activates at nFAW": _sum(commands, "ACTbg") * device.timing_ck["nFAW"] / nodes}


def _attacc(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    ck = device.timing_ck
    turn = ck["nRTPL"] + ck["nRP"] + ck["nRCDRD"] - ck["nCCDAB"]
    rows = _sum(commands, "ACTAB")
    parts: dict[str, float] = {"MACs": _sum(commands, "MACAB") * ck["nCCDAB"], "row changes": rows * turn}
    if device.name == "attacc":
        parts["opening four banks at a time"] = rows * 3 * ck["nFAW"]
    return parts


def _aim(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    ck = device.timing_ck
    turn = ck["nRCDRDMAC"] + ck["nRTP"] + ck["nRP"] - ck["nCCDS"]
    return {
        "MACs": _sum(commands, "MAC16") * ck["nCCDS"],
        "row changes": _sum(commands, "ACT16") * turn,
        "changes of mode": _sum(commands, "TMOD") * ck["nMODCH"],
    }


def _ddr(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    return {"MACs": _sum(commands, "MACbg") * device.timing_ck["nCCDS"] / device.organisation.ranks}


def _row_bound(device: DeviceSpec) -> float:
    """GB/s of rows that nFAW lets a device open."""
    made = device.organisation
    rows = made.channels_per_device * made.pseudo_channels * made.banks * made.row_bytes
    return rows * device.ticks_per_second / device.ticks_per_ck / device.timing_ck["nFAW"] / 10**9
