"""Measure how good the evidence is and print the tables: ``make evidence``, or this file with ``--help``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
#: What stands below it in the results is this program's; what stands above, the other benchmarks'.
MARK = "<!-- matching -->"
#: Modules of this folder with a function ``table(quick)``, the longest first.
PARTS = ("find", "compare", "strips", "reuse", "scale")
_HEAD = """\
## How good the evidence is

Tuned on one half of the pictures, reported here on the other; pictures of one collection or specimen are never in both
(`benchmarks/matching/sources.py`). Intervals are of 95 %: Wilson's for shares, bootstrapped for the rest.
`make evidence ARGS=--write` makes this part.
"""


def main() -> int:
    options = _options()
    if options.part:
        print(_table(options.part, quick=options.quick))
        return 0
    started = time.monotonic()
    found = dict(_measure(tuple(options.only) or PARTS, quick=options.quick, jobs=options.jobs))
    tables = [found[part] for part in PARTS if part in found]
    failed = [part for part in found if not found[part].strip()]
    text = "\n".join([_HEAD, *tables, f"Measured in {(time.monotonic() - started) / 60:.0f} minutes.\n"])
    print(text)
    if options.write and not failed:
        write(text)
    for part in failed:
        print(f"evidence: {part} could not be measured", file=sys.stderr)
    return 1 if failed else 0


def write(text: str) -> None:
    """Put the tables in place of those in the results; what the other benchmarks wrote stays."""
    above = RESULTS.read_text(encoding="utf-8").partition(MARK)[0].rstrip("\n") if RESULTS.is_file() else ""
    RESULTS.write_text(f"{above}\n\n{MARK}\n\n{text.rstrip()}\n", encoding="utf-8")


def _measure(parts: tuple[str, ...], *, quick: bool, jobs: int) -> Iterator[tuple[str, str]]:
    """Run each part in a process of its own, so that none slows the other's timing by its threads or its memory."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(parts, pool.map(lambda part: _run(part, quick=quick), parts), strict=True)


def _run(part: str, *, quick: bool) -> str:
    command = [sys.executable, str(Path(__file__)), "--part", part, *(["--quick"] if quick else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT, check=False)
    return done.stdout if done.returncode == 0 else ""


def _table(part: str, *, quick: bool) -> str:
    from importlib import import_module

    from benchmarks.matching.tables import markdown

    made = import_module(f"benchmarks.matching.{part}").table(quick)
    return made if isinstance(made, str) else markdown(made, title=part.capitalize())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how good the evidence of pictures is.")
    parser.add_argument("--quick", action="store_true", help="few pictures: shows that the tables can be made")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--only", action="append", choices=PARTS, default=[], help="one table; repeatable")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="tables that are made at a time (2)")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
