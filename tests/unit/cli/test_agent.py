"""``rawtrace agent`` on the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from rawtrace.agent.lock import StateLock
from rawtrace.cli.main import run_for_code
from rawtrace.trust.identity import Identity


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAWTRACE_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "watched").mkdir()
    return tmp_path


def once(place: Path, signer: Identity, *more: str) -> int:
    arguments = ["--watch", str(place / "watched"), "--instrument", str(signer.folder), "--once", "--quiet-period", "0"]
    return run_for_code(["agent", "run", *arguments, *more])


# --- what is refused


def test_only_an_instrument_may_seal_captures(place: Path, workstation: Identity, capsys: Any) -> None:
    assert once(place, workstation) == 2
    said = capsys.readouterr().err
    assert "error[E122]" in said
    assert "identity of a workstation" in said


def test_a_folder_that_is_not_there(place: Path, instrument: Identity, capsys: Any) -> None:
    (place / "watched").rmdir()
    assert once(place, instrument) == 3
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["watched", "watched/a", "watched/link"])
def test_an_identity_in_the_watched_folder_is_refused(
    place: Path, instrument: Identity, where: str, capsys: Any
) -> None:
    folder = place / where
    shutil.copytree(instrument.folder, place / "watched" / "a" if "link" in where else folder, dirs_exist_ok=True)
    if "link" in where:
        folder = place / "link"
        folder.symlink_to(place / "watched" / "a")
    (place / "watched" / "z.csv").write_bytes(b"1,2\n")
    assert once(place, dataclasses.replace(instrument, folder=folder)) == 2
    assert "lies in the watched folder" in capsys.readouterr().err
    assert not list(place.rglob("*.c2pa"))


def test_a_watched_folder_in_the_identity_is_refused(place: Path, instrument: Identity, capsys: Any) -> None:
    folder = place / "scope"
    shutil.copytree(instrument.folder, folder)
    (folder / "past").mkdir(exist_ok=True)
    arguments = ["agent", "run", "--watch", str(folder / "past"), "--instrument", str(folder), "--once"]
    assert run_for_code(arguments) == 2
    assert "lies in the folder of the identity" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--state", "--log"])
def test_state_and_log_in_the_watched_folder_are_refused(
    place: Path, instrument: Identity, option: str, capsys: Any
) -> None:
    (place / "watched" / "sub").mkdir()
    assert once(place, instrument, option, str(place / "watched" / "sub" / "own")) == 2
    said = capsys.readouterr().err
    assert "would lie in the watched folder" in said
    assert f"name another one with {option}" in said
    assert not list((place / "watched" / "sub").iterdir())


def test_the_usual_state_in_the_watched_folder_is_refused(place: Path, instrument: Identity, capsys: Any) -> None:
    arguments = ["--watch", str(place), "--instrument", str(instrument.folder), "--once"]
    assert run_for_code(["agent", "run", *arguments]) == 2
    assert "name another one with --state" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="access lists, not modes, guard folders there")
def test_notes_that_everybody_can_write_are_not_believed(place: Path, instrument: Identity, capsys: Any) -> None:
    notes = place / "notes"
    notes.mkdir()
    notes.chmod(0o777)
    assert once(place, instrument, "--engine-notes", str(notes)) == 2
    assert "not everybody can write to" in capsys.readouterr().err
    assert once(place, instrument, "--engine-notes", str(place / "none")) == 3


@pytest.mark.parametrize("value", ["-1", "nan", "1e99", "x"])
def test_odd_periods_are_refused(place: Path, instrument: Identity, value: str, capsys: Any) -> None:
    assert once(place, instrument, "--long-quiet", value) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--watch", "a", "--state", "b"]])
def test_status_wants_one_agent(arguments: list[str], capsys: Any) -> None:
    assert run_for_code(["agent", "status", *arguments]) == 2
    assert "one of --watch DIR and --state FILE" in capsys.readouterr().err


def test_status_of_an_agent_that_never_ran(place: Path, capsys: Any) -> None:
    assert run_for_code(["agent", "status", "--watch", str(place / "watched")]) == 1
    assert "the agent has not run there" in capsys.readouterr().err


def test_a_log_that_cannot_be_written(place: Path, instrument: Identity, capsys: Any) -> None:
    assert once(place, instrument, "--log", str(place / "none" / "agent.log")) != 0
    assert "error[" in capsys.readouterr().err


# --- what it does


def test_once_and_status(place: Path, instrument: Identity, capsys: Any) -> None:
    (place / "watched" / "a.csv").write_bytes(b"1,2\n")
    (place / "watched" / "empty.csv").write_bytes(b"")
    assert once(place, instrument, "--json", "--log", str(place / "agent.log")) == 0
    said = capsys.readouterr()
    (event,) = [json.loads(line) for line in said.out.splitlines()]
    assert (event["event"], event["path"], event["seal"]["how"]) == ("sealed", "a.csv", "quiet")
    assert "a.csv: sealed (quiet, watched-folder)" in said.err
    assert "a.csv: sealed" in (place / "agent.log").read_text()
    assert run_for_code(["agent", "status", "--watch", str(place / "watched"), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["running"] is False
    assert status["counts"]["sealed"] == 1
    assert [(one["path"], one["why"]) for one in status["waiting"]] == [("empty.csv", "it is empty so far")]
    assert run_for_code(["agent", "status", "--watch", str(place / "watched")]) == 0
    text = capsys.readouterr().out
    assert re.match(r"not running; stopped \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", text)
    assert re.search(r"empty\.csv \(since \d{4}-\d\d-\d\d \d\d:\d\d UTC\): it is empty so far", text)
    assert "+00:00" not in text
    assert "1 sealed, 1 waiting, 0 failed" in text
    assert "nothing changed any more" in text


def test_status_says_in_words_that_a_file_is_not_whole(place: Path, instrument: Identity, capsys: Any) -> None:
    (place / "watched" / "a.tif").write_bytes(b"II*\x00\xff\xff\xff\x7f")
    once(place, instrument)
    capsys.readouterr()
    assert run_for_code(["agent", "status", "--watch", str(place / "watched")]) == 0
    assert "it is written in part only, or damaged" in capsys.readouterr().out


def test_no_key_and_no_pin_is_logged(place: Path, instrument: Identity, capsys: Any) -> None:
    (place / "watched" / "a.csv").write_bytes(b"1,2\n")
    assert once(place, instrument) == 0
    key = (instrument.folder / "key.pem").read_text().splitlines()[1]
    said = capsys.readouterr()
    assert key not in said.err + said.out


@pytest.mark.skipif(sys.platform == "win32", reason="such names do not exist there")
def test_a_file_name_cannot_write_to_the_terminal(place: Path, instrument: Identity, capsys: Any) -> None:
    (place / "watched" / "a\n\x1b[2Jb.csv").write_bytes(b"1")
    (place / "watched" / os.fsdecode(b"\xff\xfe.csv")).write_bytes(b"1")
    once(place, instrument, "--json")
    run_for_code(["agent", "status", "--watch", str(place / "watched")])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "Traceback" not in said.err


def test_status_tells_that_it_runs(place: Path, instrument: Identity, capsys: Any) -> None:
    state = place / "agent.sqlite"
    assert once(place, instrument, "--state", str(state)) == 0
    with StateLock(state):
        assert run_for_code(["agent", "status", "--state", str(state)]) == 0
    assert f"running as process {os.getpid()} since 20" in capsys.readouterr().out


def test_a_unit_delivers_only_where_a_store_has_certified_fail(place: Path, capsys: Any) -> None:
    words = ["agent", "unit", "--watch", str(place), "--instrument", str(place / "scope"), "--deliver"]
    assert run_for_code(words) == 2
    assert "--settings FILE" in capsys.readouterr().err
    (place / "scope").mkdir(exist_ok=True)
    (place / "scope" / "identity.json").write_text("{}")
    assert run_for_code([*words, "--json"]) == 0
    text = json.loads(capsys.readouterr().out)["unit"]
    assert " --deliver\n" in text
    assert "PrivateNetwork" not in text


def test_the_unit_names_this_program(place: Path, capsys: Any) -> None:
    assert run_for_code(["agent", "unit", "--watch", str(place), "--instrument", str(place / "scope")]) == 0
    said = capsys.readouterr().out
    assert f"ExecStart={Path(sys.executable).with_name('rawtrace')} agent run --watch {place}" in said
