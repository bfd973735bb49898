"""Writes docs/fidelity.md: what the models reach, beside papers and simulators, and why.

The prose is scripts/fidelity_page.md; every number of ours in it is a field that is measured here.
With --check nothing is written; exit code 1 says that the page is stale, 2 that a run failed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import fidelity_bandwidth
import fidelity_claims
import fidelity_peers
import fidelity_settings

from pamsim.errors import PamsimError

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "fidelity.md"
TEMPLATE = Path(__file__).resolve().parent / "fidelity_page.md"
PARTS = (fidelity_bandwidth, fidelity_settings, fidelity_claims, fidelity_peers)


def render() -> str:
    """The page. Raises PamsimError where a machine cannot run its job."""
    found: dict[str, str] = {}
    for part in PARTS:
        found |= part.fields()
    return TEMPLATE.read_text(encoding="utf-8").format(**found)


def main() -> int:
    """Exit code 0, 1 where --check found the page stale, 2 where a run failed."""
    try:
        text = render()
    except PamsimError as error:
        print(error, file=sys.stderr)
        return 2
    shown = PAGE.relative_to(ROOT)
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{shown} is stale: run `make fidelity`", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
