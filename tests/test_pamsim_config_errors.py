"""What is wrong with a description, in one line each: the thing, the rule, the value, the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pamsim.config import load_device, load_system
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
        "timing.nRP must be CK, a time or an expression, not True [FILE:4:8]",
    ),
    "unit of another dimension": (
        TIMING + f"  nRP: {{value: 14 MHz, {TRIAL}}}\n",
        "timing.nRP: unit must be one of time (ps, ns, us, ms, s), not 'MHz' [FILE:4:8]",
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
        "nRCDRD must be at most nRAS = 18 CK, not 19 CK "
        "[ramulator_configs/device/hbm3-pam.yaml:15:11] "
        "(a row has to stay open until it can be read)",
    ),
    "row cycle shorter than the row's time open": (
        TIMING + f"  nRC: {{value: 44, {TRIAL}}}\n",
        "nRAS must be at most nRC = 44 CK, not 45 CK "
        "[ramulator_configs/device/hbm3-pam.yaml:17:9] "
        "(a row cycle holds the time that the row is open)",
    ),
    "rate and period": (
        TIMING + f"  tCK: {{value: 0.625 ns, {TRIAL}}}\n",
        "tCK must be 0.769231 ns (rate / 4 beats a CK), not 0.625 ns [FILE:4:8] "
        "(rate and tCK change together)",
    ),
    "rate without a unit": (
        TIMING + f"  rate: {{value: 5200, {TRIAL}}}\n",
        "timing.rate: unit must be one of data rate (bit/s, kbps, Mbps, Gbps, b/s, kb/s, Mb/s, "
        "Gb/s, MT/s, GT/s), not '' [FILE:4:9]",
    ),
    "burst that is no column": (
        TIMING + f"  nBL: {{value: 4, {TRIAL}}}\n",
        "column_bytes must be what a burst moves (4 CK x 4 beats x 32 bit = 64 B), not 32 B "
        "[ramulator_configs/device/base/pam-hbm-organisation.yaml:13:17]",
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
        "pim.clock must be a quantity of frequency with its unit, such as '10 Hz', not 666 "
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
        "[ramulator_configs/device/base/hbm-pim-family.yaml:9:15]",
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
    "base that is none": (
        "name: mine\nextends: hbm3-pan\n",
        "device must be a known name or a YAML file, not 'hbm3-pan' [FILE:2:10] "
        "(did you mean 'hbm3-pam'?)",
    ),
    "base that is a number": (
        "name: mine\nextends: 7\n",
        "extends must be a name or a list of names [FILE:2:10]",
    ),
    "base that is itself": (
        "name: mine\nextends: ./mine.yaml\n",
        "extends must not lead back to './mine.yaml' [FILE:2:10]",
    ),
    "energy that is none": (
        DEVICE + "energy: hbm3e\n",
        "energy must be a known name or a YAML file, not 'hbm3e' [FILE:3:9] (did you mean 'hbm3'?)",
    ),
    "not a mapping": ("- 1\n- 2\n", "device must be a mapping of keys to values [FILE:1:1]"),
    "empty": ("", "device must be a mapping of keys to values"),
    "duplicate key": (
        TIMING + f"  nRP: {{value: 1, {TRIAL}}}\n  nRP: {{value: 2, {TRIAL}}}\n",
        "key must be unique, not 'nRP' again [FILE:5:3] (first in line 4)",
    ),
    "broken YAML": (
        "name: [mine\n",
        "file must be YAML 1.2: expected ',' or ']', but got '<stream end>' [FILE:2:1]",
    ),
    "tab": (
        "name: mine\n\textends: hbm3-pam\n",
        "file must be YAML 1.2: found character '\\t' that cannot start any token [FILE:2:1]",
    ),
    "not a number": (
        TIMING + f"  nRP: {{value: .nan, {TRIAL}}}\n",
        "number must be finite, not .nan [FILE:4:16]",
    ),
    "more than a float holds": (
        TIMING + f"  nRP: {{value: 1e999, {TRIAL}}}\n",
        "number must be finite, not 1e999 [FILE:4:16]",
    ),
    "a tag": (
        TIMING + f"  nRP: !!python/object:os.system {{value: 1, {TRIAL}}}\n",
        "value must be plain, not tagged tag:yaml.org,2002:python/object:os.syste [FILE:4:8]",
    ),
    "two documents": (
        DEVICE + "---\n" + DEVICE,
        "file must hold one document, not several [FILE:3:1]",
    ),
    "alias without an anchor": (
        DEVICE + "timing: *nowhere\n",
        "alias must name an anchor above it, not *nowhere [FILE:3:9]",
    ),
    "anchor inside itself": (
        DEVICE + "timing: &t\n  nRP: *t\n",
        "alias must name an anchor above it, not *t [FILE:4:8]",
    ),
    "key that is a list": (
        DEVICE + "? [a, b]\n: 1\n",
        "key must be plain text, not a list, mapping or alias [FILE:3:3]",
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


BAD_OPTIONS = {
    "no value": ("tiers.hbm.devices", "option --set must be KEY=VALUE, not 'tiers.hbm.devices'"),
    "empty part": ("tiers..devices=1", "option --set must be KEY=VALUE, not 'tiers..devices=1'"),
    "unknown key": (
        "tiers.hbm.device.timing.nRCDR=20",
        "tiers.hbm.device.timing must have the key 'nRCDR' to set it "
        "[--set tiers.hbm.device.timing.nRCDR=20] (did you mean 'nRCDWR'?)",
    ),
    "unknown tier": (
        "tiers.hmb.devices=4",
        "tiers must have the key 'hmb' to set it [--set tiers.hmb.devices=4] "
        "(did you mean 'hbm'?)",
    ),
    "unknown top": (
        "layuot=head-split",
        "the system must have the key 'layuot' to set it [--set layuot=head-split] "
        "(did you mean 'layout'?)",
    ),
    "below a value": (
        "layout.x=1",
        "layout must have the key 'x' to set it [--set layout.x=1]",
    ),
    "wrong type": (
        "tiers.hbm.devices=four",
        "tiers.hbm.devices must be a number, not 'four' [--set tiers.hbm.devices=four]",
    ),
    "fraction of a device": (
        "tiers.hbm.devices=2.5",
        "tiers.hbm.devices must be a whole number, not 2.5 [--set tiers.hbm.devices=2.5]",
    ),
    "out of range": (
        "host.compute_utilisation=1.5",
        "host.compute_utilisation must be from 1e-06 to 1, not 1.5 "
        "[--set host.compute_utilisation=1.5]",
    ),
    "no unit": (
        "tiers.hbm.link.latency=50",
        "tiers.hbm.link.latency must be a quantity of time with its unit, such as '10 ps', "
        "not 50 [--set tiers.hbm.link.latency=50]",
    ),
    "a group of values": (
        "tiers.hbm.device.organisation=1",
        "tiers.hbm.device.organisation must be set one value at a time "
        "[--set tiers.hbm.device.organisation=1] (it has bank_groups, banks, "
        "channels_per_device, column_bytes, dq_bits, pseudo_channels, row_bytes, rows)",
    ),
    "name that is none": (
        "tiers.hbm.device=hbm3-pan",
        "device must be a known name or a YAML file, not 'hbm3-pan' "
        "[--set tiers.hbm.device=hbm3-pan] (did you mean 'hbm3-pam'?)",
    ),
    "tier that is none": (
        "weights_tier=ddr",
        "weights_tier must be one of the tiers, not 'ddr' [--set weights_tier=ddr] (known: hbm)",
    ),
    "nothing": ("layout=", "layout must be text, not nothing [--set layout=]"),
    "not a number": ("tiers.hbm.devices=.nan",
                     "number must be finite, not .nan [--set tiers.hbm.devices=.nan]"),
    "contradiction": (
        "tiers.hbm.device.timing.nRFC=9999",
        "nRFC must be below nREFI = 5070 CK, not 9999 CK "
        "[--set tiers.hbm.device.timing.nRFC=9999] "
        "(a refresh has to end before the next is due)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_option(case: str) -> None:
    option, message = BAD_OPTIONS[case]
    with pytest.raises(PamsimError) as error:
        load_system("pam-hbm", [option])
    assert str(error.value) == message


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
        (8, "pim.clock must be a quantity of frequency with its unit, such as '10 Hz', not 5"),
        (9, "key of document must be a known one, not 'source'"),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pam-hmb", "system must be a known name or a YAML file, not 'pam-hmb' "
                    "(did you mean 'pam-hbm'?)"),
        ("nowhere/x.yaml", "system must be an existing file, not 'nowhere/x.yaml'"),
        ("", "system must be a known name or a YAML file, not ''"),
    ],
)  # fmt: skip
def test_missing_system(name: str, message: str) -> None:
    with pytest.raises(PamsimError) as error:
        load_system(name)
    assert str(error.value).startswith(message)


def test_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text("name: x\n")
    with pytest.raises(PamsimError, match=r"did you mean 'machine\.yaml'\?"):
        load_system(tmp_path / "machin.yaml")


def test_a_base_of_a_family_is_no_device() -> None:
    with pytest.raises(PamsimError, match="device must be a known name"):
        load_device("hbm-pim-family")


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


def test_an_anchor_bomb_is_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(PamsimError, match="at most 50000 values, anchors expanded"):
        load_device(path)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 5000)
    with pytest.raises(PamsimError, match="nesting must be at most 32 deep"):
        load_device(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"name: \xff\xfe\n", "file must be UTF-8"),
        (b"\xff\xfen\x00a\x00", "file must be UTF-8, not UTF-16"),
        (b"name: a\x00b\n", "file must be text without control characters"),
        (b"a: " + b"x" * (1 << 20), "file must be at most 1048576 B, not 1048579"),
    ],
)
def test_files_that_are_no_text(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(raw)
    with pytest.raises(PamsimError) as error:
        load_device(path)
    assert error.value.message == message


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(PamsimError, match="must be an existing file"):
        load_device(tmp_path / "x.yaml")


def test_a_circle_of_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nextends: ./b.yaml\n")
    (tmp_path / "b.yaml").write_text("name: b\nextends: ./a.yaml\n")
    with pytest.raises(PamsimError, match=r"extends must not lead back to '\./a\.yaml'"):
        load_device(tmp_path / "a.yaml")
