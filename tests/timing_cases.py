"""Every pair of commands that a rule relates, with the gap by hand, for the tests of the rules.

Gaps are in ticks of half a CK between starts, worked out from the numbers in `timing_logs`:
2 x CK + (ticks of the earlier - 1) - (ticks of the later - 1), with 3 ticks for ACT and ACTbg, 1
for PRE* and REF*, 2 for column commands. Durations are cycles x 2600 / 666, rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from timing_logs import Where

BANK: Where = (0, 0, 0, 0)
SAME_GROUP: Where = (0, 0, 0, 1)
OTHER_GROUP: Where = (0, 0, 1, 0)
OTHER_SID: Where = (0, 1, 2, 0)
OTHER_PC: Where = (1, 0, 0, 0)


@dataclass(frozen=True)
class Case:
    rule: str
    earlier: str
    later: str
    gap: int
    there: Where = BANK  # of the later command; the earlier is at BANK
    far: Where | None = OTHER_PC  # where the rule does not hold; None: everywhere
    masked: str = ""  # a rule that forbids the exact gap too, so that this one does no harm


# fmt: off
BY_HAND = (
    # -- HBM3, one bank. 19 CK
    Case("HBM3 tRCDRD", "ACT", "RD", 39, far=SAME_GROUP),
    Case("HBM3 tRCDRD", "ACT", "RDA", 39, far=SAME_GROUP),
    Case("HBM3 tRCDWR", "ACT", "WR", 39, far=SAME_GROUP),
    Case("HBM3 tRCDWR", "ACT", "WRA", 39, far=SAME_GROUP),
    Case("HBM3 tRAS", "ACT", "PREpb", 92, far=SAME_GROUP),
    Case("HBM3 tRAS", "ACT", "PREab", 92),
    Case("HBM3 tRC", "ACT", "ACT", 126, far=SAME_GROUP, masked="HBM3 ACT on an open bank"),
    Case("HBM3 tRP", "PREpb", "ACT", 36, far=SAME_GROUP),
    Case("HBM3 tRP", "PREab", "ACT", 36, OTHER_SID),
    Case("HBM3 tRTP", "RD", "PREpb", 17, far=SAME_GROUP),
    Case("HBM3 tRTP", "RD", "PREab", 17),
    Case("HBM3 tWR", "WR", "PREpb", 59, far=SAME_GROUP),  # 6 + 2 + 21 CK
    Case("HBM3 tWR", "WR", "PREab", 59),
    Case("HBM3 RDA-ACT", "RDA", "ACT", 53, far=SAME_GROUP),  # 8 + 19 CK
    Case("HBM3 WRA-ACT", "WRA", "ACT", 95, far=SAME_GROUP),  # 6 + 2 + 21 + 19 CK
    # -- HBM3, between banks
    Case("HBM3 tRRDS", "ACT", "ACT", 4, OTHER_GROUP),
    Case("HBM3 tRRDS", "ACT", "ACT", 4, OTHER_SID),
    Case("HBM3 tRRDL", "ACT", "ACT", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("HBM3 tPPD", "PREpb", "PREpb", 4, OTHER_SID),
    Case("HBM3 tPPD", "PREpb", "PREab", 4),
    Case("HBM3 tPPD", "PREab", "PREpb", 4),
    Case("HBM3 tCCDS", "RD", "RD", 4, OTHER_GROUP),
    Case("HBM3 tCCDS", "WR", "WRA", 4, OTHER_SID),
    Case("HBM3 tCCDL", "RD", "RDA", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("HBM3 tCCDL", "WR", "WR", 8, far=OTHER_GROUP),
    Case("HBM3 tCCDR", "RD", "RD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("HBM3 tRTW", "RD", "WR", 34, OTHER_SID),
    Case("HBM3 tRTW", "RDA", "WRA", 34, OTHER_GROUP),
    Case("HBM3 tWTRS", "WR", "RD", 32, OTHER_GROUP),  # 6 + 2 + 8 CK
    Case("HBM3 tWTRL", "WR", "RD", 38, SAME_GROUP, far=OTHER_GROUP),  # 6 + 2 + 11 CK
    # -- HBM3, refresh
    Case("HBM3 tRFC", "REFab", "ACT", 908, OTHER_SID),  # 455 CK
    Case("HBM3 tRFC", "REFab", "PREab", 910),
    Case("HBM3 tRFC", "REFab", "PREpb", 910, OTHER_GROUP),
    Case("HBM3 ACT-REFab", "ACT", "REFab", 128, masked="HBM3 REF with an open bank"),
    Case("HBM3 PRE-REFab", "PREpb", "REFab", 38),
    Case("HBM3 PRE-REFab", "PREab", "REFab", 38),
    Case("HBM3 RDA-REFab", "RDA", "REFab", 55),
    Case("HBM3 WRA-REFab", "WRA", "REFab", 97),
    Case("HBM3 tRFCpb", "REFpb", "ACT", 518, far=SAME_GROUP),  # 260 CK
    Case("HBM3 tRFCpb", "REFpb", "PREpb", 520, far=SAME_GROUP),
    Case("HBM3 tRFCpb", "REFpb", "REFpb", 520, far=SAME_GROUP),
    Case("HBM3 REFpb-REFab", "REFpb", "REFab", 520),
    Case("HBM3 tRREFD", "REFpb", "ACT", 20, OTHER_GROUP),  # 11 CK
    Case("HBM3 tRREFD", "REFpb", "REFpb", 22, OTHER_SID),
    Case("HBM3 ACT-REFpb same bank", "ACT", "REFpb", 128, far=SAME_GROUP,
         masked="HBM3 REF with an open bank"),
    Case("HBM3 ACT-REFpb tRRDS", "ACT", "REFpb", 6, OTHER_GROUP),
    Case("HBM3 PRE-REFpb", "PREpb", "REFpb", 38, far=SAME_GROUP),
    Case("HBM3 PRE-REFpb", "PREab", "REFpb", 38, OTHER_SID),
    Case("HBM3 ACT-REFpb tRRDL", "ACT", "REFpb", 10, SAME_GROUP, far=OTHER_GROUP),
    Case("HBM3 ACT-REFpb tRRDL", "REFpb", "ACT", 6, SAME_GROUP, far=OTHER_GROUP,
         masked="HBM3 tRREFD"),
    Case("HBM3 REFab-REFpb", "REFab", "REFpb", 910, OTHER_SID),
    Case("HBM3 RDA-REFpb", "RDA", "REFpb", 55, far=SAME_GROUP),
    Case("HBM3 WRA-REFpb", "WRA", "REFpb", 97, far=SAME_GROUP),
    # -- HBM-PIM, rows
    Case("PIM tRCDRD", "ACTbg", "MACbg_q1", 39, far=OTHER_GROUP),
    Case("PIM tRCDRD", "ACTbg", "RD", 39, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRCDRD", "ACTbg", "RDA", 39, far=OTHER_GROUP),
    Case("PIM tRCDRD", "ACT", "MACbg_q1", 39, far=OTHER_GROUP, masked="PIM half-open group"),
    Case("PIM tRCDWR", "ACTbg", "WR", 39, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRCDWR", "ACTbg", "WRA", 39, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREbg", 92, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREpb", 92, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRAS", "ACTbg", "PREab", 92),
    Case("PIM tRAS", "ACT", "PREbg", 92, far=OTHER_GROUP),
    Case("PIM tRC", "ACTbg", "ACTbg", 126, far=OTHER_GROUP, masked="HBM3 ACT on an open bank"),
    Case("PIM tRC", "ACTbg", "ACT", 126, SAME_GROUP, far=OTHER_GROUP,
         masked="HBM3 ACT on an open bank"),
    Case("PIM tRC", "ACT", "ACTbg", 126, far=OTHER_GROUP, masked="HBM3 ACT on an open bank"),
    Case("PIM tRP", "PREbg", "ACTbg", 36, far=OTHER_GROUP),
    Case("PIM tRP", "PREbg", "ACT", 36, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRP", "PREpb", "ACTbg", 36, far=OTHER_GROUP),
    Case("PIM tRP", "PREab", "ACTbg", 36, OTHER_SID),
    Case("PIM tRTP", "MACbg_q1", "PREbg", 17, far=OTHER_GROUP),
    Case("PIM tRTP", "MACbg_q4", "PREpb", 17, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM tRTP", "MACbg_q1", "PREab", 17),
    Case("PIM tRTP", "RD", "PREbg", 17, far=OTHER_GROUP),
    Case("PIM tWR", "WR", "PREbg", 59, far=OTHER_GROUP),
    Case("PIM RDA-ACTbg", "RDA", "ACTbg", 53, far=OTHER_GROUP),
    Case("PIM WRA-ACTbg", "WRA", "ACTbg", 95, far=OTHER_GROUP),
    Case("PIM tFAW", "ACTbg", "ACTbg", 78, OTHER_GROUP),  # 39 CK
    Case("PIM tFAW", "ACTbg", "ACT", 78, OTHER_SID),
    Case("PIM tFAW", "ACT", "ACTbg", 78, OTHER_SID),
    Case("PIM tPPD", "PREbg", "PREbg", 4, OTHER_SID),
    Case("PIM tPPD", "PREbg", "PREpb", 4, OTHER_GROUP),
    Case("PIM tPPD", "PREab", "PREbg", 4, OTHER_GROUP),
    Case("PIM tPPD", "PREpb", "PREbg", 4, OTHER_GROUP),
    Case("PIM ACTbg-REFab", "ACTbg", "REFab", 128, masked="HBM3 REF with an open bank"),
    Case("PIM PREbg-REFab", "PREbg", "REFab", 38),
    Case("PIM tRFC", "REFab", "ACTbg", 908, OTHER_SID),
    Case("PIM tRFC", "REFab", "PREbg", 910, OTHER_SID),
    # -- HBM-PIM, a MAC and what follows; PU time of 1 query 4 ticks, of 4 queries 16
    Case("PIM MAC tCCDL", "MACbg_q1", "MACbg_q1", 8, far=OTHER_GROUP),
    Case("PIM MAC tCCDL", "MACbg_q1", "WRQ", 8, far=OTHER_GROUP),
    Case("PIM MAC tCCDL", "MACbg_q1", "MAX_128", 8, far=OTHER_GROUP, masked="PIM MAC result"),
    Case("PIM MAC PU time", "MACbg_q4", "MACbg_q1", 16, far=OTHER_GROUP),
    Case("PIM MAC PU time", "MACbg_q1", "MACbg_q4", 4, far=OTHER_GROUP, masked="PIM MAC tCCDL"),
    Case("PIM MAC PU time", "MACbg_q4", "WRQ", 16, far=OTHER_GROUP),
    Case("PIM MAC result", "MACbg_q1", "MAX_128", 46, far=OTHER_GROUP),  # 19 + 2 CK + 4 ticks
    Case("PIM MAC result", "MACbg_q4", "EXP_128", 58, far=OTHER_GROUP),
    Case("PIM MAC result", "MACbg_q1", "SUM_128", 46, far=OTHER_GROUP),
    Case("PIM MAC result", "MACbg_q1", "REDBG_128", 46, far=OTHER_GROUP),
    Case("PIM MAC tCCDS", "MACbg_q1", "MACbg_q1", 4, OTHER_GROUP),
    Case("PIM MAC tCCDS", "MACbg_q4", "MACbg_q1", 4, OTHER_SID),
    Case("PIM MAC-host tCCDL", "MACbg_q1", "RD", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "MACbg_q1", "WRA", 8, SAME_GROUP, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "RD", "MACbg_q1", 8, far=OTHER_GROUP),
    Case("PIM MAC-host tCCDL", "RDA", "MACbg_q1", 8, far=OTHER_GROUP,
         masked="PIM half-open group"),
    Case("PIM write-MAC", "WR", "MACbg_q1", 38, far=OTHER_GROUP),
    Case("PIM write-MAC", "WRQ", "MACbg_q1", 38, far=OTHER_GROUP),
    # -- HBM-PIM, arithmetic: 8 + 4 cycles are 47 ticks, 128 + 11 are 543, 1 + 11 + 4 x 8 are 172
    Case("PIM arithmetic", "MAX_128", "EXP_128", 47, far=OTHER_GROUP),
    Case("PIM arithmetic", "EXP_128", "WRQ", 543, far=OTHER_GROUP),
    Case("PIM arithmetic", "SUM_128", "MACbg_q1", 47, far=OTHER_GROUP),
    Case("PIM arithmetic", "SUM_128", "REDBG_128", 47, far=OTHER_GROUP),
    Case("PIM WRQ data", "WRQ", "MAX_128", 16, far=OTHER_GROUP),  # 6 + 2 CK
    Case("PIM WRQ data", "WRQ", "REDBG_128", 16, far=OTHER_GROUP),
    Case("PIM REDBG", "REDBG_128", "REDLD", 172, far=OTHER_GROUP),
    Case("PIM REDBG", "REDBG_128", "MACbg_q1", 172, far=OTHER_GROUP),
    Case("PIM REDLD-RDRES", "REDLD", "RDRES", 79),  # 1 + 11 + 8 cycles
    # -- HBM-PIM, directions of the data bus
    Case("PIM tCCDS", "REDLD", "REDLD", 4, OTHER_GROUP),
    Case("PIM tCCDS", "REDLD", "RDRES", 4, OTHER_SID, masked="PIM REDLD-RDRES"),
    Case("PIM tCCDS", "RDRES", "RDRES", 4),
    Case("PIM tCCDS", "RDRES", "REDLD", 4, OTHER_SID),
    Case("PIM tCCDS", "RD", "RDRES", 4),
    Case("PIM tCCDS", "RDRES", "RD", 4),
    Case("PIM tCCDS", "WRQ", "WRQ", 4, OTHER_SID),
    Case("PIM tCCDS", "WR", "WRQ", 4, OTHER_GROUP),
    Case("PIM tCCDS", "WRQ", "WR", 4, OTHER_GROUP),
    Case("PIM tCCDL", "REDLD", "REDLD", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "REDLD", "RD", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "RD", "REDLD", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "WRQ", "WRQ", 8, far=OTHER_GROUP),
    Case("PIM tCCDL", "WR", "WRQ", 8, far=OTHER_GROUP),
    Case("PIM tCCDR", "REDLD", "REDLD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("PIM tCCDR", "REDLD", "RD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("PIM tCCDR", "RD", "REDLD", 6, OTHER_SID, far=OTHER_GROUP),
    Case("PIM tRTW", "REDLD", "WRQ", 34, OTHER_GROUP),
    Case("PIM tRTW", "RDRES", "WR", 34),
    Case("PIM tRTW", "RD", "WRQ", 34, OTHER_SID),
    Case("PIM tWTRS", "WRQ", "RD", 32, OTHER_GROUP),
    Case("PIM tWTRS", "WRQ", "RDRES", 32),
    Case("PIM tWTRS", "WR", "REDLD", 32, OTHER_SID),
    Case("PIM tWTRL", "WRQ", "REDLD", 38, far=OTHER_GROUP),
    Case("PIM tWTRL", "WRQ", "RD", 38, far=OTHER_GROUP),
    Case("PIM tWTRL", "WR", "REDLD", 38, far=OTHER_GROUP),
)

def each(
    rule: str,
    earlier: tuple[str, ...],
    later: tuple[str, ...],
    gap: int,
    there: Where = BANK,
    far: Where | None = OTHER_PC,
    masked: str = "",
) -> list[Case]:
    """A case for each pair of an edge that has none by hand."""
    had = {(case.rule, case.earlier, case.later) for case in BY_HAND}
    return [
        Case(rule, e, f, gap, there, far, masked)
        for e in earlier
        for f in later
        if (rule, e, f) not in had
    ]


READ, WRITE = ("RD", "RDA"), ("WR", "WRA")
MERGING = ("CAP_128", "MAX_128", "EXP_128", "SUM_128", "REDBG_128")
PU = ("MACbg_q1", "WRQ", *MERGING)



def like_mac(cases: tuple[Case, ...]) -> list[Case]:
    """The cases of MACbg with SCbg on either side: docs/hbm-pim-commands.md has one rule."""
    return [
        replace(case, earlier=earlier, later=later)
        for case in cases
        for earlier in scale_names(case.earlier)
        for later in scale_names(case.later)
        if (earlier, later) != (case.earlier, case.later)
    ]


def scale_names(name: str) -> tuple[str, ...]:
    return (name, name.replace("MACbg", "SCbg")) if name.startswith("MACbg") else (name,)


OF_MACS = (
    *BY_HAND,
    *each("HBM3 tPPD", ("PREab",), ("PREab",), 4),
    *each("HBM3 tCCDS", READ, READ, 4, OTHER_GROUP),
    *each("HBM3 tCCDS", WRITE, WRITE, 4, OTHER_GROUP),
    *each("HBM3 tCCDL", READ, READ, 8, SAME_GROUP, OTHER_GROUP),
    *each("HBM3 tCCDL", WRITE, WRITE, 8, SAME_GROUP, OTHER_GROUP),
    *each("HBM3 tCCDR", READ, READ, 6, OTHER_SID, OTHER_GROUP),
    *each("HBM3 tRTW", READ, WRITE, 34, OTHER_GROUP),
    *each("HBM3 tWTRS", WRITE, READ, 32, OTHER_GROUP),
    *each("HBM3 tWTRL", WRITE, READ, 38, SAME_GROUP, OTHER_GROUP),
    *each("PIM tPPD", ("PREbg",), ("PREab",), 4),
    *each("PIM MAC tCCDL", ("MACbg_q1",), MERGING, 8, BANK, OTHER_GROUP, "PIM MAC result"),
    *each("PIM MAC PU time", ("MACbg_q4",), MERGING, 16, BANK, OTHER_GROUP, "PIM MAC result"),
    *each("PIM MAC result", ("MACbg_q1",), MERGING, 46, BANK, OTHER_GROUP),
    *each("PIM MAC-host tCCDL", ("MACbg_q1",), (*READ, *WRITE), 8, SAME_GROUP, OTHER_GROUP),
    *each("PIM write-MAC", ("WRA",), ("MACbg_q1",), 38, BANK, OTHER_GROUP, "PIM half-open group"),
    *each("PIM arithmetic", ("MAX_128", "SUM_128"), PU, 47, BANK, OTHER_GROUP),
    *each("PIM arithmetic", ("EXP_128",), PU, 543, BANK, OTHER_GROUP),
    *each("PIM arithmetic", ("CAP_128",), PU, 594, BANK, OTHER_GROUP),  # 128 + 24 cycles
    *each("PIM WRQ data", ("WRQ",), MERGING, 16, BANK, OTHER_GROUP),
    *each("PIM REDBG", ("REDBG_128",), (*PU, "REDLD"), 172, BANK, OTHER_GROUP),
    *each("PIM tCCDS", ("REDLD", "RDRES"), (*READ, "REDLD", "RDRES"), 4, OTHER_GROUP),
    *each("PIM tCCDS", READ, ("REDLD", "RDRES"), 4, OTHER_GROUP),
    *each("PIM tCCDS", ("WRQ",), WRITE, 4, OTHER_GROUP),
    *each("PIM tCCDS", WRITE, ("WRQ",), 4, OTHER_GROUP),
    *each("PIM tCCDL", ("REDLD",), READ, 8, BANK, OTHER_GROUP),
    *each("PIM tCCDL", READ, ("REDLD",), 8, BANK, OTHER_GROUP),
    *each("PIM tCCDL", ("WRQ",), WRITE, 8, BANK, OTHER_GROUP),
    *each("PIM tCCDL", WRITE, ("WRQ",), 8, BANK, OTHER_GROUP),
    *each("PIM tCCDR", ("REDLD",), READ, 6, OTHER_SID, OTHER_GROUP),
    *each("PIM tCCDR", READ, ("REDLD",), 6, OTHER_SID, OTHER_GROUP),
    *each("PIM tRTW", ("REDLD", "RDRES"), (*WRITE, "WRQ"), 34, OTHER_GROUP),
    *each("PIM tRTW", READ, ("WRQ",), 34, OTHER_GROUP),
    *each("PIM tWTRS", ("WRQ",), (*READ, "REDLD", "RDRES"), 32, OTHER_GROUP),
    *each("PIM tWTRS", WRITE, ("REDLD", "RDRES"), 32, OTHER_GROUP),
    *each("PIM tWTRL", ("WRQ",), (*READ, "REDLD"), 38, BANK, OTHER_GROUP),
    *each("PIM tWTRL", WRITE, ("REDLD",), 38, BANK, OTHER_GROUP),
)
CASES = (*OF_MACS, *like_mac(OF_MACS))

# Rules whose one-tick mutation never shows alone with these numbers, and why. Each stays a rule:
# another device's numbers bring it out (see `test_a_longer_row_cycle_shows_alone`).
HARMLESS = {
    "HBM3 tRC": "a bank is closed in between, and tRAS + tRP (64 CK) is more than tRC (63 CK)",
    "PIM tRC": "as HBM3 tRC",
    "HBM3 ACT-REFab": "as HBM3 tRC: the bank is closed before a refresh",
    "HBM3 ACT-REFpb same bank": "as HBM3 ACT-REFab",
    "PIM ACTbg-REFab": "as HBM3 ACT-REFab",
}
# One edge of a rule that others mask, by (rule, earlier, later); its other edges show alone.
_HARMLESS_EDGES = {
    ("HBM3 ACT-REFpb tRRDL", "REFpb", "ACT"): "tRREFD of the pseudo-channel is longer",
    ("PIM tRCDRD", "ACT", "MACbg_q1"): "the fourth ACT of the group comes later than the first",
    **{("PIM MAC tCCDL", "MACbg_q1", e): "a MAC's result takes longer" for e in MERGING},
    **{("PIM MAC PU time", "MACbg_q4", e): "a MAC's result takes longer" for e in MERGING},
    ("PIM MAC PU time", "MACbg_q1", "MACbg_q4"): "one query (4 ticks) is less than tCCDL",
    ("PIM MAC-host tCCDL", "RDA", "MACbg_q1"): "RDA has closed a bank of the group",
    ("PIM tCCDS", "REDLD", "RDRES"): "the logic die's merge takes longer",
    ("PIM write-MAC", "WRA", "MACbg_q1"): "WRA has closed a bank of the group",
}
HARMLESS_EDGES = {
    (rule, first, second): why
    for (rule, earlier, later), why in _HARMLESS_EDGES.items()
    for first in scale_names(earlier)
    for second in scale_names(later)
}
# fmt: on
