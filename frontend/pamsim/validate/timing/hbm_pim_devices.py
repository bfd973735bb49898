"""What HBM-PIM devices differ in: docs/hbm-pim-commands.md, "Devices that differ"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing import hbm2
from pamsim.validate.timing.rule import (
    Check,
    Family,
    Names,
    PairRule,
    RefreshRule,
    Rule,
    Scope,
    cycles_to_ticks,
)

PAGE = "docs/hbm-pim-commands.md, "
SEQUENCER, ALL_BANKS = PAGE + "Sequencer mode", PAGE + "All banks of a pseudo-channel"
PER_BANK, POWER = PAGE + "Per-bank refresh", PAGE + "Power-limited MACs"

PC, GROUP, BANK = Scope.PSEUDO_CHANNEL, Scope.GROUP, Scope.BANK
READS, WRITES = ("RD", "RDA"), ("WR", "WRA")
PRECHARGES = ("PREab", "PREbg", "PREpb")
GROUP_MACS = ("MACbg", "SCbg")
MERGING = ("CAP", "MAX", "EXP", "SUM", "REDBG")
NARROW_ACTS = ("ACT", "ACTbg")
WINDOW = 4  # banks that may open within nFAW


def rules_on(family: Family, device: DeviceSpec) -> Family:
    """The family's rules as they hold on a device."""
    if "nMAC" in device.timing_ck:
        family = replace(family, pairs=(*family.pairs, MAC_POWER))
    if "nSEQ" in device.timing_ck:
        family = _with_sequencer(family)
    if "all_bank_activate" in device.pim.extra:
        family = _with_all_banks(family)
    if "nREFIpb" in device.timing_ck:
        family = _refreshed_by_bank(family, device)
    if device.ticks_per_ck == 1:
        family = _on_whole_clocks(family)
    return family


MAC_POWER = PairRule(
    "PIM MAC power", POWER, "MACbg of a pseudo-channel are as far apart as power allows.",
    PC, ((("MACbg",), ("MACbg",)),), "nMAC",
)  # fmt: skip


def _on_whole_clocks(family: Family) -> Family:
    return replace(
        family,
        kinds=hbm2.kinds_on_whole_clocks(family.kinds),
        pairs=hbm2.of_hbm2(family.pairs),
        windows=hbm2.of_hbm2(family.windows),
        checks=hbm2.checks_of_hbm2(family.checks),
    )


# -- sequencer mode


def sequencer_run(device: DeviceSpec, queries: int, columns: int) -> int:
    """Ticks from the first to the last column of a MACseq."""
    busy = cycles_to_ticks(queries, device.ticks_per_second, device.pim.clock_hz)
    return (columns - 1) * max(device.timing_ck["nSEQ"] * device.ticks_per_ck, busy)


MAC, MACRO = "MACbg", "MACseq"
STEP = PairRule(
    "PIM sequencer step", SEQUENCER, "A group takes its next columns a step after a macro's last.",
    GROUP, (((MACRO,), (MACRO, *GROUP_MACS, "WRQ")),), "nSEQ + run",
)  # fmt: skip


def _with_sequencer(family: Family) -> Family:
    mac = next(kind for kind in family.kinds if kind.name == MAC)
    macro = replace(mac, name=MACRO, run=sequencer_run)
    pairs = [p for rule in family.pairs for p in _of_a_macro(rule)]
    return replace(family, kinds=(*family.kinds, macro), pairs=(*family.pairs, *pairs, STEP))


def _of_a_macro(rule: PairRule) -> list[PairRule]:
    """What a MACbg's rule says of a MACseq: of its first column before it, of its last after it."""
    if rule.scope is PC and all(MAC in side for edge in rule.edges for side in edge):
        return []  # the columns of a macro stay in its group
    before = tuple((earlier, (MACRO,)) for earlier, later in rule.edges if MAC in later)
    after = tuple(
        ((MACRO,), (*later, MACRO) if MAC in later else later)
        for earlier, later in rule.edges
        if MAC in earlier
    )
    found = []
    if before:
        found.append(replace(rule, name=f"{rule.name}, to a macro", source=SEQUENCER, edges=before))
    if after:
        gap = f"{rule.gap} + run"
        name = f"{rule.name}, from a macro"
        found.append(replace(rule, name=name, source=SEQUENCER, edges=after, gap=gap))
    return found


# -- all banks of a pseudo-channel


def staggered_ticks(device: DeviceSpec) -> Mapping[str, int]:
    """What the activate window adds to an ACTab: nothing where it is exempt."""
    held = device.pim.extra["all_bank_activate"] == "staggered"
    faw = device.timing_ck["nFAW"] * device.ticks_per_ck if held else 0
    windows = -(-_banks(device) // WINDOW)
    return {"stagger": (windows - 1) * faw, "windows": windows * faw, "window": faw}


def _banks(device: DeviceSpec) -> int:
    """Of a pseudo-channel."""
    organisation = device.organisation
    return organisation.sids * organisation.bank_groups * organisation.banks


def _all(name: str, meaning: str, earlier: Names, later: Names, gap: str) -> PairRule:
    return PairRule(f"PIM {name}", ALL_BANKS, meaning, PC, ((earlier, later),), gap)


# fmt: off
ALL_BANK_PAIRS = (
    _all("ACTab tRCDRD", "The rows of an ACTab can be read or multiplied after tRCDRD.",
         ("ACTab",), ("MACab", *GROUP_MACS, *READS), "nRCDRD + stagger"),
    _all("MACab tRCDRD", "All banks can be multiplied tRCDRD after the last activate.",
         NARROW_ACTS, ("MACab",), "nRCDRD"),
    _all("ACTab tRCDWR", "The rows of an ACTab can be written after tRCDWR.",
         ("ACTab",), WRITES, "nRCDWR + stagger"),
    _all("ACTab tRAS", "All banks stay open for tRAS.",
         ("ACTab",), PRECHARGES, "nRAS + stagger"),
    _all("ACTab tRC", "Banks are activated or refreshed again tRC after an ACTab.",
         ("ACTab",), ("ACTab", *NARROW_ACTS, "REFab"), "nRC"),
    _all("tRC to ACTab", "An ACTab follows every activate of its banks by tRC.",
         NARROW_ACTS, ("ACTab",), "nRC"),
    _all("ACTab tRP", "An ACTab waits tRP for every precharge.",
         PRECHARGES, ("ACTab",), "nRP"),
    _all("RDA-ACTab", "An ACTab waits for a read's auto-precharge.",
         ("RDA",), ("ACTab",), "nRTP + nRP"),
    _all("WRA-ACTab", "An ACTab waits for a write's auto-precharge.",
         ("WRA",), ("ACTab",), "nCWL + nBL + nWR + nRP"),
    _all("REFab-ACTab", "A refreshing pseudo-channel takes no ACTab.",
         ("REFab",), ("ACTab",), "nRFC"),
    _all("ACTab tFAW", "An ACTab fills as many activate windows as its banks.",
         ("ACTab",), ("ACTab", *NARROW_ACTS), "windows"),
    _all("tFAW to ACTab", "An ACTab finds the four-activate window empty.",
         NARROW_ACTS, ("ACTab",), "window"),
    _all("MACab tRTP", "A bank is precharged tRTP after a MACab.",
         ("MACab",), PRECHARGES, "nRTP"),
    _all("MACab tCCDL", "The PUs take their next command tCCDL after a MACab.",
         ("MACab",), ("MACab", *GROUP_MACS, "WRQ", *MERGING), "nCCDL"),
    _all("MACab PU time", "A MACab holds all PUs for one cycle a query.",
         ("MACab",), ("MACab", *GROUP_MACS, "WRQ", *MERGING), "duration"),
    _all("MACab result", "A MACab's result is there after its data and PU time.",
         ("MACab",), MERGING, "nCL + nBL + duration"),
    _all("MACab-host tCCDL", "A MACab and a host access: tCCDL.",
         ("MACab",), (*READS, *WRITES), "nCCDL"),
    _all("host-MACab tCCDL", "A host read or a group's MAC and a MACab: tCCDL.",
         (*READS, *GROUP_MACS), ("MACab",), "nCCDL"),
    _all("write-MACab", "A MACab waits tWTRL after write data.",
         (*WRITES, "WRQ"), ("MACab",), "nCWL + nBL + nWTRL"),
    _all("PU-MACab", "A MACab waits until all PUs are free.",
         (*GROUP_MACS, *MERGING), ("MACab",), "duration"),
)
# fmt: on


def _with_all_banks(family: Family) -> Family:
    mac = next(kind for kind in family.kinds if kind.name == MAC)
    activate = next(kind for kind in family.kinds if kind.name == "ACTbg")
    derived = family.derived
    return replace(
        family,
        kinds=(
            *family.kinds,
            replace(activate, name="ACTab", scope=PC),
            replace(mac, name="MACab", scope=PC),
        ),
        pairs=(*family.pairs, *ALL_BANK_PAIRS),
        derived=lambda device: {**derived(device), **staggered_ticks(device)},
    )


# -- per-bank refresh

# fmt: off
PER_BANK_PAIRS = (
    PairRule("PIM tRFCpb", PER_BANK, "A group with a refreshing bank takes no row command.",
             BANK, ((("REFpb",), ("PREbg", "ACTbg")),), "nRFCpb"),
    PairRule("PIM REFpb-PREab", PER_BANK, "All banks are precharged when none is refreshing.",
             PC, ((("REFpb",), ("PREab",)),), "nRFCpb"),
    PairRule("PIM tRREFD", PER_BANK, "After REFpb another group is activated in tRREFD.",
             PC, ((("REFpb",), ("ACTbg",)),), "nRREFD"),
    PairRule("PIM ACTbg-REFpb tRRDS", PER_BANK, "A REFpb follows an ACTbg as an ACT follows ACT.",
             PC, ((("ACTbg",), ("REFpb",)),), "nRRDS"),
    PairRule("PIM ACTbg-REFpb tRRDL", PER_BANK, "ACTbg and REFpb of a bank group: tRRDL.",
             GROUP, ((("ACTbg",), ("REFpb",)), (("REFpb",), ("ACTbg",))), "nRRDL"),
    PairRule("PIM ACTbg-REFpb", PER_BANK, "A bank is refreshed tRC after its ACTbg.",
             BANK, ((("ACTbg",), ("REFpb",)),), "nRC"),
    PairRule("PIM PREbg-REFpb", PER_BANK, "A bank is refreshed tRP after its PREbg.",
             BANK, ((("PREbg",), ("REFpb",)),), "nRP"),
)
PER_BANK_CHECKS = {
    Check.REFRESH_INTERVAL: Rule("HBM3 tREFIpb", PER_BANK,
        "The k-th REFpb of a pseudo-channel of n banks issues in [k, k + n] x nREFIpb."),
    Check.REFRESH_LIMIT: Rule("HBM3 tREFIpb x 8n", PER_BANK,
        "At most eight refreshes of every bank are postponed."),
    Check.REFRESH_TURN: Rule("HBM3 REFpb turn", PER_BANK,
        "The banks of a pseudo-channel are refreshed in turn."),
}
# fmt: on


def _refreshed_by_bank(family: Family, device: DeviceSpec) -> Family:
    banks = _banks(device)
    return replace(
        family,
        pairs=(*family.pairs, *PER_BANK_PAIRS),
        checks={**family.checks, **PER_BANK_CHECKS},
        refresh=RefreshRule("REFpb", PC, "nREFIpb", postponed=8 * banks, late=banks, in_turn=BANK),
    )
