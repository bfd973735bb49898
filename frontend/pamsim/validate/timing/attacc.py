"""AttAcc: all banks of a channel in lockstep; the rules of docs/attacc-commands.md.

A tick is a CK and every command takes one of its bus. Addresses name rank, bank group and bank:
both pseudo-channels do everything together.
"""

from __future__ import annotations

from collections.abc import Mapping

from pamsim.config.spec import DeviceSpec, PimUnit
from pamsim.validate.timing.rule import (
    Bus,
    Check,
    CommandKind,
    Family,
    PairRule,
    RefreshRule,
    RowUse,
    Rule,
    Scope,
    WindowRule,
)

PAGE = "docs/attacc-commands.md, "
ROW_BUS, ALL_BANKS = PAGE + "Row bus", PAGE + "All banks"
DATA, SOFTMAX = PAGE + "Data movement", PAGE + "Softmax"
ONE_BANK, MIXED, REFRESH = PAGE + "One bank", PAGE + "One bank and all banks", PAGE + "Refresh"

CHANNEL, RANK, GROUP, BANK = Scope.CHANNEL, Scope.SID, Scope.GROUP, Scope.BANK
WINDOW = 4  # activates of a rank in nFAW


def softmax_cycles(pim: PimUnit, blocks: int) -> int:
    """nSFM: so many cycles for each 256 scores."""
    return blocks * int(pim.extra["softmax_cycles"])


def derived_ticks(device: DeviceSpec) -> Mapping[str, int]:
    """What a staggered ACTAB adds: until its last banks are open, and until its windows end."""
    banks = device.organisation.bank_groups * device.organisation.banks  # of a rank
    windows = -(-banks // WINDOW)
    faw = device.timing_ck["nFAW"] * device.ticks_per_ck
    staggered = device.templates.template("ACTAB").activates == "staggered"
    return {
        "stagger": (windows - 1) * faw if staggered else 0,
        "windows": windows * faw if staggered else 0,
        "window": faw if staggered else 0,
    }


ACTS, PRES = ("ACT", "ACTAB"), ("PRE", "PREA")
MOVES = ("WRGB", "MVSB", "MVSO", "MVGB", "RD", "WR")

# fmt: off
KINDS = (
    CommandKind("ACT",   Bus.ROW, 1, BANK, RowUse.OPEN, names_row=True),
    CommandKind("PRE",   Bus.ROW, 1, BANK, RowUse.CLOSE),
    CommandKind("PREA",  Bus.ROW, 1, CHANNEL, RowUse.CLOSE),
    CommandKind("REFab", Bus.ROW, 1, CHANNEL, RowUse.REFRESH),
    CommandKind("ACTAB", Bus.ROW, 1, CHANNEL, RowUse.OPEN, names_row=True),
    CommandKind("RD",    Bus.COLUMN, 1, BANK, RowUse.ACCESS, names_row=True, names_column=True),
    CommandKind("WR",    Bus.COLUMN, 1, BANK, RowUse.ACCESS, names_row=True, names_column=True),
    CommandKind("MACAB", Bus.COLUMN, 1, CHANNEL, RowUse.ACCESS, names_row=True,
                names_column=True),
    CommandKind("WRGB",  Bus.COLUMN, 1, CHANNEL),
    CommandKind("MVSB",  Bus.COLUMN, 1, GROUP),
    CommandKind("MVSO",  Bus.COLUMN, 1, RANK),
    CommandKind("MVGB",  Bus.COLUMN, 1, GROUP),
    CommandKind("SFM",   Bus.COLUMN, 1, CHANNEL, cycles=softmax_cycles),
)

PAIRS = (
    PairRule("AttAcc activate bus", ROW_BUS, "An activate keeps the row bus for nACT.",
             CHANNEL, ((ACTS, (*ACTS, *PRES, "REFab")),), "nACT"),
    # -- all banks
    PairRule("AttAcc all-bank tRC", ALL_BANKS, "Two activates of all banks are tRC apart.",
             CHANNEL, ((("ACTAB",), ("ACTAB",)),), "nRC"),
    PairRule("AttAcc all-bank tRCDRD", ALL_BANKS, "A row open in all banks: MACAB after tRCDRD.",
             CHANNEL, ((("ACTAB",), ("MACAB",)),), "nRCDRD + stagger"),
    PairRule("AttAcc all-bank tRAS", ALL_BANKS, "All banks stay open for tRAS.",
             CHANNEL, ((("ACTAB",), ("PREA",)),), "nRAS + stagger"),
    PairRule("AttAcc all-bank tRTP", ALL_BANKS, "All banks are precharged tRTP after a MACAB.",
             CHANNEL, ((("MACAB",), ("PREA",)),), "nRTPL"),
    PairRule("AttAcc all-bank tRP", ALL_BANKS, "All banks are activated tRP after PREA.",
             CHANNEL, ((("PREA",), ("ACTAB",)),), "nRP"),
    PairRule("AttAcc MACAB power limit", ALL_BANKS, "Two MACAB are tCCDAB apart.",
             CHANNEL, ((("MACAB",), ("MACAB",)),), "nCCDAB"),
    PairRule("AttAcc all-bank tFAW", ALL_BANKS, "A staggered ACTAB fills all its windows.",
             RANK, ((("ACTAB",), ACTS),), "windows"),
    PairRule("AttAcc ACT-ACTAB tFAW", ALL_BANKS, "A staggered ACTAB follows an ACT by tFAW.",
             RANK, ((("ACT",), ("ACTAB",)),), "window"),
    # -- data movement
    PairRule("AttAcc data bus", DATA, "Movements and softmax of a channel are tBL apart.",
             CHANNEL, (((*MOVES, "SFM"), (*MOVES, "SFM")),), "nBL"),
    PairRule("AttAcc tCCDS", DATA, "Movements of a rank are tCCDS apart.",
             RANK, ((MOVES, MOVES),), "nCCDS"),
    PairRule("AttAcc tCCDL", DATA, "Movements of a bank group are tCCDL apart.",
             GROUP, ((MOVES, MOVES),), "nCCDL"),
    PairRule("AttAcc tRTW", DATA, "A write waits tRTW for a read of its rank.",
             RANK, ((("RD",), ("WR",)),), "nRTW"),
    PairRule("AttAcc tWTRS", DATA, "A read waits tWTRS after write data of its rank.",
             RANK, ((("WR",), ("RD",)),), "nCWL + nBL + nWTRS"),
    PairRule("AttAcc tWTRL", DATA, "A read waits tWTRL after write data of its bank group.",
             GROUP, ((("WR",), ("RD",)),), "nCWL + nBL + nWTRL"),
    # -- softmax
    PairRule("AttAcc scores", SOFTMAX, "A softmax waits for the last scores.",
             CHANNEL, ((("MVSB",), ("SFM",)),), "nSFMIN"),
    PairRule("AttAcc softmax", SOFTMAX, "The softmax unit works for nSFM, then has a result.",
             CHANNEL, ((("SFM",), ("SFM", "MVGB")),), "duration"),
    # -- one bank
    PairRule("AttAcc tRCDRD", ONE_BANK, "An open row can be read tRCDRD after its ACT.",
             BANK, ((("ACT",), ("RD",)),), "nRCDRD"),
    PairRule("AttAcc tRCDWR", ONE_BANK, "An open row can be written tRCDWR after its ACT.",
             BANK, ((("ACT",), ("WR",)),), "nRCDWR"),
    PairRule("AttAcc tRAS", ONE_BANK, "A bank stays open for tRAS.",
             BANK, ((("ACT",), PRES),), "nRAS"),
    PairRule("AttAcc tRC", ONE_BANK, "Two ACT of one bank are tRC apart.",
             BANK, ((("ACT",), ("ACT",)),), "nRC"),
    PairRule("AttAcc tRRDL", ONE_BANK, "Two ACT of a bank group are tRRDL apart.",
             GROUP, ((("ACT",), ("ACT",)),), "nRRDL"),
    PairRule("AttAcc tRRDS", ONE_BANK, "Two ACT of a rank are tRRDS apart.",
             RANK, ((("ACT",), ("ACT",)),), "nRRDS"),
    PairRule("AttAcc tRP", ONE_BANK, "A bank is activated tRP after its precharge.",
             BANK, ((PRES, ("ACT",)),), "nRP"),
    PairRule("AttAcc tRTP", ONE_BANK, "A bank is precharged tRTP after a read.",
             BANK, ((("RD",), ("PRE",)),), "nRTPL"),
    PairRule("AttAcc tRTPS", ONE_BANK, "All banks are precharged tRTPS after a read.",
             CHANNEL, ((("RD",), ("PREA",)),), "nRTPS"),
    PairRule("AttAcc tWR", ONE_BANK, "A bank is precharged tWR after the last write data.",
             BANK, ((("WR",), PRES),), "nCWL + nBL + nWR"),
    # -- one bank and all banks
    PairRule("AttAcc mixed tRC", MIXED, "A bank's two activates are tRC apart, alone or with all.",
             BANK, ((("ACTAB",), ("ACT",)), (("ACT",), ("ACTAB",))), "nRC"),
    PairRule("AttAcc mixed tRCDRD", MIXED, "A bank opened with all can be read after tRCDRD.",
             BANK, ((("ACTAB",), ("RD",)),), "nRCDRD + stagger"),
    PairRule("AttAcc mixed tRCDWR", MIXED, "A bank opened with all can be written after tRCDWR.",
             BANK, ((("ACTAB",), ("WR",)),), "nRCDWR + stagger"),
    PairRule("AttAcc mixed tRAS", MIXED, "A bank opened with all stays open for tRAS.",
             BANK, ((("ACTAB",), ("PRE",)),), "nRAS + stagger"),
    PairRule("AttAcc ACT-MACAB", MIXED, "A MACAB waits tRCDRD for a bank opened alone.",
             BANK, ((("ACT",), ("MACAB",)),), "nRCDRD"),
    PairRule("AttAcc mixed tRP", MIXED, "All banks are activated tRP after any was precharged.",
             BANK, ((("PRE",), ("ACTAB",)),), "nRP"),
    PairRule("AttAcc mixed tRTP", MIXED, "A bank is precharged tRTP after a MACAB.",
             BANK, ((("MACAB",), ("PRE",)),), "nRTPL"),
    PairRule("AttAcc MACAB-host", MIXED, "A MACAB and a host access are tCCDL apart.",
             GROUP, ((("MACAB",), ("RD", "WR")), (("RD",), ("MACAB",))), "nCCDL"),
    PairRule("AttAcc write-MACAB", MIXED, "A MACAB waits tWTRL after write data.",
             GROUP, ((("WR",), ("MACAB",)),), "nCWL + nBL + nWTRL"),
    # -- refresh
    PairRule("AttAcc activate-REFab", REFRESH, "A refresh follows every activate by tRC.",
             CHANNEL, ((ACTS, ("REFab",)),), "nRC"),
    PairRule("AttAcc PRE-REFab", REFRESH, "A refresh waits tRP for the precharge of a bank.",
             CHANNEL, ((("PRE",), ("REFab",)),), "nRP"),
    PairRule("AttAcc PREA-REFab", REFRESH, "A refresh waits nPREF for the precharge of all banks.",
             CHANNEL, ((("PREA",), ("REFab",)),), "nPREF"),
    PairRule("AttAcc tRFC", REFRESH, "A refreshing channel takes no row command for tRFC.",
             CHANNEL, ((("REFab",), (*ACTS, *PRES)),), "nRFC"),
)

WINDOWS = (
    WindowRule("AttAcc tFAW", ONE_BANK, "At most four ACT of a rank start within tFAW.",
               RANK, ("ACT",), WINDOW, "nFAW"),
)

CHECKS = {
    Check.RECORD: Rule("AttAcc record", PAGE + "Commands",
        "A record is a known command at an address of its scope, in the order of time."),
    Check.ROW_BUS: Rule("AttAcc row bus", PAGE + "Commands", "One row command starts in a CK."),
    Check.COLUMN_BUS: Rule("AttAcc column bus", PAGE + "Commands",
        "One column command starts in a CK."),
    Check.OPEN_BANK: Rule("AttAcc ACT on an open bank", ONE_BANK,
        "Only closed banks are activated."),
    Check.CLOSED_ROW: Rule("AttAcc closed row", ONE_BANK, "A column command needs an open row."),
    Check.HALF_OPEN: Rule("AttAcc half-open channel", ALL_BANKS,
        "A MACAB finds all banks open, never some of them."),
    Check.WRONG_ROW: Rule("AttAcc wrong row", ONE_BANK,
        "The open row is the one that a column command means."),
    Check.REFRESH_OPEN: Rule("AttAcc REFab with an open bank", REFRESH,
        "The banks of a refresh are closed."),
    Check.REFRESH_INTERVAL: Rule("AttAcc tREFI", REFRESH,
        "The k-th REFab issues in [k x nREFI, (k + 1) x nREFI]."),
    Check.REFRESH_LIMIT: Rule("AttAcc tREFI x 9", REFRESH,
        "At most eight REFab are postponed: the k-th issues by (k + 8) x nREFI."),
    Check.COUNTS: Rule("expected counts", "the compiled program",
        "Each command issues as often as the program asks for it."),
}
# fmt: on

FAMILY = Family(
    "attacc",
    KINDS,
    PAIRS,
    WINDOWS,
    CHECKS,
    RefreshRule("REFab", CHANNEL, "nREFI", postponed=8),
    derived_ticks,
)
