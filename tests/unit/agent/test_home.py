"""The store that certified an instrument is where its seals go, without a settings file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rawtrace.agent.targets import home_of
from rawtrace.errors import UsageError
from rawtrace.trust.enrolling import ORIGIN_SCHEMA
from rawtrace.trust.signer import ORIGIN_FILE


def origin(folder: Path, **more: str) -> None:
    said = {"authority": "https://store.example.org", "root_sha256": "cd" * 32, "server_key_sha256": "ab" * 32}
    said |= {"schema": ORIGIN_SCHEMA, "server_authorities": "", "token_file": ""} | more
    (folder / ORIGIN_FILE).write_text(json.dumps(said))


def test_nobodys_instrument_has_no_home_fail(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not certified by a store at an address"):
        home_of(tmp_path)


def test_it_shows_its_own_certificate(tmp_path: Path) -> None:
    origin(tmp_path)
    found = home_of(tmp_path)
    assert found.url == "https://store.example.org"
    assert found.caller.certificate == (tmp_path / "certificate.pem", tmp_path / "key.pem")
    assert found.caller.server_key_sha256 == "ab" * 32
    assert not found.caller.token


def test_or_its_token_where_the_key_is_elsewhere(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("rawtrace-0123456789abcdef\n")
    token.chmod(0o600)
    origin(tmp_path, token_file=str(token))
    found = home_of(tmp_path)
    assert found.caller.certificate is None
    assert found.caller.token == "rawtrace-0123456789abcdef"


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes mean nothing there")
def test_a_token_that_others_can_read_is_refused_fail(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("rawtrace-0123456789abcdef\n")
    token.chmod(0o644)
    origin(tmp_path, token_file=str(token))
    with pytest.raises(UsageError, match="can be read by other accounts"):
        home_of(tmp_path)
