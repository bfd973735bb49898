"""The page of fidelity: what its tables are made of, and that its commands give its numbers."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

import fidelity  # noqa: E402
from fidelity_bandwidth import SAYS, TIME, presets, row_gbps, time_rows  # noqa: E402
from fidelity_claims import REDUCTIONS, moved, without_reduction  # noqa: E402
from fidelity_peers import AIM_CK, aim_ck  # noqa: E402
from fidelity_run import DDR, HBM, Job, Machine, change, figure, measure, parts_of  # noqa: E402
from fidelity_settings import hbm_settings  # noqa: E402

from pamsim.cli.main import main  # noqa: E402
from pamsim.config import load_device  # noqa: E402
from pamsim.errors import InputError  # noqa: E402
from pamsim.system import simulate_parts  # noqa: E402

SMALL = Job("small", "llama-3-8b", 700, 1)


def test_the_page_has_every_preset_that_a_model_compiles_for() -> None:
    names = {device.name for device in presets()}
    assert names == set(SAYS)
    page = fidelity.PAGE.read_text(encoding="utf-8")
    for name in names:
        assert f"\n| `{name}` |" in page


def test_the_page_is_its_template_with_fields() -> None:
    def prose(path: Path) -> list[str]:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith(("#", "<!--"))]

    assert prose(fidelity.PAGE) == prose(fidelity.TEMPLATE)
    assert "{" not in fidelity.PAGE.read_text(encoding="utf-8")


def test_a_printed_command_gives_the_page_s_numbers(tmp_path: Path) -> None:
    machine = HBM.but("tiers.hbm.device=hbm3-pam-gqa", kv_dtype="int8")
    out = tmp_path / "out"
    options = shlex.split(f"{SMALL.option} {machine.option}")
    assert main(["run", *options, "--validate", "off", "-q", "-o", str(out)]) == 0
    document = json.loads((out / "result.json").read_text(encoding="utf-8"))
    measured = measure(SMALL, machine)
    assert measured.attention_ms == document["tiers"]["hbm"]["latency_ns"] / 1e6
    assert measured.token_mj == document["energy_pj"]["total"] / 1e9 / SMALL.batch


def test_a_setting_says_what_it_changes() -> None:
    settings = hbm_settings()
    assert settings[0][1] == HBM
    assert len({machine for _, machine, _ in settings}) == len(settings)
    machine = DDR.but("tiers.ddr.devices=4", kv_dtype="int8")
    assert machine.changes(DDR) == ["--set tiers.ddr.devices=4", "--kv-dtype int8"]
    assert machine.option == "--system ddr-only --set tiers.ddr.devices=4 --kv-dtype int8"


def test_what_is_moved_by_hand() -> None:
    # A tile of one query of 128 elements: 8 columns of O and one of (m, l) up, 8 of q down, 32 B
    # each. 700 tokens lie in one bank group a head (docs/decisions.md, 17): a tile of 128 a bank
    # and a rest, of 32 query heads in 32 layers.
    tiles = 2 * 32 * 32
    assert moved(measure(SMALL, HBM)) == (tiles * 9 * 32, tiles * 8 * 32)


@pytest.mark.parametrize("machine", [HBM, DDR], ids=lambda m: m.system)
def test_without_reduction_only_reduction_is_missing(machine: Machine) -> None:
    (part,) = parts_of(SMALL, machine)
    bare = without_reduction(part)
    for channel in bare.step.programs:
        for stream in channel.program.streams:
            assert not {i.mnemonic for i in stream.instructions} & set(REDUCTIONS)
    (run,), (left,) = simulate_parts([part], threads=1), simulate_parts([bare], threads=1)
    for one, other in zip(run.runs, left.runs, strict=True):
        kept = {n: c for n, c in one.result.counts.items() if not n.startswith("RED")}
        assert kept != one.result.counts
        # Rows are opened as often unless a refresh falls otherwise.
        rows = ("ACT", "PRE", "REF")
        assert {n: c for n, c in kept.items() if not n.startswith(rows)} == {
            n: c for n, c in other.result.counts.items() if not n.startswith(rows)
        }
    assert left.layer_ps < run.layer_ps


def test_rows_that_nfaw_lets_a_stack_open() -> None:
    # 2 pseudo-channels x 4 banks x 1,024 B x 16 channels every 39 CK of 1.3 GHz
    assert row_gbps(load_device("hbm3-pam-seq")) == pytest.approx(2 * 4 * 1024 * 16 / (39 / 1.3))


def test_a_channel_s_time_is_all_accounted_for() -> None:
    rows = dict(time_rows())
    assert list(rows) == [f"`{name}`" for name in TIME]
    for parts in rows.values():
        shares = [float(part.split()[-2]) for part in parts.split(", ")]
        assert min(shares) >= 0
        assert sum(shares) == pytest.approx(100, abs=0.3)  # each rounded to 0.1


def test_aim_s_job_is_within_half_a_percent_of_its_simulator() -> None:
    assert abs(aim_ck("gddr6-aim-norefresh") / AIM_CK - 1) <= 0.005


@pytest.mark.parametrize(
    ("now", "base", "text"),
    [(3.0, 3.0, "0 %"), (1.5, 1.0, "+50.0 %"), (0.9996, 1.0, "−0.04 %"), (4.64, 1.0, "+364 %")],
)
def test_a_change_in_words(now: float, base: float, text: str) -> None:
    assert change(now, base) == text


@pytest.mark.parametrize(
    ("value", "text"), [(5.0, "5.00"), (37.46, "37.5"), (99.97, "100"), (33461.2, "33,461")]
)
def test_a_figure_in_words(value: float, text: str) -> None:
    assert figure(value) == text


def test_check_tells_a_stale_page_and_a_run_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "fidelity.md"
    monkeypatch.setattr(fidelity, "ROOT", tmp_path)
    monkeypatch.setattr(fidelity, "PAGE", page)
    monkeypatch.setattr(fidelity, "render", lambda: "measured\n")
    monkeypatch.setattr(sys, "argv", ["fidelity.py", "--check"])
    assert fidelity.main() == 1
    assert capsys.readouterr().err == "fidelity.md is stale: run `make fidelity`\n"
    monkeypatch.setattr(sys, "argv", ["fidelity.py"])
    assert fidelity.main() == 0
    assert page.read_text(encoding="utf-8") == "measured\n"
    monkeypatch.setattr(sys, "argv", ["fidelity.py", "--check"])
    assert fidelity.main() == 0

    def fail() -> str:
        raise InputError("system must be a known name, not 'pam'")

    monkeypatch.setattr(fidelity, "render", fail)
    assert fidelity.main() == 2
