"""Bad inputs: programs, sweeps, results, traces, places to write to, how a command is called."""

from __future__ import annotations

from bad_inputs import RUN, Bad, option

from pim_isa import assemble, encode

HEAD = ".family hbm_pim\n.stream pc=0 sid=0 bg=0\n"
BINARY = encode(assemble(HEAD + "ACT row=1\nPRE\n"))  # 32 B of header, 16 B of stream, 2 x 8 B
POINTS = "model: model.json\nworkload: {context: 64}\n"
MOST = 1_000_000  # points of a sweep


def asm(says: str, text: str | bytes, code: int = 5) -> Bad:
    return Bad(says, "isa asm p.asm -o p.bin", code, {"p.asm": text})


def binary(says: str, content: bytes, device: str = "hbm3-pam") -> Bad:
    return Bad(says, f"simulate p.bin --device {device}", 5, {"p.bin": content})


def sweep(says: str, text: str | bytes, more: str = "") -> Bad:
    return Bad(says, f"sweep plan sweep.yaml {more}", 5, {"sweep.yaml": text})


def result(says: str, text: str, verb: str = "check") -> Bad:
    return Bad(says, f"{verb} r.json", 5, {"r.json": text})


PROGRAMS: dict[str, Bad] = {
    # assembly
    "assembly of nothing": asm("program must begin with '.family' [p.asm:1:1]", ""),
    "family that is none": asm(
        "family must be a known instruction set, not 'hbm_pum' [p.asm:1:9] "
        "(did you mean 'hbm_pim'?)",
        ".family hbm_pum\n",
    ),
    "instruction that is none": asm(
        "instruction must be one of hbm_pim, not 'MACX' [p.asm:3:1] (did you mean 'MAX'?)",
        HEAD + "MACX row=0\n",
    ),
    "instruction of 100000 letters": asm(
        "instruction must be one of hbm_pim, not 'XXXXXXXXXX...' [p.asm:3:1]...",
        HEAD + "X" * 100_000,
    ),
    "operand that is none": asm(
        "MACK has no operand 'raw' [p.asm:3:6] (did you mean 'row'?)", HEAD + "MACK raw=0\n"
    ),
    "operand in words": asm(
        "ACT row must be a number, not 'one' [p.asm:3:9]", HEAD + "ACT row=one\n"
    ),
    "operand beyond its bits": asm(
        "ACT row must be between 0 and 32767, not 99999999 [p.asm:3:9]",
        HEAD + "ACT row=99999999\n",
    ),
    "operand left out": asm("MACK must be given 'column' [p.asm:3:1]", HEAD + "MACK row=1\n"),
    "assembly in UTF-16": asm("program must be UTF-8, not UTF-16 [p.asm]", HEAD.encode("utf-16")),
    "program that is missing": Bad(
        "program must be a readable file, not 'none.asm' (No such file or directory)",
        "isa asm none.asm -o p.bin",
    ),
    "program into a directory": Bad(
        "output must be a file, not the directory '.'",
        "isa asm p.asm -o .",
        files={"p.asm": HEAD},
    ),
    "program into a directory that is missing": Bad(
        "output must be a writable file, not 'none/p.bin' (No such file or directory)",
        "isa asm p.asm -o none/p.bin",
        files={"p.asm": HEAD},
    ),
    # binaries
    "another file for a binary": Bad(
        "binary must begin with 'PIMB', not 7b 0a 20 22, at byte 0 [model.json]",
        "isa disasm model.json",
    ),
    "binary that is cut": binary(
        f"binary must have {len(BINARY)} bytes for 2 instructions, not 50, at byte 50 [p.bin]",
        BINARY[:50],
    ),
    "binary that goes on": binary(
        f"binary must have {len(BINARY)} bytes for 2 instructions, not {len(BINARY) + 2}, "
        f"at byte {len(BINARY)} [p.bin]",
        BINARY + b"xx",
    ),
    "binary of half a header": binary(
        "binary must begin with a header of 32 bytes, not 8 bytes, at byte 8 [p.bin]", BINARY[:8]
    ),
    "binary of another version": binary(
        "container version must be 1, not 65535, at byte 4 [p.bin]",
        BINARY[:4] + b"\xff\xff" + BINARY[6:],
    ),
    "program of another family": binary(
        "program must be of the family of gddr6-aim, 'aim', not 'hbm_pim'", BINARY, "gddr6-aim"
    ),
    "device that is none": binary(
        "device must be a known name or a YAML file, not 'hbm3-pan' (did you mean 'hbm3-pam'?)",
        BINARY,
        "hbm3-pan",
    ),
    "bytes for a program": binary(
        "program must be UTF-8, not a byte 0x80 [p.bin:2:118]", bytes(range(256))
    ),
    # sweeps
    "sweep of nothing": sweep(
        "sweep must be a mapping of keys to values, not nothing [sweep.yaml]", ""
    ),
    "sweep that is missing": Bad(
        "file must be readable: No such file or directory [none.yaml]", "sweep plan none.yaml"
    ),
    "sweep that is a directory": Bad("file must be readable: Is a directory [.]", "sweep plan ."),
    "sweep without a model": sweep(
        "model must be given [sweep.yaml:1:1]", "workload: {context: 64}\n"
    ),
    "key of a sweep that is none": sweep(
        "key must be a known one, not 'modle' [sweep.yaml:3:1] (did you mean 'model'?)",
        POINTS + "modle: x\n",
    ),
    "axis without values": sweep(
        "context must have at least one value, not an empty list [sweep.yaml:2:21]",
        POINTS.replace("64", "[]"),
    ),
    "axis that goes down": sweep(
        "range of context must go up, not from 10 to 1 [sweep.yaml:2:21]",
        POINTS.replace("64", "{from: 10, to: 1, step: 1}"),
    ),
    "axis of steps of nothing": sweep(
        "step of context must be above 0, not 0 [sweep.yaml:2:45]",
        POINTS.replace("64", "{from: 1, to: 10, step: 0}"),
    ),
    "axis of 10^9 values": sweep(
        f"context must have at most {MOST} values [sweep.yaml:2:53]",
        POINTS.replace("64", "{from: 1, to: 1000000000, step: 1}"),
    ),
    "sweep of 10^8 points": sweep(
        f"sweep must have at most {MOST} combinations, not 100000000 [sweep.yaml:1:1]",
        "model: model.json\nworkload:\n  context: {from: 1, to: 10000, step: 1}\n"
        "  batch: {from: 1, to: 10000, step: 1}\n",
    ),
    "context of a sweep in words": sweep(
        "context must be a whole number from 1 to 1073741824, not 'many' [sweep.yaml:2:21]",
        POINTS.replace("64", "many"),
    ),
    "key that a sweep sets is none": sweep(
        "the system must have the key 'leyout' to set it, in leyout=head-split [sweep.yaml:3:15] "
        "(did you mean 'layout'?)",
        POINTS + "set: {leyout: head-split}\n",
    ),
    "condition that is none": sweep(
        "condition must be a comparison, not 'batch >' [sweep.yaml:3:9]",
        POINTS + "where: ['batch >']\n",
    ),
    "zip of unlike axes": sweep(
        "zip must be of fields with equally many values, not context 2, batch 3 [sweep.yaml:3:6]",
        "model: model.json\nworkload: {context: [1, 2], batch: [1, 2, 3]}\n"
        "zip: [context, batch]\n",
    ),
    "sweep of a trace that is missing": sweep(
        "trace must be readable: No such file or directory [none.csv]",
        "model: model.json\nworkload: {trace: none.csv, batch: 1, draws: 2}\n",
    ),
    "trace of words": Bad(
        "ContextTokens must be a whole number of tokens up to 1073741824, not 'x' [t.csv:2]",
        "sweep plan sweep.yaml",
        files={
            "sweep.yaml": "model: model.json\nworkload: {trace: t.csv, batch: 1, draws: 2}\n",
            "t.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n1,x,2\n",
        },
    ),
    "share of a sweep that is none": Bad(
        "shard must be i/n with 1 <= i <= n, not 3/2",
        "sweep work --points p.jsonl --store s --shard 3/2",
        files={"p.jsonl": ""},
    ),
    "points that are none": Bad(
        "point must be a JSON object with key and spec [p.jsonl:1]",
        "sweep work --points p.jsonl --store s",
        files={"p.jsonl": "garbage\n"},
    ),
    # results
    "result that is missing": Bad(
        "result must be a readable file, not 'none.json' (No such file or directory)",
        "check none.json",
    ),
    "result that is cut": result("result must be JSON (Expecting ...) [r.json:1:2]", "{"),
    "result of 100000 brackets": result(
        "result must be JSON, not nested so deep [r.json]", "[" * 100_000
    ),
    "another document for a result": result(
        "result must be one of `pamsim run`, not another document [r.json]", "[]", "timeline"
    ),
    "result without its fields": result(
        "result must be as `pamsim run` writes it, not with ...: Field required [r.json]",
        '{"schema_version": 1, "timeline": [1]}',
        "timeline",
    ),
    "directory that was not compiled": Bad(
        "directory must be one that `pamsim compile` wrote, not '.'", "simulate ."
    ),
    # traces
    "trace of nothing": Bad(
        "trace must begin as one in ... does, not nothing, at byte 0 [t]",
        "trace show t",
        files={"t": ""},
    ),
    "trace that is missing": Bad(
        "trace must be a readable file, not 'none' (No such file or directory)", "trace show none"
    ),
    "channel beyond the machine": Bad(
        "channel must be between 0 and 79, not 99",
        "trace --model model.json --context 64 -q --channel 99",
    ),
    "layer beyond the model": Bad(
        "layer must be between 0 and 1, not 2",
        "trace --model model.json --context 64 -q --layer 2",
    ),
    "tier without tokens": Bad(
        "tier must be one that holds KV tokens (hbm), not 'hbn' (did you mean 'hbm'?)",
        "trace --model model.json --context 64 -q --tier hbn",
    ),
    "trace to a full device": Bad(
        "output must be a writable file, not '/dev/full' (No space left on device)",
        "trace --model model.json --context 64 -q -o /dev/full",
    ),
    "trace over another file": Bad(
        "output must be a new file, not 'model.json', which is there "
        "(choose another, or let --force replace it)",
        "trace --model model.json --context 64 -q -o model.json",
    ),
    # where a result goes
    "result into a file": option(
        "output directory must be a directory, not the file 'model.json'", "-o model.json --force"
    ),
    "result below a file": option(
        "output directory must be writable, not 'model.json/out' (Not a directory)",
        "-o model.json/out",
    ),
    "result into a directory that holds files": option(
        "output directory must be empty or new, not '.', which holds files "
        "(choose another with -o, or let --force replace a result that is there)",
        "-o .",
    ),
    "result into no directory": option("output directory must have a name, not ''", "-o ''"),
    "result into /dev/full": option(
        "output directory must be a directory, not the file '/dev/full'", "-o /dev/full"
    ),
    "result into a name too long": option(
        "output directory must be writable, not 'xxxxxxxxxx... (File name too long)",
        f"-o {'x' * 300}",
    ),
    # comparisons
    "case that is no system": Bad(
        "case must begin with a system, not 'layout=naive'",
        "compare layout=naive --model model.json",
    ),
    "only case that cannot be": Bad(
        "pam-hmb: system must be a known name or a YAML file, not 'pam-hmb' "
        "(did you mean 'pam-hbm'?)",
        "compare pam-hmb --model model.json -q",
        3,
    ),
    "70 cases": Bad(
        "cases must be at most 64, not 70 (`pamsim sweep` runs more)",
        f"compare --vary instances={','.join(map(str, range(1, 71)))} --model model.json",
    ),
    "nothing to vary": Bad(
        "--vary must be KEY=V1,V2,..., not 'layout='", "compare --vary layout= --model model.json"
    ),
    # how a command is called
    "command that is none": Bad("no such command 'rnu', did you mean 'run'?", "rnu", 2),
    "option that is none": option("No such option '--contxt'. Did you mean '--context'?",
                                  "--contxt 5", 2),
    "option without its value": option("Option '--batch' requires an argument.", "--batch", 2),
    "model left out": Bad("Missing option '--model'.", "run", 2),
    "argument too many": option("Got unexpected extra argument (surplus)", "surplus", 2),
    "engine that is none": option(
        "Invalid value for '--engine': 'ramulator3' is not one of ...", "--engine ramulator3", 2
    ),
    "no threads": option(
        "Invalid value for '--threads': 0 is not in the range 1<=x<=4096.", "--threads 0", 2
    ),
    "program and model at once": Bad(
        "give --device a program as SOURCE, and no --model",
        "simulate p.bin --device hbm3-pam --model model.json",
        2,
    ),
    "time that runs back": Bad(
        "--to must be --from or later, not 3",
        "trace --model model.json --context 64 --from 9 --to 3",
        2,
    ),
    "Ramulator without its checkout": Bad(
        "RAMULATOR2_ROOT must name a built checkout of Ramulator 2.1: ...",
        f"{RUN} --engine ramulator2",
    ),
    "kind that is none": Bad(
        "kind must be one of device, energy, host, link, system, not 'devices' "
        "(did you mean 'device'?)",
        "config list devices",
    ),
}  # fmt: skip
