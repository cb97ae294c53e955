"""``rawtrace trust`` as people and programs call it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.cli.main import run_for_code
from rawtrace.config import CONFIG_VARIABLE, trust_folder

o = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "trust" / "operators.py")))


@pytest.fixture(scope="module")
def operator() -> Any:
    return o.Operator()


@pytest.fixture
def place(tmp_path: Path, operator: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings"))
    folder = tmp_path / "authority"
    folder.mkdir()
    (folder / "trust-list.jws").write_bytes(operator.sign(operator.payload()))
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = run_for_code(["trust", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    value: dict[str, Any] = json.loads(out)
    assert value["schema"] == "urn:rawtrace:schema:trust:1"
    return value


def test_refused_list_exits_1_with_a_sentence_and_a_hint(capsys: Any, place: Path, operator: Any) -> None:
    (place / "list.json").write_bytes(operator.payload())
    code, out, err = run(capsys, "add", place / "list.json")
    assert (code, out) == (1, "")
    assert "error[E133]" in err
    assert "hint: " in err
    assert "--unsigned" in err


def test_update_that_refuses_exits_1_and_says_why(capsys: Any, place: Path, operator: Any) -> None:
    run(capsys, "add", place)
    (place / "trust-list.jws").write_bytes(operator.sign(operator.payload(sequence=2)))
    code, out, _ = run(capsys, "update")
    assert code == 1
    assert out.startswith("refused: Example University instruments\n")
    assert "older than the issue 3" in out


def test_damaged_entry_shows_in_the_list_and_exits_1(capsys: Any, place: Path) -> None:
    run(capsys, "add", place)
    (entry,) = trust_folder().iterdir()
    entry.write_text("{}")
    code, out, _ = run(capsys, "list")
    assert code == 1
    assert entry.name in out


@pytest.mark.parametrize("arguments", [["add"], ["export"], ["remove"], ["add", "http://example.org/x"], ["frob"]])
def test_wrong_usage_exits_2(capsys: Any, place: Path, arguments: list[str]) -> None:
    assert run(capsys, *arguments)[0] == 2


def test_an_identity_is_no_trust_list(capsys: Any, place: Path, instrument: Any) -> None:
    for source in (instrument.folder, instrument.folder / "instrument.json"):
        code, out, err = run(capsys, "add", source)
        assert (code, out) == (1, "")
        assert "--unsigned" not in err
    assert "folder of an identity" in run(capsys, "add", instrument.folder)[2]


def test_an_address_is_shown_as_it_was_given(capsys: Any, place: Path) -> None:
    assert run_for_code(["verify", str(place), "--trust", "https://example.org/list.jws"]) == 2
    assert "https://example.org/list.jws is an address" in capsys.readouterr().err


def test_missing_source_exits_3(capsys: Any, place: Path) -> None:
    assert run(capsys, "add", place / "nothing.jws")[0] == 3


def test_unsigned_is_said_in_words(capsys: Any, place: Path, operator: Any) -> None:
    (place / "list.json").write_bytes(operator.payload())
    code, out, _ = run(capsys, "add", "--unsigned", place / "list.json")
    assert code == 0
    assert "unsigned: nothing shows who wrote it" in out


@pytest.mark.parametrize("name", ["Example University instruments", "EXAMPLE  university instruments"])
def test_a_list_that_borrows_a_name_is_not_taken_unasked(capsys: Any, place: Path, operator: Any, name: str) -> None:
    other = o.Operator()
    fake = place.parent / "fake.jws"
    fake.write_bytes(other.sign(other.payload(name=name, sequence=9)))
    run(capsys, "add", place)
    code, out, err = run(capsys, "add", fake)
    assert (code, out) == (1, "")
    assert "by another operator" in err
    assert "--same-name" in err
    assert len(list(trust_folder().iterdir())) == 1
    code, out, _ = run(capsys, "add", "--same-name", fake)
    assert code == 0
    assert "SHA-256 " in out
    assert len(list(trust_folder().iterdir())) == 2
    assert run(capsys, "add", place, fake)[0] == 0


def test_two_lists_of_one_name_at_once_are_not_taken_unasked(capsys: Any, place: Path, operator: Any) -> None:
    other = o.Operator()
    fake = place.parent / "fake.jws"
    fake.write_bytes(other.sign(other.payload(sequence=9)))
    assert run(capsys, "add", place, fake)[0] == 1
    assert not trust_folder().exists()


def test_the_operators_fingerprint_is_shown_again(capsys: Any, place: Path) -> None:
    first = run(capsys, "add", place)[1]
    (shown,) = [line for line in first.splitlines() if "SHA-256 " in line]
    code, again, _ = run(capsys, "add", place)
    assert (code, again.splitlines()[0]) == (0, "unchanged: Example University instruments")
    assert shown in again.splitlines()


def test_first_use_shows_the_operators_fingerprint(capsys: Any, place: Path, operator: Any) -> None:
    code, out, _ = run(capsys, "add", place)
    assert code == 0
    assert f"SHA-256 {o.fingerprint(operator.root)}" in out
    assert "1 for signing; 1 revocation" in out


def test_life_of_a_list_in_json(capsys: Any, place: Path, tmp_path: Path) -> None:
    (added,) = run_json(capsys, "add", place)["changes"]
    assert (added["outcome"], added["list"]["sequence"]) == ("added", 3)
    (listed,) = run_json(capsys, "list")["lists"]
    assert listed["id"] == added["id"]
    assert listed["origin"] == str(place / "trust-list.jws")
    assert [one["outcome"] for one in run_json(capsys, "update")["changes"]] == ["unchanged"]
    exported = run_json(capsys, "export", tmp_path / "lists.json")
    assert [one["name"] for one in exported["lists"]] == ["Example University instruments"]
    assert run_json(capsys, "remove", added["id"])["removed"] == added["id"]
    assert run_json(capsys, "list")["lists"] == []
    assert len(run_json(capsys, "add", tmp_path / "lists.json")["changes"]) == 1


def test_empty_store_says_what_to_do(capsys: Any, place: Path) -> None:
    for command in ("list", "update"):
        code, out, _ = run(capsys, command)
        assert code == 0
        assert "rawtrace trust add" in out


@pytest.mark.parametrize("command", ["add", "list", "update", "export", "remove"])
def test_help_begins_with_examples(capsys: Any, command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert out.index("Examples:") < out.index("Options:")
    assert f"rawtrace trust {command}" in out
