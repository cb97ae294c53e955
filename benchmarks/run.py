"""Measure speed and size and print the table: ``make bench``, or ``python benchmarks/run.py --help``."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import batches, codes, files, folders, footprint, log, resolution, startup, statuses  # noqa: E402
from benchmarks.data import make_signer  # noqa: E402
from benchmarks.harness import Bench, FailedRunError, Row  # noqa: E402

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
GROUPS = {
    "startup": startup.rows,
    "files": files.rows,
    "folders": folders.rows,
    "codes": codes.rows,
    "batches": batches.rows,
    "footprint": footprint.rows,
    "statuses": statuses.rows,
    "resolution": resolution.rows,
    "log": log.rows,
}
#: Watts of one busy core of a server with its share of memory; an assumption, not measured.
WATTS = 15.0
#: What stands below it is shown in docs/concepts/cost.md, too.
_MARK = "<!-- results -->"
_MATCHING = "<!-- matching -->"


@dataclass(frozen=True, slots=True)
class Options:
    quick: bool
    write: bool
    repeats: int
    watts: float
    groups: tuple[str, ...]


def main() -> int:
    options = _options()
    load = _load()
    if load > 0.5:
        print(f"benchmarks: the machine is busy (load {load:.1f}); ratios hold, files/s do not", file=sys.stderr)
    started = time.monotonic()
    lines = [_heading(options), "", _MARK, "", *_head(options)]
    missed, failed = 0, False
    print("\n".join(lines), flush=True)
    for row in _measure(options):
        line = _line(row, options)
        lines.append(line)
        missed += row.met is False
        failed |= row.figure.startswith("failed")
        print(line, flush=True)
    tail = _tail(options, missed=missed, load=load, seconds=time.monotonic() - started)
    print("\n".join(tail))
    if options.write and not failed:
        RESULTS.write_text("\n".join([*lines, *tail]) + "\n" + _matching(), encoding="utf-8")
    return 1 if failed else 0


def _matching() -> str:
    """Return what ``benchmarks/matching/run.py`` wrote below these results; it stays."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else ""
    found = text.find(_MATCHING)
    return "" if found < 0 else "\n" + text[found:]


def _measure(options: Options) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="rawtrace-bench-") as name:
        folder = Path(name)
        # As after an installation: modules compiled once, not anew in every run; the user's own settings left alone.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        if not options.quick:
            os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        os.environ["RAWTRACE_CONFIG_DIR"] = str(folder / "settings")
        bench = Bench(folder=folder, quick=options.quick, repeats=options.repeats)
        signer = make_signer(bench)
        for group in options.groups:
            try:
                yield from GROUPS[group](bench, signer)
            except FailedRunError as error:  # the other groups still have something to tell
                print(f"benchmarks: {error}", file=sys.stderr)
                yield Row(what=f"the rest of {group}", figure="failed, see the errors", met=False)


def _options() -> Options:
    parser = argparse.ArgumentParser(description="Measure what rawtrace costs, beside yardsticks in the same run.")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that the benchmarks run, no more")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--repeats", type=int, default=0, metavar="N", help="pairs per row (7; with --quick 1)")
    parser.add_argument("--watts", type=float, default=WATTS, help="watts of a busy core, for the energy estimate")
    parser.add_argument("--only", action="append", choices=tuple(GROUPS), default=[], help="one group; repeatable")
    given = parser.parse_args()
    if given.write and (given.quick or given.only):
        parser.error("--write wants the whole table at full size")
    return Options(
        quick=given.quick,
        write=given.write,
        repeats=given.repeats or (1 if given.quick else 7),
        watts=given.watts,
        groups=tuple(given.only) or tuple(GROUPS),
    )


def _heading(options: Options) -> str:
    return "# What rawtrace costs: measured" + (" (quick: sizes too small to mean anything)" if options.quick else "")


def _head(options: Options) -> list[str]:
    return [
        f"Each figure is the median of {options.repeats} runs (start-up: 15), each beside its yardstick, with the "
        "least and the greatest in brackets. `make bench ARGS=--write` makes this page.",
        "",
        "| what | measured | target | met | also | CPU | energy, estimated |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]


def _line(row: Row, options: Options) -> str:
    met = "" if options.quick or row.met is None else ("met" if row.met else "**not met**")
    cpu = "" if row.cpu_s is None else _seconds(row.cpu_s)
    energy = "" if row.cpu_s is None else f"{row.cpu_s * options.watts:.2g} J"
    cells = (row.what, row.figure, row.target, met, row.note, cpu, energy)
    return "| " + " | ".join(cells) + " |"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _tail(options: Options, *, missed: int, load: float, seconds: float) -> list[str]:
    verdict = "Targets mean nothing at these sizes." if options.quick else ""
    return [
        "",
        verdict or (f"Targets not met: {missed}." if missed else "All targets that were run are met."),
        "",
        f"Energy is CPU time times {options.watts:g} W, an assumption about one busy core and its share of memory; "
        "it was not measured, and leaves out disks, networks and what the machine uses when idle.",
        "",
        *_machine(),
        f"- load of other programs when it began: {load:.1f}; the whole took {seconds / 60:.0f} minutes",
    ]


def _machine() -> list[str]:
    """Describe the machine, and nothing that names it."""
    import ssl

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return [
        f"- {cores} cores, {_processor()}, {memory:.0f} GiB of memory",
        f"- {platform.system()} {_release()}, {platform.machine()}",
        f"- Python {platform.python_version()} with {ssl.OPENSSL_VERSION}; {_said('openssl', 'version')}",
        f"- {_said('sha256sum', '--version')}; {_said('c2patool', '--version')}",
    ]


def _release() -> str:
    """Return the kernel's version without what a builder added to it."""
    return platform.release().partition("-")[0]


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if not facts.exists():
        return _said("sysctl", "-n", "machdep.cpu.brand_string")
    text = facts.read_text(errors="replace")
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "?")
    return f"{model} ({'with' if ' sha_ni' in text else 'without'} SHA instructions)"


def _said(program: str, *arguments: str) -> str:
    """Return the first line that a program prints about itself."""
    bench = Bench(folder=ROOT, quick=True, repeats=1)
    found = bench.program(program)
    if found is None:
        return f"no {program}"
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [program])[0].strip()


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


if __name__ == "__main__":
    sys.exit(main())
