"""DDR-PIM: DDR4 and DDR5 with bank-group lockstep commands; the rules of docs/ddr-pim-commands.md.

Where a rule relates a PIM command to a stock one it stands here; rules between two stock commands
stand in `ddr4` and hold unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

from pamsim.config.spec import DeviceSpec, PimUnit
from pamsim.validate.timing import ddr4
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

ROWS = "docs/ddr-pim-commands.md, Rows"
COLUMNS = "docs/ddr-pim-commands.md, Columns"

CHANNEL, RANK, GROUP, BANK = Scope.CHANNEL, Scope.SID, Scope.GROUP, Scope.BANK

PUS_OF_A_CHIP = 4  # of a bank group: one at each bank
CHIPS = 8


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def mac_cycles(_pim: PimUnit, queries: int) -> int:
    """8 B a cycle a query (PAM, arXiv 2602.11521, section 7.1)."""
    return queries


def maximum_cycles(pim: PimUnit, elements: int) -> int:
    """nMAX: all lanes every cycle, then the depth of the comparator tree."""
    return _ceil(elements, pim.lanes) + pim.maximum_latency_cycles


def exponential_cycles(pim: PimUnit, elements: int) -> int:
    """nEXP: one element a cycle a lane, pipelined."""
    return _ceil(elements, pim.exponential_lanes) + pim.exponential_latency_cycles


def sum_cycles(pim: PimUnit, elements: int) -> int:
    """nSUM: all lanes every cycle, then the depth of the adder tree."""
    return _ceil(elements, pim.lanes) + pim.sum_latency_cycles


def reduction_cycles(pim: PimUnit, elements: int) -> int:
    """nRED: compare, exponential, then a chip's four partial outputs through the RU's lanes."""
    return (
        pim.reduction_compare_cycles
        + pim.exponential_latency_cycles
        + PUS_OF_A_CHIP * _ceil(elements, pim.reduction_lanes)
    )


def derived_ticks(device: DeviceSpec) -> Mapping[str, int]:
    """nCBM and nCBS: a merge and a sum over the chips in the central buffer."""
    pim = device.pim
    lanes = pim.reduction_lanes * pim.logic_die_reduction_units
    each = _ceil(pim.logic_die_merge_elements, lanes)
    merge = pim.reduction_compare_cycles + pim.exponential_latency_cycles + CHIPS * each
    return {
        name: cycles_to_ticks(cycles, device.ticks_per_second, pim.clock_hz)
        for name, cycles in (("nCBM", merge), ("nCBS", int(pim.extra["score_sum_cycles"])))
    }


READS, WRITES, PRECHARGES = ddr4.READS, ddr4.WRITES, ddr4.PRECHARGES
MAC = ("MACbg",)
LOADS = ("WRQ", "WRSC")  # writes that do not reach the array
TAKES = ("REDCB", "RDSC")  # reads that do not come from it
ARITHMETIC = ("MAX", "EXP", "SUM")
MERGING = (*ARITHMETIC, "REDBG", "RDSC")  # what waits for a MAC's result
PU = (*MAC, *LOADS, *MERGING)
ACTS = ("ACT", "ACTbg")
IN = (*WRITES, *LOADS)
OUT = (*READS, *TAKES)

# fmt: off
KINDS = (
    *ddr4.KINDS,
    CommandKind("ACTbg", Bus.ROW, "nCA", GROUP, RowUse.OPEN, names_row=True),
    CommandKind("PREbg", Bus.ROW, 1, GROUP, RowUse.CLOSE),
    CommandKind("MACbg", Bus.ROW, "nCA", GROUP, RowUse.ACCESS, cycles=mac_cycles,
                names_row=True, names_column=True),
    *(CommandKind(name, Bus.ROW, "nCA", GROUP) for name in (*LOADS, *TAKES)),
    CommandKind("MAX",   Bus.ROW, "nCA", GROUP, cycles=maximum_cycles),
    CommandKind("EXP",   Bus.ROW, "nCA", GROUP, cycles=exponential_cycles),
    CommandKind("SUM",   Bus.ROW, "nCA", GROUP, cycles=sum_cycles),
    CommandKind("REDBG", Bus.ROW, "nCA", GROUP, cycles=reduction_cycles),
    CommandKind("RDRES", Bus.ROW, "nCA", CHANNEL),
)

PAIRS = (
    # -- rows of a group
    PairRule("PIM tRCD", ROWS, "The row of an ACTbg can be used after tRCD.",
             BANK, ((("ACTbg",), (*MAC, *READS, *WRITES)), (("ACT",), MAC)), "nRCD"),
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
             RANK, ((("ACTbg",), ACTS), (("ACT",), ("ACTbg",))), "nFAW"),
    PairRule("PIM tPPD", ROWS, "Two precharges of a rank are tPPD apart.",
             RANK, ((("PREbg",), ("PREbg", *PRECHARGES)), (PRECHARGES, ("PREbg",))), "nPPD"),
    PairRule("PIM ACTbg-REFab", ROWS, "A refresh follows an ACTbg of its rank by tRC.",
             RANK, ((("ACTbg",), ("REFab",)),), "nRC"),
    PairRule("PIM PREbg-REFab", ROWS, "A refresh waits tRP for the precharge of a group.",
             RANK, ((("PREbg",), ("REFab",)),), "nRP"),
    PairRule("PIM tRFC", ROWS, "A group of a refreshing rank takes no row command.",
             RANK, ((("REFab",), ("ACTbg", "PREbg")),), "nRFC"),
    # -- a MAC and what follows it
    PairRule("PIM MAC tCCDS", COLUMNS, "Two MACbg of a rank are tCCD_S apart.",
             RANK, ((MAC, MAC),), "nCCDS"),
    PairRule("PIM MAC tCCDL", COLUMNS, "A PU takes its next command tCCD_L after a MACbg.",
             GROUP, ((MAC, PU),), "nCCDL"),
    PairRule("PIM MAC PU time", COLUMNS, "A MACbg holds its PUs for one cycle a query.",
             GROUP, ((MAC, PU),), "duration"),
    PairRule("PIM MAC result", COLUMNS, "A MACbg's result is there after its data and PU time.",
             GROUP, ((MAC, MERGING),), "nCL + nBL + duration"),
    PairRule("PIM MAC-host tCCDL", COLUMNS, "A MACbg and a host access of a group: tCCD_L.",
             GROUP, ((MAC, (*READS, *WRITES)), (READS, MAC)), "nCCDL"),
    PairRule("PIM write-MAC", COLUMNS, "A MACbg waits tWTR_L after write data of its group.",
             GROUP, ((IN, MAC),), "nCWL + nBL + nWTRL"),
    # -- arithmetic of a PU, a RU and the central buffer
    PairRule("PIM arithmetic", COLUMNS, "MAX, EXP and SUM hold their PUs for their duration.",
             GROUP, ((ARITHMETIC, PU),), "duration"),
    PairRule("PIM load data", COLUMNS, "Arithmetic waits for the data of a WRQ or WRSC.",
             GROUP, ((LOADS, MERGING),), "nCWL + nBL"),
    PairRule("PIM RDSC", COLUMNS, "A PU takes its next command tCCD_L after a RDSC.",
             GROUP, ((("RDSC",), PU),), "nCCDL"),
    PairRule("PIM RDSC-WRSC", COLUMNS, "Sums go back when the parts have come and are added.",
             GROUP, ((("RDSC",), ("WRSC",)),), "nCL + nBL + nCBS"),
    PairRule("PIM REDBG", COLUMNS, "A chip's merge holds its PUs and its result.",
             GROUP, ((("REDBG",), (*PU, "REDCB")),), "duration"),
    PairRule("PIM REDCB-RDRES", COLUMNS, "A result is read after the central buffer's last merge.",
             CHANNEL, ((("REDCB",), ("RDRES",)),), "nCBM"),
    # -- column commands of a rank
    PairRule("PIM tCCDS read", COLUMNS, "Transfers out of a rank are tCCD_S apart.",
             RANK, ((TAKES, OUT), (READS, TAKES)), "nCCDS"),
    PairRule("PIM tCCDL read", COLUMNS, "Transfers out of a bank group are tCCD_L apart.",
             GROUP, ((TAKES, OUT), (READS, TAKES)), "nCCDL"),
    PairRule("PIM tCCDS write", COLUMNS, "Transfers into a rank are tCCD_S (DDR5: _WR) apart.",
             RANK, ((LOADS, IN), (WRITES, LOADS)), "nCCDSWR"),
    PairRule("PIM tCCDL write", COLUMNS, "A load and a transfer into its bank group: tCCD_L.",
             GROUP, ((LOADS, IN), (WRITES, LOADS)), "nCCDL"),
    PairRule("PIM read-write", COLUMNS, "A transfer into a rank waits for those out of it.",
             RANK, ((TAKES, IN), (READS, LOADS)), "nRTW"),
    PairRule("PIM tWTRS", COLUMNS, "A transfer out of a rank waits tWTR_S for those into it.",
             RANK, ((LOADS, OUT), (WRITES, TAKES)), "nCWL + nBL + nWTRS"),
    PairRule("PIM tWTRL", COLUMNS, "A transfer out of a group waits tWTR_L for those into it.",
             GROUP, ((LOADS, OUT), (WRITES, TAKES)), "nCWL + nBL + nWTRL"),
    # -- the data bus that ranks and the central buffer's results share
    PairRule("PIM burst", COLUMNS, "Two bursts of one direction do not overlap on the data bus.",
             CHANNEL, (((*TAKES, "RDRES"), (*OUT, "RDRES")), (READS, (*TAKES, "RDRES")),
                       (LOADS, IN), (WRITES, LOADS)), "nBL"),
    PairRule("PIM rank read-read", COLUMNS, "The data bus turns to another rank between reads.",
             CHANNEL, ((TAKES, OUT), (READS, TAKES)), "nRTRR", other_sid=True),
    PairRule("PIM rank read-write", COLUMNS, "A transfer into another rank waits for read data.",
             CHANNEL, ((TAKES, IN), (READS, LOADS)), "nRTW", other_sid=True),
    PairRule("PIM rank write-read", COLUMNS, "A transfer out of another rank waits for write data.",
             CHANNEL, ((LOADS, OUT), (WRITES, TAKES)), "nWTRR", other_sid=True),
    PairRule("PIM RDRES-write", COLUMNS, "A transfer into a rank waits for a result on the bus.",
             CHANNEL, ((("RDRES",), IN),), "nRTW"),
    PairRule("PIM write-RDRES", COLUMNS, "A result waits for the bus of write data.",
             CHANNEL, ((IN, ("RDRES",)),), "nWTRR"),
)

CHECKS = {
    **ddr4.CHECKS,
    Check.HALF_OPEN: Rule("PIM half-open group", ROWS,
        "A MACbg finds all four banks of its group open, never some of them."),
}
# fmt: on

FAMILY = Family(
    "ddr_pim",
    KINDS,
    (*ddr4.PAIRS, *PAIRS),
    ddr4.WINDOWS,
    CHECKS,
    ddr4.REFRESH,
    derived_ticks,
)
