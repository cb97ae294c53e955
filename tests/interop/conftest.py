"""Where the other programs are, and a table at the end of what ran and what did not."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules beside this one, under importlib mode

import toolbox as programs

NOT_RUN = "NOT RUN: "
_PROGRAM = re.compile(rf"[\[-]({'|'.join((*programs.PROGRAMS, 'c2pa-python', 'mini verifier', 'rawtrace'))})[,\]]")


@pytest.fixture(scope="session")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[programs.Toolbox]:
    """All programs, and a folder for their settings."""
    box = programs.Toolbox(programs.found(), tmp_path_factory.mktemp("settings"))
    yield box
    box.close()


@pytest.fixture(scope="session")
def need(toolbox: programs.Toolbox) -> Any:
    """Return what a test calls with the name of the program that it needs."""

    def check(program: str) -> None:
        reason = toolbox.missing(program)
        if reason and os.environ.get("INTEROP_STRICT"):
            pytest.fail(f"{NOT_RUN}{program}: {reason}")
        if reason:
            pytest.skip(f"{NOT_RUN}{program}: {reason}")

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say for each program how many tests ran; name each one that did not."""
    counts: dict[str, Counter[str]] = {}
    absent: list[str] = []
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            where = getattr(report, "nodeid", "")
            if "tests/interop/" not in where:
                continue
            program = found[1] if (found := _PROGRAM.search(where)) else "other"
            counts.setdefault(program, Counter())[outcome] += 1
            if outcome == "skipped":
                absent.append(where.rsplit("::", 1)[-1])
    if not counts.keys() - {"other"}:
        return
    versions = programs.versions()
    line = terminalreporter.write_line
    line("")
    line(f"{'program':<14} {'version':<9} {'passed':>6} {'failed':>6} {'not run':>7}")
    for program, count in sorted(counts.items()):
        failed = count["failed"] + count["error"]
        shown = versions.get(program, "")
        line(f"{program:<14} {shown:<9} {count['passed']:>6} {failed:>6} {count['skipped']:>7}")
    for name in absent:
        line(f"{NOT_RUN}{name}")
