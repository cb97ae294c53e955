"""Make the files of the conformance cases: ``python tests/conformance/forge.py OUT [CASE...]``.

Seals are never the same twice and keys must not be kept, so the files are made
afresh for every run. ``OUT/CASE`` then holds the files of a case, a trust list
and the case's ``expected.json``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forging import chains, envelopes, files, folders, gateway, pixels, receipts, scopes, trust  # noqa: F401  each registers its cases
from forging.lab import FORGES, TRUST_LIST, Lab

CASES = Path(__file__).parent / "cases"


def cases() -> Iterator[Path]:
    """Yield every case folder; what is not there is not a case."""
    return iter(sorted(folder for folder in CASES.iterdir() if (folder / "expected.json").is_file()))


def expected(folder: Path) -> dict[str, Any]:
    """Read what must come out of a case; see README.md for the keys."""
    return dict(json.loads((folder / "expected.json").read_text(encoding="utf-8")))


def make(lab: Lab, folder: Path, out: Path) -> Path:
    """Make the files of one case in a new folder below ``out``; returns it."""
    target = out / folder.name
    target.mkdir(parents=True)
    FORGES[folder.name.removesuffix("_fail")](lab, target)
    lists = [name for name in (TRUST_LIST, "trust-list.json") if (target / name).exists()]
    if not lists:
        lab.trust(target)
    shutil.copyfile(folder / "expected.json", target / "expected.json")
    return target


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    out, wanted = Path(arguments[0]), set(arguments[1:])
    with tempfile.TemporaryDirectory() as keys:
        lab = Lab(Path(keys))
        for folder in cases():
            if not wanted or folder.name in wanted:
                make(lab, folder, out)
                sys.stdout.write(f"{folder.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
