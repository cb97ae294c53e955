"""Addresses on the command line: shown, compared, pinned."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handleservers import HandleServer, handle_server
from rawtrace.trust.handles.roots import RootSite, read_roots, settings_path
from rawtrace.trust.trustlist import read_list


@pytest.fixture
def server(authority: Path) -> Iterator[HandleServer]:
    with handle_server() as made:
        made.said["/trust-list"] = (authority / "trust-list.jws").read_bytes()
        yield made


@pytest.fixture
def operator(authority: Path) -> str:
    return read_list((authority / "trust-list.jws").read_bytes(), source="it").operator_sha256


def answered(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    """Be a person at a terminal."""
    import click

    asked: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", confirm)
    return asked


# --- refused


def test_without_a_terminal_an_unknown_operator_is_shown_and_refused(
    rawtrace: Any, server: HandleServer, operator: str
) -> None:
    done = rawtrace("trust", "add", f"{server.url}#key={server.key.sha256()}")
    assert done.code == 2
    assert f"{server.url}/trust-list#sha256={operator}&key={server.key.sha256()}" in done.err
    assert "no trust lists yet" in rawtrace("trust", "list").out


def test_a_person_who_says_no(rawtrace: Any, server: HandleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answered(monkeypatch, answer=False)
    assert rawtrace("trust", "add", f"{server.url}#key={server.key.sha256()}").code == 2
    assert len(asked) == 1
    assert rawtrace("trust", "sites", "add", server.url).code == 2
    assert "no trust lists yet" in rawtrace("trust", "list").out
    assert read_roots() == ()


def test_a_wrong_digest_is_refused(rawtrace: Any, server: HandleServer) -> None:
    done = rawtrace("trust", "add", f"{server.url}#sha256={'0' * 64}&key={server.key.sha256()}")
    assert done.code == 1
    assert "is signed by the operator" in done.err


@pytest.mark.parametrize(
    "address",
    ["http://example.org", "https://user:word@example.org", "https://example.org?x", "https://example.org#sha256=0"],
)
def test_addresses_that_cannot_be_asked(rawtrace: Any, address: str) -> None:
    assert rawtrace("trust", "add", address).code == 2


@pytest.mark.parametrize(
    ("site", "more"),
    [
        ("http://127.0.0.1:8650", ()),
        ("https://example.org#key=0", ()),
        ("https://example.org?x#key=" + "0" * 64, ()),
        ("https://example.org#key=" + "0" * 64, ("--prefix", "20..5")),
        ("https://example.org#key=" + "0" * 64, ("--prefix", "20.5/x")),
        ("example.org", ()),
    ],
)
def test_sites_that_cannot_be(rawtrace: Any, site: str, more: tuple[str, ...]) -> None:
    assert rawtrace("trust", "sites", "add", site, *more).code == 2
    assert not settings_path().exists()


def test_a_site_twice(rawtrace: Any) -> None:
    site = "https://example.org#key=" + "0" * 64
    assert rawtrace("trust", "sites", "add", site).code == 0
    done = rawtrace("trust", "sites", "add", site.replace("0" * 64, "1" * 64))
    assert done.code == 1
    assert read_roots() == (RootSite(url="https://example.org", key_sha256="0" * 64),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"schema":"urn:rawtrace:schema:resolver:1","roots":{}}',
        '{"schema":"urn:rawtrace:schema:resolver:1","roots":[{}]}',
        '{"schema":"urn:rawtrace:schema:resolver:1","roots":[{"url":"https://example.org","key_sha256":""}]}',
        '{"schema":"urn:rawtrace:schema:resolver:1","roots":[{"url":"http://127.0.0.1","key_sha256":"00"}]}',
    ],
    ids=range(7),
)
def test_damaged_settings_are_said(rawtrace: Any, sealed: Path, authority: Path, text: str) -> None:
    assert rawtrace("trust", "sites", "list").code == 0
    settings_path().write_text(text)
    for arguments in (("trust", "sites", "list"), ("verify", sealed, "--online", "--trust", authority)):
        done = rawtrace(*arguments)
        assert done.code == 1
        assert "resolver.json" in done.err
    assert rawtrace("verify", sealed, "--trust", authority).code == 0


# --- taken


def test_a_person_who_says_yes(
    rawtrace: Any, server: HandleServer, operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, answer=True)
    done = rawtrace("trust", "add", f"{server.url}#key={server.key.sha256()}")
    assert done.code == 0
    assert operator in done.err
    assert f"#sha256={operator}&key={server.key.sha256()}" in rawtrace("trust", "list").out
    assert rawtrace("trust", "update").code == 0
    added = rawtrace("trust", "sites", "add", server.url)
    assert added.code == 0
    assert read_roots()[0].key_sha256 == server.key.sha256()


def test_sites_are_kept_and_forgotten(rawtrace: Any) -> None:
    site = "https://example.org:8650/base/"
    done = rawtrace(
        "trust", "sites", "add", f"{site}#key={'AB' * 32}", "--prefix", "20.5", "--prefix", "21.T1", "--name", "us",
        "--json",
    )  # fmt: skip
    assert done.json["added"] == {
        "url": "https://example.org:8650/base",
        "key_sha256": "ab" * 32,
        "name": "us",
        "prefixes": ["20.5", "21.T1"],
        "vouches": False,
    }
    (root,) = read_roots()
    assert [root.answers_for(one) for one in ("20.5", "20.5.7", "21.t1", "20.57", "20", "21.T11")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert "lead the way" in rawtrace("trust", "sites", "list").out
    assert rawtrace("trust", "sites", "remove", "nobody").code == 3
    assert rawtrace("trust", "sites", "remove", "us").code == 0
    assert rawtrace("trust", "sites", "list", "--json").json["roots"] == []
