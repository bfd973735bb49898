"""NAND flash behind one bus: the rules of docs/ssd-pim-commands.md for the flash commands.

A tick is a CK of the flash bus. Parameter names are those of the device's description. A page
register with a sensed page in it is an open row of its plane; the cache register is followed beside
it.
"""

from __future__ import annotations

from dataclasses import replace

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing.rule import (
    Bus,
    Check,
    CommandKind,
    Family,
    PairRule,
    RowUse,
    Rule,
    Scope,
    SecondRows,
)

BUS = "docs/ssd-pim-commands.md, Bus"
REGISTERS = "docs/ssd-pim-commands.md, Registers"
ARRAY = "docs/ssd-pim-commands.md, Array"

CHANNEL, DIE, PLANE = Scope.CHANNEL, Scope.SID, Scope.BANK
FLASH = ("READ", "CACHE", "XFER", "PROG", "ERASE")
WRITES = ("PROG", "ERASE")


def _flash(name: str, use: RowUse) -> CommandKind:
    return CommandKind(name, Bus.ROW, 1, PLANE, use, names_row=True)


# fmt: off
KINDS = (
    _flash("READ",  RowUse.OPEN),
    _flash("CACHE", RowUse.ACCESS_CLOSE),
    _flash("XFER",  RowUse.NONE),
    _flash("PROG",  RowUse.REFRESH),
    _flash("ERASE", RowUse.REFRESH),
)

PAIRS = (
    PairRule("NAND page transfer", BUS, "A page has the bus for as long as its data takes.",
             CHANNEL, ((("XFER",), FLASH),), "nBL"),
    PairRule("NAND page load", BUS, "A page to program has the bus for its command and its data.",
             CHANNEL, ((("PROG",), FLASH),), "nCA + nBL"),
    PairRule("NAND command", BUS, "Commands and addresses have the bus that carries the data.",
             CHANNEL, ((("READ", "ERASE"), FLASH),), "nCA"),
    PairRule("NAND tR", REGISTERS, "A page is in its register tR after its sense began.",
             PLANE, ((("READ",), ("CACHE",)),), "nR"),
    PairRule("NAND sense to sense", REGISTERS, "A plane senses one page after the other.",
             PLANE, ((("READ",), ("READ",)),), "nR + nCBSY"),
    PairRule("NAND tCBSY", REGISTERS, "A page is handed from register to register in tCBSY.",
             PLANE, ((("CACHE",), ("READ", "XFER", "PROG")),), "nCBSY"),
    PairRule("NAND register in use", REGISTERS, "A register takes a page when the last has left.",
             PLANE, ((("XFER",), ("CACHE", "PROG")),), "nBL"),
    PairRule("NAND senses of a die", ARRAY, "Planes of a die sense nRR apart.",
             DIE, ((("READ",), ("READ",)),), "nRR"),
    PairRule("NAND sense to write", ARRAY, "A die programs and erases when it does not sense.",
             DIE, ((("READ",), WRITES),), "nR"),
    PairRule("NAND tPROG", ARRAY, "A die does nothing else while it programs.",
             DIE, ((("PROG",), ("READ", *WRITES)),), "nBL + nPROG"),
    PairRule("NAND tBERS", ARRAY, "A die does nothing else while it erases.",
             DIE, ((("ERASE",), ("READ", *WRITES)),), "nCA + nBERS"),
)

CHECKS = {
    Check.RECORD: Rule("NAND record", "docs/ssd-pim-commands.md",
        "A record is a known command at an address of its scope, in the order of time."),
    Check.ROW_BUS: Rule("NAND command slot", BUS, "One command of any kind starts in a tick."),
    Check.OPEN_BANK: Rule("NAND full page register", REGISTERS,
        "A page is sensed into an empty page register."),
    Check.CLOSED_ROW: Rule("NAND empty page register", REGISTERS,
        "A page that is handed on is in the page register."),
    Check.WRONG_ROW: Rule("NAND other page", REGISTERS,
        "The page that is handed on is the one that was sensed."),
    Check.REFRESH_OPEN: Rule("NAND write beside a page", REGISTERS,
        "PROG and ERASE find the page register empty."),
    Check.COUNTS: Rule("expected counts", "the compiled program",
        "Each command issues as often as the program asks for it."),
}

CACHE_REGISTER = SecondRows(
    {"CACHE": RowUse.OPEN, "XFER": RowUse.ACCESS_CLOSE, "PROG": RowUse.REFRESH,
     "ERASE": RowUse.REFRESH},
    {
        Check.OPEN_BANK: Rule("NAND full cache register", REGISTERS,
            "A page is handed to an empty cache register."),
        Check.CLOSED_ROW: Rule("NAND empty cache register", REGISTERS,
            "A page that leaves is in the cache register."),
        Check.WRONG_ROW: Rule("NAND other page in the cache register", REGISTERS,
            "The page that leaves is the one that was handed over."),
        Check.REFRESH_OPEN: Rule("NAND write over a waiting page", REGISTERS,
            "PROG and ERASE find the cache register empty."),
    },
)

ONE_REGISTER = (
    PairRule("NAND one register", REGISTERS, "A plane senses when its last page has left.",
             PLANE, ((("READ",), ("READ",)),), "nR + nCBSY + nBL"),
)
IN_TURNS = (
    PairRule("NAND senses and transfers in turns", REGISTERS,
             "Nothing is transferred in a channel while one of its dies senses.",
             CHANNEL, ((("READ",), ("XFER",)),), "nR + nCBSY"),
)
# fmt: on


def on_device(family: Family, device: DeviceSpec) -> Family:
    """The rules by what of sense and transfer overlaps."""
    overlap = device.pim.extra.get("overlap", "cache")
    if overlap == "cache":
        return family
    uses = {"CACHE": RowUse.ACCESS, "XFER": RowUse.ACCESS_CLOSE}
    return replace(
        family,
        kinds=tuple(replace(k, row_use=uses.get(k.name, k.row_use)) for k in family.kinds),
        pairs=(*family.pairs, *ONE_REGISTER, *(IN_TURNS if overlap == "none" else ())),
        second_rows=None,
    )
