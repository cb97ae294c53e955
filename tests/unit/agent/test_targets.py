"""The agent's settings file: what is refused, and that a token is never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rawtrace.agent.targets import Targets, accepted_lists, read_targets
from rawtrace.errors import InputNotFoundError, LimitError, UsageError
from rawtrace.sealing.statements import Device
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.path import validate_path

TOKEN = "rawtrace_0123456789abcdef"
GOOD = '[[deliver]]\nurl = "https://store.example.org/"\ntoken_file = "store.token"\n'


def write(folder: Path, text: str, *, token: str = TOKEN, mode: int = 0o600) -> Path:
    secret = folder / "store.token"
    secret.write_text(token)
    secret.chmod(mode)
    path = folder / "agent.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "[[deliver",
        "deliver = 1",
        "other = 1",
        "trust = 'a'",
        "[[deliver]]\nurl = 1\n",
        GOOD + "password = 'x'\n",
        GOOD.replace("https", "http"),
        GOOD.replace("https://store", "https://me:secret@store"),
        GOOD.replace('token_file = "store.token"\n', ""),
        GOOD.replace("store.token", "absent.token"),
        GOOD + "server_key = 'abc'\n",
        GOOD + "certificate = 'a.pem'\n",
        GOOD + "certificate = 'a.pem'\nkey = 'b.pem'\n",
        GOOD + GOOD.replace("org/", "org"),
        GOOD * 17,
        "device = '1.4'",
        "[device]\nfirmware = 1.4\n",
        "[device]\nfeatures = 'hdr'\n",
        "[device]\nfeatures = ['High Dynamic Range']\n",
        "[device]\nmodel = 'WF 100'\n",
        f"[device]\nfirmware = '{'1' * 65}'\n",
    ],
)
def test_refused_fail(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        read_targets(write(tmp_path, text))


@pytest.mark.parametrize("token", ["", "two words", "short", "x" * 513, "tok\u00e9n-with-accent"])
def test_tokens_that_are_none_fail(tmp_path: Path, token: str) -> None:
    with pytest.raises(UsageError, match="token") as caught:
        read_targets(write(tmp_path, GOOD, token=token))
    assert not token or token not in caught.value.message


def test_token_that_others_can_read_fail(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can be read by other accounts"):
        read_targets(write(tmp_path, GOOD, mode=0o640))


def test_files_that_are_none_fail(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        read_targets(tmp_path / "absent.toml")
    with pytest.raises(LimitError):
        read_targets(write(tmp_path, "#" * 70_000))


def test_read(tmp_path: Path) -> None:
    key = "ab" * 32
    more = f"server_key = '{key.upper()}'\nauthorities = 'ca.pem'\n"
    found = read_targets(write(tmp_path, f"trust = ['list.jws']\n{GOOD}{more}"))
    (one,) = found.stores
    assert (one.url, one.caller.token, one.caller.server_key_sha256) == ("https://store.example.org", TOKEN, key)
    assert (one.caller.authorities, found.trust) == (tmp_path / "ca.pem", (tmp_path / "list.jws",))
    assert found.device is None
    assert TOKEN not in repr(found)
    assert TOKEN not in repr(one.caller)


def test_what_the_instrument_runs(tmp_path: Path) -> None:
    found = read_targets(write(tmp_path, f"[device]\nfirmware = '1.4.2'\n{GOOD}")).device
    assert found == Device(firmware="1.4.2")
    assert read_targets(write(tmp_path, "[device]\nfeatures = []\n")).device == Device(features=())


def test_by_default_the_instruments_own_authority_says_who_may_counter_sign(
    instrument: Identity, new_identity: Any, self_instrument: Identity
) -> None:
    from datetime import UTC, datetime

    (own,) = accepted_lists(Targets(), instrument)
    known = new_identity(SignerKind.REPOSITORY)
    assert validate_path(known.chain, (own,), at=datetime.now(UTC)).trusted
    (nobody,) = accepted_lists(Targets(), self_instrument)
    assert not validate_path(known.chain, (nobody,), at=datetime.now(UTC)).trusted
