"""The rules of devices that differ from hbm3-pam, with the gaps by hand.

Gaps are in ticks between starts: parameter + (ticks of the earlier - 1) - (ticks of the later - 1).
On hbm3-pam and its kin a tick is half a CK; ACT* have the bus for 3 ticks, PRE* and REF* for 1, the
rest for 2. On hbm2e-pam a tick is a CK; ACT* have it for 2, the rest for 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from pamsim.config import ProgramVariants, describe, load_device
from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing import TimingVerdict, check_log
from pamsim.validate.timing.families import rules_on
from pyramulator.description import Description
from pyramulator.stream import LOG

Where = tuple[int, int, int, int]  # pseudo-channel, SID, bank group, bank
HERE: Where = (0, 0, 0, 0)
SAME_GROUP: Where = (0, 0, 0, 1)
OTHER_GROUP: Where = (0, 0, 1, 0)
OTHER_PC: Where = (1, 0, 0, 0)

VARIANTS = ProgramVariants(
    queries=(1,), elements=(128,), reduced_elements=(128,), capped_elements=(128,),
    scaled_queries=(1,), visits=((1, 32), (4, 8)), all_bank_queries=(1, 4),
)  # fmt: skip


@cache
def device(name: str) -> DeviceSpec:
    return load_device(name)


@cache
def description(name: str) -> Description:
    return describe(device(name), VARIANTS)


Record = tuple[int, str, Where]


def check(name: str, records: list[Record], ticks: int = 0, refresh: bool = False) -> TimingVerdict:
    told = description(name)
    log = np.zeros(len(records), LOG)
    for i, (tick, command, where) in enumerate(records):
        index = told.command_index(command)
        named = told.level_index(told.commands[index].scope)
        address = (0, *where[:named], *[-1] * (4 - named), 0, 0, 0)
        log[i] = (tick, index, -1 if command.startswith("REF") else 0, address)
    names = [c.name for c in told.commands]
    end = ticks or records[-1][0] + 1
    return check_log(device(name), told.levels, names, log, ticks=end, refresh=refresh)


@dataclass(frozen=True)
class Case:
    device: str
    rule: str
    earlier: str
    later: str
    gap: int
    there: Where = HERE
    far: Where | None = OTHER_PC  # where the rule does not hold


SEQ, AB, REFPB, HBM2E = "hbm3-pam-seq", "hbm3-pam-ab", "hbm3-pam-refpb", "hbm2e-pam"

# fmt: off
CASES = (
    # Sequencer. A step is nSEQ = 4 CK = 8 ticks; the last of 32 columns starts 31 x 8 = 248 later.
    Case(SEQ, "PIM tRCDRD, to a macro", "ACTbg", "MACseq_q1_c32", 39, far=OTHER_GROUP),
    Case(SEQ, "PIM tRTP, from a macro", "MACseq_q1_c32", "PREbg", 17 + 248, far=OTHER_GROUP),
    Case(SEQ, "PIM tRTP, from a macro", "MACseq_q1_c32", "PREab", 17 + 248),
    Case(SEQ, "PIM sequencer step", "MACseq_q1_c32", "MACseq_q1_c32", 8 + 248, far=OTHER_GROUP),
    Case(SEQ, "PIM sequencer step", "MACseq_q1_c32", "WRQ", 8 + 248, far=OTHER_GROUP),
    Case(SEQ, "PIM MAC tCCDL, from a macro", "MACseq_q1_c32", "MACseq_q1_c32", 8 + 248,
         far=OTHER_GROUP),
    # four queries hold the PUs for ceil(4 x 2600 / 666) = 16 ticks a column: 7 x 16 + 16
    Case(SEQ, "PIM MAC PU time, from a macro", "MACseq_q4_c8", "WRQ", 128, far=OTHER_GROUP),
    Case(SEQ, "PIM MAC result, from a macro", "MACseq_q1_c32", "MAX_128", 2 * 21 + 4 + 248,
         far=OTHER_GROUP),
    Case(SEQ, "PIM MAC-host tCCDL, from a macro", "MACseq_q1_c32", "RD", 8 + 248, far=OTHER_GROUP),
    Case(SEQ, "PIM write-MAC, to a macro", "WRQ", "MACseq_q1_c32", 38, far=OTHER_GROUP),
    Case(SEQ, "PIM MAC-host tCCDL, to a macro", "RD", "MACseq_q1_c32", 8, far=OTHER_GROUP),
    Case(SEQ, "PIM arithmetic, to a macro", "EXP_128", "MACseq_q1_c32", 543, far=OTHER_GROUP),
    # All banks. 32 of them open in 8 windows of 39 CK: the last 7 x 78 = 546 ticks after the first.
    Case(AB, "PIM ACTab tRCDRD", "ACTab", "MACab_q1", 39 + 546),
    Case(AB, "PIM ACTab tRCDRD", "ACTab", "MACbg_q1", 39 + 546, OTHER_GROUP),
    Case(AB, "PIM ACTab tRCDRD", "ACTab", "RD", 39 + 546, OTHER_GROUP),
    Case(AB, "PIM ACTab tRCDWR", "ACTab", "WR", 39 + 546, OTHER_GROUP),
    Case(AB, "PIM ACTab tRAS", "ACTab", "PREab", 92 + 546),
    Case(AB, "PIM ACTab tRAS", "ACTab", "PREbg", 92 + 546, OTHER_GROUP),
    Case(AB, "PIM ACTab tRC", "ACTab", "ACTab", 126),
    Case(AB, "PIM ACTab tFAW", "ACTab", "ACTab", 8 * 78),
    Case(AB, "PIM ACTab tFAW", "ACTab", "ACTbg", 8 * 78, OTHER_GROUP),
    Case(AB, "PIM tFAW to ACTab", "ACT", "ACTab", 78),
    Case(AB, "PIM tFAW to ACTab", "ACTbg", "ACTab", 78),
    Case(AB, "PIM tRC to ACTab", "ACTbg", "ACTab", 126),
    Case(AB, "PIM MACab tRCDRD", "ACTbg", "MACab_q1", 39),
    Case(AB, "PIM ACTab tRP", "PREbg", "ACTab", 36),
    Case(AB, "PIM RDA-ACTab", "RDA", "ACTab", 53),
    Case(AB, "PIM WRA-ACTab", "WRA", "ACTab", 95),
    Case(AB, "PIM REFab-ACTab", "REFab", "ACTab", 908),
    Case(AB, "PIM MACab tRTP", "MACab_q1", "PREab", 17),
    Case(AB, "PIM MACab tRTP", "MACab_q1", "PREbg", 17, OTHER_GROUP),
    Case(AB, "PIM MACab tCCDL", "MACab_q1", "MACab_q1", 8),
    Case(AB, "PIM MACab tCCDL", "MACab_q1", "WRQ", 8, OTHER_GROUP),
    Case(AB, "PIM MACab PU time", "MACab_q4", "MACab_q1", 16),
    Case(AB, "PIM MACab result", "MACab_q4", "EXP_128", 2 * 21 + 16, OTHER_GROUP),
    Case(AB, "PIM MACab-host tCCDL", "MACab_q1", "RD", 8, OTHER_GROUP),
    Case(AB, "PIM host-MACab tCCDL", "RD", "MACab_q1", 8),
    Case(AB, "PIM write-MACab", "WRQ", "MACab_q1", 38),
    Case(AB, "PIM PU-MACab", "EXP_128", "MACab_q1", 543),
    Case("hbm3-pam-ab-exempt", "PIM ACTab tRCDRD", "ACTab", "MACab_q1", 39),
    Case("hbm3-pam-ab-exempt", "PIM ACTab tRAS", "ACTab", "PREab", 92),
    # Bank by bank: nRFCpb 260 CK, nRREFD 11 CK
    Case(REFPB, "HBM3 tRFCpb", "REFpb", "PREpb", 520, far=SAME_GROUP),
    Case(REFPB, "PIM tRFCpb", "REFpb", "PREbg", 520, far=OTHER_GROUP),
    Case(REFPB, "PIM tRFCpb", "REFpb", "ACTbg", 518, far=OTHER_GROUP),
    Case(REFPB, "PIM REFpb-PREab", "REFpb", "PREab", 520),
    Case(REFPB, "PIM tRREFD", "REFpb", "ACTbg", 20, OTHER_GROUP),
    Case(REFPB, "PIM ACTbg-REFpb tRRDS", "ACTbg", "REFpb", 6, OTHER_GROUP),
    Case(REFPB, "PIM ACTbg-REFpb tRRDL", "ACTbg", "REFpb", 10, far=OTHER_GROUP),
    Case(REFPB, "PIM ACTbg-REFpb tRRDL", "REFpb", "ACTbg", 6, far=OTHER_GROUP),
    Case(REFPB, "PIM ACTbg-REFpb", "ACTbg", "REFpb", 128, SAME_GROUP, far=OTHER_GROUP),
    Case(REFPB, "PIM PREbg-REFpb", "PREbg", "REFpb", 38, SAME_GROUP, far=OTHER_GROUP),
    # AttAcc's power limit: nCCDS 2 CK x 6 / 4
    Case("hbm3-pam-power", "PIM MAC power", "MACbg_q1", "MACbg_q1", 6, OTHER_GROUP),
    # HBM2E at 1.8 GHz: nRCDRD 26 CK and the second tick of ACT; nRAS 60; nRP 26; nFAW 27
    Case(HBM2E, "HBM2 tRCDRD", "ACT", "RD", 26 + 1, far=SAME_GROUP),
    Case(HBM2E, "HBM2 tRAS", "ACT", "PREpb", 60 + 1, far=SAME_GROUP),
    Case(HBM2E, "HBM2 tRP", "PREpb", "ACT", 26 - 1, far=SAME_GROUP),
    Case(HBM2E, "HBM2 tCCDL", "RD", "RD", 4, SAME_GROUP, far=OTHER_GROUP),
    Case(HBM2E, "HBM2 row bus", "ACT", "PREpb", 2, OTHER_PC, far=None),
    Case(HBM2E, "PIM tRCDRD", "ACTbg", "MACbg_q1", 26 + 1, far=OTHER_GROUP),
    Case(HBM2E, "PIM tFAW", "ACTbg", "ACTbg", 27, OTHER_GROUP),
    Case(HBM2E, "PIM tRTP", "MACbg_q1", "PREbg", 9, far=OTHER_GROUP),
    # a PU cycle is 1800 / 666 = 2.7 ticks; nCL 26, nBL 2
    Case(HBM2E, "PIM MAC result", "MACbg_q1", "MAX_128", 26 + 2 + 3, far=OTHER_GROUP),
    Case("hbm4-pam", "HBM3 tRCDRD", "ACT", "RD", 2 * 39 + 2 - 1, far=SAME_GROUP),
    Case("hbm3e-pam", "PIM tFAW", "ACTbg", "ACTbg", 2 * 36, OTHER_GROUP),
)
# fmt: on
cases = pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c.device}: {c.rule}: {c.earlier} {c.later}"
)
START = 1001  # a rising edge


@cases
def test_a_rule_holds_to_the_tick(case: Case) -> None:
    def verdict(gap: int, there: Where) -> TimingVerdict:
        records = [(START, case.earlier, HERE), (START + gap, case.later, there)]
        return check(case.device, records)

    assert case.rule in verdict(case.gap - 1, case.there).by_rule
    assert case.rule not in verdict(case.gap, case.there).by_rule
    if case.far is not None:
        assert case.rule not in verdict(case.gap - 1, case.far).by_rule


def test_macros_of_two_groups_are_free_of_each_other() -> None:
    records = [(START, "MACseq_q1_c32", HERE), (START + 2, "MACseq_q1_c32", OTHER_GROUP)]
    found = check(SEQ, records).by_rule
    assert set(found) == {"HBM3 closed row"}  # no row is open, and that is all


def test_an_exempt_activate_fills_no_window() -> None:
    records = [(START, "ACTab", HERE), (START + 126, "ACTbg", OTHER_GROUP)]
    found = check("hbm3-pam-ab-exempt", records).by_rule
    assert set(found) == {"HBM3 ACT on an open bank"}


def test_every_row_of_the_parameters_is_held() -> None:
    """No rule of a device is left out because the device lacks a parameter."""
    for name in (SEQ, AB, REFPB, HBM2E, "hbm3e-pam", "hbm4-pam", "hbm3-pam-power"):
        rules = rules_on(device(name))
        assert rules is not None
        assert len({rule.name for rule in rules.rules}) == len(rules.rules)
        assert check(name, [(START, "PREab", HERE)]).verdict == "passed"


def in_turn(banks: int, interval: int) -> list[Record]:
    """A REFpb of each bank of both pseudo-channels, at k x interval and 2 ticks later."""
    return [
        (k * interval + 1 + 2 * pc, "REFpb", (pc, *divmod((k - 1) // 4, 4), (k - 1) % 4))
        for k in range(1, banks + 1)
        for pc in range(2)
    ]


def test_banks_are_refreshed_in_turn_and_in_time() -> None:
    interval = 2 * 158  # nREFIpb in ticks; an odd tick follows
    good = in_turn(32, interval)
    assert check(REFPB, good, 33 * interval, refresh=True).verdict == "passed"
    swapped = list(good)
    swapped[4], swapped[6] = (swapped[4][0], *good[6][1:]), (swapped[6][0], *good[4][1:])
    assert check(REFPB, swapped, 33 * interval, refresh=True).by_rule == {"HBM3 REFpb turn": 2}
    early = [(tick - 4, name, where) for tick, name, where in good]
    assert "HBM3 tREFIpb" in check(REFPB, early, 33 * interval, refresh=True).by_rule


def test_a_missing_refresh_is_found_at_the_end() -> None:
    interval = 2 * 158
    late = (32 + 33) * interval  # the 33rd is due by (33 + 32) intervals
    good = in_turn(32, interval)
    assert check(REFPB, good, late, refresh=True).verdict == "passed"
    found = check(REFPB, good, late + 1, refresh=True)
    assert found.by_rule == {"HBM3 tREFIpb": 2}  # of both pseudo-channels
