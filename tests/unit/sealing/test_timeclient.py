"""Asking for time stamps: what an authority, or somebody in its place, could send instead of the right one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import TimeStampError
from rawtrace.sealing import cms
from rawtrace.sealing.timeclient import asking_listed, fetch_token, request
from rawtrace.trust import authority as authorities
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.timeauthority import TimeAuthority, create_time_authority
from rawtrace.trust.trustlist import read_list
from rawtrace.web import Answer

URL = "https://time.example.org/time"
DIGEST = hashlib.sha256(b"what was signed").digest()


class Wire:
    """Stands for the network; ``reply`` answers a query."""

    def __init__(self, reply: Callable[[bytes], bytes], status: int = 200) -> None:
        self.reply, self.status = reply, status

    def post(self, _url: str, body: bytes, **_: Any) -> Answer:
        return Answer(status=self.status, headers={}, body=self.reply(body))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("time")
    authorities.create_authority(made / "authority", name="Example Authority")
    create_time_authority(made / "time", authority=made / "authority")
    return made


@pytest.fixture(scope="module")
def clock(folder: Path) -> TimeAuthority:
    return TimeAuthority(folder / "time")


@pytest.fixture(scope="module")
def lists(folder: Path) -> tuple[TrustList, ...]:
    return (read_list((folder / "authority" / "trust-list.jws").read_bytes(), source="test"),)


def fetch(reply: Callable[[bytes], bytes], lists: tuple[TrustList, ...], status: int = 200, **options: Any) -> bytes:
    return fetch_token(URL, options.pop("digest", DIGEST), web=Wire(reply, status), lists=lists, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "reply", [b"", b"nonsense", b"\x30\x03\x02\x01\x00", b"\x30\x05\x30\x03\x02\x01\x00", b"\x30" * 99]
)
def test_answers_that_are_none_fail(reply: bytes, lists: tuple[TrustList, ...]) -> None:
    with pytest.raises(TimeStampError):
        fetch(lambda _: reply, lists)


def test_refusals_and_errors_fail(clock: TimeAuthority, lists: tuple[TrustList, ...]) -> None:
    with pytest.raises(TimeStampError, match="holds no time stamp"):
        fetch(lambda _: clock.answer(b"").body, lists)
    with pytest.raises(TimeStampError, match="answered 503"):
        fetch(lambda query: clock.answer(query).body, lists, status=503)


def test_stamp_of_something_else_fail(clock: TimeAuthority, lists: tuple[TrustList, ...]) -> None:
    with pytest.raises(TimeStampError, match="something else"):
        fetch(lambda query: clock.answer(query.replace(DIGEST, b"\1" * 32)).body, lists)


def test_stamp_that_was_made_before_it_was_asked_for_fail(clock: TimeAuthority, lists: tuple[TrustList, ...]) -> None:
    for older in (request(DIGEST), request(DIGEST, nonce=b"\1" * 17)):
        with pytest.raises(TimeStampError, match="nonce"):
            fetch(lambda _, older=older: clock.answer(older).body, lists)  # type: ignore[misc]


def test_other_clocks_fail(
    clock: TimeAuthority, lists: tuple[TrustList, ...], trust_lists: tuple[TrustList, ...]
) -> None:
    for others in (trust_lists, ()):
        with pytest.raises(TimeStampError, match="not from an authority"):
            fetch(lambda query: clock.answer(query).body, others)
    for wrong in (timedelta(hours=1), -timedelta(hours=1)):
        with pytest.raises(TimeStampError, match="this computer"):
            fetch(lambda query: clock.answer(query).body, lists, now=datetime.now(UTC) + wrong)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_stamped(clock: TimeAuthority, lists: tuple[TrustList, ...], algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"what was signed").digest()
    token = fetch(lambda query: clock.answer(query).body, lists, digest=digest, algorithm=algorithm)
    assert cms.read_token(token).stamps(b"what was signed")


class TestForOthers:
    """What checks each answer before it is passed on."""

    def test_a_good_stamp_is_passed_on_as_it_is(self, clock: TimeAuthority, lists: tuple[TrustList, ...]) -> None:
        query = request(DIGEST, nonce=b"\x01" * 9)
        reply = clock.answer(query).body
        ask = asking_listed(URL, Wire(lambda _: reply), lists)  # type: ignore[arg-type]
        assert ask(query) == reply
        assert asking_listed(URL, Wire(lambda _: clock.answer(request(DIGEST)).body), lists)(request(DIGEST))  # type: ignore[arg-type]

    def test_answers_to_something_else_fail(self, clock: TimeAuthority, lists: tuple[TrustList, ...]) -> None:
        query = request(DIGEST, nonce=b"\x01" * 9)
        other = hashlib.sha256(b"something else").digest()
        for wrong in (request(other, nonce=b"\x01" * 9), request(DIGEST, nonce=b"\x01" * 8), request(DIGEST)):
            reply = clock.answer(wrong).body
            with pytest.raises(TimeStampError):
                asking_listed(URL, Wire(lambda _, reply=reply: reply), lists)(query)  # type: ignore[arg-type]

    def test_a_clock_that_no_list_names_or_that_is_wrong_fail(
        self, clock: TimeAuthority, lists: tuple[TrustList, ...]
    ) -> None:
        query = request(DIGEST)
        wire = Wire(lambda query: clock.answer(query).body)
        with pytest.raises(TimeStampError, match="trust lists"):
            asking_listed(URL, wire, ())(query)  # type: ignore[arg-type]
        with pytest.raises(TimeStampError, match="and this computer"):
            asking_listed(URL, wire, lists, now=lambda: datetime.now(UTC) - timedelta(hours=1))(query)  # type: ignore[arg-type]

    @pytest.mark.parametrize("query", [b"", b"\x30\x00", b"\x30\x03\x02\x01\x01", b"nonsense"])
    def test_what_is_no_request_fail(self, clock: TimeAuthority, lists: tuple[TrustList, ...], query: bytes) -> None:
        reply = clock.answer(request(DIGEST)).body
        with pytest.raises(TimeStampError):
            asking_listed(URL, Wire(lambda _: reply), lists)(query)  # type: ignore[arg-type]
