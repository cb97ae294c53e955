"""Seals that a service names: a service that lies is believed for nothing, and nothing but codes is sent unasked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tifffile

from rawtrace.errors import MalformedError, NetworkError
from rawtrace.image.isccunits import decode_seq
from rawtrace.sealing.seal import seal
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.signer import Identity
from rawtrace.verification.recovered import MAX_CODES, RecoveredSeal, Service, recover
from rawtrace.verification.trace import trace
from rawtrace.web import Answer, Web

BASE = "https://store.example.org/c2pa/v1"


class Fake:
    """Answers as it is told and keeps what it was asked."""

    def __init__(self, matches: Any, seals: Mapping[str, bytes], *, status: int = 200) -> None:
        self.matches, self.seals, self.status = matches, seals, status
        self.asked: list[tuple[str, bytes]] = []

    def post(self, url: str, body: bytes, *, content_type: str, limit: int) -> Answer:
        self.asked.append((url, body))
        return Answer(status=self.status, headers={}, body=json.dumps(self.matches).encode())

    def get(self, url: str, *, limit: int) -> Answer:
        self.asked.append((url, b""))
        found = self.seals.get(url.removeprefix(f"{BASE}/manifests/"))
        return Answer(status=200 if found else 404, headers={}, body=found or b'{"detail": "it is gone"}')


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    row = np.arange(96)
    tifffile.imwrite(path, (np.sin(row / 9)[:, None] * np.cos(row / 7) * 100 + 120).astype(np.uint8))
    return path


@pytest.fixture
def sealed(image: Path, instrument: Identity) -> tuple[str, bytes]:
    made = seal(image, signer=instrument)
    return made.label, made.sidecar.read_bytes()


@pytest.fixture
def ask(image: Path, trust_lists: tuple[TrustList, ...]) -> Callable[..., tuple[RecoveredSeal, ...]]:
    def run(fake: Fake, *, send: bool = False) -> tuple[RecoveredSeal, ...]:
        service = Service(base=BASE, web=cast("Web", fake), send_picture=send)
        return recover(image, service, trust=trust_lists)[0]

    return run


def match(label: str, score: Any = 90, **more: Any) -> dict[str, Any]:
    return {"matches": [{"manifestId": label, "similarityScore": score, **more}]}


def test_what_a_service_gives_under_another_name_or_changed_is_not_taken_fail(
    ask: Any, sealed: tuple[str, bytes]
) -> None:
    label, store = sealed
    (other,) = ask(Fake(match("urn:other"), {"urn:other": store}))
    assert (other.facts, other.sound, other.summary) == (None, False, "what the service gives is another seal")
    bent = bytearray(store)
    bent[store.index(b"cells.tif")] ^= 1
    (changed,) = ask(Fake(match(label), {label: bytes(bent)}))
    assert not changed.sound
    assert "does not hold" in changed.summary
    for bad in (b"nonsense", b"<html>"):
        (none,) = ask(Fake(match(label), {label: bad}))
        assert (none.facts, none.sound) == (None, False)
    (gone,) = ask(Fake(match(label), {}))
    assert gone.summary == "the service does not give it: it is gone"


@pytest.mark.parametrize(
    "matches",
    [
        match("urn:x", endpoint="https://elsewhere.example.org"),
        match("x" * 513),
        match("urn:\x1b[2J"),
        match(""),
        {"matches": [1, None, {}, {"manifestId": 7}]},
    ],
)
def test_names_that_lead_elsewhere_or_nowhere_are_not_followed_fail(ask: Any, matches: Any) -> None:
    fake = Fake(matches, {})
    assert ask(fake) == ()
    assert len(fake.asked) == 1


def test_names_stay_inside_the_service_fail(ask: Any) -> None:
    fake = Fake(match("../../secrets?x=1#y"), {})
    ask(fake)
    assert fake.asked[-1][0] == f"{BASE}/manifests/..%2F..%2Fsecrets%3Fx%3D1%23y"


def test_answers_of_another_form_fail(ask: Any) -> None:
    for odd in ([], {}, {"matches": {}}, "x"):
        with pytest.raises(MalformedError):
            ask(Fake(odd, {}))
    with pytest.raises(NetworkError, match="status 503: broken"):
        ask(Fake({"detail": "broken"}, {}, status=503))


def test_only_codes_are_sent_unless_the_picture_may_be(image: Path, ask: Any, sealed: tuple[str, bytes]) -> None:
    label, store = sealed
    fake = Fake(match(label), {label: store})
    (found,) = ask(fake)
    assert found.sound
    assert (found.label, found.score) == (label, 90)
    assert found.facts is not None
    assert found.facts.instrument["name"] == "Example instrument"
    ((url, body), _) = fake.asked
    assert url == f"{BASE}/matches/byBinding?maxResults=10"
    units = decode_seq(base64.b64decode(json.loads(body)["value"]))
    assert 8 < len(units) <= MAX_CODES
    assert len(body) < 1_000
    sent = Fake(match(label, "much"), {label: store})
    (again,) = ask(sent, send=True)
    assert (again.score, again.sound) == (None, True)
    assert sent.asked[1] == (f"{BASE}/matches/byContent?maxResults=10", image.read_bytes())


def test_a_signer_whom_nobody_lists_is_said(image: Path, sealed: tuple[str, bytes]) -> None:
    label, store = sealed
    service = Service(base=BASE, web=cast("Web", Fake(match(label), {label: store})))
    done = trace(image, service=service)
    assert done.found
    assert not done.seals[0].sound
    said = done.to_dict()["seals"][0]
    assert (said["label"], said["sound"], said["score"]) == (label, False, 90)
    assert any("was not sent" in note for note in done.notes)
