"""`pamsim simulate PROGRAM --device`, and the energy of a program, on GDDR6-AiM."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pamsim.cli.main import main
from pamsim.config import load_device
from pamsim.energy import command_work
from pamsim.energy.program import program_account
from pamsim.errors import InputError
from pamsim.sim.program import run_program
from pim_isa import assemble, encode

ROWS = 4
TEXT = f""".family aim
.stream
  LOOP count={ROWS} row_step=1
    MAC_ABK row=0 size=64
  END
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "rows.pim"
    path.write_text(TEXT)
    return path


def test_text_and_binary_give_one_result(program: Path, capsys: pytest.CaptureFixture) -> None:
    binary = program.with_name("rows.bin")
    binary.write_bytes(encode(assemble(TEXT)))
    documents = []
    for path in (program, binary):
        assert main(["simulate", str(path), "--device", "gddr6-aim", "--json"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    text, coded = documents
    assert text | {"program": ""} == coded | {"program": ""}
    # three rows of 226 CK, and of the last 56 to its first MAC16 and 126 to its last
    assert text["ticks"] == (ROWS - 1) * 226 + 56 + 126 + 2
    assert text["commands"] == {"ACT16": ROWS, "MAC16": 64 * ROWS, "PREA": ROWS - 1}
    assert sum(text["stalls"][0].values()) == text["ticks"]
    assert text["timing"]["verdict"] == "passed"
    assert text["timing"]["commands_checked"] == sum(text["commands"].values())


def test_the_summary_says_what_was_found(program: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["simulate", str(program), "--device", "gddr6-aim-norefresh"]) == 0
    shown = capsys.readouterr().out
    for part in ("862 ticks", "MAC16 256", "nRCDRDMAC", "Energy", "Timing passed"):
        assert part in shown
    assert "refreshes nothing" in shown


def test_set_changes_the_device(program: Path, capsys: pytest.CaptureFixture) -> None:
    given = ["simulate", str(program), "--device", "gddr6-aim", "--set", "timing.nRP=42", "--json"]
    assert main(given) == 0
    # ten CK more between two rows
    assert json.loads(capsys.readouterr().out)["ticks"] == 862 + 10 * (ROWS - 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--device", "gddr6-aim"], 2, "give --device a program"),
        (["{rows}", "--device", "hbm3-pam"], 5, "program must be of the family of hbm3-pam"),
        (["{rows}", "--device", "gddr6-iam"], 5, "did you mean"),
        (["{none}", "--device", "gddr6-aim"], 5, "program must be a readable file"),
        (["{bytes}", "--device", "gddr6-aim"], 5, "must be UTF-8"),
        (["{far}", "--device", "gddr6-aim"], 5, "row must stay below 16384"),
    ],
)
def test_errors_of_program_and_device(
    program: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture
) -> None:
    strange, far = program.with_name("strange"), program.with_name("far.pim")
    strange.write_bytes(b"\xff\xfe\x00")
    far.write_text(TEXT.replace("row=0", "row=16383"))
    paths = {"rows": program, "none": program.with_name("none"), "bytes": strange, "far": far}
    assert main(["simulate", *(a.format(**paths) for a in arguments)]) == code
    assert message in capsys.readouterr().err


def test_energy_by_hand() -> None:
    device = load_device("gddr6-aim")
    run = run_program(assemble(TEXT), device)
    account = program_account(run, device)
    pj = {term.name: term.pj for term in account.terms}
    # Yufeng98/CENT @8c79786 cent_simulation/cent_power_calculator.py: mW x ns
    assert pj["activate"] == pytest.approx(ROWS * 16 * 66.3 * 44.5)
    assert pj["mac_read_multiple"] == pytest.approx(ROWS * 64 * 3 * 438.15 * 1.0)
    # banks open from an ACT16 to the PREA 194 CK later; the last stays open
    active_ns = ((ROWS - 1) * 194 + 862 - (ROWS - 1) * 226) / 2
    assert pj["background_active"] == pytest.approx(263.75 * active_ns, rel=0.005)
    assert pj["background_precharged"] == pytest.approx(183.15 * (ROWS - 1) * 32 / 2, rel=0.005)
    assert set(pj) == {
        "activate", "mac_read_multiple", "background_active", "background_precharged",
    }  # fmt: skip


def test_standby_is_that_of_a_channel_whatever_is_refreshed() -> None:
    pj = []
    for name in ("gddr6-aim", "gddr6-aim-norefresh"):  # states are kept per channel, per group
        device = load_device(name)
        account = program_account(run_program(assemble(TEXT), device), device)
        pj.append({t.name: t.pj for t in account.terms})
    assert pj[0] == pytest.approx(pj[1])


def test_what_a_command_does_as_cent_charges_it() -> None:
    device = load_device("gddr6-aim")
    work = {n: command_work(n, device, 1) for n in ("MAC", "MAC16", "EWMUL16", "AF16", "WRA16")}
    assert 16 * work["MAC"].mac_column_bits == work["MAC16"].mac_column_bits == 16 * 256
    assert 4 * work["EWMUL16"].mac_column_bits == work["MAC16"].mac_column_bits
    assert work["AF16"].read_bits == work["WRA16"].write_bits == 16 * 256


def test_missing_constants_make_energy_unknown() -> None:
    device = load_device("gddr6-aim")
    poor = type(device.energy)(
        tuple(c for c in device.energy.constants if "act_pre_pj" not in c.name)
    )
    account = program_account(run_program(assemble(TEXT), device), replace(device, energy=poor))
    assert account.total_pj is None
    assert account.missing == ("gddr6-aim: act_pre_pj",)


def test_a_program_of_another_family_is_refused() -> None:
    with pytest.raises(InputError, match="must be of the family"):
        run_program(assemble(TEXT), load_device("hbm3-pam"))
