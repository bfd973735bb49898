"""HBM-PIM: HBM3 with bank-group lockstep commands; the rules of docs/hbm-pim-commands.md.

Where a rule relates a PIM command to a stock one it stands here; rules between two stock commands
stand in `hbm3` and hold unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

from pamsim.config.spec import DeviceSpec, PimUnit
from pamsim.validate.timing import hbm3, hbm_pim_devices
from pamsim.validate.timing.rule import (
    Bus,
    Check,
    CommandKind,
    Family,
    PairRule,
    RowUse,
    Rule,
    Scope,
    cycles_to_ticks,
)

ROWS = "docs/hbm-pim-commands.md, Rows"
COLUMNS = "docs/hbm-pim-commands.md, Columns"

PC, GROUP, BANK = Scope.PSEUDO_CHANNEL, Scope.GROUP, Scope.BANK


PUS_OF_A_GROUP = 4  # one at each bank


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def mac_cycles(_pim: PimUnit, cycles: int) -> int:
    """A MACbg or SCbg says itself how long it keeps its PUs."""
    return cycles


def maximum_cycles(pim: PimUnit, elements: int) -> int:
    """nMAX: all lanes every cycle, then the depth of the comparator tree."""
    return _ceil(elements, pim.lanes) + pim.maximum_latency_cycles


def exponential_cycles(pim: PimUnit, elements: int) -> int:
    """nEXP: one element a cycle a lane, pipelined."""
    return _ceil(elements, pim.exponential_lanes) + pim.exponential_latency_cycles


def softcap_cycles(pim: PimUnit, elements: int) -> int:
    """nCAP: one element a cycle a lane of the exponential unit, then the depth of tanh."""
    return _ceil(elements, pim.exponential_lanes) + int(pim.extra["softcap_latency_cycles"])


def sum_cycles(pim: PimUnit, elements: int) -> int:
    """nSUM: all lanes every cycle, then the depth of the adder tree."""
    return _ceil(elements, pim.lanes) + pim.sum_latency_cycles


def reduction_cycles(pim: PimUnit, elements: int) -> int:
    """nRED: compare, exponential, then the four PUs' outputs through the RU's lanes."""
    return (
        pim.reduction_compare_cycles
        + pim.exponential_latency_cycles
        + PUS_OF_A_GROUP * _ceil(elements, pim.reduction_lanes)
    )


def derived_ticks(device: DeviceSpec) -> Mapping[str, int]:
    """nLDM: one merge on the logic die."""
    pim = device.pim
    merge = _ceil(pim.logic_die_merge_elements, pim.reduction_lanes)
    cycles = pim.reduction_compare_cycles + pim.exponential_latency_cycles + merge
    return {"nLDM": cycles_to_ticks(cycles, device.ticks_per_second, pim.clock_hz)}


READS, WRITES, PRECHARGES = hbm3.READS, hbm3.WRITES, hbm3.PRECHARGES
MAC = ("MACbg", "SCbg")  # what reads a column into the PUs: the same rules
ARITHMETIC = ("CAP", "MAX", "EXP", "SUM")
MERGING = (*ARITHMETIC, "REDBG")  # what waits for a MAC's result
PU = (*MAC, "WRQ", *MERGING)
ACTS = ("ACT", "ACTbg")

# fmt: off
KINDS = (
    *hbm3.KINDS,
    CommandKind("ACTbg", Bus.ROW, 3, GROUP, RowUse.OPEN, names_row=True),
    CommandKind("PREbg", Bus.ROW, 1, GROUP, RowUse.CLOSE, falling_edge=True),
    CommandKind("MACbg", Bus.COLUMN, 2, GROUP, RowUse.ACCESS, cycles=mac_cycles,
                names_row=True, names_column=True),
    CommandKind("SCbg",  Bus.COLUMN, 2, GROUP, RowUse.ACCESS, cycles=mac_cycles,
                names_row=True, names_column=True),
    CommandKind("CAP",   Bus.COLUMN, 2, GROUP, cycles=softcap_cycles),
    CommandKind("WRQ",   Bus.COLUMN, 2, GROUP),
    CommandKind("MAX",   Bus.COLUMN, 2, GROUP, cycles=maximum_cycles),
    CommandKind("EXP",   Bus.COLUMN, 2, GROUP, cycles=exponential_cycles),
    CommandKind("SUM",   Bus.COLUMN, 2, GROUP, cycles=sum_cycles),
    CommandKind("REDBG", Bus.COLUMN, 2, GROUP, cycles=reduction_cycles),
    CommandKind("REDLD", Bus.COLUMN, 2, GROUP),
    CommandKind("RDRES", Bus.COLUMN, 2, PC),
)

PAIRS = (
    # -- rows of a group
    PairRule("PIM tRCDRD", ROWS, "The row of an ACTbg can be read or multiplied after tRCDRD.",
             BANK, ((("ACTbg",), (*MAC, *READS)), (("ACT",), MAC)), "nRCDRD"),
    PairRule("PIM tRCDWR", ROWS, "The row of an ACTbg can be written after tRCDWR.",
             BANK, ((("ACTbg",), WRITES),), "nRCDWR"),
    PairRule("PIM tRAS", ROWS, "The banks of a group stay open for tRAS.",
             BANK, ((("ACTbg",), ("PREbg", *PRECHARGES)), (("ACT",), ("PREbg",))), "nRAS"),
    PairRule("PIM tRC", ROWS, "Two activates of one bank are tRC apart, group-wide or not.",
             BANK, ((("ACTbg",), ACTS), (("ACT",), ("ACTbg",))), "nRC"),
    PairRule("PIM tRP", ROWS, "A bank is activated tRP after its precharge, group-wide or not.",
             BANK, ((("PREbg",), ACTS), (PRECHARGES, ("ACTbg",))), "nRP"),
    PairRule("PIM tRTP", ROWS, "A bank is precharged tRTP after a MACbg or a read.",
             BANK, ((MAC, ("PREbg", *PRECHARGES)), (("RD",), ("PREbg",))), "nRTP"),
    PairRule("PIM tWR", ROWS, "A group is precharged tWR after the last write data.",
             BANK, ((("WR",), ("PREbg",)),), "nCWL + nBL + nWR"),
    PairRule("PIM RDA-ACTbg", ROWS, "A group waits for a read's auto-precharge in any bank.",
             BANK, ((("RDA",), ("ACTbg",)),), "nRTP + nRP"),
    PairRule("PIM WRA-ACTbg", ROWS, "A group waits for a write's auto-precharge in any bank.",
             BANK, ((("WRA",), ("ACTbg",)),), "nCWL + nBL + nWR + nRP"),
    PairRule("PIM tFAW", ROWS, "An activate of four banks fills the four-activate window.",
             PC, ((("ACTbg",), ACTS), (("ACT",), ("ACTbg",))), "nFAW"),
    PairRule("PIM tPPD", ROWS, "Two precharges of a pseudo-channel are tPPD apart.",
             PC, ((("PREbg",), ("PREbg", *PRECHARGES)), (PRECHARGES, ("PREbg",))), "nPPD"),
    PairRule("PIM ACTbg-REFab", ROWS, "A refresh follows an ACTbg of its pseudo-channel by tRC.",
             PC, ((("ACTbg",), ("REFab",)),), "nRC"),
    PairRule("PIM PREbg-REFab", ROWS, "A refresh waits tRP for the precharge of a group.",
             PC, ((("PREbg",), ("REFab",)),), "nRP"),
    PairRule("PIM tRFC", ROWS, "A group of a refreshing pseudo-channel takes no row command.",
             PC, ((("REFab",), ("ACTbg", "PREbg")),), "nRFC"),
    # -- a MAC and what follows it
    PairRule("PIM MAC tCCDL", COLUMNS, "A PU takes its next command tCCDL after a MACbg.",
             GROUP, ((MAC, PU),), "nCCDL"),
    PairRule("PIM MAC PU time", COLUMNS, "A MACbg holds its PUs for the cycles it names.",
             GROUP, ((MAC, PU),), "duration"),
    PairRule("PIM MAC result", COLUMNS, "A MACbg's result is there after its data and PU time.",
             GROUP, ((MAC, MERGING),), "nCL + nBL + duration"),
    PairRule("PIM MAC tCCDS", COLUMNS, "Two MACbg of a pseudo-channel are tCCDS apart.",
             PC, ((MAC, MAC),), "nCCDS"),
    PairRule("PIM MAC-host tCCDL", COLUMNS, "A MACbg and a host access of a group: tCCDL.",
             GROUP, ((MAC, (*READS, *WRITES)), (READS, MAC)), "nCCDL"),
    PairRule("PIM write-MAC", COLUMNS, "A MACbg waits tWTRL after write data of its group.",
             GROUP, (((*WRITES, "WRQ"), MAC),), "nCWL + nBL + nWTRL"),
    # -- arithmetic of a PU and a RU
    PairRule("PIM arithmetic", COLUMNS, "CAP, MAX, EXP and SUM hold their PUs for their duration.",
             GROUP, ((ARITHMETIC, PU),), "duration"),
    PairRule("PIM WRQ data", COLUMNS, "Arithmetic waits for the data of a WRQ.",
             GROUP, ((("WRQ",), MERGING),), "nCWL + nBL"),
    PairRule("PIM REDBG", COLUMNS, "A group's merge holds its PUs and its result.",
             GROUP, ((("REDBG",), (*PU, "REDLD")),), "duration"),
    PairRule("PIM REDLD-RDRES", COLUMNS, "A result is read after the logic die's last merge.",
             PC, ((("REDLD",), ("RDRES",)),), "nLDM"),
    # -- directions of the data bus; RDRES has no group
    PairRule("PIM tCCDS", COLUMNS, "Transfers of one direction in a pseudo-channel: tCCDS.",
             PC, ((("REDLD", "RDRES"), (*READS, "REDLD", "RDRES")), (READS, ("REDLD", "RDRES")),
                  (("WRQ",), (*WRITES, "WRQ")), (WRITES, ("WRQ",))), "nCCDS"),
    PairRule("PIM tCCDL", COLUMNS, "Transfers of one direction in a bank group: tCCDL.",
             GROUP, ((("REDLD",), (*READS, "REDLD")), (READS, ("REDLD",)),
                     (("WRQ",), (*WRITES, "WRQ")), (WRITES, ("WRQ",))), "nCCDL"),
    PairRule("PIM tCCDR", COLUMNS, "Transfers to the host or logic die from two SIDs: tCCDR.",
             PC, ((("REDLD",), (*READS, "REDLD")), (READS, ("REDLD",))), "nCCDR", other_sid=True),
    PairRule("PIM tRTW", COLUMNS, "The data bus turns from read to write in tRTW.",
             PC, ((("REDLD", "RDRES"), (*WRITES, "WRQ")), (READS, ("WRQ",))), "nRTW"),
    PairRule("PIM tWTRS", COLUMNS, "The data bus turns from write to read in tWTRS.",
             PC, ((("WRQ",), (*READS, "REDLD", "RDRES")), (WRITES, ("REDLD", "RDRES"))),
             "nCWL + nBL + nWTRS"),
    PairRule("PIM tWTRL", COLUMNS, "A group turns from write to read in tWTRL.",
             GROUP, ((("WRQ",), (*READS, "REDLD")), (WRITES, ("REDLD",))),
             "nCWL + nBL + nWTRL"),
)

CHECKS = {
    **hbm3.CHECKS,
    Check.HALF_OPEN: Rule("PIM half-open group", ROWS,
        "A MACbg finds all four banks of its group open, never some of them."),
}
# fmt: on

FAMILY = Family(
    "hbm_pim",
    KINDS,
    (*hbm3.PAIRS, *PAIRS),
    hbm3.WINDOWS,
    CHECKS,
    hbm3.FAMILY.refresh,
    derived_ticks,
    hbm_pim_devices.rules_on,
)
