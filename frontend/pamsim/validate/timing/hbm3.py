"""HBM3: the rules of JESD238 for the commands of the stock standard.

Parameters are in CK; a tick is half a CK. Array timing is the vendor's in JESD238, so the numbers
are the device description's and only the inequalities are here. Parameter names are those of the
description, the JEDEC ones with n for t. Clause numbers are left out: they move between revisions.
"""

from __future__ import annotations

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

JESD238 = "JESD238 (HBM3 DRAM), command and AC timing tables"
ISSUE_272 = "JESD238 (HBM3 DRAM); CMU-SAFARI/ramulator2 issue 272"
PAMSIM = "docs/hbm-pim-commands.md"

READS = ("RD", "RDA")
WRITES = ("WR", "WRA")
PRECHARGES = ("PREpb", "PREab")

PC, GROUP, BANK = Scope.PSEUDO_CHANNEL, Scope.GROUP, Scope.BANK


def _column(name: str, use: RowUse) -> CommandKind:
    return CommandKind(name, Bus.COLUMN, 2, BANK, use, names_row=True, names_column=True)


# fmt: off
KINDS = (
    CommandKind("ACT",   Bus.ROW, 3, BANK, RowUse.OPEN, names_row=True),
    CommandKind("PREpb", Bus.ROW, 1, BANK, RowUse.CLOSE, falling_edge=True),
    CommandKind("PREab", Bus.ROW, 1, PC,   RowUse.CLOSE, falling_edge=True),
    CommandKind("REFab", Bus.ROW, 1, PC,   RowUse.REFRESH),
    CommandKind("REFpb", Bus.ROW, 1, BANK, RowUse.REFRESH),
    _column("RD",  RowUse.ACCESS),
    _column("WR",  RowUse.ACCESS),
    _column("RDA", RowUse.ACCESS_CLOSE),
    _column("WRA", RowUse.ACCESS_CLOSE),
)

PAIRS = (
    # -- one bank: activate, access, precharge
    PairRule("HBM3 tRCDRD", JESD238, "An open row can be read tRCDRD after its ACT.",
             BANK, ((("ACT",), READS),), "nRCDRD"),
    PairRule("HBM3 tRCDWR", JESD238, "An open row can be written tRCDWR after its ACT.",
             BANK, ((("ACT",), WRITES),), "nRCDWR"),
    PairRule("HBM3 tRAS", JESD238, "A bank stays open for tRAS before it is precharged.",
             BANK, ((("ACT",), PRECHARGES),), "nRAS"),
    PairRule("HBM3 tRC", JESD238, "Two ACT of one bank are tRC apart.",
             BANK, ((("ACT",), ("ACT",)),), "nRC"),
    PairRule("HBM3 tRP", JESD238, "A bank is activated tRP after its precharge.",
             BANK, ((PRECHARGES, ("ACT",)),), "nRP"),
    PairRule("HBM3 tRTP", JESD238, "A bank is precharged tRTP after a read.",
             BANK, ((("RD",), PRECHARGES),), "nRTP"),
    PairRule("HBM3 tWR", JESD238, "A bank is precharged tWR after the last write data.",
             BANK, ((("WR",), PRECHARGES),), "nCWL + nBL + nWR"),
    PairRule("HBM3 RDA-ACT", JESD238, "An auto-precharge starts tRTP after its read.",
             BANK, ((("RDA",), ("ACT",)),), "nRTP + nRP"),
    PairRule("HBM3 WRA-ACT", JESD238, "An auto-precharge starts tWR after its write data.",
             BANK, ((("WRA",), ("ACT",)),), "nCWL + nBL + nWR + nRP"),
    # -- between banks
    PairRule("HBM3 tRRDS", JESD238, "Two ACT of a pseudo-channel are tRRDS apart.",
             PC, ((("ACT",), ("ACT",)),), "nRRDS"),
    PairRule("HBM3 tRRDL", JESD238, "Two ACT of a bank group are tRRDL apart.",
             GROUP, ((("ACT",), ("ACT",)),), "nRRDL"),
    PairRule("HBM3 tPPD", JESD238, "Two precharges of a pseudo-channel are tPPD apart.",
             PC, ((PRECHARGES, PRECHARGES),), "nPPD"),
    # -- the data bus of a pseudo-channel
    PairRule("HBM3 tCCDS", JESD238, "Two reads or two writes of a pseudo-channel are tCCDS apart.",
             PC, ((READS, READS), (WRITES, WRITES)), "nCCDS"),
    PairRule("HBM3 tCCDL", JESD238, "Two reads or two writes of a bank group are tCCDL apart.",
             GROUP, ((READS, READS), (WRITES, WRITES)), "nCCDL"),
    PairRule("HBM3 tCCDR", JESD238, "Two reads of different SIDs are tCCDR apart.",
             PC, ((READS, READS),), "nCCDR", other_sid=True),
    PairRule("HBM3 tRTW", JESD238, "A write waits tRTW for a read of its pseudo-channel.",
             PC, ((READS, WRITES),), "nRTW"),
    PairRule("HBM3 tWTRS", JESD238, "A read waits tWTRS after write data of its pseudo-channel.",
             PC, ((WRITES, READS),), "nCWL + nBL + nWTRS"),
    PairRule("HBM3 tWTRL", JESD238, "A read waits tWTRL after write data of its bank group.",
             GROUP, ((WRITES, READS),), "nCWL + nBL + nWTRL"),
    # -- refresh of all banks
    PairRule("HBM3 tRFC", JESD238, "A refreshing pseudo-channel takes no row command for tRFC.",
             PC, ((("REFab",), ("ACT", "PREpb", "PREab", "REFab")),), "nRFC"),
    PairRule("HBM3 ACT-REFab", JESD238, "A refresh follows an ACT of any of its banks by tRC.",
             PC, ((("ACT",), ("REFab",)),), "nRC"),
    PairRule("HBM3 PRE-REFab", JESD238, "A refresh waits tRP for the precharge of its banks.",
             PC, ((PRECHARGES, ("REFab",)),), "nRP"),
    PairRule("HBM3 RDA-REFab", JESD238, "A refresh waits for a read's auto-precharge.",
             PC, ((("RDA",), ("REFab",)),), "nRTP + nRP"),
    PairRule("HBM3 WRA-REFab", JESD238, "A refresh waits for a write's auto-precharge.",
             PC, ((("WRA",), ("REFab",)),), "nCWL + nBL + nWR + nRP"),
    # -- refresh of one bank
    PairRule("HBM3 tRFCpb", JESD238, "A refreshing bank takes no row command for tRFCpb.",
             BANK, ((("REFpb",), ("ACT", "PREpb", "REFpb")),), "nRFCpb"),
    PairRule("HBM3 REFpb-REFab", JESD238, "All banks are idle before REFab, refreshing ones too.",
             PC, ((("REFpb",), ("REFab",)),), "nRFCpb"),
    PairRule("HBM3 tRREFD", JESD238, "After REFpb another bank takes ACT or REFpb in tRREFD.",
             PC, ((("REFpb",), ("ACT", "REFpb")),), "nRREFD"),
    PairRule("HBM3 ACT-REFpb same bank", JESD238, "A bank is refreshed tRC after its ACT.",
             BANK, ((("ACT",), ("REFpb",)),), "nRC"),
    PairRule("HBM3 ACT-REFpb tRRDS", JESD238, "A REFpb follows an ACT as another ACT does.",
             PC, ((("ACT",), ("REFpb",)),), "nRRDS"),
    PairRule("HBM3 PRE-REFpb", JESD238, "A bank is refreshed tRP after its precharge.",
             BANK, ((PRECHARGES, ("REFpb",)),), "nRP"),
    # -- the edges that Ramulator 2.1 does not have
    PairRule("HBM3 ACT-REFpb tRRDL", ISSUE_272, "ACT and REFpb of a bank group are tRRDL apart.",
             GROUP, ((("ACT",), ("REFpb",)), (("REFpb",), ("ACT",))), "nRRDL",
             beyond_ramulator=True),
    PairRule("HBM3 REFab-REFpb", ISSUE_272, "A bank of a refreshing pseudo-channel waits tRFC.",
             PC, ((("REFab",), ("REFpb",)),), "nRFC", beyond_ramulator=True),
    PairRule("HBM3 RDA-REFpb", ISSUE_272, "REFpb waits for a read's auto-precharge of its bank.",
             BANK, ((("RDA",), ("REFpb",)),), "nRTP + nRP", beyond_ramulator=True),
    PairRule("HBM3 WRA-REFpb", ISSUE_272, "REFpb waits for a write's auto-precharge of its bank.",
             BANK, ((("WRA",), ("REFpb",)),), "nCWL + nBL + nWR + nRP", beyond_ramulator=True),
)

WINDOWS = (
    WindowRule("HBM3 tFAW", JESD238, "At most four ACT of a pseudo-channel start within tFAW.",
               PC, ("ACT",), 4, "nFAW"),
)

CHECKS = {
    Check.RECORD: Rule("HBM3 record", PAMSIM,
        "A record is a known command at an address of its scope, in the order of time."),
    Check.ROW_BUS: Rule("HBM3 row bus", JESD238, "Row commands never overlap on their bus."),
    Check.COLUMN_BUS: Rule("HBM3 column bus", JESD238,
        "Column commands never overlap on their bus."),
    Check.RISING_EDGE: Rule("HBM3 rising edge", JESD238,
        "All commands but precharges start on a rising edge (an odd tick)."),
    Check.FALLING_PAIR: Rule("HBM3 falling-edge pairing", JESD238,
        "A precharge on the falling edge right behind a row command of its pseudo-channel goes to "
        "another bank, and neither addresses more than one."),
    Check.OPEN_BANK: Rule("HBM3 ACT on an open bank", JESD238, "Only a closed bank is activated."),
    Check.CLOSED_ROW: Rule("HBM3 closed row", JESD238, "A column command needs an open row."),
    Check.WRONG_ROW: Rule("HBM3 wrong row", JESD238,
        "The open row is the one that a column command means."),
    Check.REFRESH_OPEN: Rule("HBM3 REF with an open bank", JESD238,
        "The banks of a refresh are closed."),
    Check.REFRESH_INTERVAL: Rule("HBM3 tREFI", PAMSIM,
        "The k-th REFab of a pseudo-channel issues in [k x nREFI, (k + 1) x nREFI]."),
    Check.REFRESH_LIMIT: Rule("HBM3 tREFI x 9", JESD238,
        "At most eight REFab are postponed: the k-th issues by (k + 8) x nREFI."),
    Check.COUNTS: Rule("expected counts", "the compiled program",
        "Each command issues as often as the program asks for it."),
}

FAMILY = Family(
    "hbm3", KINDS, PAIRS, WINDOWS, CHECKS, RefreshRule("REFab", PC, "nREFI", postponed=8)
)
# fmt: on
