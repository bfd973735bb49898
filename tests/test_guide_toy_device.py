"""docs/guide/add-a-device.md: its files in a folder, its commands run, their output as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "guide" / "add-a-device.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def files_of(page: str) -> dict[str, str]:
    """Path -> content: the block behind a line that ends in `: `path``."""
    files: dict[str, str] = {}
    path, inside = "", False
    for line in page.splitlines(keepends=True):
        if named := re.search(r": `([\w./-]+)`$", line):
            path = named[1]
        elif line.startswith("```"):
            inside = bool(path) and not inside and not line.startswith("```console")
            if inside:
                files[path] = ""
            else:
                path = ""
        elif inside:
            files[path] += line
    return files


def sessions_of(page: str) -> list[tuple[str, str]]:
    """(command, what it prints) of every console block."""
    found = []
    for block in CONSOLE.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    files, sessions = files_of(page), sessions_of(page)
    device = {"tables/toy.toml", "semantics/toy.py", "device/toy-ddr3.yaml", "timing/toy.py"}
    assert {f"my-devices/{name}" for name in device} | {"sums.pim", "sums.py"} == set(files)
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    environment = {
        **os.environ,
        "PAMSIM_DEVICES": str(tmp_path / "my-devices"),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }
    assert len(sessions) >= 8
    for command, expected in sessions:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout == expected, f"{command}\n{done.stdout}\n{done.stderr}"


def test_without_the_folder_the_toy_is_unknown() -> None:
    from pim_isa import families

    assert "toy" not in families()
