"""docs/fidelity.md, part 1: peak and achieved internal bandwidth of every device preset."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fidelity_run import (
    AIM,
    ATTACC,
    BETWEEN,
    DDR,
    FULL,
    HBM,
    MHA,
    SSD,
    Job,
    Machine,
    joined,
    measure,
    run_lines,
    share,
)
from sensitivity import table

from pamsim.config import list_configs, load_device
from pamsim.config.spec import DeviceSpec
from pamsim.report.document import multiplicity

# The machine that a family's devices are put into, and the tier.
BASES = {
    "hbm_pim": (HBM, "hbm"),
    "attacc": (ATTACC, "hbm"),
    "aim": (AIM, "aim"),
    "ddr_pim": (DDR, "ddr"),
    "ssd_pim": (SSD, "ssd"),
}
# Instructions name one bank group (docs/decisions.md, 34): programs do not use these MACs.
UNCOMPILED = ("hbm3-pam-ab", "hbm3-pam-ab-exempt")

_ATTACC = "scale-snu/attacc_simulator @c600051"
_PRESET = f"{_ATTACC} pim_ramulator_src/HBM3-PIM.cpp, preset"
_LIMITED = (
    f"{_PRESET} HBM3_5.2Gbps: nCCDAB 6, 7.10 TB/s. Its src/config.py: 9 x 670.4 GB/s = 6.03 TB/s; "
    "the simulator has two limits"
)
_UNLIMITED = f"{_PRESET} HBM3_5.2Gbps_NPC: nCCDAB 4, 10.65 TB/s"
_SERIAL = "PAM's 18 GFLOPS leave no room for it"
SAYS = {
    "hbm3-pam": "PAM section 7.1: 1.6 TFLOPS a device under peak power; at one operation a byte "
    "(MHA, FP16) 1.6 TB/s. Measured MHA is above it: part 3",
    "hbm3-pam-gqa": "as `hbm3-pam`; the 512 B are read otherwise",
    "hbm3-pam-power": f"PAM's 1.6 TB/s, if its limit is AttAcc's 6 / 4 ({_ATTACC})",
    "hbm3-pam-refpb": "as `hbm3-pam`; PAM Table 1 has tREFI and no kind of refresh",
    "hbm3-pam-seq": _UNLIMITED,
    "hbm3-pam-seq-power": _LIMITED,
    "hbm3-pam-ab": "as `hbm3-pam-seq`",
    "hbm3-pam-ab-exempt": "as `hbm3-pam-seq`",
    "hbm2e-pam": "Samsung's HBM2-PIM, also 4 x outside: 128 units x 32 B x 300 MHz = 1,229 GB/s "
    "(SAITPublic/PIMSimulator @b464dde; ISSCC 2021, 25.4: 1.2 TFLOPS)",
    "hbm3-6400": "no paper; 819.2 GB/s outside (CMU-SAFARI/ramulator2 @c5b1c3a)",
    "hbm3e-pam": "no paper",
    "hbm4-pam": "no paper",
    "attacc": _LIMITED,
    "attacc-exempt": "as `attacc`",
    "attacc-sim": "as `attacc`",
    "attacc-npc": f"{_UNLIMITED}. Its src/config.py: 16 x 670.4 GB/s = 10.73 TB/s",
    "gddr6-aim": "S. Lee et al., ISSCC 2022: 1 TFLOPS a chip, 512 GB/s a channel; "
    "arkhadem/aim_simulator @0f28a07 src/dram/impl/GDDR6.cpp: 16 banks x 32 B every nCCDS = 1 ns",
    "gddr6-aim-norefresh": "as `gddr6-aim`",
    "gddr6-aim-staggered": "as `gddr6-aim`",
    "ddr4-pam": "PAM section 7.1: 204 GFLOPS a DIMM, 204 GB/s at one operation a byte",
    "ddr4-pam-gqa": "as `ddr4-pam`; the 128 B are read otherwise",
    "ddr4-pam-striped": "as `ddr4-pam`; vectors lie otherwise",
    "ddr5-pam": "no paper",
    "ssd-pam": "PAM section 7.1: 18 GFLOPS a drive; below 100 GB/s by its sections 1 to 3",
    "ssd-pam-nocache": _SERIAL,
    "ssd-pam-serial": _SERIAL,
    "ssd-mqsim": "CMU-SAFARI/MQSim @7ec40e3 ssdconfig.xml: 8 channels x 333 MT/s = 2.66 GB/s",
}


def fields() -> dict[str, str]:
    sequencer = load_device("hbm3-pam-seq")
    refpb = load_device("hbm3-pam-refpb")
    head = ["preset", "peak", "rule", "MHA", "GQA", "of peak", "KV read", "what others say"]
    options = [f"`{machine.option}`" for machine, _ in BASES.values()]
    return {
        "full_runs": run_lines(FULL, "MACHINE"),
        "machines": ", ".join(options),
        "mha_context": f"{MHA.context:,}",
        "bandwidth_table": table(head, [row(d) for d in presets()], 0),
        "time_table": table(["preset", "time"], list(time_rows()), 0),
        "refpb_share": share(achieved(MHA, refpb) / peak_gbps(refpb)),
        "faw_ck": str(sequencer.timing_ck["nFAW"]),
        "faw_gbps": f"{row_gbps(sequencer):,.0f}",
    }


def machine_of(device: DeviceSpec) -> Machine:
    """The family's machine with this device in it."""
    machine, tier = BASES[device.family]
    return machine.but(f"tiers.{tier}.device={device.name}")


def presets() -> list[DeviceSpec]:
    """Every device preset of a family that models are compiled for, by family and name."""
    order = list(BASES)
    devices = [load_device(name) for name in list_configs("device")]
    known = [d for d in devices if d.family in order]
    return sorted(known, key=lambda d: order.index(d.family))


def jobs_of(device: DeviceSpec) -> tuple[Job, ...]:
    return BETWEEN if device.family == "ssd_pim" else FULL


def units(device: DeviceSpec) -> int:
    """Of a device, what a line is about: a channel of AiM, the whole device of the others."""
    return device.organisation.channels_per_device if device.family == "aim" else 1


def peak_gbps(device: DeviceSpec) -> float:
    return device.peak_bytes_per_second / 10**9 / units(device)


def achieved(job: Job, device: DeviceSpec) -> float:
    """GB/s that the units of one device (channel of AiM) read from their cells."""
    tier = measure(job, machine_of(device)).tier()
    return float(tier["bandwidth_gbps"]) / int(tier["devices"]) / units(device)


def reads(job: Job, device: DeviceSpec) -> float:
    """How often every KV byte is read."""
    channels = measure(job, machine_of(device)).tier()["channels"]
    useful = sum(c["bytes_useful"] * multiplicity(c) for c in channels)
    return float(sum(c["bytes_internal"] * multiplicity(c) for c in channels) / useful)


def row(device: DeviceSpec) -> list[str]:
    peak = peak_gbps(device)
    outside = device.external_bytes_per_second / 10**9 / units(device)
    rule = f"{device.peak_rule}; {peak / outside:.3g} x outside"
    cells = ["not compiled", "", "", ""]
    if device.name not in UNCOMPILED:
        jobs = jobs_of(device)
        rates = [achieved(job, device) for job in jobs]
        cells = [f"{rate:,.1f}" for rate in rates]
        cells.append(joined([share(rate / peak) for rate in rates]))
        cells.append(joined([f"{reads(job, device):.2f}" for job in jobs]))
    return [f"`{device.name}`", f"{peak:,.1f}", rule, *cells, SAYS[device.name]]


Counts = dict[str, int]
Split = Callable[[DeviceSpec, Counts], dict[str, float]]  # what takes how many CK of a run


def time_rows() -> Iterator[list[str]]:
    for name, split in TIME.items():
        device = load_device(name)
        (channel,) = measure(MHA, machine_of(device)).tier()["channels"]
        ck = channel["ticks"] / device.ticks_per_ck
        parts = {what: n / ck for what, n in split(device, channel["commands"]).items()}
        refreshing = channel["residency_ticks"]["refreshing"] / channel["residency_nodes"]
        parts["refresh"] = refreshing / channel["ticks"]
        parts["the rest"] = 1 - sum(parts.values())
        yield [f"`{name}`", ", ".join(f"{what} {share(part)}" for what, part in parts.items())]


def number(commands: Counts, *stems: str) -> int:
    return sum(n for name, n in commands.items() if name.partition("_")[0] in stems)


def _bus(_: DeviceSpec, commands: Counts) -> dict[str, float]:
    others = number(commands, "MAX", "EXP", "SUM", "REDBG", "REDLD", "RDRES", "WR", "WRQ")
    return {"MACs on the column bus": number(commands, "MACbg"), "its other commands": others}


def _sequencer(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    activates = number(commands, "ACTbg") / device.organisation.pseudo_channels
    return {"activates nFAW apart": activates * device.timing_ck["nFAW"]}


def _attacc(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    """A row visit's MACs end nCCDAB before its row change ends. After a refresh, nPREF is nRP."""
    ck, rows = device.timing_ck, number(commands, "ACTAB")
    turn = ck["nRTPL"] + ck["nRP"] + ck["nRCDRD"] - ck["nCCDAB"]
    refreshed = number(commands, "REFab") * (ck["nPREF"] - ck["nRP"])
    parts: dict[str, float] = {
        "MACs": number(commands, "MACAB") * ck["nCCDAB"],
        "row changes": rows * turn + refreshed,
    }
    if device.name == "attacc":
        parts["opening four banks at a time"] = rows * 3 * ck["nFAW"]
    return parts


def _aim(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    ck = device.timing_ck
    turn = ck["nRCDRDMAC"] + ck["nRTP"] + ck["nRP"] - ck["nCCDS"]
    return {
        "MACs": number(commands, "MAC16") * ck["nCCDS"],
        "row changes": number(commands, "ACT16") * turn,
        "changes of mode": number(commands, "TMOD") * ck["nMODCH"],
    }


def _ddr(device: DeviceSpec, commands: Counts) -> dict[str, float]:
    each = device.timing_ck["nCCDS"] / device.organisation.ranks
    return {"MACs": number(commands, "MACbg") * each}


TIME: dict[str, Split] = {
    "hbm3-pam": _bus,
    "hbm3-pam-seq": _sequencer,
    "attacc": _attacc,
    "attacc-sim": _attacc,
    "gddr6-aim": _aim,
    "ddr4-pam": _ddr,
}


def row_gbps(device: DeviceSpec) -> float:
    """Bytes of the rows that nFAW lets a device open."""
    made = device.organisation
    rows = made.channels_per_device * made.pseudo_channels * made.banks * made.row_bytes
    return rows * device.ticks_per_second / device.ticks_per_ck / device.timing_ck["nFAW"] / 10**9
