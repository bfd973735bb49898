"""Writes the generated files, or with --check says which ones are stale.

Generated: docs/isa/*.md from the instruction tables; frontend/ramulator_configs/schema/*.json from
the types that validate user files; the result in README.md from the command above it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Path -> text of every generated file."""
    from pamsim.config import schema_files
    from pamsim.report.schema import schema_text
    from pim_isa.docs import render
    from pim_isa.table import families

    files = {ROOT / "docs" / "isa" / f"{name}.md": render(name) for name in families()}
    schema = ROOT / "frontend" / "ramulator_configs" / "schema"
    files.update({schema / name: text for name, text in schema_files().items()})
    files[schema / "run.schema.json"] = schema_text()
    files[ROOT / "README.md"] = RESULT.sub(_with_result, (ROOT / "README.md").read_text())
    return files


RESULT = re.compile(r"<!-- result: (?P<command>.*?) -->\n```\n.*?```\n<!-- end -->", re.DOTALL)


def _with_result(block: re.Match[str]) -> str:
    """The block with what its command prints, at 80 columns, in an empty folder."""
    command = block["command"]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pamsim.cli.main", *shlex.split(command)[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    return f"<!-- result: {command} -->\n```\n{done.stdout.strip()}\n```\n<!-- end -->"


def main() -> int:
    """Exit code 0 when all is up to date or has been written, 1 when --check found a stale file."""
    files = generated()
    stale = [p for p, text in files.items() if not p.exists() or p.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `make generate`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
