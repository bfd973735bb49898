"""Writes the generated files, or with --check says which ones are stale.

Generated: docs/isa/*.md from the instruction tables; frontend/ramulator_configs/schema/*.json from
the types that validate user files.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Path -> text of every generated file."""
    from pamsim.config import schema_files
    from pim_isa.docs import render
    from pim_isa.table import families

    files = {ROOT / "docs" / "isa" / f"{name}.md": render(name) for name in families()}
    schema = ROOT / "frontend" / "ramulator_configs" / "schema"
    files.update({schema / name: text for name, text in schema_files().items()})
    return files


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
