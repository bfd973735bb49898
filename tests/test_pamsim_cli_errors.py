"""Bad input ends in one plain line on stderr, the documented exit code, and nothing written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pamsim.cli.main import main

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "torch_dtype": "float16",
}
SYSTEM = """\
name: mine
description: pam-hbm with a change
extends: pam-hbm
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a small model in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAMULATOR2_ROOT", raising=False)
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    return tmp_path


def fails(
    capsys: pytest.CaptureFixture[str], here: Path, argv: list[str], code: int, *texts: str
) -> str:
    """Runs argv, which must fail with `code`, name `texts` on stderr and leave nothing behind."""
    before = sorted(here.rglob("*"))
    found = main(argv)
    out, err = capsys.readouterr()
    assert found == code, err
    assert out == ""
    assert "Traceback" not in err
    for text in texts:
        assert text in err
    assert sorted(here.rglob("*")) == before
    return err


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"hidden_size": 0}, ["hidden_size", "0"]),
        ({"hidden_size": -256}, ["hidden_size", "-256"]),
        ({"hidden_size": "big"}, ["hidden_size", "big"]),
        ({"hidden_size": 10**30}, ["hidden_size"]),
        ({"num_hidden_layers": 2.5}, ["num_hidden_layers", "2.5"]),
        ({"num_hidden_layers": True}, ["num_hidden_layers"]),
        ({"num_hidden_layers": None}, ["num_hidden_layers"]),
        ({"num_attention_heads": 5}, ["num_attention_heads"]),
        ({"num_key_value_heads": 3}, ["num_key_value_heads"]),
        ({"num_key_value_heads": 8}, ["num_key_value_heads"]),
        ({"architectures": ["LlamaForCausalLN"]}, ["architecture"]),
        ({"architectures": "LlamaForCausalLM" * 500}, ["architecture"]),
        ({"torch_dtype": "float12"}, ["torch_dtype", "float12"]),
        ({"vocab_size": []}, ["vocab_size"]),
        ({"head_dim": 4096}, ["head_dim"]),
    ],
)
def test_a_wrong_field_of_a_model_is_named(
    capsys: pytest.CaptureFixture[str], here: Path, change: dict[str, object], texts: list[str]
) -> None:
    (here / "model.json").write_text(json.dumps({**MODEL, **change}))
    fails(capsys, here, ["run", "--model", "model.json"], 5, *texts)


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "num_attention_heads"])
def test_a_missing_field_of_a_model_is_named(
    capsys: pytest.CaptureFixture[str], here: Path, field: str
) -> None:
    (here / "model.json").write_text(json.dumps({k: v for k, v in MODEL.items() if k != field}))
    fails(capsys, here, ["run", "--model", "model.json"], 5, field)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "model.json"),
        ("{", "model.json:1"),
        ("[]", "model.json"),
        ("null", "model.json"),
        ('{"hidden_size": 1, "hidden_size": 2}', "hidden_size"),
        ('{"hidden_size": NaN}', "model.json"),
        ("[" * 100000, "model.json"),
        ("\xff\xfe", "model.json"),
    ],
)
def test_a_file_that_is_no_model_is_named(
    capsys: pytest.CaptureFixture[str], here: Path, content: str, text: str
) -> None:
    (here / "model.json").write_bytes(content.encode("latin-1"))
    fails(capsys, here, ["run", "--model", "model.json"], 5, text)


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        ("weights_tier: hbn\n", ["weights_tier", "hbn", "system.yaml:4"]),
        ("weigths_tier: hbm\n", ["weigths_tier", "weights_tier", "system.yaml:4"]),
        ("layout: head-splat\n", ["layout", "head-split"]),
        ("host: h1000\n", ["host", "h100"]),
        ("tiers:\n  hbm:\n    devices: {value: 0, unit: '1', source: pam-table-1}\n", ["devices"]),
        ("tiers:\n  hbm:\n    devices: {value: many, unit: '1', source: pam-table-1}\n", ["many"]),
        ("tiers:\n  hbm:\n    device: hbm3-pan\n", ["hbm3-pam"]),
        ("layout: head-split\nlayout: head-split\n", ["layout", "system.yaml:5"]),
        ("layout: [\n", ["system.yaml"]),
        ("\tlayout: x\n", ["system.yaml:4"]),
        ("layout: &a [*a]\n", ["system.yaml"]),
    ],
)
def test_a_wrong_line_of_a_system_is_named(
    capsys: pytest.CaptureFixture[str], here: Path, lines: str, texts: list[str]
) -> None:
    (here / "system.yaml").write_text(SYSTEM + lines)
    fails(capsys, here, ["run", "--model", "model.json", "--system", "./system.yaml"], 5, *texts)


@pytest.mark.parametrize(
    ("argv", "code", "texts"),
    [
        (["--model", "llama-3-8c"], 5, ["llama-3-8b"]),
        (["--model", ""], 5, ["model"]),
        (["--model", "no/such/file.json"], 5, ["no/such/file.json"]),
        (["--model", "x" * 5000], 5, ["model"]),
        (["--model", "model.json", "--system", "pam-hmb"], 5, ["pam-hbm"]),
        (["--model", "model.json", "--system", "none.yaml"], 5, ["none.yaml"]),
        (["--model", "model.json", "--context", "0"], 5, ["context", "0"]),
        (["--model", "model.json", "--context", "-5"], 5, ["context", "-5"]),
        (["--model", "model.json", "--context", "1e3"], 5, ["context", "1e3"]),
        (["--model", "model.json", "--context", ""], 5, ["context"]),
        (["--model", "model.json", "--context", "1,,2"], 5, ["context"]),
        (["--model", "model.json", "--context", "9" * 30], 5, ["context"]),
        (["--model", "model.json", "--batch", "0"], 5, ["batch", "0"]),
        (["--model", "model.json", "--batch", "-1"], 5, ["batch"]),
        (["--model", "model.json", "--context", "1,2", "--batch", "3"], 5, ["batch"]),
        (["--model", "model.json", "--batch", "two"], 2, ["--batch", "two"]),
        (["--model", "model.json", "--threads", "0"], 2, ["--threads"]),
        (["--model", "model.json", "--seed", "-1"], 2, ["--seed"]),
        (["--model", "model.json", "--engine", "ramulator3"], 2, ["ramulator3"]),
        (["--model", "model.json", "--engine", "ramulator2"], 5, ["RAMULATOR2_ROOT must name"]),
        (["--model", "model.json", "--validate", "maybe"], 2, ["maybe"]),
        (["--model", "model.json", "--contxt", "5"], 2, ["--context"]),
        (["--model", "model.json", "--set", "layout"], 5, ["layout"]),
        (["--model", "model.json", "--set", "=1"], 5, ["KEY=VALUE"]),
        (["--model", "model.json", "--set", "leyout=head-split"], 5, ["layout"]),
        (["--model", "model.json", "--set", "tiers.hbm.device.timing.nFAQ=20"], 5, ["nFAW"]),
        (["--model", "model.json", "--set", "tiers.hbm.device.timing.nFAW=soon"], 5, ["soon"]),
        (["--model", "model.json", "--set", "tiers.hbm.device.timing.nFAW=-3"], 5, ["nFAW"]),
        (["--model", "model.json", "--set", "tiers.hbm.devices=0"], 5, ["devices"]),
        (["--model", "model.json", "--set", "tiers.hbn.devices=1"], 5, ["hbm"]),
        ([], 2, ["--model"]),
        (["surplus", "--model", "model.json"], 2, ["surplus"]),
    ],
)
def test_a_wrong_option_is_named(
    capsys: pytest.CaptureFixture[str], here: Path, argv: list[str], code: int, texts: list[str]
) -> None:
    fails(capsys, here, ["run", *argv], code, *texts)


def test_a_batch_beyond_the_capacity_says_by_how_much(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    # 1000 requests x 8192 tokens x 128 KiB of KV are 1.07 TB; pam-hbm has 5 x 16 GiB.
    argv = ["run", "--model", "llama-3-8b", "--context", "8192", "--batch", "1000"]
    fails(capsys, here, argv, 5, "fit")


def test_weights_beyond_the_capacity_are_refused(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    # OPT-175B has 350 GB of weights; pam-hbm has 5 x 16 GiB.
    fails(capsys, here, ["run", "--model", "opt-175b", "--context", "10"], 5, "weights")


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["rnu"], 2, "did you mean 'run'?"),
        (["isa", "shwo"], 2, "shwo"),
        (["isa", "show", "hbm_pin"], 5, "hbm_pim"),
        (["isa", "asm", "none.asm", "-o", "x.bin"], 5, "none.asm"),
        (["isa", "disasm", "model.json"], 5, ""),
        (["isa", "check", "none.bin"], 5, "none.bin"),
        (["config", "show", "pam-hbn"], 5, "pam-hbm"),
        (["config", "show", "h100", "--kind", "hosts"], 5, "host"),
        (["config", "list", "devices"], 5, "device"),
        (["config", "schema", "rum"], 5, "run"),
        (["check", "none.json"], 5, "none.json"),
        (["check", "."], 5, "result.json"),
        (["simulate"], 2, "--model"),
        (["simulate", ".", "--model", "model.json"], 2, "one of the two"),
        (["simulate", "."], 5, "pamsim compile"),
        (["validate", "nowhere"], 5, "pamsim compile"),
        (["trace", "--model", "model.json", "--channel", "99"], 5, "99"),
        (["trace", "--model", "model.json", "--program", "zz"], 5, "zz"),
        (["trace", "--model", "model.json", "--layer", "2"], 5, "layer"),
        (["trace", "--model", "model.json", "-o", "no/such/trace.txt"], 5, "no/such/trace.txt"),
    ],
)
def test_other_commands_name_what_is_wrong(
    capsys: pytest.CaptureFixture[str], here: Path, argv: list[str], code: int, text: str
) -> None:
    fails(capsys, here, argv, code, text)


def test_several_faults_of_a_model_are_all_named(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "model.json").write_text(json.dumps({**MODEL, "hidden_size": 0, "vocab_size": -1}))
    err = fails(capsys, here, ["run", "--model", "model.json"], 5, "hidden_size", "vocab_size")
    assert all(line.startswith("pamsim: ") for line in err.splitlines())


def test_control_characters_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    err = fails(capsys, here, ["run", "--model", "a\x1b[31mb"], 5, "model")
    assert "\x1b" not in err


class TestOutputDirectory:
    RUN = ("run", "--model", "model.json", "--context", "64", "--validate", "off", "-q")

    def test_one_that_holds_something_is_refused(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        (here / "out").mkdir()
        (here / "out" / "notes.txt").write_text("mine")
        fails(capsys, here, [*self.RUN, "-o", "out"], 5, "out", "--force")

    def test_a_file_in_its_place_is_refused(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        (here / "out").write_text("mine")
        fails(capsys, here, [*self.RUN, "-o", "out", "--force"], 5, "directory", "out")
        assert (here / "out").read_text() == "mine"

    def test_a_place_below_a_file_is_refused(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        fails(capsys, here, [*self.RUN, "-o", "model.json/out"], 5, "model.json/out")

    def test_a_name_that_is_too_long_is_refused(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        fails(capsys, here, [*self.RUN, "-o", "x" * 300], 5, "output directory")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_one_that_cannot_be_written_is_refused(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        (here / "locked").mkdir(mode=0o500)
        fails(capsys, here, [*self.RUN, "-o", "locked/out"], 5, "writable")

    def test_a_failure_leaves_no_directory_behind(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        argv = ["run", "--model", "llama-3-8b", "--batch", "1000", "-o", "new/deep/out"]
        fails(capsys, here, argv, 5, "fit")

    def test_force_replaces_a_result_and_leaves_other_files(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        assert main([*self.RUN, "-o", "out"]) == 0
        first = (here / "out" / "result.json").read_bytes()
        (here / "out" / "notes.txt").write_text("mine")
        (here / "out" / "sub").mkdir()
        argv = [*self.RUN, "--context", "128", "-o", "out", "--force"]
        assert main(argv) == 0
        assert (here / "out" / "result.json").read_bytes() != first
        assert (here / "out" / "notes.txt").read_text() == "mine"
        assert (here / "out" / "sub").is_dir()
        assert main(["check", "out"]) == 0

    def test_force_leaves_a_file_of_ours_that_was_changed_out_of_the_way_of_nothing_else(
        self, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        compile_ = ["compile", "--model", "model.json", "-q", "-o", "out"]
        assert main([*compile_, "--context", "64"]) == 0
        (old,) = (here / "out" / "programs").glob("*.asm")
        old.write_text("; edited by hand")
        assert main([*compile_, "--context", "512", "--force"]) == 0
        assert old.read_text() == "; edited by hand"
        assert not old.with_suffix(".bin").exists()
