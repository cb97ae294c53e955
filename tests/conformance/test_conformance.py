"""Every case folder through the command line: exit code, verdict, findings, schema, clean streams."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import rawtrace
from rawtrace.cli.main import EXIT_BUG, run_for_code

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # `forging` is a package of this folder alone
FORGE = runpy.run_path(str(HERE / "forge.py"))
PROCESSES = runpy.run_path(str(HERE / "processes.py"))
CASES = tuple(FORGE["cases"]())
SCHEMA = Path(rawtrace.__file__).parent / "render" / "schema" / "report-1.json"
REPORT = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
SECONDS = 30
#: Cases of every kind that also run in a process that is started anew: verdicts, an error, a batch, odd names, sealing.
ANEW = tuple(
    HERE / "cases" / name
    for name in (
        "figure-with-sealed-parents",
        "folder-empty-cannot-be-sealed_fail",
        "image-plane-changed_fail",
        "name-that-is-no-unicode",
        "nothing-at-all_fail",
        "one-bad-path-among-good_fail",
    )
)
MAX_OUTPUT = 4 << 20
MAX_MESSAGE = 2_000
#: Capabilities that let root read what has no permissions.
WITHOUT = "-dac_override,-dac_read_search"
#: What no output may hold but for line ends: control characters, and those that turn a line around.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ERRORS = re.compile(rb"(rawtrace: (error\[E\d{3}\]|hint): [ -~\x80-\xff]+\n)*")


@pytest.fixture(scope="session")
def lab() -> Iterator[Any]:
    """Keys for this run."""
    with tempfile.TemporaryDirectory(prefix="rawtrace-conformance-") as folder:
        Path(folder, "cases").mkdir()
        yield FORGE["Lab"](Path(folder, "keys"))


@pytest.fixture(scope="session")
def processes() -> Iterator[Any]:
    """Runs commands in processes of their own; None where a system does not fork, and each is started anew."""
    if not PROCESSES["FORKS"]:
        yield None
        return
    made = PROCESSES["Processes"](clean_environment())
    yield made
    made.close()


@pytest.fixture
def made(request: pytest.FixtureRequest, lab: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A case's files, made afresh, and what must come of them."""
    expected = FORGE["expected"](request.param)
    skip_what_cannot_be_had(expected.get("needs", []))
    folder = FORGE["make"](lab, request.param, lab.folder.parent / "cases")
    yield folder, expected
    for closed in folder.iterdir():
        if closed.is_dir() and not closed.is_symlink():
            closed.chmod(0o755)
    shutil.rmtree(folder)


def skip_what_cannot_be_had(needs: list[str]) -> None:
    if {"posix", "unprivileged"} & set(needs) and os.name == "nt":
        pytest.skip("Windows has no such files or permissions")
    if "unprivileged" in needs and os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and there is no setpriv to give that up")
    if "odd-names" in needs and sys.platform != "linux":
        pytest.skip("this system refuses file names that are no Unicode")


@pytest.mark.parametrize("made", CASES, indirect=True, ids=lambda folder: folder.name)
def test_case(made: tuple[Path, dict[str, Any]], processes: Any) -> None:
    folder, expected = made
    before = {path.name for path in folder.iterdir()}
    check_machine(run(folder, expected, "--json", processes=processes), expected)
    check_people(folder, expected)
    assert {path.name for path in folder.iterdir()} == before, "nothing is left behind"


@pytest.mark.parametrize("made", ANEW, indirect=True, ids=lambda folder: folder.name)
def test_a_forked_process_says_what_a_new_one_says(made: tuple[Path, dict[str, Any]], processes: Any) -> None:
    if processes is None:
        pytest.skip("this system does not fork: every case has a new process anyway")
    folder, expected = made
    new, forked = run(folder, expected, "--json"), run(folder, expected, "--json", processes=processes)
    check_machine(new, expected)
    assert (forked.returncode, forked.stderr) == (new.returncode, new.stderr)
    assert without_times(forked.stdout) == without_times(new.stdout)


def without_times(output: bytes) -> bytes:
    return re.sub(rb'"(checked_at|seconds)":[^,}]+', b"", output)


def check_machine(done: subprocess.CompletedProcess[bytes], expected: dict[str, Any]) -> None:
    """What programs see: ``--json``, in a process of its own."""
    check_streams(done.returncode, done.stdout, done.stderr, MAX_OUTPUT)
    assert done.returncode == expected["exit_code"], done.stdout[-3000:] + done.stderr
    if "verdict" in expected:
        check_report(json.loads(done.stdout, parse_constant=refuse_constant), expected)
        assert done.stderr == b""
    elif "lines" in expected:
        check_lines(done.stdout, expected["lines"])
    else:
        check_error(done.stderr, expected)


def check_people(folder: Path, expected: dict[str, Any]) -> None:
    """What people see; inside this process, for time's sake, but where the account matters."""
    if "unprivileged" in expected.get("needs", []):
        done = run(folder, expected)
        code, output, errors = done.returncode, done.stdout.decode(), done.stderr
    else:
        code, output, errors = run_inside(folder, expected)
    limit = expected.get("max_output", MAX_OUTPUT)
    check_streams(code, output.encode("utf-8", "backslashreplace"), errors, limit)
    assert code == expected["exit_code"]
    assert _CONTROL.search(output) is None
    if "verdict" in expected:
        word = expected["verdict"].replace("-", "[- ]")
        assert re.search(rf"^\S+ {word}  ", output), output[:300]
        assert errors == b""


def clean_environment() -> dict[str, str]:
    """What a process of ours is started with."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAWTRACE", "PYTHON", "XDG"))}
    return kept | {
        "PYTHONPATH": str(Path(rawtrace.__file__).parents[1]),  # the one that is under test
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error",
        "NO_COLOR": "1",
    }


def run(
    folder: Path, expected: dict[str, Any], *options: str, processes: Any = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line; bound by permissions where the case is about them and we are root."""
    environment = {**clean_environment(), "XDG_CONFIG_HOME": str(folder / "no-store"), "HOME": str(folder)}
    humbly: tuple[str, ...] = ()
    command, *rest = arguments_of(expected)
    if "unprivileged" in expected.get("needs", []):
        if os.geteuid() == 0:
            humbly = ("setpriv", f"--bounding-set={WITHOUT}", f"--inh-caps={WITHOUT}")
    elif processes is not None:
        asked = [command, *options, *rest]
        done: subprocess.CompletedProcess[bytes] = processes.run(
            asked, cwd=folder, environment=environment, within_s=SECONDS
        )
        return done
    return subprocess.run(
        [*humbly, sys.executable, "-m", "rawtrace", command, *options, *rest],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def run_inside(folder: Path, expected: dict[str, Any]) -> tuple[int, str, bytes]:
    output, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        patch.setenv("XDG_CONFIG_HOME", str(folder / "no-store"))
        code = run_for_code(arguments_of(expected))
    return code, output.getvalue(), errors.getvalue().encode()


def arguments_of(expected: dict[str, Any]) -> list[str]:
    if "command" in expected:
        return list(expected["command"])
    return ["verify", *expected.get("arguments", ["--trust", "trust-list.jws"]), "--", *expected["paths"]]


def check_streams(code: int, output: bytes, errors: bytes, limit: int) -> None:
    """No traceback, no bug of ours, no flood; on stderr nothing but errors and hints, one line each."""
    assert code != EXIT_BUG, errors
    assert _ERRORS.fullmatch(errors), errors
    assert len(output) <= limit


def check_report(report: dict[str, Any], expected: dict[str, Any]) -> None:
    REPORT.validate(report)
    found = {finding["id"] for finding in report["findings"]}
    shown = [(finding["id"], finding["message"][:200]) for finding in report["findings"]]
    assert report["verdict"] == expected["verdict"], shown
    assert set(expected["findings"]) <= found, shown
    assert not set(expected.get("not_findings", [])) & found, shown
    assert report["policy"] == expected.get("policy", report["policy"])
    steps = [finding["step"] for finding in report["findings"]]
    assert steps == sorted(steps)
    assert all(len(finding["message"]) <= MAX_MESSAGE for finding in report["findings"])


def check_lines(output: bytes, verdicts: list[str | None]) -> None:
    lines = [json.loads(line, parse_constant=refuse_constant) for line in output.splitlines()]
    assert [line.get("verdict") for line in lines] == verdicts
    for line in lines:
        if "verdict" in line:
            REPORT.validate(line)


def check_error(errors: bytes, expected: dict[str, Any]) -> None:
    first, *_ = errors.decode().splitlines()
    assert first.startswith(f"rawtrace: error[{expected['error']}]: "), first
    for words in expected["sentence"]:
        assert words.casefold() in first.casefold(), first


def refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def test_every_case_is_written_down() -> None:
    folders = [folder for folder in (HERE / "cases").iterdir() if folder.is_dir()]
    assert {folder.name.removesuffix("_fail") for folder in folders} == set(FORGE["FORGES"])
    for folder in folders:
        expected = FORGE["expected"](folder)
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert "**Made:**" in text
        assert "**Expected:**" in text
        assert folder.name.endswith("_fail") == bool(expected["exit_code"])
        assert len({"verdict", "error", "lines"} & set(expected)) == 1
