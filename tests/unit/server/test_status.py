"""Statuses over HTTP: who may revoke, what is published, what the log holds, and what OCSP and CRL say."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp as forms

from rawtrace.ledger.entry import Entry
from rawtrace.ledger.receipt import Receipt
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust import authority, certificates, register, trustlist
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import create_identity
from rawtrace.trust.instruments import new_record
from stores import client

OWNER = "https://ror.org/0exampe44"
FEATURE = {
    "kind": "feature",
    "manufacturer": "Example Optics",
    "model": "Widefield 1",
    "feature": "multiple-exposure",
}
REQUEST = {"Content-Type": "application/ocsp-request"}


@pytest.fixture
def leaf(store: Store, tmp_path: Path) -> x509.Certificate:
    record = new_record(
        kind=SignerKind.INSTRUMENT, name="Scope", owner=OWNER, manufacturer="Example Optics", model="Widefield 1"
    )
    made = create_identity(tmp_path / "scope", SignerKind.INSTRUMENT, record, authority=store.authority_folder)
    return made.chain[0]


def asked(store: Store, serial: int, **changes: Any) -> bytes:
    issuer = store.authority().certificate
    leaf = next(one for one in register.issued(store.authority_folder) if one.serial == serial)
    (certificate, *_) = certificates.read_pem(leaf.certificate_pem.encode(), what="the test's own")
    builder = forms.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
    if "nonce" in changes:
        builder = builder.add_extension(x509.OCSPNonce(changes["nonce"]), critical=False)
    from cryptography.hazmat.primitives.serialization import Encoding

    return builder.build().public_bytes(Encoding.DER)


@pytest.mark.parametrize("roles", [(), (Role.OPERATOR,), (Role.INSTRUMENT,), (Role.GATEWAY,), (Role.AUDITOR,)])
def test_only_an_officer_revokes_fail(store: Store, leaf: x509.Certificate, roles: tuple[Role, ...]) -> None:
    pid = {"pid": "urn:uuid:5e8ac9c2-43a4-4a7b-8d0a-111111111111"} if Role.INSTRUMENT in roles else {}
    asking = client(store, *roles, **pid)
    answer = asking.post("/statuses", json={"scope": FEATURE, "reason": "privilegeWithdrawn"})
    assert answer.status_code == (403 if roles else 401)
    assert register.statuses(store.authority_folder) == ()


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"reason": "keyCompromise"},
        {"scope": FEATURE, "serial": "1a", "reason": "keyCompromise"},
        {"scope": FEATURE | {"kind": "colour"}, "reason": "keyCompromise"},
        {"scope": FEATURE | {"feature": ["a"]}, "reason": "keyCompromise"},
        {"scope": FEATURE | {"feature": "Multiple Exposure"}, "reason": "keyCompromise"},
        {"scope": FEATURE | {"firmwareTo": "1.0"}, "reason": "keyCompromise"},
        {"scope": FEATURE | {"surprise": "1.0"}, "reason": "keyCompromise"},
        {"scope": FEATURE, "reason": 7},
        {"scope": FEATURE, "reason": "keyCompromise", "compromisedFrom": "yesterday"},
        {"scope": FEATURE, "reason": "keyCompromise", "doubtFrom": {"log": "a b", "index": 1}},
        {"scope": FEATURE, "reason": "keyCompromise", "doubtFrom": {"log": "log", "index": -1}},
        {"scope": FEATURE, "reason": "keyCompromise", "doubtFrom": {"log": "log", "index": True}},
        {"scope": FEATURE, "reason": "keyCompromise", "note": "two\nlines"},
        {"scope": FEATURE, "reason": "keyCompromise", "extra": 1},
        {"serial": "0x1a", "reason": "keyCompromise"},
        {"serial": None, "reason": "keyCompromise"},
        {"pid": "", "reason": "keyCompromise"},
    ],
)
def test_a_malformed_revocation_leaves_no_trace_fail(store: Store, leaf: x509.Certificate, body: Any) -> None:
    answer = client(store, Role.OFFICER).post("/statuses", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert register.statuses(store.authority_folder) == ()


@pytest.mark.parametrize(
    "body",
    [
        {"serial": "1a", "reason": "keyCompromise"},
        {"pid": "https://hdl.handle.net/20.500.12345/never", "reason": "keyCompromise"},
        {"pid": "not a pid", "reason": "keyCompromise"},
        {"scope": FEATURE | {"model": "Another"}, "reason": "keyCompromise"},
        {"scope": FEATURE, "reason": "removeFromCRL"},
        {"scope": FEATURE, "reason": "superseded", "compromisedFrom": "2026-01-01T00:00:00Z"},
        {"scope": FEATURE, "reason": "keyCompromise", "compromisedFrom": "2999-01-01T00:00:00Z"},
    ],
)
def test_what_cannot_be_revoked_is_refused_fail(store: Store, leaf: x509.Certificate, body: Any) -> None:
    answer = client(store, Role.OFFICER).post("/statuses", json=body)
    assert answer.status_code in {404, 422}, answer.text
    assert register.statuses(store.authority_folder) == ()


def test_a_status_is_published_and_logged(store: Store, leaf: x509.Certificate) -> None:
    officer = client(store, Role.OFFICER)
    body = {"scope": FEATURE, "reason": "privilegeWithdrawn", "note": "it signed foreign pixels"}
    answer = officer.post("/statuses", json=body)
    assert answer.status_code == 201, answer.text
    (made,) = answer.json()["items"]
    assert made["scope"] == FEATURE
    assert made["logged"]["log"] == store.settings.log.origin
    index = made["logged"]["index"]
    receipt = Receipt.parse(store.log.receipt(index))
    entry = Entry.decode(receipt.entry)
    assert (entry.kind, entry.issuer) == ("status", store.authority().name)
    said = json.loads(receipt.record)
    assert said["scope"] == FEATURE
    assert "logged" not in said
    published = trustlist.read_list(client(store).get("/trust-list").content, source="the store")
    (record,) = published.statuses
    assert record.logged is not None
    assert record.logged.index == index
    assert record.note == "it signed foreign pixels"
    listed = client(store).get("/statuses").json()
    assert (listed["items"], listed["total"], listed["next"]) == ([made], 1, None)


def test_what_was_revoked_by_hand_is_logged_with_the_next(store: Store, leaf: x509.Certificate) -> None:
    authority.revoke(store.authority_folder, serial=leaf.serial_number, reason="keyCompromise")
    answer = client(store, Role.OFFICER).post("/statuses", json={"scope": FEATURE, "reason": "privilegeWithdrawn"})
    assert answer.status_code == 201
    assert all(record.logged is not None for record in register.statuses(store.authority_folder))


def test_a_log_that_fails_does_not_undo_a_revocation(
    store: Store, leaf: x509.Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rawtrace.errors import LedgerError

    def refuse(*_: Any, **__: Any) -> int:
        msg = "the witnesses cannot be reached"
        raise LedgerError(msg)

    officer = client(store, Role.OFFICER)
    with monkeypatch.context() as patch:
        patch.setattr(store, "record", refuse)
        answer = officer.post("/statuses", json={"serial": f"{leaf.serial_number:x}", "reason": "keyCompromise"})
        assert answer.status_code == 201
        assert "logged" not in answer.json()["items"][0]
    assert trustlist.read_list(officer.get("/trust-list").content, source="the store").statuses
    officer.post("/statuses", json={"scope": FEATURE, "reason": "privilegeWithdrawn"})
    assert all(record.logged is not None for record in register.statuses(store.authority_folder))


def test_pages_and_lines(store: Store, leaf: x509.Certificate) -> None:
    for number in range(5):
        scope = FEATURE | {"feature": f"feature-{number}"}
        client(store, Role.OFFICER).post("/statuses", json={"scope": scope, "reason": "privilegeWithdrawn"})
    asking = client(store)
    first = asking.get("/statuses?limit=2")
    second = asking.get(first.json()["next"])
    third = asking.get(second.json()["next"]).json()
    found = first.json()["items"] + second.json()["items"] + third["items"]
    assert [one["scope"]["feature"] for one in found] == [f"feature-{number}" for number in range(5)]
    assert third["next"] is None
    lines = asking.get("/statuses", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(line) for line in lines] == found
    assert (
        asking.get("/statuses", headers={"If-None-Match": asking.get("/statuses").headers["etag"]}).status_code == 304
    )
    for query in ("limit=0", "limit=1001", "limit=x", "after=-1", "limit=%D9%A1", "after=99999999"):
        assert asking.get(f"/statuses?{query}").status_code == 400, query


def test_ocsp_by_post_and_by_get(store: Store, leaf: x509.Certificate) -> None:
    asking = client(store)
    request = asked(store, leaf.serial_number, nonce=b"0123456789abcdef")
    answer = asking.post("/ocsp", content=request, headers=REQUEST)
    assert answer.headers["content-type"] == "application/ocsp-response"
    response = forms.load_der_ocsp_response(answer.content)
    assert response.certificate_status is forms.OCSPCertStatus.GOOD
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"0123456789abcdef"
    serial = f"{leaf.serial_number:x}"
    since = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"serial": serial, "reason": "keyCompromise", "compromisedFrom": since}
    assert client(store, Role.OFFICER).post("/statuses", json=body).status_code == 201
    text = base64.b64encode(asked(store, leaf.serial_number)).decode()
    got = asking.get("/ocsp/" + text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"))
    assert got.status_code == 200, got.text
    assert "max-age=3600" in got.headers["cache-control"]
    revoked = forms.load_der_ocsp_response(got.content)
    assert revoked.certificate_status is forms.OCSPCertStatus.REVOKED
    assert revoked.revocation_reason is x509.ReasonFlags.key_compromise
    listed = x509.load_der_x509_crl(asking.get("/crl").content)
    entry = listed.get_revoked_certificate_by_serial_number(leaf.serial_number)
    assert entry is not None
    invalid_from = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    assert invalid_from.strftime("%Y-%m-%dT%H:%M:%SZ") == since
    assert asking.get("/crl").content == asking.get("/crl").content


@pytest.mark.parametrize("data", [b"", b"\x30", b"\0" * 400, b"\x30\x80" * 500, b"not DER"])
def test_ocsp_of_nonsense_is_malformed_fail(store: Store, data: bytes) -> None:
    answer = client(store).post("/ocsp", content=data, headers=REQUEST)
    assert answer.status_code == 200
    assert forms.load_der_ocsp_response(answer.content).response_status is forms.OCSPResponseStatus.MALFORMED_REQUEST


def test_ocsp_in_another_form_is_refused_fail(store: Store) -> None:
    asking = client(store)
    assert asking.post("/ocsp", content=b"x").status_code == 415
    assert asking.post("/ocsp", content=b"x" * 5000, headers=REQUEST).status_code == 413
    assert asking.get("/ocsp/%%%").status_code == 400
    assert asking.get("/ocsp/AAAA%0AAAAA").status_code in {400, 404}
