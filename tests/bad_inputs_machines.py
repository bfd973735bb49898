"""Bad inputs: descriptions of machines, and `--set`."""

from __future__ import annotations

from bad_inputs import RUN, TRIAL, Bad, device, option, override, system, timing

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)
DEVICES = "tiers:\n  hbm:\n    devices: "  # its value begins in line 5, column 14
NFAW = "tiers.hbm.device.timing.nFAW"


def chain(length: int) -> dict[str, str | bytes]:
    """c0.yaml extends c1.yaml, and so on."""
    return {f"c{n}.yaml": f"name: x\nextends: ./c{n + 1}.yaml\n" for n in range(length)}


MACHINES: dict[str, Bad] = {
    # YAML that is none
    "empty system": system(
        "system must be a mapping of keys to values, not nothing [system.yaml]", b""
    ),
    "list for a system": system(
        "system must be a mapping of keys to values, not a list [system.yaml:1:1]", b"- a\n"
    ),
    "two YAML documents": system(
        "file must hold one document, not several [system.yaml:2:1]",
        b"extends: pam-hbm\n---\nextends: pam-hbm\n",
    ),
    "duplicate key": system(
        "key must be unique, not 'layout' again [system.yaml:4:1] (first in line 3)",
        "layout: head-split\nlayout: head-split\n",
    ),
    "anchor bomb": system(
        "file must have at most 50000 values, anchors expanded [system.yaml:5:25]", BOMB.encode()
    ),
    "anchor inside itself": system(
        "alias must name an anchor above it, not *a [system.yaml:3:13]", "layout: &a [*a]\n"
    ),
    "tab": system(
        "file must be YAML 1.2: found character '\\t' that cannot start any token "
        "[system.yaml:3:1]",
        "\tlayout: head-split\n",
    ),
    "list without an end": system("file must be YAML 1.2: ... [system.yaml:4:1]", "layout: [\n"),
    "YAML of 5000 brackets": system(
        "nesting must be at most 32 deep [system.yaml:3:41]", "layout: " + "[" * 5000
    ),
    "tag": system(
        "value must be plain, not tagged ... [system.yaml:3:9]",
        "layout: !!python/object/apply:os.system [ls]\n",
    ),
    "key that is a list": system(
        "key must be plain text, not a list, mapping or alias [system.yaml:3:3]", "? [a]\n: 1\n"
    ),
    "YAML in UTF-32": system(
        "file must be UTF-8, not UTF-32 [system.yaml]", "name: x\n".encode("utf-32")
    ),
    "NUL": system(
        "file must be text without control characters [system.yaml]", b"name: a\x00b\n"
    ),
    "1 MiB of YAML": system(
        "file must be at most 1048576 B, not longer [system.yaml]", b"a: " + b"x" * (1 << 20)
    ),
    "misspelt key, lines ending in CRLF": system(
        "key of document must be a known one, not 'layuot' [system.yaml:3:1] "
        "(did you mean 'layout'?)",
        b"\xef\xbb\xbfname: mine\r\nextends: pam-hbm\r\nlayuot: head-split\r\n",
    ),
    # names of other descriptions
    "system that is none": option(
        "system must be a known name or a YAML file, not 'pam-hmb' (did you mean 'pam-hbm'?)",
        "--system pam-hmb",
    ),
    "device for a system": option(
        "system must be a known name or a YAML file, not 'hbm3-pam' (it names a device)",
        "--system hbm3-pam",
    ),
    "directory for a system": Bad(
        "system must be an existing file, not the directory './folder'",
        f"{RUN} --system ./folder",
        files={"folder/notes": ""},
    ),
    "host that is none": system(
        "host must be a known name or a YAML file, not 'h1000' [system.yaml:3:7] "
        "(did you mean 'h100'?)",
        "host: h1000\n",
    ),
    "extends a missing file": system(
        "system must be an existing file, not './none.yaml' [system.yaml:1:10]",
        b"extends: ./none.yaml\nname: x\n",
    ),
    "extends itself": system(
        "extends must not lead back to './system.yaml' [system.yaml:1:10]",
        b"extends: ./system.yaml\nname: x\n",
    ),
    "extends in a circle": Bad(
        "extends must not lead back to './c0.yaml' [c1.yaml:2:10]",
        "config check ./c0.yaml",
        files={**chain(1), "c1.yaml": "name: x\nextends: ./c0.yaml\n"},
    ),
    "extends 40 deep": Bad(
        "extends must be at most 16 deep, not deeper [c16.yaml:2:10]",
        "config check ./c0.yaml",
        files=chain(40),
    ),
    "extends a number": system(
        "extends must be a name or a list of names, not 7 [system.yaml:1:10]", b"extends: 7\n"
    ),
    # what a system says
    "tier in part": system(
        "tiers.ddr.link must be given [system.yaml:5:5]",
        "tiers:\n  ddr:\n    device: ddr4-pam\n",
    ),
    "tiers left out": system("tiers must be a mapping, not nothing [system.yaml:4:1]", "tiers:\n"),
    "weights in a tier that is missing": system(
        "weights_tier must be one of the tiers, not 'ddr' [system.yaml:3:15] (known: hbm)",
        "weights_tier: ddr\n",
    ),
    "layout that is none": system(
        "layout must be one of ..., not 'head-splat' [system.yaml:3:9] "
        "(did you mean 'head-split'?)",
        "layout: head-splat\n",
    ),
    "spread that is none": override(
        "spread must be one of ..., not 'bananas' [--set spread=bananas]", "spread=bananas"
    ),
    "constant without its source": system(
        "tiers.hbm.devices.source must be given [system.yaml:5:14]", DEVICES + "{value: 5}\n"
    ),
    "number for a constant": system(
        "tiers.hbm.devices must be a mapping, not 5 [system.yaml:5:14]", DEVICES + "5\n"
    ),
    "assumption without a range": system(
        "tiers.hbm.devices must be given a range, since its source is an assumption "
        "[system.yaml:5:14]",
        DEVICES + "{value: 5, source: 'assumption: a guess'}\n",
    ),
    "range of three": system(
        "tiers.hbm.devices.range must be at most 2 long, not a list [system.yaml:5:63]",
        DEVICES + "{value: 5, source: 'assumption: a guess', range: [1, 2, 3]}\n",
    ),
    "value outside its own range": system(
        "tiers.hbm.devices must be inside its own range 6 to 9, not 5 [system.yaml:5:14]",
        DEVICES + "{value: 5, source: 'assumption: a guess', range: [6, 9]}\n",
    ),
    "no devices": system(
        "tiers.hbm.devices must be from 1 to 16777216, not 0 [system.yaml:5:14]",
        f"{DEVICES}{{value: 0, {TRIAL}}}\n",
    ),
    "unit of another dimension": system(
        "tiers.hbm.devices must be a number, not '5 ns' [system.yaml:5:14]",
        f"{DEVICES}{{value: 5 ns, {TRIAL}}}\n",
    ),
    # YAML 1.2: `on` is text and 1:30 is not 90, but 1e9 is a number
    "on": system(
        "tiers.hbm.devices must be a number, not 'on' [system.yaml:5:14]",
        f"{DEVICES}{{value: on, {TRIAL}}}\n",
    ),
    "on for true": device(
        "pim.buffer_per_query must be one of false, true, not 'on' [device.yaml:4:21]",
        f"pim:\n  buffer_per_query: {{value: on, {TRIAL}}}\n",
    ),
    "on in YAML 1.1": Bad(
        "key of document must be a known one, not 'on' [device.yaml:5:1]",
        "config check ./device.yaml --kind device",
        files={"device.yaml": "%YAML 1.1\n---\nname: x\nextends: hbm3-pam\non: 1\n"},
    ),
    "1e9": system(
        "tiers.hbm.devices must be from 1 to 16777216, not 1000000000 [system.yaml:5:14]",
        f"{DEVICES}{{value: 1e9, {TRIAL}}}\n",
    ),
    "base 60": system(
        "tiers.hbm.devices must be a number, not '1:30' [system.yaml:5:14]",
        f"{DEVICES}{{value: 1:30, {TRIAL}}}\n",
    ),
    # timing
    "NaN": timing("number must be finite, not .nan [device.yaml:4:16]", "nRP", ".nan"),
    "infinity": timing("number must be finite, not -.inf [device.yaml:4:16]", "nRP", "-.inf"),
    "refresh as long as its interval": timing(
        "nRFC must be below nREFI = 5070 CK, not 5070 CK [device.yaml:4:9] "
        "(a refresh has to end before the next is due)",
        "nRFC",
        "5070",
    ),
    "refresh interval as short as a refresh": timing(
        "nREFI must be above nRFC = ... CK, not 2 CK [device.yaml:4:10] "
        "(a refresh has to end before the next is due)",
        "nREFI",
        "2",
    ),
    "nCCDS above nCCDL": timing(
        "nCCDS must be at most nCCDL = 4 CK, not 5 CK [device.yaml:4:10] "
        "(the same bank group is never faster than another)",
        "nCCDS",
        "5",
    ),
    "row cycle below nRAS": timing(
        "nRC must be at least nRAS = 45 CK, not 44 CK [device.yaml:4:8] "
        "(a row cycle holds the time that the row is open)",
        "nRC",
        "44",
    ),
    "tCK that disagrees with the rate": timing(
        "tCK must be 0.769231 ns (rate / 4 beats a CK), not 0.625 ns [device.yaml:4:8] "
        "(rate and tCK change together)",
        "tCK",
        "0.625 ns",
    ),
    "rate that disagrees with tCK": timing(
        "tCK must be 0.625 ns (rate / 4 beats a CK), not 0.769 ns [device.yaml:4:9] "
        "(rate and tCK change together)",
        "rate",
        "6.4 Gbps",
    ),
    "rate without a unit": timing(
        "timing.rate must be a quantity of data rate with its unit (...), not '5200' "
        "[device.yaml:4:9]",
        "rate",
        "5200",
    ),
    "time in parsecs": timing(
        "timing.nRP must be CK, a time (ps, ns, us, ms, s) or an expression, not '14 parsecs' "
        "[device.yaml:4:8]",
        "nRP",
        "14 parsecs",
    ),
    "negative timing": timing(
        "timing.nRP must be from 1 to 10000000 CK, not -3 [device.yaml:4:8]", "nRP", "-3"
    ),
    "timing that is nothing": timing(
        "timing.nRP.value must be one value, not nothing [device.yaml:4:16]", "nRP", "null"
    ),
    "timing parameter that is none": timing(
        "key of timing must be a timing parameter, not 'nCDL' [device.yaml:4:3] "
        "(did you mean 'nCCDL'?)",
        "nCDL",
        "4",
    ),
    "code in an expression": timing(
        "timing.nRP: expression must be arithmetic on parameter names, not "
        "\"__import__('os').system('ls')\" [device.yaml:4:8]",
        "nRP",
        "__import__('os').system('ls')",
    ),
    "power in an expression": timing(
        "timing.nRP: operator must be one of + - * /, not ** [device.yaml:4:8]",
        "nRP",
        "9**9**9**9",
    ),
    "expression by itself": timing(
        "timing.nRP must not be defined by itself, as 'nRP' [device.yaml:4:8]", "nRP", "nRP"
    ),
    # --set
    "set without a value": override("option --set must be KEY=VALUE, not 'layout'", "layout"),
    "set nothing": override("option --set must be KEY=VALUE, not ''", ""),
    "set 1000 letters": override(
        "option --set must have at most 500 characters, not 1007 [--set layout=xxxxxxxxxx...]",
        "layout=" + "x" * 1000,
    ),
    "set an unknown key": override(
        "the system must have the key 'läyout' to set it [--set läyout=x] "
        "(did you mean 'layout'?)",
        "läyout=x",
    ),
    "set half a key": override(
        f"the system must have the key 'nFAW' to set it [--set nFAW=20] (did you mean '{NFAW}'?)",
        "nFAW=20",
    ),
    "set an ambiguous key": override(
        "the system must have the key 'latency' to set it [--set latency=50 ns] (did you mean "
        "'tiers.hbm.device.activate_window.latency' or 'tiers.hbm.link.latency' or "
        "'interconnect.latency'?)",
        "latency=50 ns",
        "interconnect=nvlink4",
    ),
    "set a section": override(
        "tiers.hbm must be set one value at a time [--set tiers.hbm=1] (it has device, devices, "
        "link)",
        "tiers.hbm=1",
    ),
    "set a list": override(
        "tiers.hbm.device.levels must be changed in a file that extends pam-hbm, as it is a list "
        "[--set tiers.hbm.device.levels=Row]",
        "tiers.hbm.device.levels=Row",
    ),
    "set below a value": override(
        "layout must have the key 'x' to set it [--set layout.x=1]", "layout.x=1"
    ),
    "set a time without its unit": override(
        "tiers.hbm.link.latency must be a quantity of time with its unit (ps, ns, us, ms, s), "
        "not 50 [--set tiers.hbm.link.latency=50]",
        "tiers.hbm.link.latency=50",
    ),
    "link of bits a second": override(
        "tiers.hbm.link.bandwidth must be a quantity of bandwidth with its unit (...), "
        "not '8 Gb/s' [--set tiers.hbm.link.bandwidth=8 Gb/s]",
        "tiers.hbm.link.bandwidth=8 Gb/s",
    ),
    "link of zero bandwidth": override(
        "tiers.hbm.link.bandwidth must be from 1000 to 1e+18 B/s, not '0 GB/s' "
        "[--set tiers.hbm.link.bandwidth=0 GB/s]",
        "tiers.hbm.link.bandwidth=0 GB/s",
    ),
    "share above 1": override(
        "fill_limit must be from 1e-06 to 1, not 2 [--set fill_limit=2]", "fill_limit=2"
    ),
    "dtype that the unit has not": override(
        "tiers.hbm.device.pim.score_dtype must be one of fp16, fp32, not 'fp8' "
        "[--set tiers.hbm.device.pim.score_dtype=fp8]",
        "tiers.hbm.device.pim.score_dtype=fp8",
    ),
    # machines that a model does not fit
    "fewer layers than stages": override(
        "pipeline_parallel must be at most the 2 layers of model, not 4",
        "pipeline_parallel=4",
        "instances=4",
        "interconnect=nvlink4",
    ),
    "heads not divisible by the instances": override(
        "query heads of model must be a multiple of tensor_parallel = 3, not 4",
        "tensor_parallel=3",
        "instances=3",
        "interconnect=nvlink4",
    ),
    "instances no multiple of tensor x pipeline": override(
        "instances of pam-hbm must be a multiple of tensor_parallel x pipeline_parallel = 2, not 3",
        "tensor_parallel=2",
        "instances=3",
        "interconnect=nvlink4",
    ),
    "instances without an interconnect": override(
        "interconnect must be given where instances share a step (tensor_parallel or "
        "pipeline_parallel above 1) [--set tensor_parallel=2]",
        "tensor_parallel=2",
        "instances=2",
    ),
    "row of one column": override(
        "columns of a row of hbm3-pam must be 32, as the instruction set has them, not 1",
        "tiers.hbm.device.organisation.row_bytes=32 B",
    ),
    "buffer too small": override(
        "PU buffer must hold one column of a query and 16 scores (96 B), not 16 B",
        "tiers.hbm.device.pim.buffer_bytes=16 B",
    ),
    "part of the KV cache above its tier": override(
        "kv_gib of tier 'hbm' must be at most the 80.00 GiB an instance that weights and reserves "
        "leave of it, not 999.00 GiB: 919.00 GiB too much",
        "tiers.hbm.kv_gib=999",
    ),
    "parts that do not hold the KV cache": override(
        # 64 tokens x 2 layers x 2 x 2 KV heads x 64 x 2 B are 64 KiB
        "KV cache of model must fit the 0.01 MiB that the tiers of an instance have for it "
        "(hbm 0.01 MiB), not need 0.06 MiB: 0.05 MiB too much (...)",
        "tiers.hbm.kv_gib=0.00001",
    ),
    "reserve above the capacity": override(
        "weights of model and 999.00 GiB of reserve must fit tier 'hbm' of 80.00 GiB, not need "
        "999.00 GiB: 919.00 GiB too much (more devices, or another weights_tier)",
        "tiers.hbm.reserved_gib=999",
    ),
}  # fmt: skip
