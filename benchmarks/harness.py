"""What every benchmark shares: child processes and what they used, pairs of them in turn, rows of the table.

A figure in seconds says more about the machine than about the program. So each
row runs the program and its yardstick in turn, A B A B, in one go, and the
figure is the median of the ratios of neighbours: whatever slows the machine
down for a while slows both.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20


class FailedRunError(Exception):
    """A program ended otherwise than it should; a failed run has no time."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a program used.

    Attributes
    ----------
    wall_s, cpu_s : float
        Seconds on the clock; user and system seconds of it and of all it waited for.
    peak_bytes : int
        Largest memory of one process.
    output : bytes
        What it printed, where that was asked for.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: bytes = b""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of some runs."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def show(self, digits: int = 2) -> str:
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f} to {self.greatest:,.{digits}f})"


@dataclass(frozen=True, slots=True)
class Pair:
    """Runs of the program and of its yardstick, in turn."""

    ours: tuple[Usage, ...]
    yardstick: tuple[Usage, ...]

    def wall(self, scale: float = 1.0) -> Spread:
        return Spread.of([scale * a.wall_s / b.wall_s for a, b in zip(self.ours, self.yardstick, strict=True)])

    def cpu(self) -> Spread:
        return Spread.of([a.cpu_s / b.cpu_s for a, b in zip(self.ours, self.yardstick, strict=True)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    met : bool or None
        ``None``: there is no target, or it was not run.
    cpu_s : float or None
        What the operation itself took, for the column of energy.
    """

    what: str
    figure: str
    target: str = ""
    met: bool | None = None
    note: str = ""
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where to work, how large, how often."""

    folder: Path
    quick: bool
    repeats: int
    programs: dict[str, str] = field(default_factory=dict)

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def program(self, name: str) -> str | None:
        """Return where another program is, or ``None``; cargo's own folder is looked into, too."""
        return shutil.which(name) or shutil.which(name, path=str(Path.home() / ".cargo" / "bin"))

    def new_folder(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        return path


def rawtrace(*arguments: str | Path) -> list[str]:
    """Return the command line of rawtrace in this interpreter."""
    return [sys.executable, "-m", "rawtrace", *map(str, arguments)]


def run(
    command: Sequence[str | Path], *, folder: Path, accepted: Sequence[int] = (0,), keep_output: bool = False
) -> Usage:
    """Run a program to its end; raises ``FailedRunError`` where it fails."""
    if not hasattr(os, "wait4"):
        sys.exit("benchmarks: this system does not tell what a child process used; run them on Linux or macOS")
    out = folder / ".benchmark-output" if keep_output else Path(os.devnull)
    errors = folder / ".benchmark-errors"
    with out.open("wb") as stdout, errors.open("wb") as stderr:
        started = time.perf_counter()
        child = subprocess.Popen(list(map(str, command)), stdout=stdout, stderr=stderr, cwd=folder)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
    child.returncode = code = os.waitstatus_to_exitcode(status)
    said = errors.read_text(errors="replace")[-2000:]
    errors.unlink()
    if code not in accepted:
        raise FailedRunError(f"{' '.join(map(str, command))[:200]} ended with {code}: {said}")
    output = out.read_bytes() if keep_output else b""
    if keep_output:
        out.unlink()
    # Linux counts kilobytes, macOS bytes.
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(wall, used.ru_utime + used.ru_stime, peak, output)


def in_turn(ours: Callable[[], Usage], yardstick: Callable[[], Usage], *, repeats: int) -> Pair:
    """Run both in turn, after one run of each that does not count."""
    ours()
    yardstick()
    pairs = [(ours(), yardstick()) for _ in range(repeats)]
    return Pair(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def median_cpu(runs: Sequence[Usage]) -> float:
    return statistics.median(one.cpu_s for one in runs)


def peak_mib(runs: Sequence[Usage]) -> float:
    return max(one.peak_bytes for one in runs) / MIB
