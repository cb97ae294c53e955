"""Enrolment at the command line: by an operator, at the instrument, and later by the agent."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enrolments import OWNER, PID
from rawtrace.server.access import Role
from rawtrace.trust import enrolling
from rawtrace.trust.signer import load_identity
from stores import Running, token

Rawtrace = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running_store: Running) -> Path:
    """A folder with an operator's token, and the store's address in ``url``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "operator").write_text(token(running_store.store, Role.OPERATOR) + "\n")
    return tmp_path


def permit(rawtrace: Rawtrace, url: str, *more: str) -> Any:
    return rawtrace(
        "store", "enrol", url, "--token-file", "operator", "--pid", PID, "--name", "Widefield 1", "--owner", OWNER,
        "--manufacturer", "Example Optics", "--model", "WF 100", *more,
    )  # fmt: skip


def test_operator_permits_instrument_enrols_and_renews(rawtrace: Rawtrace, place: Path, running_store: Running) -> None:
    url = running_store.url
    made = permit(rawtrace, url, "--code-out", "code")
    assert made.code == 0, made.err
    assert (place / "code").stat().st_mode & 0o777 == 0o600
    code = (place / "code").read_text().strip()
    assert code not in made.out + made.err
    enrolled = rawtrace(
        "instrument", "new", "scope", "--authority", url, "--pid", PID, "--code-file", "code", "--name", "Widefield 1",
        "--owner", OWNER.removeprefix("https://ror.org/"), "--json",
    )  # fmt: skip
    assert enrolled.code == 0, enrolled.err
    assert (enrolled.json["pid"], enrolled.json["kind"]) == (PID, "instrument")
    assert code not in "".join(path.read_text("latin-1") for path in (place / "scope").iterdir())
    refused = rawtrace("instrument", "renew", "scope")
    assert refused.code == 1
    assert "has no token" in refused.err
    (place / "bearer").write_text(token(running_store.store, Role.INSTRUMENT, pid=PID))
    renewed = rawtrace("instrument", "renew", "scope", "--authority", url, "--token-file", "bearer")
    assert renewed.code == 0, renewed.err
    origin = enrolling.read_origin(place / "scope")
    assert origin is not None
    assert rawtrace("instrument", "renew", "scope").code == 0
    moved = rawtrace("instrument", "renew", "scope", "--location", "Building 5")
    assert (moved.code, "registered with the authority" in moved.err) == (2, True)


def test_code_comes_from_stdin_or_a_terminal_and_never_from_the_command_line(
    rawtrace: Rawtrace, place: Path, running_store: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = permit(rawtrace, running_store.url, "--json")
    assert made.code == 0, made.err
    arguments = ("instrument", "new", "scope", "--authority", running_store.url, "--pid", PID)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    without = rawtrace(*arguments)
    assert (without.code, "--code-file" in without.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(made.json["code"] + "\n"))
    assert rawtrace(*arguments, "--code-file", "-").code == 0
    assert load_identity(place / "scope").leaf.subject


def test_agent_tells_until_when_its_certificate_is_good(
    rawtrace: Rawtrace, place: Path, running_store: Running
) -> None:
    assert permit(rawtrace, running_store.url, "--code-out", "code").code == 0
    new = ("instrument", "new", "scope", "--authority", running_store.url, "--pid", PID, "--code-file", "code")
    assert rawtrace(*new).code == 0
    (place / "data").mkdir()
    (place / "data" / "cells.dat").write_bytes(b"counts")
    run = ("agent", "run", "--watch", "data", "--instrument", "scope", "--once", "--state", "state/agent.sqlite")
    assert rawtrace(*run, "--quiet-period", "0", "--long-quiet", "0").code == 0
    assert (place / "data" / "cells.dat.c2pa").exists()
    told = rawtrace("agent", "status", "--state", "state/agent.sqlite")
    assert "certificate valid until" in told.out
    assert "AF_INET" in rawtrace("agent", "unit", "--watch", "data", "--instrument", "scope").out


def test_officer_is_waited_for_in_words(rawtrace: Rawtrace, place: Path, running_store: Running) -> None:
    assert permit(rawtrace, running_store.url, "--code-out", "code", "--approval").code == 0
    new = ("instrument", "new", "scope", "--authority", running_store.url, "--pid", PID, "--code-file", "code")
    waits = rawtrace(*new, "--json")
    assert (waits.code, waits.json["state"]) == (0, "waiting")
    shown = rawtrace("instrument", "show", "scope")
    assert (shown.code, "waits for its certificate" in shown.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("instrument", "new", "x", "--code-file", "code"), 2, "goes with an authority at an address"),
        (("instrument", "new", "x"), 2, "this takes --name, --manufacturer, --model, --owner"),
        (("workstation", "new", "x", "--name", "A"), 2, "this takes --owner"),
        (("instrument", "new", "x", "--authority", "https://a.example.org"), 2, "expected --pid"),
        (
            ("instrument", "new", "x", "--authority", "https://a.example.org", "--device-key", "k"),
            2,
            "takes both --device-certificate and --device-key",
        ),
        (
            ("instrument", "new", "x", "--authority", "http://a.example.org", "--pid", PID, "--code-file", "code"),
            2,
            "in the open",
        ),
        (("instrument", "new", "x", "--authority", "https://a", "--pid", PID, "--code-file", "none"), 3, "none"),
        (("store", "enrol", "https://a.example.org", "--token-file", "operator"), 2, "name whom it is for"),
        (("store", "enrol", "https://a.example.org", "--token-file", "operator", "--pid", PID, "--code-out", "code"),
         2, "exists already"),
        (("store", "enrol", "https://a.example.org", "--token-file", "operator", "--pid", PID, "--device-serial", "1"),
         2, "takes both --device-maker"),
    ],
)  # fmt: skip
def test_fail_in_words_and_leave_nothing(
    rawtrace: Rawtrace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code").write_text("0" * 25)
    (tmp_path / "operator").write_text("x")
    done = rawtrace(*arguments)
    assert (done.code, said in done.err) == (code, True), done.err
    assert not (tmp_path / "x").exists()
