"""Writes the generated files, or with --check says which ones are stale.

Generated: docs/isa/*.md from the instruction tables; frontend/ramulator_configs/schema/*.json from
the types that validate user files; the results in README.md and docs/guide from the commands above
them, which run one after the other in one empty folder a page.
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
    for page in (ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))):
        files[page] = _with_results(page.read_text())
    return files


RESULT = re.compile(r"<!-- result: (?P<command>.*?) -->\n(```\n.*?```\n)?<!-- end -->", re.DOTALL)


LINES = re.compile(r" \| head -(\d+)$")


def _with_results(text: str) -> str:
    """The page with what its commands print, at 80 columns; `| head -N` shows the first N lines."""
    with tempfile.TemporaryDirectory() as folder:

        def result(block: re.Match[str]) -> str:
            command = block["command"]
            shown = _output(LINES.sub("", command), folder)
            if most := LINES.search(command):
                shown = "\n".join(shown.splitlines()[: int(most[1])])
            printed = f"```\n{shown}\n```\n" if shown else ""
            return f"<!-- result: {command} -->\n{printed}<!-- end -->"

        return RESULT.sub(result, text)


def _output(command: str, folder: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pamsim.cli.main", *shlex.split(command)[1:]],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command} must succeed, not exit with {done.returncode}:\n{done.stderr}")
    return done.stdout.strip("\n")


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
