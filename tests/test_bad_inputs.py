"""Bad input ends in plain lines that name thing, rule, value and place, and leaves nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_inputs import Bad, write
from bad_inputs_machines import MACHINES
from bad_inputs_models import MODELS
from bad_inputs_programs import PROGRAMS
from bad_inputs_tiers import TIERS

from pamsim.cli.main import main

TABLES = (MODELS, MACHINES, TIERS, PROGRAMS)
BAD_INPUTS = {name: bad for table in TABLES for name, bad in table.items()}
# What a person who uses pamsim cannot act on: Python's own errors and how it writes bytes.
INTERNAL = re.compile(r"\b[A-Z]\w*(Error|Exception)\b|Traceback|internal error|<class|\bb'")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAMULATOR2_ROOT", raising=False)
    return tmp_path


def said(err: str) -> Iterator[str]:
    """The lines of an error without what stands before each; a usage error's last one."""
    lines = err.splitlines()
    usage = lines[-1].startswith("Error: ")
    for line in lines[-1:] if usage else lines:
        before = "Error: " if usage else "pamsim: "
        assert line.startswith(before)
        yield line.removeprefix(before)


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad: Bad = BAD_INPUTS[name]
    write(bad.files)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    code = main(shlex.split(bad.argv))
    out, err = capsys.readouterr()
    lines = list(said(err))
    wanted = re.escape(bad.says).replace(re.escape("..."), ".*")
    assert any(re.fullmatch(wanted, line) for line in lines), err
    assert code == bad.code
    assert out == "" and not INTERNAL.search(err)
    assert len(set(lines)) == len(lines) <= 26 and max(map(len, lines)) < 1200
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_the_table_is_long_enough() -> None:
    assert len(BAD_INPUTS) == sum(map(len, TABLES)) >= 100
