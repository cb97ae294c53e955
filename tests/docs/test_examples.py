"""Every example of the documentation runs, or says beside it why it cannot.

The rules, which CONTRIBUTING.md repeats for authors:

- Before each fenced ``console`` or ``bash`` block stands ``<!-- run -->`` or ``<!-- not run: REASON -->``.
- ``<!-- run: on PAGE -->`` stands before a block whose commands are run on that page, in this order, as they are here
  or with more options; what is shown here must be printed there.
- ``<!-- setup: COMMAND -->`` runs COMMAND unseen at that place of the page.
- ``<!-- needs: PROGRAM -->`` skips the page, in words, where that program is not installed.
- The blocks of one page run in order, in one new empty folder, in one shell.
- In a ``console`` block, lines after ``$ `` are commands, continued by a final backslash or by lines after ``> ``;
  all other lines are what they print.
- Shown lines must occur in the output in this order; other output may stand between them. Runs of blanks count as one
  blank, and ``…`` stands for any text within a line.
- A command may fail only if ``$ echo $?`` comes next, whose shown output must be exactly the number.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rawtrace.server import background

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    ROOT / "docs" / "spec" / "folder-index.md",
    ROOT / "docs" / "spec" / "codes.md",
]
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<kind>console|bash|sh|shell)\s*$")
MARK = re.compile(r"^<!--\s*(?P<kind>run|not run|setup)\s*(?::\s*(?P<text>.*?))?\s*-->$")
ELSEWHERE = re.compile(r"on (?P<page>\S+\.md)")
NEEDS = re.compile(r"^<!-- needs: (\S+) -->$", re.MULTILINE)
MIN_REASON = 15
#: Pages that run several servers, one after another: for `make soak`.
LONG = {"docs/tutorials/federation.md", "docs/how-to/run-a-federation.md"}
STATUS_MARK = "@@rawtrace-docs-status@@"


@dataclass
class Step:
    """One command, what is shown below it, and where it stands."""

    command: str
    line: int
    shown: list[str] = field(default_factory=list)


@dataclass
class Block:
    """One fenced block of commands."""

    line: int
    mark: str
    reason: str
    steps: list[Step]


def read(page: Path) -> tuple[list[Block], list[Step]]:
    """Return a page's blocks and, in order, the steps to run (set-up included)."""
    blocks: list[Block] = []
    steps: list[Step] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    mark, reason, number = "", "", 0
    while number < len(lines):
        text = lines[number].strip()
        number += 1
        if found := MARK.match(text):
            if found["kind"] == "setup":
                steps.append(Step(found["text"] or "", number))
            else:
                mark, reason = found["kind"], found["text"] or ""
        elif found := FENCE.match(text):
            began = number
            while not lines[number].strip().startswith(found["fence"]):
                number += 1
            block = Block(began, mark, reason, _steps(found["kind"], lines[began:number], began + 1))
            blocks.append(block)
            if mark == "run" and not reason:
                steps += block.steps
            number += 1
            mark, reason = "", ""
        elif text:
            mark, reason = "", ""
    return blocks, steps


def _steps(kind: str, lines: list[str], first: int) -> list[Step]:
    if kind != "console":
        return [Step("\n".join(lines), first)]
    steps: list[Step] = []
    continued = False
    for offset, line in enumerate(lines):
        if continued:
            steps[-1].command += "\n" + line
        elif line.startswith("$ "):
            steps.append(Step(line[2:], first + offset))
        elif line.startswith("> ") and steps and not steps[-1].shown:
            steps[-1].command += "\n" + line[2:]
        elif line.strip():
            assert steps, f"line {first + offset}: output is shown before any command"
            steps[-1].shown.append(line)
            continue
        continued = line.endswith("\\")
    return steps


def matches(shown: list[str], actual: str) -> str:
    """Return the first shown line that the output lacks, or an empty string."""
    lines = iter([" ".join(line.split()) for line in actual.splitlines()])
    for line in shown:
        pattern = re.compile(".*".join(re.escape(part) for part in " ".join(line.split()).split("…")))
        if not any(pattern.fullmatch(candidate) for candidate in lines):
            return line
    return ""


def guests(page: Path) -> Iterator[tuple[Path, Block]]:
    """Yield the blocks of other pages that are run on this one."""
    for other in PAGES:
        for block in read(other)[0]:
            found = ELSEWHERE.fullmatch(block.reason)
            if block.mark == "run" and found and ROOT / found["page"] == page:
                yield other, block


def check_guest(page: Path, block: Block, printed: list[tuple[str, str]]) -> None:
    """Every command of the block has been run, in its order, and printed what the block shows."""
    left = iter(printed)
    for step in block.steps:
        where = f"{page.name}:{step.line}: {step.command}"
        output = next((output for command, output in left if f"{command} ".startswith(f"{step.command} ")), None)
        assert output is not None, f"not run on the page that is named: {where}"
        missing = matches(step.shown, output)
        assert not missing, f"not in the output: {missing!r}\n{where}\n{output}"


def run_page(steps: list[Step], folder: Path) -> list[tuple[int, str]]:
    """Run the steps in one shell and return exit code and output of each."""
    home = folder / "home"
    work = folder / "work"
    home.mkdir()
    work.mkdir()
    script = ["set +e", "__status=0"]
    for step in steps:
        script += [f"(exit $__status)\n{step.command}", "__status=$?", f"printf '\\n{STATUS_MARK}%d\\n' $__status"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RAWTRACE_", "PYTEST_"))},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "RAWTRACE_CONFIG_DIR": str(home / "rawtrace"),
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    }
    try:
        done = subprocess.run(
            [shutil.which("bash") or "bash", "--noprofile", "--norc", "-c", "\n".join(script)],
            cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=280, check=False,
        )  # fmt: skip
    finally:
        # A page that broke off, or took too long, leaves no server behind.
        for number in work.glob("*/server.pid"):
            background.end(number.parent)
    parts = re.split(rf"\n?{STATUS_MARK}(\d+)\n", done.stdout.decode("utf-8", "replace"))
    return [(int(code), output) for output, code in zip(parts[0::2], parts[1::2], strict=False)]


def _named(page: Path) -> Any:
    name = page.relative_to(ROOT).as_posix()
    return pytest.param(page, id=name, marks=[pytest.mark.soak] if name in LONG else [])


@pytest.mark.skipif(shutil.which("bash") is None, reason="examples are written for bash, which is not here")
@pytest.mark.parametrize("page", [_named(page) for page in PAGES])
def test_every_example_runs_and_prints_what_is_shown(page: Path, tmp_path: Path) -> None:
    for program in NEEDS.findall(page.read_text(encoding="utf-8")):
        if shutil.which(program) is None:
            pytest.skip(f"{page.name} needs {program}, which is not installed")
    _, steps = read(page)
    results = run_page(steps, tmp_path) if steps else []
    assert len(results) == len(steps), f"the shell ended early, after {len(results)} of {len(steps)} commands"
    for index, (step, (code, output)) in enumerate(zip(steps, results, strict=True)):
        where = f"{page.name}:{step.line}: {step.command}\n{output}"
        next_asks = index + 1 < len(steps) and steps[index + 1].command.strip() == "echo $?"
        assert code == 0 or next_asks, f"exit code {code}: {where}"
        missing = matches(step.shown, output)
        assert not missing, f"not in the output: {missing!r}\n{where}"
    printed = [(step.command, output) for step, (_, output) in zip(steps, results, strict=True)]
    for other, block in guests(page):
        check_guest(other, block, printed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_is_marked_and_unexecuted_ones_say_why(page: Path) -> None:
    blocks, _ = read(page)
    for block in blocks:
        where = f"{page.name}:{block.line}"
        assert block.mark, f"{where}: put <!-- run --> or <!-- not run: REASON --> before this block"
        if block.mark == "not run":
            assert len(block.reason) >= MIN_REASON, f"{where}: say why this block cannot run"
        elif block.reason:
            found = ELSEWHERE.fullmatch(block.reason)
            assert found, f"{where}: put <!-- run: on PAGE -->, or <!-- run --> alone"
            assert ROOT / found["page"] in PAGES, f"{where}: nothing is run on {found['page']}"


def test_most_blocks_run() -> None:
    marks = [block.mark for page in PAGES for block in read(page)[0]]
    assert marks.count("run") > 2 * marks.count("not run")


@pytest.mark.parametrize(
    ("shown", "actual", "missing"),
    [
        (["12"], "12\n", ""),
        (["1"], "12\n", "1"),
        (["b", "a"], "a\nb\n", "a"),
        (["seal  …", "done"], "seal abc\nbetween\ndone\n", ""),
        (["verified"], "verified-with-notes\n", "verified"),
    ],
)
def test_comparison_is_in_order_and_by_whole_lines(shown: list[str], actual: str, missing: str) -> None:
    assert matches(shown, actual) == missing


@pytest.mark.parametrize(
    ("command", "shown", "said"),
    [
        ("trace a", "found", ""),
        ("trace", "found", ""),
        ("tra", "found", "not run on the page"),
        ("compare a", "found", "not run on the page"),
        ("trace a", "lost", "not in the output"),
    ],
)
def test_a_block_that_runs_on_another_page_is_compared_there(command: str, shown: str, said: str) -> None:
    block = Block(1, "run", "on b.md", [Step(command, 2, [shown])])
    with pytest.raises(AssertionError, match=said) if said else contextlib.nullcontext():
        check_guest(ROOT / "a.md", block, [("make it", ""), ("trace a --report r.html", "found\n")])


def test_a_failing_command_is_noticed(tmp_path: Path) -> None:
    results = run_page([Step("false", 1), Step("echo $?", 2), Step("true", 3)], tmp_path)
    assert [code for code, _ in results] == [1, 0, 0]
    assert results[1][1].strip() == "1"
