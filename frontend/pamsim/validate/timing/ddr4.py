"""DDR4 and DDR5: the rules of JESD79-4 and JESD79-5 for the commands of the stock standards.

Parameters are in CK, which is a tick. Parameter names are those of the description, the JEDEC ones
with n for t; nCA is the CK of a command with a row or column address on the bus (two in DDR5, one
in DDR4), nRTW, nRTRR and nWTRR what the data bus needs between directions and ranks. DDR4 has one
tCCD_S and one tCCD_L for reads and writes and no tPPD; its devices say so in those parameters.
Clause numbers are left out: they move between revisions.
"""

from __future__ import annotations

from pamsim.validate.timing.rule import (
    Bus,
    Check,
    CommandKind,
    PairRule,
    RefreshRule,
    RowUse,
    Rule,
    Scope,
    WindowRule,
)

JESD79 = "JESD79-4 (DDR4), JESD79-5 (DDR5), command and AC timing tables"
PAMSIM = "docs/ddr-pim-commands.md"

READS = ("RD", "RDA")
WRITES = ("WR", "WRA")
PRECHARGES = ("PREpb", "PREab")

CHANNEL, RANK, GROUP, BANK = Scope.CHANNEL, Scope.SID, Scope.GROUP, Scope.BANK


def _column(name: str, use: RowUse) -> CommandKind:
    return CommandKind(name, Bus.ROW, "nCA", BANK, use, names_row=True, names_column=True)


# fmt: off
KINDS = (  # one bus for all
    CommandKind("ACT",   Bus.ROW, "nCA", BANK, RowUse.OPEN, names_row=True),
    CommandKind("PREpb", Bus.ROW, 1, BANK, RowUse.CLOSE),
    CommandKind("PREab", Bus.ROW, 1, RANK, RowUse.CLOSE),
    CommandKind("REFab", Bus.ROW, 1, RANK, RowUse.REFRESH),
    _column("RD",  RowUse.ACCESS),
    _column("WR",  RowUse.ACCESS),
    _column("RDA", RowUse.ACCESS_CLOSE),
    _column("WRA", RowUse.ACCESS_CLOSE),
)

PAIRS = (
    # -- one bank: activate, access, precharge
    PairRule("DDR tRCD", JESD79, "An open row can be accessed tRCD after its ACT.",
             BANK, ((("ACT",), (*READS, *WRITES)),), "nRCD"),
    PairRule("DDR tRAS", JESD79, "A bank stays open for tRAS before it is precharged.",
             BANK, ((("ACT",), PRECHARGES),), "nRAS"),
    PairRule("DDR tRC", JESD79, "Two ACT of one bank are tRC apart.",
             BANK, ((("ACT",), ("ACT",)),), "nRC"),
    PairRule("DDR tRP", JESD79, "A bank is activated tRP after its precharge.",
             BANK, ((PRECHARGES, ("ACT",)),), "nRP"),
    PairRule("DDR tRTP", JESD79, "A bank is precharged tRTP after a read.",
             BANK, ((("RD",), PRECHARGES),), "nRTP"),
    PairRule("DDR tWR", JESD79, "A bank is precharged tWR after the last write data.",
             BANK, ((("WR",), PRECHARGES),), "nCWL + nBL + nWR"),
    PairRule("DDR RDA-ACT", JESD79, "An auto-precharge starts tRTP after its read.",
             BANK, ((("RDA",), ("ACT",)),), "nRTP + nRP"),
    PairRule("DDR WRA-ACT", JESD79, "An auto-precharge starts tWR after its write data.",
             BANK, ((("WRA",), ("ACT",)),), "nCWL + nBL + nWR + nRP"),
    # -- between banks of a rank
    PairRule("DDR tRRDS", JESD79, "Two ACT of a rank are tRRD_S apart.",
             RANK, ((("ACT",), ("ACT",)),), "nRRDS"),
    PairRule("DDR tRRDL", JESD79, "Two ACT of a bank group are tRRD_L apart.",
             GROUP, ((("ACT",), ("ACT",)),), "nRRDL"),
    PairRule("DDR tPPD", JESD79, "Two precharges of a rank are tPPD apart.",
             RANK, ((PRECHARGES, PRECHARGES),), "nPPD"),
    # -- column commands of a rank
    PairRule("DDR tCCDS read", JESD79, "Two reads of a rank are tCCD_S apart.",
             RANK, ((READS, READS),), "nCCDS"),
    PairRule("DDR tCCDL read", JESD79, "Two reads of a bank group are tCCD_L apart.",
             GROUP, ((READS, READS),), "nCCDL"),
    PairRule("DDR tCCDS write", JESD79, "Two writes of a rank are tCCD_S (DDR5: _WR) apart.",
             RANK, ((WRITES, WRITES),), "nCCDSWR"),
    PairRule("DDR tCCDL write", JESD79, "Two writes of a bank group are tCCD_L (DDR5: _WR) apart.",
             GROUP, ((WRITES, WRITES),), "nCCDLWR"),
    PairRule("DDR read-write", JESD79, "A write waits until read data has left the bus.",
             RANK, ((READS, WRITES),), "nRTW"),
    PairRule("DDR tWTRS", JESD79, "A read waits tWTR_S after write data of its rank.",
             RANK, ((WRITES, READS),), "nCWL + nBL + nWTRS"),
    PairRule("DDR tWTRL", JESD79, "A read waits tWTR_L after write data of its bank group.",
             GROUP, ((WRITES, READS),), "nCWL + nBL + nWTRL"),
    # -- the data bus that ranks share
    PairRule("DDR burst", JESD79, "Two bursts of one direction do not overlap on the data bus.",
             CHANNEL, ((READS, READS), (WRITES, WRITES)), "nBL"),
    PairRule("DDR rank read-read", JESD79, "The data bus turns to another rank between reads.",
             CHANNEL, ((READS, READS),), "nRTRR", other_sid=True),
    PairRule("DDR rank read-write", JESD79, "A write to another rank waits for read data.",
             CHANNEL, ((READS, WRITES),), "nRTW", other_sid=True),
    PairRule("DDR rank write-read", JESD79, "A read of another rank waits for write data.",
             CHANNEL, ((WRITES, READS),), "nWTRR", other_sid=True),
    # -- refresh
    PairRule("DDR tRFC", JESD79, "A refreshing rank takes no row command for tRFC.",
             RANK, ((("REFab",), ("ACT", *PRECHARGES, "REFab")),), "nRFC"),
    PairRule("DDR ACT-REFab", JESD79, "A refresh follows an ACT of any of its banks by tRC.",
             RANK, ((("ACT",), ("REFab",)),), "nRC"),
    PairRule("DDR PRE-REFab", JESD79, "A refresh waits tRP for the precharge of its banks.",
             RANK, ((PRECHARGES, ("REFab",)),), "nRP"),
    PairRule("DDR RDA-REFab", JESD79, "A refresh waits for a read's auto-precharge.",
             RANK, ((("RDA",), ("REFab",)),), "nRTP + nRP"),
    PairRule("DDR WRA-REFab", JESD79, "A refresh waits for a write's auto-precharge.",
             RANK, ((("WRA",), ("REFab",)),), "nCWL + nBL + nWR + nRP"),
)

WINDOWS = (
    WindowRule("DDR tFAW", JESD79, "At most four ACT of a rank start within tFAW.",
               RANK, ("ACT",), 4, "nFAW"),
)

CHECKS = {
    Check.RECORD: Rule("DDR record", PAMSIM,
        "A record is a known command at an address of its scope, in the order of time."),
    Check.ROW_BUS: Rule("DDR command bus", JESD79, "Commands never overlap on their bus."),
    Check.OPEN_BANK: Rule("DDR ACT on an open bank", JESD79, "Only a closed bank is activated."),
    Check.CLOSED_ROW: Rule("DDR closed row", JESD79, "A column command needs an open row."),
    Check.WRONG_ROW: Rule("DDR wrong row", JESD79,
        "The open row is the one that a column command means."),
    Check.REFRESH_OPEN: Rule("DDR REF with an open bank", JESD79,
        "The banks of a refresh are closed."),
    Check.REFRESH_INTERVAL: Rule("DDR tREFI", PAMSIM,
        "The k-th REFab of a rank issues in [k x nREFI, (k + 1) x nREFI]."),
    Check.REFRESH_LIMIT: Rule("DDR tREFI x 9", JESD79,
        "At most eight REFab are postponed: the k-th issues by (k + 8) x nREFI."),
    Check.COUNTS: Rule("expected counts", "the compiled program",
        "Each command issues as often as the program asks for it."),
}
# fmt: on

REFRESH = RefreshRule("REFab", RANK, "nREFI", postponed=8)
