"""What is wrong in a device description, in one line each: thing, rule, value, place."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import pytest

from pamsim.config import load_device
from pamsim.errors import EXIT_INPUT, InputErrors, PamsimError

DEVICE = "name: mine\nextends: hbm3-pam\n"
TIMING = DEVICE + "timing:\n"
TRIAL = "source: 'derived: a trial'"

# text of a device file -> the whole message; FILE stands for the file's path
BAD_DEVICES = {
    "unknown parameter": (
        TIMING + f"  nCDL: {{value: 4, {TRIAL}}}\n",
        "key of timing must be a timing parameter, not 'nCDL' [FILE:4:3] (did you mean 'nCCDL'?)",
    ),
    "unknown section": (
        DEVICE + "timings: {}\n",
        "key of document must be a known one, not 'timings' [FILE:3:1] (did you mean 'timing'?)",
    ),
    "unknown key of a constant": (
        TIMING + f"  nRP: {{value: 4, unti: CK, {TRIAL}}}\n",
        "key of timing.nRP must be a known one, not 'unti' [FILE:4:19] (did you mean 'unit'?)",
    ),
    "no source": (
        TIMING + "  nRP: {value: 20}\n",
        "timing.nRP.source must be given [FILE:4:8]",
    ),
    "source that names nothing": (
        TIMING + "  nRP: {value: 20, source: attac}\n",
        "source of timing.nRP must be a key of sources, or start with 'assumption: ' or "
        "'derived: ', not 'attac' [FILE:4:28] (did you mean 'attacc'?)",
    ),
    "assumption without a range": (
        TIMING + "  nRP: {value: 20, source: 'assumption: a guess'}\n",
        "timing.nRP must be given a range, since its source is an assumption [FILE:4:8]",
    ),
    "assumption with no choices": (
        TIMING + "  nRP: {value: 20, source: 'assumption: a guess', choices: []}\n",
        "timing.nRP must be given a range, since its source is an assumption [FILE:4:8]",
    ),
    "assumed number with choices": (
        TIMING + "  nRP: {value: 20, source: 'assumption: a guess', choices: ['20', '21']}\n",
        "timing.nRP must be given a range, since its source is an assumption [FILE:4:8]",
    ),
    "assumed word with one choice": (
        DEVICE + "pim:\n  score_dtype: {value: fp16, source: 'assumption: a guess', "
        "choices: [fp16]}\n",
        "pim.score_dtype must be given a range or at least two choices, since its source is an "
        "assumption [FILE:4:16]",
    ),
    "word outside its own choices": (
        DEVICE + "pim:\n  score_dtype: {value: fp16, source: 'assumption: a guess', "
        "choices: [fp32, fp64]}\n",
        "pim.score_dtype must be one of its own choices fp32, fp64, not 'fp16' [FILE:4:16]",
    ),
    "word with a range": (
        DEVICE + "pim:\n  score_dtype: {value: fp16, source: 'assumption: a guess', "
        "range: [1, 2]}\n",
        "pim.score_dtype must be given choices, not a range [FILE:4:16]",
    ),
    "range from high to low": (
        TIMING + "  nRP: {value: 5, source: 'assumption: a guess', range: [9, 1]}\n",
        "timing.nRP.range must be given from low to high [FILE:4:57]",
    ),
    "expression outside its own range": (
        TIMING + "  nRP: {value: nRAS - 20, source: 'assumption: a guess', range: [1, 9]}\n",
        "timing.nRP must be inside its own range 1 to 9 CK, not 25 CK [FILE:4:8]",
    ),
    "value outside its own range": (
        TIMING + "  nRP: {value: 20, source: 'assumption: a guess', range: [1, 9]}\n",
        "timing.nRP must be inside its own range 1 to 9, not 20 [FILE:4:8]",
    ),
    "constant without its mapping": (
        TIMING + "  nRP: 20\n",
        "timing.nRP must be a mapping, not 20 [FILE:4:8]",
    ),
    "half a CK": (
        TIMING + f"  nRP: {{value: 19.5, {TRIAL}}}\n",
        "timing.nRP must be a whole number of CK, not 19.5 [FILE:4:8]",
    ),
    "zero CK": (
        TIMING + f"  nRP: {{value: 0, {TRIAL}}}\n",
        "timing.nRP must be from 1 to 10000000 CK, not 0 [FILE:4:8]",
    ),
    "a truth for CK": (
        TIMING + f"  nRP: {{value: true, {TRIAL}}}\n",
        "timing.nRP must be CK, a time or an expression, not true [FILE:4:8]",
    ),
    "unit of another dimension": (
        TIMING + f"  nRP: {{value: 14 MHz, {TRIAL}}}\n",
        "timing.nRP must be CK, a time (ps, ns, us, ms, s) or an expression, not '14 MHz' "
        "[FILE:4:8]",
    ),
    "unknown name in an expression": (
        TIMING + f"  nRP: {{value: nRAZ - 2, {TRIAL}}}\n",
        "timing.nRP: name must be a parameter of the device, not 'nRAZ' [FILE:4:8] "
        "(did you mean 'nRAS'?)",
    ),
    "parameter defined by itself": (
        TIMING + f"  nRP: {{value: nRTW, {TRIAL}}}\n  nRTW: {{value: nRP, {TRIAL}}}\n",
        "timing.nRP must not be defined by itself, as 'nRTW' [FILE:4:8]",
    ),
    "code for an expression": (
        TIMING + f"  nRP: {{value: nRAS.__class__, {TRIAL}}}\n",
        "timing.nRP: expression must be arithmetic on parameter names, not 'nRAS.__class__' "
        "[FILE:4:8]",
    ),
    "refresh longer than its interval": (
        TIMING + f"  nRFC: {{value: 6000, {TRIAL}}}\n",
        "nRFC must be below nREFI = 5070 CK, not 6000 CK [FILE:4:9] "
        "(a refresh has to end before the next is due)",
    ),
    "short above long": (
        TIMING + f"  nWTRS: {{value: 12, {TRIAL}}}\n",
        "nWTRS must be at most nWTRL = 11 CK, not 12 CK [FILE:4:10] "
        "(the same bank group is never faster than another)",
    ),
    "row closed before it can be read": (
        TIMING + f"  nRAS: {{value: 18, {TRIAL}}}\n  nRCDWR: {{value: 5, {TRIAL}}}\n",
        "nRAS must be at least nRCDRD = 19 CK, not 18 CK [FILE:4:9] "
        "(a row has to stay open until it can be read)",
    ),
    "row cycle shorter than the row's time open": (
        TIMING + f"  nRC: {{value: 44, {TRIAL}}}\n",
        "nRC must be at least nRAS = 45 CK, not 44 CK [FILE:4:8] "
        "(a row cycle holds the time that the row is open)",
    ),
    "rate and period": (
        TIMING + f"  tCK: {{value: 0.625 ns, {TRIAL}}}\n",
        "tCK must be 0.769231 ns (rate / 4 beats a CK), not 0.625 ns [FILE:4:8] "
        "(rate and tCK change together)",
    ),
    "rate without a unit": (
        TIMING + f"  rate: {{value: 5200, {TRIAL}}}\n",
        "timing.rate must be a quantity of data rate with its unit (bit/s, kbps, Mbps, Gbps, b/s, "
        "kb/s, Mb/s, Gb/s, MT/s, GT/s), not '5200' [FILE:4:9]",
    ),
    "burst that is no column": (
        TIMING + f"  nBL: {{value: 4, {TRIAL}}}\n",
        "column_bytes must be what a burst moves (4 CK x 4 beats x 32 bit = 64 B), not 32 B "
        "[FILE:4:8]",
    ),
    "row of no whole columns": (
        DEVICE + f"organisation:\n  row_bytes: {{value: 1000 B, {TRIAL}}}\n",
        "row_bytes must be a multiple of column_bytes = 32 B, not 1000 B [FILE:4:14]",
    ),
    "lanes by text": (
        DEVICE + f"pim:\n  lanes: {{value: sixteen, {TRIAL}}}\n",
        "pim.lanes must be a number, not 'sixteen' [FILE:4:10]",
    ),
    "no lanes": (
        DEVICE + f"pim:\n  lanes: {{value: 0, {TRIAL}}}\n",
        "pim.lanes must be from 1 to 16777216, not 0 [FILE:4:10]",
    ),
    "clock without a unit": (
        DEVICE + f"pim:\n  clock: {{value: 666, {TRIAL}}}\n",
        "pim.clock must be a quantity of frequency with its unit (Hz, kHz, MHz, GHz), not 666 "
        "[FILE:4:10]",
    ),
    "dtype that is none": (
        DEVICE + f"pim:\n  score_dtype: {{value: fp8, {TRIAL}}}\n",
        "pim.score_dtype must be one of fp16, fp32, not 'fp8' [FILE:4:16]",
    ),
    "on is text in YAML 1.2": (
        DEVICE + f"pim:\n  buffer_per_query: {{value: on, {TRIAL}}}\n",
        "pim.buffer_per_query must be one of false, true, not 'on' [FILE:4:21]",
    ),
    "command that is none": (
        DEVICE + "groups: {score: [ACTbh]}\n",
        "command must be a known one, not 'ACTbh' [FILE:3:18] (did you mean 'ACTbg'?)",
    ),
    "group of groups": (
        DEVICE + "groups: {score: [$pu]}\n",
        "group must hold commands, not groups [FILE:3:18]",
    ),
    "refresh that is none": (
        DEVICE + "refresh: {command: PREab}\n",
        "refresh.command must be marked refresh [FILE:3:20]",
    ),
    "bus and ticks": (
        DEVICE + "bus: SINGLE\n",
        "ticks_per_ck must be 2 on a HALF_CLOCK bus and 1 elsewhere, not 2 "
        "[FILE:3:6]",
    ),
    "tree beyond reason": (
        DEVICE + f"organisation:\n  sids: {{value: 1000, {TRIAL}}}\n",
        "organisation.sids must be from 1 to 256, not 1000 [FILE:4:9]",
    ),
    "closes wider than the command": (
        DEVICE + "commands:\n  RD: {closes: PREab}\n",
        "closes of RD must not be wider than Bank, not PREab [FILE:4:16]",
    ),
    "level that is none": (
        DEVICE + "commands:\n  RD: {scope: Rank}\n",
        "level must be a known one, not 'Rank' [FILE:4:15] (did you mean 'Bank'?)",
    ),
    "weight of an activate": (
        DEVICE + "commands:\n  ACT: {activates: two}\n",
        "commands.ACT.activates must be one of 'none', 'one', 'window', 'staggered' or 'exempt', "
        "not 'two' [FILE:4:20]",
    ),
    "latency that turns negative": (
        DEVICE + "timing_constraints:\n"
        "  - {level: Bank, preceding: [ACT], following: [RD], latency: nCL - nRP - 1}\n",
        "latency must not be negative, not -2 ticks (nCL - nRP - 1) [FILE:4:63]",
    ),
    "latency that the offset turns negative": (
        DEVICE + "timing_constraints:\n"
        "  - {level: Bank, preceding: [PREpb], following: [ACT], latency: nCL - nRP}\n",
        "latency of PREpb -> ACT must not be negative, not -2 ticks (nCL - nRP, offset included) "
        "[FILE:4:66]",
    ),
    "unknown name in a latency": (
        DEVICE + "timing_constraints:\n"
        "  - {level: Bank, preceding: [ACT], following: [RD], latency: nRCDR}\n",
        "name must be a parameter of the device, not 'nRCDR' [FILE:4:63] "
        "(did you mean 'nRCDWR'?)",
    ),
    "unknown duration": (
        DEVICE + "timing_constraints:\n"
        "  - {level: Bank, preceding: ['EXP_*'], following: [RD], latency: nEXQ(e)}\n",
        "function must be a known one, not 'nEXQ' [FILE:4:67] (did you mean 'nEXP'?)",
    ),
    "sibling at the top": (
        DEVICE + "timing_constraints:\n"
        "  - {level: Channel, preceding: [RD], following: [RD], latency: nCCDS, sibling: true}\n",
        "sibling row must have window 1 and a level below the top [FILE:4:5]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DEVICES)
def test_bad_device(case: str, tmp_path: Path) -> None:
    text, message = BAD_DEVICES[case]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(PamsimError) as error:
        load_device(path)
    assert str(error.value).replace(str(path), "FILE") == message
    assert error.value.exit_code == EXIT_INPUT


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        TIMING + f"  nRQ: {{value: 3, {TRIAL}}}\n  nRP: {{value: 3}}\n"
        f"pim:\n  lane: 3\n  clock: {{value: 5, {TRIAL}}}\nsource: {{}}\n"
    )
    with pytest.raises(InputErrors) as error:
        load_device(path)
    assert [(p.position.line, p.message) for p in error.value.errors if p.position] == [
        (4, "key of timing must be a timing parameter, not 'nRQ'"),
        (5, "timing.nRP.source must be given"),
        (7, "key of pim must be a known one, not 'lane'"),
        (8, "pim.clock must be a quantity of frequency with its unit (Hz, kHz, MHz, GHz), not 5"),
        (9, "key of document must be a known one, not 'source'"),
    ]


def test_a_constant_that_only_the_family_knows_is_asked_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(DEVICE + "pim:\n  extra:\n    mine: {value: 5, " + TRIAL + "}\n")
    extra = load_device(path).pim.extra
    assert extra["mine"] == 5
    with pytest.raises(PamsimError) as error:
        extra["yours"]
    assert str(error.value) == f"pim.extra.yours must be given [{path}:4:3]"
    assert asdict(load_device(path).pim)["extra"] == extra == deepcopy(extra)


def test_a_missing_parameter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nextends: [hbm-pim-family, pam-hbm-organisation, pam-hbm-units]\nenergy: hbm3\n"
        f"timing:\n  rate: {{value: 5.2 Gbps, {TRIAL}}}\n"
    )
    with pytest.raises(InputErrors) as error:
        load_device(path)
    assert len(error.value.errors) == 22  # every parameter of the family
    assert str(error.value.errors[0]) == f"timing.nBL must be given [{path}:5:3]"
