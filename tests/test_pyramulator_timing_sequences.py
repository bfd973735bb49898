"""Typical sequences of hbm3-pam as pictures of ticks, on the device as it is: all rows, both buses.

Every tick is worked out in the comment above it from docs/engine-rules.md and the latencies that
test_pyramulator_timing_rows.py shows one by one. Column commands and ACT, ACTbg, REFab start on
odd ticks: `118 -> 119` is an even sum that waits for the rising edge.
"""

from __future__ import annotations

import numpy as np
import pytest
from timing_pictures import play_lanes, redraw

from pamsim.config import ProgramVariants, describe, load_device
from pamsim.validate.timing import check_log
from pyramulator import RECORD, CommandStream, run

VARIANTS = ProgramVariants(queries=(1, 4), elements=(16, 128), reduced_elements=(16, 128))

# fmt: off
SEQUENCES = {
    # MAC 1 + 39 -> 41, the 32nd 41 + 31 x 8 = 289; PREbg 289 + 17 = 306, a falling edge, past
    # nRAS 1 + 92; ACTbg 306 + 36 = 342 -> 343
    "a row visit": {
        "0.0.0": "ACTbg .x39 [MACbg_q1 .x7]x31 MACbg_q1 .x16 PREbg .x36 ACTbg",
    },
    # The second ACTbg nFAW later: 79, its MAC 118 -> 119. The first group's 121 has to keep nCCDS
    # to it: 123, and from there the two go 4 apart. PREbg 131 + 17 = 148; 79 + nRAS 92 = 171
    "two groups of a pseudo-channel": {
        "0.0.0": "ACTbg .x39 [MACbg_q1 .x7]x9 MACbg_q1 .x9 MACbg_q1 .x7 MACbg_q1 .x16 PREbg",
        "0.0.1": ".x78 ACTbg .x39 [MACbg_q1 .x7]x3 MACbg_q1 .x27 PREbg",
    },
    # Row bus 1 + 3 -> 5, all else apart: 5 + 39 -> 45
    "both pseudo-channels": {
        "0.0.0": "ACTbg .x39 MACbg_q1 .x7 MACbg_q1",
        "1.0.0": ".x4 ACTbg .x39 MACbg_q1 .x7 MACbg_q1",
    },
    # A column and a row command in tick 1; the two pseudo-channels' columns are a CK apart
    "both buses in a tick": {
        "0.0.0": "WRQ .x7 WRQ .x7 WRQ",
        "1.0.0": ".x2 WRQ .x7 WRQ",
        "0.0.1": "ACTbg .x39 MACbg_q1",
    },
    # Both ready at 41: the MAC has been visible since 2, the sixth WRQ since 34
    "one column slot for two": {
        "0.0.0": "ACTbg .x39 MACbg_q1 .x7 MACbg_q1",
        "0.0.1": "[WRQ .x7]x4 WRQ .x9 WRQ .x7 WRQ",
    },
    # WRQ 2 -> 3, nCCDL to 11; MAC 11 + 38 = 49, past nRCDRD 40
    "a query, then its products": {
        "0.0.0": "ACTbg . WRQ .x7 WRQ .x37 MACbg_q1",
    },
    # MAX 41 + 46 = 87; EXP 87 + 47 -> 135; SUM 135 + 543 -> 679; MAC 679 + 47 -> 727; PREbg 744
    "softmax in the PUs": {
        "0.0.0": "ACTbg .x39 MACbg_q1 .x45 MAX_128 .x47 EXP_128 .x543 SUM_128 .x47 MACbg_q1 "
                 ".x16 PREbg",
    },
    # MAC 41, 57; MAX 57 + 58 = 115; EXP 115 + 20 = 135; SUM 135 + 106 = 241; WRQ 241 + 20 = 261
    "four queries": {
        "0.0.0": "ACTbg .x39 MACbg_q4 .x15 MACbg_q4 .x57 MAX_16 .x19 EXP_16 .x105 SUM_16 .x19 WRQ",
    },
    # REDLD 1 + 172 = 173, the ninth 173 + 8 x 8 = 237; RDRES 237 + 79 -> 317, 321
    "the merge": {
        "0.0.0": "REDBG_128 .x171 [REDLD .x7]x8 REDLD .x79 RDRES .x3 RDRES",
    },
    # nCCDR 6 between them: 1, 7, 13, 19, where nCCDL alone would allow 9 and 15
    "two SIDs read": {
        "0.0.0": "REDLD .x11 REDLD",
        "0.1.0": ".x6 REDLD .x11 REDLD",
    },
    # nRTW 34; then nWTRL 38 in the group, and in the other pseudo-channel nWTRS 32
    "read, write, read": {
        "0.0.0": "REDLD .x33 WRQ .x37 REDLD",
        "1.0.0": ".x2 RDRES .x33 WRQ .x31 RDRES",
    },
    # WR 41 to 65; PREpb 65 + 59 = 124, past nRAS 93; ACTbg 124 + 36 -> 161, past nRC 127; MAC 201
    "an append, then a visit": {
        "0.0.0": "(ACT) .x39 [WR .x7]x3 WR .x58 PREpb .x36 ACTbg .x39 MACbg_q1",
    },
    # ACT@1 42 -> 43, WR@1 43 + 39 -> 83; PREpb 41 + 59 = 100, PREpb@1 83 + 59 = 142;
    # ACTbg 142 + 36 -> 179
    "appends in two banks": {
        "0.0.0": "(ACT) .x39 WR . (ACT@1) .x39 WR@1 .x16 PREpb .x41 PREpb@1 .x36 ACTbg",
    },
    # PREpb at nRAS 93, past 41 + 17; ACT 93 + 36 = 129, past nRC 127; RD 168 -> 169
    "another row": {
        "0.0.0": "(ACT) .x39 RD .x51 (PREpb) .x35 (ACT) .x39 RD/1",
    },
    # ACT at nRC 127, past 41 + 53; ACT 45 + 95 = 140 -> 141, past nRC 131
    "auto-precharge": {
        "0.0.0": "(ACT) .x39 RDA .x85 ACT",
        "1.0.0": ".x4 (ACT) .x39 WRA .x95 ACT",
    },
    # nRRDS 4; the fifth ACT 1 + 78 = 79; an ACTbg nFAW after the last of them: 157
    "four activates": {
        "0.0.0": "ACT",
        "0.0.1": ".x4 ACT",
        "0.0.2": ".x8 ACT",
        "0.0.3": ".x12 ACT",
        "0.1.0": ".x78 ACT",
        "0.1.1": ".x156 ACTbg",
    },
    # No mode switch: ACT 79 (nFAW), RD 118 -> 119 and 127, between MACs that do not move
    "a host's reads beside a visit": {
        "0.0.0": "ACTbg .x39 [MACbg_q1 .x7]x11 MACbg_q1",
        "0.0.1": ".x78 (ACT) .x39 RD .x7 RD",
    },
    # PREbg 81 + 17 = 98 is exactly the tick after the ACTbg's 3 from 95: refused, 99
    "falling edge, pair refused": {
        "0.0.0": "ACTbg .x39 [MACbg_q1 .x7]x5 MACbg_q1 .x17 PREbg",
        "0.0.1": "MAX_16 .x19 [WRQ .x7]x9 WRQ . ACTbg",
    },
    # The same with the ACTbg in the other pseudo-channel: 98
    "falling edge, pair allowed": {
        "0.0.0": "ACTbg .x39 [MACbg_q1 .x7]x5 MACbg_q1 .x16 PREbg",
        "1.0.0": "MAX_16 .x19 [WRQ .x7]x9 WRQ . ACTbg",
    },
    # Due at 10140, from when on both pseudo-channels ask for nothing more. The last MAC is
    # 41 + 1262 x 8 = 10137; PREab 10154, REFab 10154 + 38 -> 10193, ACTbg 10193 + 908 = 11101,
    # MAC 11140 -> 11141. The other's refresh comes to the FIFO's front at 10194: PREab, 1 tick
    # after a REFab elsewhere; REFab 10232 -> 10233, ACTbg 11141, MAC 11180 -> 11181
    "refresh amid visits": {
        "0.0.0": "ACTbg .x39 [MACbg_q1 .x7]x1262 MACbg_q1 .x963 (ACTbg) .x39 MACbg_q1",
        "1.0.0": ".x4 ACTbg .x39 [MACbg_q1 .x7]x1261 MACbg_q1 .x1007 (ACTbg) .x39 MACbg_q1",
        "refresh 0": ".x10153 PREab .x38 REFab",
        "refresh 1": ".x10193 PREab .x38 REFab",
    },
    # EXP 1 + 18 x 544 = 9793; the MAC's own ACTbg 9795, the MAC 9793 + 543 -> 10337. Refresh, due
    # at 10140, may not close the row under it: PREab 10337 + 17 = 10354, REFab 10392 -> 10393, the
    # other 10395. EXP, ready at 10337 + 46, waits for the REFab: 10394 -> 10395
    "refresh waits for a held row": {
        "0.0.0": "[EXP_128 .x543]x18 EXP_128 . (ACTbg) .x541 MACbg_q1 .x57 EXP_16",
        "refresh 0": ".x10353 PREab .x38 REFab",
        "refresh 1": ".x10394 REFab",
    },
}
# fmt: on


@pytest.mark.parametrize("title", SEQUENCES)
def test_sequence_on_the_device(title: str) -> None:
    lanes = SEQUENCES[title]
    expected = {lane: redraw(picture) for lane, picture in lanes.items()}
    assert play_lanes(describe(load_device("hbm3-pam"), VARIANTS), lanes) == expected


def test_a_precharge_after_an_append_waits_out_the_refresh_between_them() -> None:
    # The refresh closes the append's bank; its own PREpb still waits nRFC (910 ticks).
    device = load_device("hbm3-pam")
    variants = ProgramVariants(queries=(1,), elements=(16,), reduced_elements=(128,))
    description = describe(device, variants)
    index = description.command_index
    stream = np.array(
        [
            (index("WR"), 0, 5, 0, 0, 1261),
            (index("PREpb"), 0, -1, -1, 0, 1),
            (index("WRQ"), 1, -1, -1, 0, 250),
        ],
        dtype=RECORD,
    )
    targets = np.array([[0, 0, 0, 0, 0], [0, 0, 0, 1, -1]], dtype=np.int32)
    result = run(description, CommandStream(targets, (stream,)), log=True)
    log = result.log
    assert log is not None
    refresh = log["tick"][log["command"] == index("REFab")]
    precharge = log["tick"][log["command"] == index("PREpb")]
    assert precharge.tolist() == [refresh[0] + 2 * 455]
    names = [c.name for c in description.commands]
    verdict = check_log(device, description.levels, names, log, ticks=result.ticks)
    assert verdict.verdict == "passed", verdict.first
