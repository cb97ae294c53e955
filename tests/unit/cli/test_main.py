"""How a run begins and ends: quickly, with one of the fixed codes, and never with a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import click
import pytest

from rawtrace.cli import main as cli
from rawtrace.cli.main import COMMANDS, run_for_code
from rawtrace.errors import DiskFullError

HEAVY = ("numpy", "cryptography", "c2pa", "tifffile", "PIL", "pydicom", "jinja2", "rich", "watchdog", "asyncio")


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make ``rawtrace show`` raise."""

    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: broken)


# --- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "rawtrace: error: interrupted\n"),
        (click.Abort(), 130, "rawtrace: error: interrupted\n"),
        (DiskFullError("the disk is full"), 1, "rawtrace: error[E105]: the disk is full\nrawtrace: hint: "),
        (PermissionError(13, "Permission denied", "x"), 1, "rawtrace: error[E103]: "),
        (FileNotFoundError(2, "No such file", "x"), 3, "rawtrace: error[E102]: "),
        (OSError(28, "No space left on device"), 1, "rawtrace: error[E105]: "),
        (MemoryError(), 1, "rawtrace: error[E100]: "),
        (BrokenPipeError(), 1, ""),
        (ValueError("odd"), 70, "rawtrace: error[E999]: this is a bug in rawtrace, not in your file (ValueError: odd)"),
        (RecursionError(), 70, "rawtrace: error[E999]: "),
        (AssertionError(), 70, "rawtrace: error[E999]: "),
    ],
)
def test_every_way_a_run_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    monkeypatch.delenv("RAWTRACE_DEBUG", raising=False)
    monkeypatch.setattr(cli.output, "silence_stdout", lambda: None)
    raises(monkeypatch, error)
    assert run_for_code(["show"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    err = err.removeprefix("\n")  # click ends the line that the terminal wrote ^C on
    assert err.startswith(said)
    assert "Traceback" not in err
    assert re.fullmatch(r"(rawtrace: (error(\[E\d{3}\])?|hint): [^\n]+\n)*", err)


def test_a_traceback_is_printed_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAWTRACE_DEBUG", "1")
    raises(monkeypatch, ValueError("odd"))
    assert run_for_code(["show"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_message_stays_on_its_line_and_commands_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raises(monkeypatch, DiskFullError("a\x1b[2Jb\nrawtrace: hint: c\r\u202e"))
    run_for_code(["show"])
    first = capsys.readouterr().err.split("\n")[0]
    assert first.isprintable()
    assert "hint: c" in first


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["verify", "--no-such-option", "x"], ["verify", "--policy"], ["seal", "x"], ["--bad"]],
)
def test_wrong_usage_is_2_with_a_hint(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run_for_code(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(r"rawtrace: error\[E101\]: [a-z'\"-]", err), err
    assert "Usage:" not in err


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["verify", "--help"], ["--version"]])
def test_help_is_a_result(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run_for_code(arguments) == 0
    out, err = capsys.readouterr()
    assert (len(out) > 10, err) == (True, "")


# --- beginnings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["no-such-command"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom rawtrace.cli.main import run_for_code\n"
        f"run_for_code({arguments!r})\n"
        f"print('loaded:', *(name for name in {HEAVY!r} if name in sys.modules), end=' ')"
    )
    assert python("-c", script).stdout.splitlines()[-1].strip() == "loaded:"


def test_every_command_of_the_table_is_there_and_begins_with_examples() -> None:
    group = cli.main
    assert isinstance(group, cli.LazyGroup)
    context = click.Context(group)
    assert group.list_commands(context) == list(COMMANDS)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        assert command.help
    assert group.get_command(context, "nothing") is None


def test_the_module_runs() -> None:
    done = python("-m", "rawtrace", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"rawtrace \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
@pytest.mark.parametrize("arguments", [["--help"], [], ["verify", "--help"], ["harvest", __file__]])
def test_a_reader_that_went_away_is_no_traceback(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-W", "error", "-m", "rawtrace", *arguments]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("command", ["verify", "seal", "show", "harvest"])
def test_no_file_at_all_is_wrong_usage_and_never_success_fail(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A script whose list of files came out empty must not take it for verified."""
    assert run_for_code([command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "missing argument" in err
