"""`pamsim trace` and `pamsim validate --trace` on files: formats, parts, nothing half written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from test_pamsim_cli_errors import MODEL

from pamsim.cli.main import main
from pamsim.cli.trace_file import FORMATS as OFFERED
from pamsim.traces import FORMATS, Trace, open_trace
from pamsim.traces.binary import write_binary

RUN = ["trace", "--model", "model.json", "--context", "600", "-q"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    return tmp_path


@pytest.fixture
def binary(here: Path) -> Path:
    assert main([*RUN, "--layer", "1", "-o", "run.pamtrace"]) == 0
    return here / "run.pamtrace"


Capture = pytest.CaptureFixture[str]


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_text_on_stdout_is_the_default(here: Path, capsys: Capture) -> None:
    assert main(RUN) == 0
    text = capsys.readouterr().out
    assert text.startswith("# pamsim command trace; device hbm3-pam, tier hbm\n")
    assert main([*RUN[:1], "write", *RUN[1:]]) == 0
    assert capsys.readouterr().out == text


def test_the_command_line_offers_every_format() -> None:
    assert tuple(FORMATS) == OFFERED  # named twice, so that help does not import the writers


def test_show_gives_the_text_of_the_run(binary: Path, capsys: Capture) -> None:
    assert main([*RUN, "--layer", "1"]) == 0
    text = capsys.readouterr().out
    assert main(["trace", "show", str(binary)]) == 0
    assert capsys.readouterr().out == text


def test_a_part_is_the_same_from_run_and_file(binary: Path, capsys: Capture) -> None:
    part = ["--from", "500", "--to", "1500", "--limit", "70"]
    assert main([*RUN, "--layer", "1", *part]) == 0
    text = capsys.readouterr().out
    assert len(lines(text)) == 70
    assert all(500 <= int(line.split()[0]) <= 1500 for line in lines(text))
    assert main(["trace", "show", str(binary), *part]) == 0
    assert capsys.readouterr().out == text
    assert main(["trace", "show", str(binary), "--skip", "9", "--limit", "3"]) == 0
    found = lines(capsys.readouterr().out)
    assert main(["trace", "show", str(binary), "--limit", "12"]) == 0
    assert found == lines(capsys.readouterr().out)[9:]


def test_the_header_tells_where_a_trace_is_from(binary: Path, capsys: Capture) -> None:
    assert main(["trace", "show", str(binary), "--header"]) == 0
    header = json.loads(capsys.readouterr().out)
    given = {"model": "model.json", "system": "pam-hbm", "context": "600", "layer": "1"}
    assert header["inputs"] == given
    assert header["device"] == "hbm3-pam" and header["layer"] == 1 and header["layers"] == 2
    assert len(header["sources"]["program"]) == 64
    assert header["whole"] is True and header["commands_issued"] > 100


@pytest.mark.parametrize("suffix", ["txt", "rw", "ldst", "ram2bin", "json", "pamtrace"])
def test_convert_equals_writing_in_that_format(binary: Path, suffix: str) -> None:
    assert main([*RUN, "--layer", "1", "-o", f"direct.{suffix}"]) == 0
    assert main(["trace", "convert", str(binary), "-q", "-o", f"converted.{suffix}"]) == 0
    direct, converted = Path(f"direct.{suffix}"), Path(f"converted.{suffix}")
    assert direct.read_bytes() == converted.read_bytes() != b""


def test_what_is_left_out_is_counted(binary: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["trace", "convert", str(binary), "--format", "rw"]) == 0
    out, err = capsys.readouterr()
    with open_trace(binary) as trace:
        assert isinstance(trace, Trace)
        names = np.array([command.name for command in trace.header.commands])
        issued = np.concatenate([names[piece["command"]] for piece in trace.pieces()])
    host = np.isin(issued, ["RD", "WR", "RDRES"])
    assert len(out.splitlines()) == host.sum()
    assert f"left out {(~host).sum()} commands that are no host read or write" in err
    assert f" {(issued == 'MACbg_q2').sum()} MACbg_q2" in err  # two query heads a KV head


def test_requests_are_shown_as_they_are(binary: Path, capsys: Capture) -> None:
    assert main(["trace", "convert", str(binary), "-q", "-o", "run.ldst"]) == 0
    capsys.readouterr()
    assert main(["trace", "show", "run.ldst", "--skip", "2", "--limit", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == Path("run.ldst").read_text().splitlines()[2:4]
    assert main(["trace", "show", "run.ldst", "--from", "5"]) == 5
    assert main(["trace", "convert", "run.ldst", "-o", "x.rw"]) == 5


def test_a_file_that_is_there_stays(binary: Path, capsys: Capture) -> None:
    before = binary.read_bytes()
    for argv in ([*RUN, "-o", str(binary)], ["trace", "convert", str(binary), "-o", str(binary)]):
        assert main(argv) == 5
        assert "--force" in capsys.readouterr().err
    assert binary.read_bytes() == before
    assert main([*RUN, "-o", str(binary), "--force"]) == 0
    assert binary.read_bytes() != before  # another layer
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["model.json", "run.pamtrace"]


def test_a_damaged_file_leaves_nothing(binary: Path, capsys: Capture) -> None:
    whole = bytearray(binary.read_bytes())
    whole[-100] ^= 1
    Path("damaged.pamtrace").write_bytes(whole)
    for argv in (
        ["trace", "convert", "damaged.pamtrace", "-o", "x.txt"],
        ["trace", "show", "damaged.pamtrace"],
        ["validate", "--trace", "damaged.pamtrace"],
    ):
        assert main(argv) == 5
        err = capsys.readouterr().err
        assert "at byte" in err and "damaged.pamtrace" in err and "Traceback" not in err
    assert not Path("x.txt").exists() and not list(Path.cwd().glob(".*"))


def test_a_pipe_is_read_and_written(binary: Path) -> None:
    argv = [sys.executable, "-m", "pamsim.cli.main", "trace", "show", "-", "--limit", "3"]
    text = subprocess.run(argv, input=binary.read_bytes(), capture_output=True, check=True).stdout
    assert len(lines(text.decode())) == 3
    os.mkfifo("fifo")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(Path("fifo").read_bytes()))
    reader.start()
    assert main(["trace", "convert", str(binary), "-q", "--format", "binary", "-o", "fifo"]) == 0
    reader.join()
    assert found == [binary.read_bytes()]


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["trace", "show", "none.txt"], 5, "none.txt"),
        (["trace", "show", "."], 5, "readable file"),
        (["trace", "show", "model.json"], 5, "at byte 0"),
        (["trace", "show", "run.pamtrace", "--from", "9", "--to", "8"], 2, "--to"),
        (["trace", "convert", "run.pamtrace", "-o", "no/such.txt"], 5, "no/such.txt"),
        (["trace", "convert", "run.pamtrace", "--ticks", "-o", "x.txt"], 2, "perfetto"),
        (["trace", "convert", "run.pamtrace", "--format", "csv"], 2, "csv"),
        (["validate", "--trace", "run.pamtrace", "--model", "model.json"], 2, "--trace"),
    ],
)
def test_wrong_use_is_named(
    binary: Path, capsys: Capture, argv: list[str], code: int, text: str
) -> None:
    assert main(argv) == code
    assert text in capsys.readouterr().err


# The timing proof from a file


def test_a_stored_trace_is_proved(binary: Path, capsys: Capture) -> None:
    assert main(["validate", "--trace", str(binary), "--json"]) == 0
    proofs = json.loads(capsys.readouterr().out)["validation"]
    assert proofs["timing"]["verdict"] == "passed"
    assert proofs["timing"]["commands_checked"] > 100
    assert proofs["functional"]["verdict"] == "NOT CHECKED"


def test_a_stored_trace_of_another_machine_is_proved_as_its_own(
    here: Path, capsys: Capture
) -> None:
    change = ["--set", "tiers.hbm.device.timing.nFAW=24"]
    assert main([*RUN, *change, "-o", "a.pamtrace"]) == 0
    assert main(["validate", "--trace", "a.pamtrace", "-q"]) == 0


def test_a_command_too_early_is_a_violation(binary: Path, capsys: Capture) -> None:
    with open_trace(binary) as trace:
        assert isinstance(trace, Trace)
        pieces = list(trace.pieces())
        names = [command.name for command in trace.header.commands]
        mac = int(np.flatnonzero(pieces[0]["command"] == names.index("MACbg_q2"))[0])
        pieces[0]["tick"][mac] = pieces[0]["tick"][mac - 1]  # the tick of the command before it
        early = io.BytesIO()
        write_binary(early, Pieces(trace, pieces))
    Path("early.pamtrace").write_bytes(early.getvalue())
    assert main(["validate", "--trace", "early.pamtrace"]) == 4
    assert "violated" in capsys.readouterr().out


class Pieces(Trace):
    """Another trace's header and end with these pieces."""

    def __init__(self, trace: Trace, pieces: list[np.ndarray]) -> None:
        super().__init__(trace.header)
        self._given, self._end = pieces, trace.end

    def _pieces(self, cut: object) -> object:  # type: ignore[override]
        yield 0, np.concatenate(self._given)
        self.end = self._end


def test_a_part_and_a_trace_without_ends_are_not_proved(binary: Path, capsys: Capture) -> None:
    assert main(["trace", "convert", str(binary), "--limit", "50", "-o", "part.pamtrace"]) == 0
    assert main(["trace", "convert", str(binary), "-o", "run.rw"]) == 0
    for name, text in (("part.pamtrace", "whole"), ("run.rw", "reads and writes")):
        assert main(["validate", "--trace", name]) == 5
        assert text in capsys.readouterr().err


def test_a_trace_of_a_machine_that_has_changed_is_not_proved(here: Path, capsys: Capture) -> None:
    system = "name: mine\nextends: pam-hbm\n"
    Path("mine.yaml").write_text(system)
    assert main([*RUN, "--system", "mine.yaml", "-o", "a.pamtrace"]) == 0
    assert main(["validate", "--trace", "a.pamtrace", "-q"]) == 0
    Path("mine.yaml").write_text(system + "tiers: {hbm: {device: hbm3-6400}}\n")
    assert main(["validate", "--trace", "a.pamtrace"]) == 5
    assert "as it is described now" in capsys.readouterr().err
