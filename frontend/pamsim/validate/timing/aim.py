"""GDDR6-AiM: the rules of docs/aim-commands.md. A command takes the one command bus for a CK."""

from __future__ import annotations

from collections.abc import Mapping

from pamsim.config.spec import DeviceSpec
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

ROWS = "docs/aim-commands.md, Rows"
REFRESH = "docs/aim-commands.md, Refresh"
COLUMNS = "docs/aim-commands.md, Columns"
PINS = "docs/aim-commands.md, Data pins"
MODE = "docs/aim-commands.md, Mode"

CHANNEL, GROUP, BANK = Scope.CHANNEL, Scope.GROUP, Scope.BANK

NARROW_ACTS = ("ACT", "ACT4")
ACTS = (*NARROW_ACTS, "ACT16")
PRECHARGES = ("PRE", "PRE4", "PREA")
MACS = ("MAC", "MAC16")
REGISTER_READS = ("RDMAC16", "RDAF16")
PIN_READS = ("RD", *REGISTER_READS)
PIN_WRITES = ("WR", "WRA16", "WRGB", "WRMAC16")
READ_SIDE = (*PIN_READS, *MACS, "RDCP")
WRITE_SIDE = (*PIN_WRITES, "WRCP")
WIDE_READS = ("MAC16", *REGISTER_READS, "EWMUL16")
WIDE_WRITES = ("WRA16", "WRMAC16", "EWMUL16")

WINDOW = 4  # banks that may open within nFAW


def staggered_ticks(device: DeviceSpec) -> Mapping[str, int]:
    """What the four-activate window adds: nothing where 16-bank activates are exempt from it."""
    held = device.pim.extra.get("all_bank_activate") == "staggered"
    faw = device.timing_ck["nFAW"] * device.ticks_per_ck if held else 0
    organisation = device.organisation
    windows = -(-organisation.bank_groups * organisation.banks // WINDOW)
    return {"window": faw, "stagger": (windows - 1) * faw, "windows": windows * faw}


def _row(name: str, scope: Scope, use: RowUse) -> CommandKind:
    opens = use is RowUse.OPEN
    return CommandKind(name, Bus.ROW, 1, scope, use, names_row=opens)


def _access(name: str, scope: Scope, use: RowUse = RowUse.ACCESS) -> CommandKind:
    return CommandKind(name, Bus.ROW, 1, scope, use, names_row=True, names_column=True)


def _plain(name: str) -> CommandKind:
    return CommandKind(name, Bus.ROW, 1, CHANNEL)


# What needs a row, and how long after its activate.
FIRST_USE = (
    (MACS, "nRCDRDMAC"),
    (("AF16",), "nRCDRDAF"),
    (("EWMUL16",), "nRCDEWMUL"),
    (("RDCP",), "nRCDRDCP"),
    (("RD",), "nRCDRD"),
    (("WR", "WRA16"), "nRCDWR"),
    (("WRCP",), "nRCDWRCP"),
)

# fmt: off
KINDS = (
    _row("ACT",   BANK,    RowUse.OPEN),
    _row("ACT4",  GROUP,   RowUse.OPEN),
    _row("ACT16", CHANNEL, RowUse.OPEN),
    _row("PRE",   BANK,    RowUse.CLOSE),
    _row("PRE4",  GROUP,   RowUse.CLOSE),
    _row("PREA",  CHANNEL, RowUse.CLOSE),
    _row("REFab", CHANNEL, RowUse.REFRESH),
    *(_access(name, BANK) for name in ("RD", "WR", "MAC", "RDCP", "WRCP")),
    *(_access(name, CHANNEL) for name in ("MAC16", "AF16", "EWMUL16")),
    _access("WRA16", CHANNEL, RowUse.ACCESS_CLOSE),
    *(_plain(name) for name in ("WRGB", "WRMAC16", "RDMAC16", "RDAF16", "TMOD")),
)

PAIRS = (
    # -- rows
    *(PairRule(f"AiM {gap}", ROWS, f"A row is used by {', '.join(later)} {gap} after its activate.",
               BANK, ((ACTS, later),), gap) for later, gap in FIRST_USE),
    *(PairRule(f"AiM {gap} staggered", ROWS, "The last banks of a staggered ACT16 open later.",
               BANK, ((("ACT16",), later),), f"{gap} + stagger") for later, gap in FIRST_USE),
    PairRule("AiM tRAS", ROWS, "A bank stays open for tRAS.",
             BANK, ((ACTS, PRECHARGES),), "nRAS"),
    PairRule("AiM tRAS staggered", ROWS, "The last banks of a staggered ACT16 open later.",
             BANK, ((("ACT16",), PRECHARGES),), "nRAS + stagger"),
    PairRule("AiM tRP", ROWS, "A bank is activated tRP after its precharge.",
             BANK, ((PRECHARGES, ACTS),), "nRP"),
    PairRule("AiM tRC", ROWS, "Two activates of one bank are tRC apart.",
             BANK, ((ACTS, ACTS),), "nRC"),
    PairRule("AiM tRTP", ROWS, "A bank is precharged tRTP after a column was read.",
             BANK, ((("RD", *MACS, "AF16", "RDCP", "EWMUL16"), PRECHARGES),), "nRTP"),
    PairRule("AiM tWR", ROWS, "A bank is precharged tWR after the last write data.",
             BANK, ((("WR", "WRCP"), PRECHARGES),), "nCWL + nBL + nWR"),
    PairRule("AiM EWMUL tWR", ROWS, "Banks are precharged tWR after products are written.",
             BANK, ((("EWMUL16",), PRECHARGES),), "nCWL + nWR"),
    PairRule("AiM WRA16-ACT", ROWS, "An auto-precharge starts tWR after its write data.",
             BANK, ((("WRA16",), ACTS),), "nCWL + nBL + nWR + nRP"),
    PairRule("AiM tRRDS", ROWS, "Two activates of the channel are tRRDS apart.",
             CHANNEL, ((NARROW_ACTS, NARROW_ACTS),), "nRRDS"),
    PairRule("AiM tRRDL", ROWS, "Two activates of a bank group are tRRDL apart.",
             GROUP, ((NARROW_ACTS, NARROW_ACTS),), "nRRDL"),
    PairRule("AiM PRE-PRE", ROWS, "A precharge of several banks and any other are tRP apart.",
             CHANNEL, ((("PRE4", "PREA"), PRECHARGES), (("PRE",), ("PRE4", "PREA"))), "nRP"),
    PairRule("AiM PRE-PRE same bank", ROWS, "Two precharges of one bank are tRP apart.",
             BANK, ((("PRE",), ("PRE",)),), "nRP"),
    PairRule("AiM tFAW of four banks", ROWS, "Four banks that open together fill the window.",
             CHANNEL, ((("ACT4",), ACTS), (ACTS, ("ACT4", "ACT16"))), "window"),
    PairRule("AiM tFAW of 16 banks", ROWS, "Sixteen banks fill four windows, one by one.",
             CHANNEL, ((("ACT16",), ACTS),), "windows"),
    # -- refresh
    PairRule("AiM tRFC", REFRESH, "No bank of a refreshing channel is activated.",
             CHANNEL, ((("REFab",), ACTS),), "nRFC"),
    PairRule("AiM ACT-REFab", REFRESH, "A refresh follows an activate by tRC.",
             CHANNEL, ((ACTS, ("REFab",)),), "nRC"),
    PairRule("AiM PRE-REFab", REFRESH, "A refresh waits tRP for the precharge of its banks.",
             CHANNEL, ((PRECHARGES, ("REFab",)),), "nRP"),
    PairRule("AiM WRA16-REFab", REFRESH, "A refresh waits for an auto-precharge.",
             CHANNEL, ((("WRA16",), ("REFab",)),), "nCWL + nBL + nWR + nRP"),
    # -- columns
    PairRule("AiM tCCDS", COLUMNS, "Two commands of one side in a channel are tCCDS apart.",
             CHANNEL, ((READ_SIDE, READ_SIDE), (WRITE_SIDE, WRITE_SIDE)), "nCCDS"),
    PairRule("AiM tCCDL", COLUMNS, "Two column commands of one side in a bank group: tCCDL.",
             GROUP, ((("RD", "MAC", "RDCP"), ("RD", "MAC", "RDCP")),
                     (("WR", "WRCP"), ("WR", "WRCP"))), "nCCDL"),
    PairRule("AiM tCCDL of all groups", COLUMNS, "Commands that occupy every bank group: tCCDL.",
             CHANNEL, ((WIDE_READS, (*READ_SIDE, "EWMUL16")), (READ_SIDE, WIDE_READS),
                       (WIDE_WRITES, ("WR", "WRCP", *WIDE_WRITES)),
                       (("WR", "WRCP"), WIDE_WRITES)), "nCCDL"),
    # -- data pins
    PairRule("AiM burst", PINS, "Bursts of one direction follow each other by their length.",
             CHANNEL, ((PIN_READS, PIN_READS), (PIN_WRITES, PIN_WRITES)), "nBL"),
    PairRule("AiM RD-WR", PINS, "The pins turn from a bank's data to a bank's.",
             CHANNEL, ((("RD",), ("WR", "WRA16")),), "nRTW"),
    PairRule("AiM RD-WRGB", PINS, "The pins turn from a bank's data to the buffer's.",
             CHANNEL, ((("RD",), ("WRGB",)),), "nRTWGB"),
    PairRule("AiM RD-WRMAC16", PINS, "The pins turn from a bank's data to registers'.",
             CHANNEL, ((("RD",), ("WRMAC16",)),), "nRTWREG"),
    PairRule("AiM register-WRGB", PINS, "The pins turn from registers' data to the buffer's.",
             CHANNEL, ((REGISTER_READS, ("WRGB",)),), "nXTWGB"),
    PairRule("AiM register-WRMAC16", PINS, "The pins turn from registers' data to registers'.",
             CHANNEL, ((REGISTER_READS, ("WRMAC16",)),), "nXTWREG"),
    PairRule("AiM tWTRS", PINS, "A bank is read tWTRS after write data of its channel.",
             CHANNEL, ((("WR",), ("RD",)),), "nCWL + nBL + nWTRS"),
    PairRule("AiM tWTRL", PINS, "A bank is read tWTRL after write data of its group.",
             GROUP, ((("WR",), ("RD",)),), "nCWL + nBL + nWTRL"),
    PairRule("AiM tWTRL of all groups", PINS, "Reads from or after all groups wait tWTRL.",
             CHANNEL, ((("WR",), REGISTER_READS), (("WRA16",), PIN_READS)),
             "nCWL + nBL + nWTRL"),
    PairRule("AiM WRGB-read", PINS, "The pins turn from the buffer's data to a read.",
             CHANNEL, ((("WRGB",), PIN_READS),), "nCWLGB + nBL + nWTRS"),
    PairRule("AiM WRMAC16-read", PINS, "The pins turn from registers' data to a read.",
             CHANNEL, ((("WRMAC16",), PIN_READS),), "nCWLREG + nBL + nWTRL"),
    # -- mode
    PairRule("AiM TMOD", MODE, "A channel takes nothing while it changes its mode.",
             CHANNEL, ((("TMOD",), tuple(kind.name for kind in KINDS)),), "nMODCH"),
)

WINDOWS = (
    WindowRule("AiM tFAW", ROWS, "At most four ACT of a channel start within tFAW.",
               CHANNEL, ("ACT",), WINDOW, "window"),
)

CHECKS = {
    Check.RECORD: Rule("AiM record", "docs/aim-commands.md",
        "A record is a known command at an address of its scope, in the order of time."),
    Check.ROW_BUS: Rule("AiM command bus", "docs/aim-commands.md", "One command a CK."),
    Check.OPEN_BANK: Rule("AiM ACT on an open bank", ROWS, "Only a closed bank is activated."),
    Check.CLOSED_ROW: Rule("AiM closed row", ROWS, "A column command needs an open row."),
    Check.WRONG_ROW: Rule("AiM wrong row", ROWS,
        "The open row is the one that a column command means."),
    Check.HALF_OPEN: Rule("AiM half-open channel", ROWS,
        "A command of all banks finds all of them open, never some."),
    Check.REFRESH_OPEN: Rule("AiM REFab with an open bank", REFRESH,
        "The banks of a refresh are closed."),
    Check.REFRESH_INTERVAL: Rule("AiM tREFI", "docs/aim-commands.md, Refresh intervals",
        "The k-th REFab of a channel issues in [k x nREFI, (k + 1) x nREFI]."),
    Check.REFRESH_LIMIT: Rule("AiM tREFI x 9", "docs/aim-commands.md, Refresh intervals",
        "The k-th REFab issues by (k + 8) x nREFI."),
    Check.COUNTS: Rule("expected counts", "the compiled program",
        "Each command issues as often as the program asks for it."),
}
# fmt: on

FAMILY = Family(
    "aim",
    KINDS,
    PAIRS,
    WINDOWS,
    CHECKS,
    RefreshRule("REFab", CHANNEL, "nREFI", postponed=8),
    staggered_ticks,
)
